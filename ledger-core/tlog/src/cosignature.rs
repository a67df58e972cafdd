//! C2SP `tlog-cosignature`: a witness states, with a time, that a checkpoint is consistent with all
//! it saw. Of the two forms Ed25519 (`0x04`) is always there, ML-DSA-44 (`0x06`) with the feature
//! `ml-dsa`.
//!
//! ```
//! # #[cfg(feature = "sign")] {
//! use tlog::checkpoint::{Checkpoint, Origin};
//! use tlog::cosignature::{cosign, verify_line};
//! use tlog::merkle::TreeHead;
//! use tlog::note::{Algorithm, KeyName, SignerKey};
//!
//! let key = |name, algorithm| {
//!     SignerKey::from_seed(KeyName::new(name).expect("a name"), algorithm, [7; 32]).expect("sound")
//! };
//! let log = key("log.example", Algorithm::Ed25519);
//! let witness = key("witness.example", Algorithm::CosignatureV1);
//! let origin = Origin::new("log.example").expect("a name");
//! let checkpoint = Checkpoint::new(origin, TreeHead::EMPTY);
//! let line = cosign(&witness, &checkpoint, 1_800_000_000);
//! let note = checkpoint.sign(&log);
//! assert_eq!(verify_line(note.note(), witness.verifier(), &line), Some(1_800_000_000));
//! # }
//! ```

use crate::checkpoint::{Checkpoint, Origin};
use crate::merkle::TreeHead;
use crate::note::{Algorithm, KeyName, Note, Signature, VerifierKey};

/// The latest time a cosignature may carry, in POSIX seconds.
// SPEC tlog-cosignature/format: the timestamp must not exceed 2^63 - 1
pub const MAX_TIME: u64 = i64::MAX as u64;

// SPEC tlog-cosignature/ml-dsa-44-signed-message: the label
const SUBTREE_LABEL: &[u8; 12] = b"subtree/v1\n\0";

// SPEC tlog-cosignature/ed25519-signed-message
fn ed25519_message(checkpoint_text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{checkpoint_text}").into_bytes()
}

/// The message of an ML-DSA-44 cosignature on a whole tree; `None` where the structure has no place
/// for the origin, or the time is zero and the cosignature would not say "the latest I saw".
// SPEC tlog-cosignature/ml-dsa-44-signed-message: extension lines are not part of it
fn ml_dsa_message(
    cosigner: &KeyName,
    time: u64,
    origin: &Origin,
    head: &TreeHead,
) -> Option<Vec<u8>> {
    let (cosigner, origin) = (cosigner.as_str().as_bytes(), origin.as_str().as_bytes());
    let length = |name: &[u8]| u8::try_from(name.len()).ok().filter(|length| *length > 0);
    if time == 0 {
        return None;
    }
    let mut message = SUBTREE_LABEL.to_vec();
    message.push(length(cosigner)?);
    message.extend(cosigner);
    message.extend(time.to_be_bytes());
    message.push(length(origin)?);
    message.extend(origin);
    // SPEC tlog-witness/add-checkpoint: start is zero and end is the checkpoint's size
    message.extend(0u64.to_be_bytes());
    message.extend(head.size.get().to_be_bytes());
    message.extend(head.root.as_bytes());
    Some(message)
}

/// The time of a cosignature line by `key` on the checkpoint `note`, if the line verifies.
///
/// The caller has seen that the line names `key`, which is a cosigner's
/// ([`Algorithm::is_cosigner`]); for another key the line does not verify.
pub fn verify_line(note: &Note, key: &VerifierKey, line: &Signature) -> Option<u64> {
    let (time, signature) = line.bytes().split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    if time > MAX_TIME {
        return None;
    }
    let message = match key.algorithm() {
        Algorithm::Ed25519 => return None,
        Algorithm::CosignatureV1 => ed25519_message(note.text(), time),
        Algorithm::MlDsa44 => {
            let checkpoint = Checkpoint::parse_text(note.text()).ok()?;
            ml_dsa_message(key.name(), time, checkpoint.origin(), checkpoint.head())?
        }
    };
    key.verify(&message, signature).then_some(time)
}

