//! Heads that a witness refuses, over HTTP: what contradicts the one that it cosigned becomes
//! evidence.

use ledger_core::Hint;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::note::Algorithm;
use ledger_node::RunningNode;
use ledger_tests::key;
use ledger_tests::site::{SignedTree, TestSite};
use ledger_tests::wait::{SOON, so, until_async};

use super::gossip::{Member, evil};
use super::gossip_mirror::copy;

/// Asks the witness to cosign a head, with no proof: the status.
async fn ask(node: &RunningNode, old: u64, head: &ClaimedCheckpoint) -> u16 {
    let url = format!("http://{}/witness/add-checkpoint", node.http_addr());
    let body = format!("old {old}\n\n{head}");
    let ask = move || {
        let agent = ledger_tests::web::agent();
        agent.post(&url).send(body.as_bytes()).expect("an answer").status().as_u16()
    };
    tokio::task::spawn_blocking(ask).await.expect("asked")
}

/// What the evidence is that the node holds.
fn kinds(node: &RunningNode) -> Vec<&'static str> {
    let convictions = node.service().gossip.evidence().convictions();
    convictions.iter().map(|(_, conviction)| conviction.kind()).collect()
}

fn head(entries: usize, branch: &str) -> ClaimedCheckpoint {
    SignedTree::forked(&evil(), entries, 250, branch).head
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_the_cosigned_size_convicts_whatever_the_old_size_of_the_request() {
    let member = Member::found(70);
    member.asks([]);
    member.knows(&evil(), "http://127.0.0.1:9");
    let node = member.serve().await;
    assert_eq!(ask(&node, 0, &head(300, "left")).await, 200);
    assert_eq!(ask(&node, 7, &head(300, "right")).await, 409);
    assert_eq!(kinds(&node), ["same-size"], "before the answer");
    assert_eq!(ask(&node, 7, &head(300, "left")).await, 403);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_old_head_convicts_by_the_tiles_of_what_was_cosigned() {
    let site = TestSite::start().await;
    site.show(&SignedTree::forked(&evil(), 700, 250, "left"));
    let member = Member::found(71);
    member.asks([]);
    member.knows(&evil(), &site.url);
    let node = member.serve().await;
    assert_eq!(ask(&node, 0, &head(700, "left")).await, 200);
    assert_eq!(ask(&node, 0, &head(250, "")).await, 409, "the beginning of that tree");
    assert_eq!(ask(&node, 0, &head(300, "right")).await, 409);
    let made = until_async(async || so(kinds(&node), |made| !made.is_empty())).await;
    assert_eq!(made, ["split-history"]);
    assert_eq!(ask(&node, 700, &head(700, "left")).await, 403);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_keep_evidence_ends_and_says_why() {
    let member = Member::found(72);
    member.asks([]);
    member.knows(&evil(), "http://127.0.0.1:9");
    let mut node = member.serve().await;
    assert_eq!(ask(&node, 0, &head(300, "left")).await, 200);
    let folder = member.dir().join("private/evidence");
    std::fs::remove_dir(&folder).expect("there is no evidence");
    std::fs::write(&folder, "in the way").expect("a writable folder");
    assert_eq!(ask(&node, 7, &head(300, "right")).await, 409);
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    assert!(error.to_string().contains("evidence cannot be kept: cannot write"), "{error}");
    assert!(error.hint().contains("check the disk"), "{}", error.hint());
    assert_eq!(ask(&node, 300, &head(300, "left")).await, 500, "nothing is cosigned any more");
    let _ = node.shutdown().await;
}

/// The witness stopped, and the mirror of the same node went on.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_cosigns_nothing_more_where_evidence_cannot_be_kept() {
    let site = TestSite::start().await;
    let honest = key("honest.test/log", Algorithm::Ed25519, 67);
    site.show(&SignedTree::forked(&honest, 300, 700, ""));
    let member = Member::found(73);
    member.asks([]);
    member.knows(&evil(), "http://127.0.0.1:9");
    member.mirrors(&honest, &site.url);
    let mut node = member.serve().await;
    copy(&member, "a copy", |log| log.size == Some(300)).await;
    assert_eq!(ask(&node, 0, &head(300, "left")).await, 200);
    let folder = member.dir().join("private/evidence");
    std::fs::remove_dir(&folder).expect("there is no evidence");
    std::fs::write(&folder, "in the way").expect("a writable folder");
    assert_eq!(ask(&node, 7, &head(300, "right")).await, 409);
    tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    site.show(&SignedTree::forked(&honest, 400, 700, ""));
    let log = copy(&member, "the refusal", |log| log.trouble_kind == "storage").await;
    assert_eq!((log.size, log.pending_size, log.copied_size), (Some(300), Some(400), 400));
    let _ = node.shutdown().await;
}
