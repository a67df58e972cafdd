use super::*;
use crate::checkpoint::{Checkpoint, ClaimedCheckpoint};
use crate::index::TreeSize;
use crate::merkle::{ConsistencyProof, MemoryTree, prove_consistency};
use crate::note::{Algorithm, KeyName, SignerKey};

const LOG: &str = "log.example/2026";

fn key(name: &str, seed: u8) -> SignerKey {
    let name = KeyName::new(name).expect("name");
    SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound")
}

/// A tree of `size` leaves; another `branch` has other leaves from the start.
fn tree(size: u64, branch: u8) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for n in 0..size {
        tree.push(Hash::leaf(&[branch, n as u8])).expect("room");
    }
    tree
}

fn head(size: u64) -> TreeHead {
    tree(size, 0).frontier().head()
}

fn checkpoint(head: TreeHead) -> ClaimedCheckpoint {
    Checkpoint::new(Origin::new(LOG).expect("origin"), head).sign(&key(LOG, 1))
}

fn request(old: u64, new: u64) -> AddCheckpoint {
    let (old, size) = (TreeSize::new(old).expect("size"), TreeSize::new(new).expect("size"));
    let proof = prove_consistency(&mut tree(new, 0), old, size).unwrap_or_default();
    AddCheckpoint::new(old, proof, checkpoint(head(new)))
}

fn keys() -> LogKeys {
    LogKeys::new([key(LOG, 1).verifier().clone()])
}

#[test]
fn requests_round_trip() {
    for (old, new) in [(0, 0), (0, 1), (1, 1), (3, 7), (8, 8), (7, 100)] {
        let request = request(old, new);
        let body = request.to_string();
        assert_eq!(AddCheckpoint::parse(body.as_bytes()), Ok(request), "{body}");
    }
    let long = vec![b'x'; MAX_REQUEST_BYTES + 1];
    assert_eq!(AddCheckpoint::parse(&long), Err(Refusal::TooLarge));
}

#[test]
fn growth_is_accepted_from_every_size_to_every_size_and_nothing_else_is() {
    let max = 20;
    for old in 0..max {
        for new in old..max {
            let authenticated = request(old, new).authenticate(Some(&keys())).expect("signed");
            let kept = authenticated.step(Some(&head(old))).expect("it grew");
            assert_eq!(*kept.head(), head(new));
            let other = tree(old, 1).frontier().head();
            if old > 0 {
                assert_eq!(authenticated.step(Some(&other)).map_err(|e| e.status()), Err(422));
            }
            for latest in (0..max).filter(|latest| *latest != old) {
                let size = TreeSize::new(latest).expect("size");
                let verdict = authenticated.step(Some(&head(latest)));
                assert_eq!(verdict, Err(Refusal::Conflict { size }));
            }
        }
    }
    let first = request(0, 5).authenticate(Some(&keys())).expect("signed");
    assert!(first.step(None).is_ok(), "a log that was never cosigned is at size 0");
}

#[test]
fn only_lines_of_trusted_log_keys_are_kept() {
    let (rotated, stranger) = (key(LOG, 2), key("other.example", 3));
    let plain = request(0, 3);
    let text = plain.checkpoint().note().text().to_owned();
    let lines = [rotated.sign_text(&text), stranger.sign_text("x\n"), rotated.sign_text(&text)];
    let signed = plain.checkpoint().with_signatures(lines).expect("room");
    let request = AddCheckpoint::new(plain.old(), plain.proof().clone(), signed);
    let both = LogKeys::new([rotated.verifier().clone(), key(LOG, 1).verifier().clone()]);
    let kept = request.authenticate(Some(&both)).expect("signed").step(None).expect("first");
    let lines = kept.note().signatures();
    assert_eq!(lines.len(), 2, "one of each trusted key");
    assert!(both.trusted().iter().all(|key| lines.iter().any(|line| line.is_by(key))));
    let kept = request.authenticate(Some(&keys())).expect("signed").step(None).expect("first");
    assert_eq!(kept.note().signatures().len(), 1);
}

#[test]
fn a_convicted_key_is_refused_with_the_reason_and_its_log_stays_known() {
    let reason = "two heads of size 7 with different roots";
    let convicted = keys().convict(key(LOG, 1).verifier(), reason);
    let refusal = request(0, 3).authenticate(Some(&convicted)).expect_err("not trusted");
    assert_eq!(refusal.status(), 403);
    assert!(refusal.body().contains(reason), "{refusal}");
    // another key of the log goes on
    let rotated = key(LOG, 2);
    let both = LogKeys::new([rotated.verifier().clone(), key(LOG, 1).verifier().clone()]);
    let both = both.convict(key(LOG, 1).verifier(), reason);
    let line = rotated.sign_text(request(0, 3).checkpoint().note().text());
    let signed = request(0, 3).checkpoint().with_signatures([line]).expect("room");
    let request = AddCheckpoint::new(TreeSize::ZERO, ConsistencyProof::default(), signed);
    let kept = request.authenticate(Some(&both)).expect("signed").step(None).expect("first");
    assert_eq!(kept.log_key(), rotated.verifier());
    assert_eq!(kept.note().signatures().len(), 1, "the convicted key's line is not kept");
}

#[test]
fn answers_are_read_as_the_witness_meant_them() {
    let line = key("w.example", 9).sign_text("x\n");
    let body = line.to_string().repeat(2);
    let parse = |status, kind, body: &[u8]| WitnessAnswer::parse(status, kind, body);
    let cosigned = Ok(WitnessAnswer::Cosigned(vec![line.clone(), line]));
    assert_eq!(parse(200, None, body.as_bytes()), cosigned);
    assert_eq!(parse(200, None, b""), Err(ParseAnswerError::NoLines));
    assert!(matches!(parse(200, None, b"hello\n"), Err(ParseAnswerError::Lines(_))));

    let conflict = Refusal::Conflict { size: TreeSize::new(7).expect("size") };
    let (kind, body) = (Some(conflict.content_type()), conflict.body());
    let seven = parse(409, kind, body.as_bytes()).expect("a conflict");
    assert_eq!(seven, WitnessAnswer::Conflict(TreeSize::new(7).expect("size")));
    assert_eq!(parse(409, Some("Text/X.tlog.size ; a=b"), b"7\n"), Ok(seven.clone()));
    assert_eq!(seven.retry_from(&request(3, 9)), TreeSize::new(7).ok());
    assert_eq!(seven.retry_from(&request(3, 6)), None, "the witness is ahead");
    assert_eq!(seven.retry_from(&request(7, 9)), None, "the witness contradicts itself");
    for (kind, body) in [
        (None, "7\n"),
        (Some("text/plain"), "7\n"),
        (kind, "7"),
        (kind, "07\n"),
        (kind, "7\n\n"),
        (kind, ""),
    ] {
        let refused = parse(409, kind, body.as_bytes());
        let text = body.trim().to_owned();
        assert_eq!(refused, Ok(WitnessAnswer::Refused { status: 409, text }), "{kind:?} {body:?}");
    }
    let text = "a\u{fffd}[31mb\u{fffd}".to_owned();
    assert_eq!(
        parse(500, None, b"a\x1b[31mb\xff\n"),
        Ok(WitnessAnswer::Refused { status: 500, text })
    );
    let Ok(WitnessAnswer::Refused { text, .. }) = parse(502, None, &[b'x'; 99_999]) else {
        panic!()
    };
    assert_eq!(text.len(), MAX_REFUSAL_TEXT);
}
