//! Gossip and the mirror of one node: what the mirror holds is compared with what others were
//! shown, and what gossip knows stops the mirror.

use ledger_proto::v1::mirror_client::MirrorClient;
use ledger_proto::v1::{self as wire, MirroredLog};
use ledger_tests::site::{SignedTree, TestSite};
use ledger_tests::wait::{so, until_async};

use super::gossip::{EVIL, Member, evil, ledger};

/// What a node says of its only copy, once it is so.
pub(super) async fn copy(
    member: &Member,
    what: &str,
    fine: impl Fn(&MirroredLog) -> bool,
) -> MirroredLog {
    let url = format!("http://127.0.0.1:{}", member.port);
    let mut client = MirrorClient::connect(url).await.expect("it listens");
    let listed = until_async(async || {
        let listed = client.list_mirrored(wire::ListMirroredRequest {}).await.expect("no error");
        let logs = listed.into_inner().logs;
        so(logs, |logs| logs.first().is_some_and(&fine)).map_err(|logs| (what, logs))
    });
    listed.await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_only_mirror_a_log_convict_it_of_the_two_histories_they_cosigned() {
    let (left, right) = (TestSite::start().await, TestSite::start().await);
    left.show(&SignedTree::forked(&evil(), 300, 250, "left"));
    right.show(&SignedTree::forked(&evil(), 700, 250, "right"));
    let (a, b) = (Member::found(70), Member::found(71));
    a.asks([&b]);
    b.asks([&a]);
    a.mirrors(&evil(), &left.url);
    b.mirrors(&evil(), &right.url);
    let node = a.process();
    copy(&a, "one history", |log| log.size == Some(300)).await;
    // they hear nothing of each other before each has cosigned
    node.freeze(true);
    let _other = b.process();
    copy(&b, "the other history", |log| log.size == Some(700)).await;
    node.freeze(false);
    for member in [&a, &b] {
        let log = member.stands(EVIL, "convicted").await;
        assert!(member.evidence(&log.evidence).is_file());
        copy(member, "the end of cosigning", |log| log.trouble_kind == "convicted").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_cosigns_nothing_of_an_unreconciled_log_until_the_tiles_are_shown() {
    let (source, other) = (TestSite::start().await, TestSite::start().await);
    let tree = SignedTree::forked(&evil(), 700, 700, "");
    source.show(&SignedTree::forked(&evil(), 300, 700, ""));
    let member = Member::found(72);
    member.asks([]);
    member.mirrors(&evil(), &source.url);
    member.knows(&evil(), &other.url);
    let _node = member.process();
    copy(&member, "what is shown first", |log| log.size == Some(300)).await;
    // somebody shows a larger head, and nobody its tiles
    other.show_head(&tree.head);
    member.stands(EVIL, "unreconciled").await;
    source.show(&SignedTree::forked(&evil(), 400, 700, ""));
    let log = copy(&member, "the refusal", |log| log.trouble_kind == "unreconciled").await;
    assert_eq!((log.size, log.pending_size, log.copied_size), (Some(300), Some(400), 400));
    let url = format!("http://127.0.0.1:{}", member.port);
    let shown = tokio::task::spawn_blocking(move || ledger(&["mirror", "status", "--node", &url]));
    let (exit, status) = shown.await.expect("no panic");
    assert_eq!((exit, &status["logs"][0]["trouble_kind"]), (1, &"unreconciled".into()), "{status}");
    let why = status["logs"][0]["trouble"].as_str().expect("a reason");
    assert!(why.contains("and 700"), "{why}");
    // the source itself grows to what was shown: the mirror proves it while it copies
    source.show(&tree);
    member.stands(EVIL, "good").await;
    let log = copy(&member, "the rest", |log| log.size == Some(700)).await;
    assert_eq!(log.trouble_kind, "");
}