/// Cosigns a checkpoint at a time in POSIX seconds. Equal arguments give equal lines.
///
/// # Panics
/// If `key` is not a cosigner's ([`Algorithm::is_cosigner`]), or is of ML-DSA-44 and the time is 0
/// or the origin longer than 255 bytes, which is longer than a log's key name can be.
#[cfg(feature = "sign")]
pub fn cosign(key: &crate::note::SignerKey, checkpoint: &Checkpoint, time: u64) -> Signature {
    let time = time.min(MAX_TIME);
    let message = match key.verifier().algorithm() {
        Algorithm::Ed25519 => None,
        Algorithm::CosignatureV1 => Some(ed25519_message(&checkpoint.to_string(), time)),
        Algorithm::MlDsa44 => {
            let (origin, head) = (checkpoint.origin(), checkpoint.head());
            ml_dsa_message(key.verifier().name(), time, origin, head)
        }
    };
    let signature = key.sign_bytes(&message.expect("a cosigner's key, a time, and a log's name"));
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

        for at in 0..8 + 64 {
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
        let signature = key.sign_bytes(&ed25519_message(text, time));
        let line = key.line([time.to_be_bytes().as_slice(), &signature].concat());
        let note = Note::new(text, vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&note, key.verifier(), &line), None);
    }

    #[test]
    fn a_text_signing_key_never_cosigns() {
        let name = KeyName::new("witness.example/w1").expect("name");
        let plain = SignerKey::from_seed(name, Algorithm::Ed25519, [3; 32]).expect("sound");
        let signature = plain.sign_bytes(&ed25519_message("text\n", 5));
        let line = plain.line([5u64.to_be_bytes().as_slice(), &signature].concat());
        let note = Note::new("text\n", vec![line.clone()]).expect("note");
        assert_eq!(verify_line(&note, plain.verifier(), &line), None);
    }

    /// Seeds, vkeys and notes that another implementation of FIPS 204 made; the file
    /// `ml-dsa-44.py` beside them says which and how.
    #[cfg(feature = "ml-dsa")]
    const OTHERS: &str = include_str!("../../../tests/vectors/v1/witness/ml-dsa-44.txt");

    #[cfg(feature = "ml-dsa")]
    #[test]
    fn ml_dsa_cosignatures_are_to_the_byte_those_of_another_implementation() {
        let mut blocks = 0;
        for block in OTHERS.split("====\n") {
            let mut parts = block.splitn(3, '\n');
            let mut part = || parts.next().expect("seed, vkey and note");
            let (mut seed, hex, vkey, note) = ([0; 32], part(), part(), part());
            crate::hash::decode_hex(hex, &mut seed).expect("hex");
            let verifier: VerifierKey = vkey.parse().expect("a key of theirs");
            assert_eq!(
                (verifier.algorithm(), verifier.to_string()),
                (Algorithm::MlDsa44, vkey.into())
            );
            assert_eq!(verifier.public().as_bytes().len(), 1312);
            let key = SignerKey::from_seed(verifier.name().clone(), Algorithm::MlDsa44, seed);
            let key = key.expect("a seed");
            assert_eq!(*key.verifier(), verifier);
            assert_eq!(
                key.to_secret_text().parse::<SignerKey>().map(|k| k.verifier().clone()),
                Ok(verifier.clone())
            );

            let note = Note::parse(note.as_bytes()).expect("a note of theirs");
            let [line] = note.signatures() else { panic!("one line") };
            let time = verify_line(&note, &verifier, line).expect("their cosignature");
            let checkpoint = Checkpoint::parse_text(note.text()).expect("a checkpoint");
            assert_eq!(cosign(&key, &checkpoint, time), *line);
            blocks += 1;
        }
        assert_eq!(blocks, 4);
    }

    #[cfg(feature = "ml-dsa")]
    #[test]
    fn an_altered_ml_dsa_cosignature_does_not_verify() {
        let name = KeyName::new("witness.example/pq").expect("name");
        let key = SignerKey::from_seed(name, Algorithm::MlDsa44, [6; 32]).expect("sound");
        let origin = Origin::new("log.example").expect("origin");
        let checkpoint = Checkpoint::new(origin, TreeHead::EMPTY);
        let line = cosign(&key, &checkpoint, 7);
        assert_eq!(line.bytes().len(), 8 + 2420);
        let verdict = |text: &str, line: &Signature, key: &VerifierKey| {
            verify_line(&Note::new(text, vec![line.clone()]).expect("note"), key, line)
        };
        let text = checkpoint.to_string();
        assert_eq!(verdict(&text, &line, key.verifier()), Some(7));
        // SPEC tlog-cosignature/ml-dsa-44-signed-message: extension lines are not part of it
        assert_eq!(verdict(&format!("{text}more\n"), &line, key.verifier()), Some(7));
        for at in (0..line.bytes().len()).step_by(97).chain([7, 8, 2427]) {
            let mut bytes = line.bytes().to_vec();
            bytes[at] ^= 1;
            let altered = Signature::new(line.name().clone(), line.id(), bytes);
            assert_eq!(verdict(&text, &altered, key.verifier()), None, "byte {at}");
        }
        for length in [1, 8, 72, 2427, 2429] {
            let mut bytes = line.bytes().to_vec();
            bytes.resize(length, 0);
            let altered = Signature::new(line.name().clone(), line.id(), bytes);
            assert_eq!(verdict(&text, &altered, key.verifier()), None, "{length} bytes");
        }
        let larger = text.replacen("\n0\n", "\n1\n", 1);
        assert_eq!(verdict(&larger, &line, key.verifier()), None);
        assert_eq!(verdict("no checkpoint\n", &line, key.verifier()), None);
        // the structure commits to the cosigner's name
        let name = KeyName::new("witness.example/p2").expect("name");
        let other = VerifierKey::new(name, Algorithm::MlDsa44, key.verifier().public().as_bytes());
        assert_eq!(verdict(&text, &line, &other.expect("sound")), None);
        // neither the time zero nor an origin that has no place in the structure can be signed
        let head = checkpoint.head();
        let sign = |time: u64, origin: &Origin| {
            ml_dsa_message(key.verifier().name(), time, origin, head).is_some()
        };
        assert!(!sign(0, checkpoint.origin()));
        let long = |length: usize| Origin::new(&"o".repeat(length)).expect("origin");
        assert!(sign(1, &long(255)) && !sign(1, &long(256)));
    }
}
