//! C2SP `tlog-cosignature`: a witness states, with a time, that a checkpoint is consistent with all
//! it saw. This version checks and makes the Ed25519 form (`0x04`).

use crate::note::{Algorithm, Note, Signature, VerifierKey};

/// The latest time a cosignature may carry, in POSIX seconds.
// SPEC tlog-cosignature/format: the timestamp must not exceed 2^63 - 1
pub const MAX_TIME: u64 = i64::MAX as u64;

/// Bytes of an Ed25519 cosignature behind the key id: a time and a signature.
const LENGTH: usize = 8 + 64;

// SPEC tlog-cosignature/ed25519-signed-message
fn message(checkpoint_text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{checkpoint_text}").into_bytes()
}

/// The time of a cosignature line by `key` on the checkpoint `note`, if the line verifies.
///
/// The caller has seen that the line names `key`, whose algorithm is
/// [`Algorithm::CosignatureV1`]; for another key the line does not verify.
pub fn verify_line(note: &Note, key: &VerifierKey, line: &Signature) -> Option<u64> {
    if key.algorithm() != Algorithm::CosignatureV1 || line.bytes().len() != LENGTH {
        return None;
    }
    let (time, signature) = line.bytes().split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    let valid = time <= MAX_TIME && key.verify(&message(note.text(), time), signature);
    valid.then_some(time)
}

/// Cosigns a checkpoint at a time in POSIX seconds.
///
/// # Panics
/// If `key` is not a cosigner's ([`Algorithm::CosignatureV1`]).
#[cfg(feature = "sign")]
pub fn cosign(
    key: &crate::note::SignerKey,
    checkpoint: &crate::checkpoint::Checkpoint,
    time: u64,
) -> Signature {
    assert_eq!(key.verifier().algorithm(), Algorithm::CosignatureV1, "not a cosigner's key");
    let time = time.min(MAX_TIME);
    let signature = key.sign_bytes(&message(&checkpoint.to_string(), time));
    key.line([time.to_be_bytes().as_slice(), &signature].concat())
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, Origin};
    use crate::merkle::TreeHead;
    use crate::note::{KeyName, SignerKey};

    fn cosigner(seed: u8) -> SignerKey {
        let name = KeyName::new("witness.example/w1").expect("name");
        SignerKey::from_seed(name, Algorithm::CosignatureV1, [seed; 32]).expect("sound")
    }

    #[test]
    fn a_cosignature_verifies_with_its_time_and_nothing_else() {
        let key = cosigner(3);
        let origin = Origin::new("log.example").expect("origin");
        let checkpoint = Checkpoint::new(origin, TreeHead::EMPTY);
        let line = cosign(&key, &checkpoint, 1_679_315_147);
        let note = Note::new(&checkpoint.to_string(), vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&note, key.verifier(), &line), Some(1_679_315_147));

        for at in 0..LENGTH {
            let mut bytes = line.bytes().to_vec();
            bytes[at] ^= 1;
            let altered = Signature::new(line.name().clone(), line.id(), bytes);
            assert_eq!(verify_line(&note, key.verifier(), &altered), None, "byte {at}");
        }
        for length in [1, 64, 71, 73] {
            let mut bytes = line.bytes().to_vec();
            bytes.resize(length, 0);
            let altered = Signature::new(line.name().clone(), line.id(), bytes);
            assert_eq!(verify_line(&note, key.verifier(), &altered), None, "{length} bytes");
        }
        assert_eq!(verify_line(&note, cosigner(4).verifier(), &line), None);
        let other = Note::new("log.example\n1\n", vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&other, key.verifier(), &line), None);
    }

    #[test]
    fn times_past_the_limit_are_refused() {
        let key = cosigner(3);
        let text = "text\n";
        let time = MAX_TIME + 1;
        let signature = key.sign_bytes(&message(text, time));
        let line = key.line([time.to_be_bytes().as_slice(), &signature].concat());
        let note = Note::new(text, vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&note, key.verifier(), &line), None);
    }

    #[test]
    fn a_text_signing_key_never_cosigns() {
        let name = KeyName::new("witness.example/w1").expect("name");
        let plain = SignerKey::from_seed(name, Algorithm::Ed25519, [3; 32]).expect("sound");
        let signature = plain.sign_bytes(&message("text\n", 5));
        let line = plain.line([5u64.to_be_bytes().as_slice(), &signature].concat());
        let note = Note::new("text\n", vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&note, plain.verifier(), &line), None);
    }
}
