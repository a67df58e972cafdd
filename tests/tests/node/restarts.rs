//! What a log still knows of itself after a restart, and what its witnesses say that it does not.

use ledger_core::evidence::{ClaimedEvidence, Trust};
use ledger_core::record::StatementId;
use ledger_tests::consortium::ORIGIN;
use ledger_tests::witness::Mood;

use super::starts::{back_up, failed, forged, has_signed, restore, rotated, signs, waits_for};
use super::witnesses::{Witnessed, policy_text, until};

/// Takes all that a node remembers of what it signed and published.
fn forget(log: &Witnessed) {
    std::fs::remove_dir_all(log.dir().join("private/state")).expect("removed");
    std::fs::remove_file(log.dir().join("site/checkpoint")).expect("removed");
}

/// A log without its state signed at once, and no witness was asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_state_asks_its_witnesses_before_it_signs() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    back_up(&log, "backup");
    let (node, mut client) = log.serve().await;
    for n in 1..4 {
        log.log(&mut client, n).await;
    }
    until(|| log.witnesses.iter().all(|seen| seen.latest().is_some_and(|h| h.size.get() == 5)))
        .await;
    node.shutdown().await.expect("sound");
    back_up(&log, "latest");

    // an older journal, and nothing that says how far the log had come
    restore(&log, "backup");
    forget(&log);
    let (mut node, _) = log.serve().await;
    let error = failed(&mut node).await;
    assert!(error.to_string().contains("shows a head of size 5"), "{error}");
    assert!(!has_signed(&node));
    let _ = node.shutdown().await;
    // with all of its entries the log goes on, once its witnesses agree
    restore(&log, "latest");
    forget(&log);
    let (node, mut client) = log.serve().await;
    signs(&node).await;
    assert_eq!(log.log(&mut client, 4).await, 5);
    node.shutdown().await.expect("sound");
}

/// Witnesses of before July 2026 say so of another tree of that size.
#[tokio::test(flavor = "multi_thread")]
async fn a_409_with_the_size_of_the_head_is_a_claim() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    log.witnesses[1].feel(Mood::ClaimsSame);
    let (node, _) = log.serve().await;
    let said = waits_for(&node, &log.witnesses[1]).await;
    assert!(said.starts_with("unconfirmed: ") && said.contains("w2"), "{said}");
    assert!(said.contains("\nwitness w2: claims "), "{said}");
    node.shutdown().await.expect("a claim ends no log");
    log.witnesses[1].show(forged(&log.consortium.log, 2).to_string());
    let (mut node, _) = log.serve().await;
    let error = failed(&mut node).await;
    let shown = error.to_string().contains("the witness w2 shows another tree of size 2");
    assert!(shown || error.to_string().contains("convicts this log"), "{error}");
    assert!(!has_signed(&node));
    let _ = node.shutdown().await;
}

/// The evidence in a log's folder.
fn evidence(log: &Witnessed) -> Option<ClaimedEvidence> {
    let files = std::fs::read_dir(log.dir().join("private/evidence")).into_iter().flatten();
    let mut paths = files.map(|file| file.expect("readable").path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "json"))?;
    Some(ClaimedEvidence::parse(&std::fs::read(path).expect("readable")).expect("evidence"))
}

/// The old key's last word on the new one was not kept, so that a fork by the new key convicted the
/// key and not the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_changed_its_key_in_two_steps_is_convicted_by_its_anchor_alone() {
    let log = Witnessed::found().await;
    let charter = policy_text(log.consortium.log.verifier(), &log.witnesses);
    let anchor: StatementId = log.consortium.charter_with_policy(&charter).statement();
    let fresh = rotated(&log).await;
    let (node, _) = log.serve().await;
    signs(&node).await;
    let published = node.service().current().expect("published").checkpoint().claimed().clone();
    node.service().gossip.observe(&[published, forged(&fresh, 4)]);
    until(|| evidence(&log).is_some()).await;
    let made = evidence(&log).expect("it was made");
    assert_eq!((made.kind(), made.origin()), ("same-size", ORIGIN));
    let conviction = made.verify(&Trust::new().with_anchor(anchor)).expect("it convicts");
    assert_eq!(conviction.culprit().role(), "log", "{}", conviction.culprit());
    let _ = node.shutdown().await;
}
