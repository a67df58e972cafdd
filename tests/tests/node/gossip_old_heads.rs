//! Old heads of honest logs, which anybody can send to anybody: they raise no alarm as long as the
//! log can be read.

use std::time::{Duration, Instant};

use ledger_core::gossip::PATIENCE_ROUNDS;
use ledger_proto::v1::gossip_message::Message;
use ledger_proto::v1::{self as wire};
use ledger_tests::copy_folder;
use ledger_tests::site::{SignedTree, TestSite};
use ledger_tests::wait::SOON;

use super::gossip::{EVIL, Member, evil};

/// Sends heads of these sizes of the log whose tree has 700 entries.
async fn send(member: &Member, sizes: impl Iterator<Item = usize>) {
    let head = |size| SignedTree::forked(&evil(), size, 700, "").head.to_string().into_bytes();
    let told = wire::GossipExchange {
        salt: vec![1; 16].into(),
        heads: sizes.map(|size| head(size).into()).collect(),
        ..wire::GossipExchange::default()
    };
    let message = wire::GossipMessage { message: Some(Message::Exchange(told)) };
    member.gossip().await.tell(message).await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_heads_that_keep_coming_raise_no_alarm_of_a_log_that_can_be_read() {
    let site = TestSite::start().await;
    site.show(&SignedTree::forked(&evil(), 700, 700, ""));
    let member = Member::found(40);
    member.asks([]);
    member.knows(&evil(), &site.url);
    let _node = member.serve().await;
    member.says_of(EVIL, |log| log.adopted.is_some()).await;
    // longer than an alarm takes, a round a second: more at once than are kept open, and then
    // others one after another
    let (began, mut size) = (Instant::now(), 1);
    while began.elapsed() < Duration::from_secs(2 * u64::from(PATIENCE_ROUNDS) + 2) {
        send(&member, size..size + 12).await;
        for more in 12..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            send(&member, std::iter::once(size + more)).await;
        }
        size += 20;
        member.stands(EVIL, "good").await;
        let status = member.says("anything", |_| true).await;
        assert!(status.logs.iter().all(|log| log.standing == "good"), "{status:?}");
    }
    member.says("all settled", |status| status.logs.iter().all(|log| log.open.is_empty())).await;
}

/// Partial tiles go when the log has grown: a head that was read in between is never shown, and
/// lies on the history of the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_whose_tiles_have_gone_keeps_nobody_from_the_next() {
    let tree = |size| SignedTree::forked(&evil(), size, 700, "");
    let site = TestSite::start().await;
    site.show(&tree(300));
    let member = Member::found(43);
    member.asks([]);
    member.knows(&evil(), &site.url);
    let _node = member.serve().await;
    member.says_of(EVIL, |log| log.adopted.is_some()).await;
    send(&member, std::iter::once(400)).await;
    member.stands(EVIL, "unreconciled").await;
    site.show(&tree(450));
    let is_newest = |log: &wire::GossipLog| {
        let adopted = log.adopted.as_deref().unwrap_or_default();
        String::from_utf8_lossy(adopted).contains("\n450\n")
    };
    member.says_of(EVIL, is_newest).await;
    member.says_of(EVIL, |log| log.standing == "good" && log.open.is_empty()).await;
}

/// A backup that was restored hears of the heads that it lost, and stops. What was lost comes back:
/// the node starts, and its log signs again.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_about_the_own_log_ends_with_a_start_on_the_tree_that_it_was_about() {
    let (owner, other) = (Member::found(41), Member::found(42));
    let log = owner.consortium.log.verifier().clone();
    let submit = async |n: u64| {
        let node = owner.serve().await;
        let url = format!("http://127.0.0.1:{}", owner.port);
        let mut client = wire::ledger_client::LedgerClient::connect(url).await.expect("it listens");
        let record = owner.consortium.incident(n).to_bytes().into();
        let wait = wire::Wait::Published.into();
        client.submit(wire::SubmitRequest { record, wait }).await.expect("lawful");
        let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await.expect("signed");
        node.shutdown().await.expect("sound");
        answer.into_inner().checkpoint
    };
    owner.asks([]);
    submit(1).await;
    let (backup, whole) = (tempfile::tempdir().expect("a folder"), owner.dir());
    copy_folder(&whole, backup.path());
    let newer = submit(2).await;

    // the backup in place of the log
    let aside = whole.with_extension("aside");
    std::fs::rename(&whole, &aside).expect("a writable folder");
    copy_folder(backup.path(), &whole);
    owner.asks([&other]);
    other.asks([]);
    let site = TestSite::start().await;
    let newer = ledger_core::checkpoint::ClaimedCheckpoint::parse(&newer).expect("a checkpoint");
    site.show_head(&newer);
    std::fs::write(other.dir().join("witness-logs"), format!("log {log} {}\n", site.url))
        .expect("a writable folder");
    let _other = other.serve().await;
    let mut node = owner.serve().await;
    tokio::time::timeout(SOON, node.failed()).await.expect("it hears of what it has lost");
    drop(node);

    // all that was lost, and what was heard
    let heads = "private/heads.sqlite";
    std::fs::copy(whole.join(heads), aside.join(heads)).expect("it was kept");
    for more in ["private/heads.sqlite-wal", "private/heads.sqlite-shm"] {
        let (from, to) = (whole.join(more), aside.join(more));
        let _ = std::fs::remove_file(&to);
        let _ = std::fs::copy(from, to);
    }
    std::fs::remove_dir_all(&whole).expect("it was there");
    std::fs::rename(&aside, &whole).expect("a writable folder");
    submit(3).await;
}
