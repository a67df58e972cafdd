//! Requests that are refused, and what they say against a log or for it.

use ledger_core::evidence::EvidenceId;
use ledger_core::gossip::{LogStanding, LogStatus, Message, PATIENCE_ROUNDS, RoundSalt};
use ledger_core::merkle::ConsistencyProof;

use super::*;
use crate::gossip::Reply;
use crate::gossip::peers::Sender;
use crate::own_trouble::OwnTrouble;

/// A list with the log and a place where it cannot be read.
fn unreachable() -> String {
    format!("log {} http://127.0.0.1:9\n", log_key().verifier())
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}

/// A request about this head, from a size, with no proof.
fn bare(old: u64, head: TreeHead) -> AddCheckpoint {
    let checkpoint = Checkpoint::new(Origin::new(LOG).unwrap(), head).sign(&log_key());
    AddCheckpoint::new(size(old), ConsistencyProof::default(), checkpoint)
}

fn head(leaves: u64, branch: u8) -> TreeHead {
    tree(leaves, branch).frontier().head()
}

/// How gossip sees the log.
fn seen(witness: &Witness) -> LogStatus {
    let logs = witness.gossip.status().logs;
    logs.into_iter().find(|log| log.origin.as_str() == LOG).unwrap()
}

fn sizes(log: &LogStatus) -> (Option<u64>, Vec<u64>) {
    let size = |head: &ClaimedCheckpoint| head.checkpoint().head().size.get();
    (log.adopted.as_ref().map(size), log.open.iter().map(|(head, _)| size(head)).collect())
}

/// What the evidence is that the witness holds.
fn convictions(witness: &Witness) -> Vec<(EvidenceId, &'static str)> {
    let held = witness.evidence().convictions().into_iter();
    held.map(|(id, conviction)| (id, conviction.kind())).collect()
}

#[tokio::test]
async fn a_head_that_contradicts_by_itself_is_evidence_whatever_the_answer() {
    let wrong_empty = TreeHead { root: Hash::leaf(b"wrong"), ..TreeHead::EMPTY };
    for (name, request, answer, kind) in [
        ("a size that is too small", bare(3, head(5, 1)), 409, "same-size"),
        ("no size", bare(0, head(5, 1)), 409, "same-size"),
        ("a size above the head's", bare(6, head(5, 1)), 400, "same-size"),
        ("the right size", bare(5, head(5, 1)), 422, "same-size"),
        ("an empty tree that is none", bare(0, wrong_empty), 409, "bad-empty"),
        ("the same below the size", bare(5, wrong_empty), 400, "bad-empty"),
    ] {
        let place = WitnessDir::new();
        let witness = place.open();
        assert_eq!(status(&witness, &self::request(0, 5)).await, 200);
        assert_eq!(status(&witness, &request).await, answer, "{name}");
        // the answer waited for it
        assert_eq!(
            convictions(&witness).iter().map(|of| of.1).collect::<Vec<_>>(),
            [kind],
            "{name}"
        );
        assert_eq!(status(&witness, &self::request(5, 6)).await, 403, "{name}");
    }
}

#[tokio::test]
async fn old_heads_are_laid_before_gossip_and_new_ones_with_a_wrong_size_are_not() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    // so it goes with a log that asks from a size of long ago, or twice
    for again in [request(0, 5), request(3, 5), request(0, 9), request(4, 9)] {
        assert_eq!(status(&witness, &again).await, 409);
    }
    assert_eq!(sizes(&seen(&witness)), (None, vec![]), "nothing was laid before gossip");
    // nobody knows yet whether the tree of five leaves begins with this one
    assert_eq!(status(&witness, &bare(0, head(3, 1))).await, 409);
    assert_eq!(sizes(&seen(&witness)), (Some(5), vec![3]));
    assert_eq!(convictions(&witness), []);
}

#[tokio::test]
async fn the_proof_of_a_request_convicts_without_any_tiles() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    // a spoiled proof accuses nobody
    assert_eq!(status(&witness, &bare(5, head(9, 0))).await, 422);
    assert_eq!(convictions(&witness), []);
    // the proof of a tree that began otherwise says how it began
    assert_eq!(status(&witness, &request_of(&log_key(), 5, 11, 1)).await, 422);
    let [(id, "split-history")] = convictions(&witness)[..] else { panic!("no evidence") };
    let refused = witness.add_checkpoint(&request(5, 6)).await.expect_err("convicted");
    assert!(refused.to_string().contains(&id.to_string()), "{refused}");
}

#[tokio::test]
async fn what_was_cosigned_after_the_last_round_is_adopted_after_a_restart() {
    let place = WitnessDir::new();
    place.list(&unreachable());
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    witness.gossip.observe_cosigned(witness.all_latest());
    assert_eq!(status(&witness, &request(5, 9)).await, 200);
    drop(witness);
    let witness = place.open();
    assert_eq!(sizes(&seen(&witness)), (Some(9), vec![]));
    assert_eq!(status(&witness, &request(9, 12)).await, 200);
    witness.gossip.observe_cosigned(witness.all_latest());
    assert_eq!(sizes(&seen(&witness)), (Some(12), vec![]));
    // who tells late of what was the latest changes nothing
    let late = request(5, 9).checkpoint().clone();
    witness.gossip.observe_cosigned([late]);
    assert_eq!(sizes(&seen(&witness)), (Some(12), vec![]));
}

#[tokio::test]
async fn a_witness_that_cannot_keep_evidence_cosigns_nothing_and_no_peer_is_told() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    let folder = place.dir.path().join("evidence");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let rival = bare(5, head(5, 1));
    assert_eq!(status(&witness, &rival).await, 422);
    assert_eq!(convictions(&witness), []);
    let failed = witness.add_checkpoint(&request(5, 6)).await;
    assert!(matches!(failed, Err(WitnessError::Broken)), "{failed:?}");
    let trouble = witness.gossip.own_trouble().borrow().clone();
    assert!(matches!(&trouble, Some(OwnTrouble::Unkept(_))), "{trouble:?}");
    let salt = RoundSalt([7; 16]);
    let (mut round, hello) = witness.gossip.begin(salt);
    let told = witness.gossip.answer(&Sender::Unknown, hello);
    assert!(matches!(told, Reply::Busy(1..)), "{told:?}");
    let lists = Message::Lists { salt, lines: Vec::new() };
    assert!(witness.gossip.take_answer(&mut round, lists).reply.is_none());
    drop(witness);
    // what was refused before counts again when it comes again
    std::fs::remove_file(&folder).unwrap();
    let witness = place.open();
    assert_eq!(status(&witness, &rival).await, 422);
    assert_eq!(status(&witness, &request(5, 6)).await, 403);
}

#[tokio::test]
async fn a_convicted_log_that_comes_back_to_the_list_is_refused_at_once() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    assert_eq!(status(&witness, &bare(5, head(5, 1))).await, 422);
    comes_back(&place, &witness).await;
    drop(witness);
    place.list("# nothing\n");
    comes_back(&place, &place.open()).await;
}

/// The log is taken from the list, gossip hears of that, and the log is put on it again.
async fn comes_back(place: &WitnessDir, witness: &Witness) {
    place.list("# nothing\n");
    assert!(witness.known().into_iter().all(|log| log.origin != LOG || log.keys.is_empty()));
    witness.gossip.observe(&[]);
    assert_eq!(witness.evidence().against(log_key().verifier()), None);
    assert_eq!(status(witness, &request(5, 6)).await, 404);
    place.list(&format!("log {}\n", log_key().verifier()));
    assert_eq!(status(witness, &request(5, 6)).await, 403);
}

#[tokio::test]
async fn the_log_itself_settles_what_somebody_raised_against_it() {
    let place = WitnessDir::new();
    place.list(&unreachable());
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    // somebody shows a head that the log did sign, with a proof that it did not send
    assert_eq!(status(&witness, &bare(5, head(9, 0))).await, 422);
    assert_eq!(sizes(&seen(&witness)), (Some(5), vec![9]));
    for _ in 0..PATIENCE_ROUNDS {
        witness.gossip.tick();
    }
    let standing = || witness.gossip.standing(&Origin::new(LOG).unwrap());
    assert!(matches!(standing(), LogStanding::Unreconciled(_)));
    // what says nothing of that head is refused, and so is every spoiled proof
    assert_eq!(status(&witness, &request(5, 12)).await, 403);
    assert_eq!(status(&witness, &bare(5, head(9, 0))).await, 403);
    // the log learns from where to prove, and proves
    assert_eq!(status(&witness, &request(3, 9)).await, 409);
    assert_eq!(status(&witness, &request(5, 9)).await, 200);
    assert_eq!(standing(), LogStanding::Good);
    assert_eq!(status(&witness, &request(9, 12)).await, 200);
}

#[tokio::test]
async fn a_contradiction_convicts_also_while_other_heads_are_open() {
    let place = WitnessDir::new();
    place.list(&unreachable());
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    assert_eq!(status(&witness, &bare(5, head(9, 0))).await, 422);
    for _ in 0..PATIENCE_ROUNDS {
        witness.gossip.tick();
    }
    assert_eq!(status(&witness, &request_of(&log_key(), 5, 11, 1)).await, 403);
    let kinds: Vec<&str> = convictions(&witness).iter().map(|of| of.1).collect();
    assert_eq!(kinds, ["split-history"]);
}
