//! Every path of ours judges a signature as `verify_strict` does, also the crafted ones on which
//! verifiers disagree.

use std::io::Read as _;

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::{Signature as DalekSignature, Signer as _, SigningKey, Verifier as _};
use ledger_core::Hash;
use ledger_core::charter::{Charter, CharterDraft};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature;
use ledger_core::merkle::{InclusionProof, TreeHead};
use ledger_core::note::{Algorithm, KeyName, Note, Signature, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Draft, Record, RecordId};
use ledger_tests::{index, key, shared_data, size};
use serde::Deserialize;
use sha2::{Digest as _, Sha512};

/// What the specification's authors count, and what was seen with ed25519-dalek 3.
const ACCEPTED_BY_STRICT: usize = 43;
const ACCEPTED_BY_PLAIN: usize = 208;

const LOG: &str = "log.example/edge";
const TIME: u64 = 1_784_000_000;

#[derive(Deserialize)]
struct Vector {
    number: u32,
    key: String,
    sig: String,
    msg: String,
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.try_into().expect("the length of a key or signature")
}

fn strict(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = DalekSignature::from_bytes(signature);
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

fn plain(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = DalekSignature::from_bytes(signature);
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

fn vkey(name: &str, algorithm: Algorithm, public: [u8; 32]) -> Option<VerifierKey> {
    let key = VerifierKey::new(KeyName::new(name).expect("name"), algorithm, public).ok()?;
    let read = key.to_string().parse().expect("what prints, parses");
    assert_eq!(key, read);
    Some(read)
}

#[test]
fn published_edge_cases_get_the_strict_verdict() {
    let Some(folder) = shared_data("ed25519-cctv") else { return };
    let file = std::fs::File::open(folder.join("vectors.json.gz")).expect("readable");
    let mut json = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut json).expect("gzip");
    let vectors: Vec<Vector> = serde_json::from_str(&json).expect("vectors");
    let (mut ours, mut by_strict, mut by_plain) = (0, 0, 0);
    for vector in &vectors {
        let (public, signature) = (hex(&vector.key), hex(&vector.sig));
        let message = vector.msg.as_bytes();
        let expected = strict(&public, message, &signature);
        for algorithm in [Algorithm::Ed25519, Algorithm::CosignatureV1] {
            // a weak key never becomes a key of ours, which is one more way to refuse
            let key = vkey("edge.example", algorithm, public);
            let verdict = key.is_some_and(|key| key.verify(message, &signature));
            assert_eq!(verdict, expected, "vector {}", vector.number);
            ours += usize::from(verdict && algorithm == Algorithm::Ed25519);
        }
        by_strict += usize::from(expected);
        by_plain += usize::from(plain(&public, message, &signature));
    }
    println!("{} vectors: ours {ours}, strict {by_strict}, plain {by_plain}", vectors.len());
    assert_eq!(ours, ACCEPTED_BY_STRICT);
    assert_eq!(by_plain, ACCEPTED_BY_PLAIN, "else this test could not fail");
}

/// A way to sign, honest or not. Who has the secret can craft such signatures over any text.
struct Craft {
    name: &'static str,
    public: [u8; 32],
    sign: Box<Sign>,
}

type Sign = dyn Fn(&[u8]) -> [u8; 64];

/// The hash that binds a signature to key and message.
fn challenge(r: &[u8; 32], public: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(public).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

fn joined(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    [r, s].concat().try_into().expect("two halves")
}

/// The order of the base point, to be added to a good signature's scalar.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn plus_order(s: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    std::array::from_fn(|at| {
        let sum = u16::from(s[at]) + u16::from(ORDER[at]) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    })
}

fn crafts() -> Vec<Craft> {
    let signer = SigningKey::from_bytes(&[9; 32]);
    let public = signer.verifying_key().to_bytes();
    let secret = signer.to_scalar();
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    // 2^255 - 18, another spelling of the identity's y = 1
    let mut odd_identity = [0xff; 32];
    (odd_identity[0], odd_identity[31]) = (0xee, 0x7f);
    let with_r = move |r: [u8; 32]| {
        move |message: &[u8]| joined(r, (challenge(&r, &public, message) * secret).to_bytes())
    };
    let honest = signer.clone();
    let malleable = signer.clone();
    let mixed_point = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[1];
    let mixed = mixed_point.compress().to_bytes();
    vec![
        Craft {
            name: "honest",
            public,
            sign: Box::new(move |message| honest.sign(message).to_bytes()),
        },
        Craft { name: "nonce of small order", public, sign: Box::new(with_r(identity)) },
        Craft { name: "nonce spelled oddly", public, sign: Box::new(with_r(odd_identity)) },
        Craft {
            name: "scalar plus group order",
            public,
            sign: Box::new(move |message| {
                let good = malleable.sign(message);
                joined(*good.r_bytes(), plus_order(*good.s_bytes()))
            }),
        },
        Craft {
            name: "nonce off the prime subgroup",
            public,
            sign: Box::new(move |message| {
                let nonce = Scalar::from(77u64);
                let r = (EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[1]).compress().to_bytes();
                joined(r, (nonce + challenge(&r, &public, message) * secret).to_bytes())
            }),
        },
        Craft {
            name: "key off the prime subgroup",
            public: mixed,
            sign: Box::new(move |message| {
                // some nonce makes the key's torsion cancel out in the challenge
                let tries = (1u64..).map(Scalar::from).map(|nonce| {
                    let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
                    let k = challenge(&r, &mixed, message);
                    joined(r, (nonce + k * secret).to_bytes())
                });
                let mut tries = tries.take(1000);
                tries.find(|s| plain(&mixed, message, s)).expect("one of eight on average")
            }),
        },
        Craft {
            name: "key of small order",
            public: identity,
            sign: Box::new(move |_| joined(identity, [0; 32])),
        },
    ]
}

/// What a path signed, the signature, and whether it was accepted.
type Judged = (Vec<u8>, [u8; 64], bool);
type Path = fn(&Craft) -> Option<Judged>;

/// None when the key itself is refused: nothing that it signs is ever accepted.
const PATHS: [(&str, Path); 9] = [
    ("verifier key", by_key),
    ("note", by_note),
    ("checkpoint", by_checkpoint),
    ("policy, log", by_policy_log),
    ("policy, witness", by_policy_witness),
    ("cosignature line", by_cosignature),
    ("tlog-proof", by_proof),
    ("charter, record", by_charter),
    ("charter, at its place in the log", by_admission),
];

fn head() -> TreeHead {
    TreeHead { size: size(1), root: Hash::leaf(b"leaf") }
}

fn checkpoint_text() -> String {
    Checkpoint::new(Origin::new(LOG).expect("origin"), head()).to_string()
}

/// A note over `text` with one more line, by the crafted signature over `message`.
fn note(text: &str, craft: &Craft, key: &VerifierKey, message: &[u8]) -> (String, [u8; 64]) {
    let signature = (craft.sign)(message);
    let mut bytes = signature.to_vec();
    if key.algorithm() == Algorithm::CosignatureV1 {
        bytes.splice(0..0, TIME.to_be_bytes());
    }
    let line = Signature::new(key.name().clone(), key.id(), bytes);
    (Note::new(text, vec![line]).expect("a note").to_string(), signature)
}

fn by_key(craft: &Craft) -> Option<Judged> {
    let key = vkey("edge.example", Algorithm::Ed25519, craft.public)?;
    let signature = (craft.sign)(b"any bytes\0");
    Some((b"any bytes\0".to_vec(), signature, key.verify(b"any bytes\0", &signature)))
}

fn by_note(craft: &Craft) -> Option<Judged> {
    let key = vkey("edge.example", Algorithm::Ed25519, craft.public)?;
    let (file, signature) = note("a text\n", craft, &key, b"a text\n");
    let read = Note::parse(file.as_bytes()).expect("a note");
    let line = read.signatures().iter().find(|line| line.is_by(&key)).expect("its line");
    let verdict = key.verify(read.text().as_bytes(), line.bytes());
    Some((b"a text\n".to_vec(), signature, verdict))
}

fn signed_checkpoint(craft: &Craft) -> Option<(VerifierKey, ClaimedCheckpoint, [u8; 64])> {
    let key = vkey(LOG, Algorithm::Ed25519, craft.public)?;
    let text = checkpoint_text();
    let (file, signature) = note(&text, craft, &key, text.as_bytes());
    let claimed = ClaimedCheckpoint::parse(file.as_bytes()).expect("a checkpoint");
    Some((key, claimed, signature))
}

fn by_checkpoint(craft: &Craft) -> Option<Judged> {
    let (key, claimed, signature) = signed_checkpoint(craft)?;
    Some((checkpoint_text().into_bytes(), signature, claimed.verify(&[key]).is_ok()))
}

fn by_policy_log(craft: &Craft) -> Option<Judged> {
    let (key, claimed, signature) = signed_checkpoint(craft)?;
    let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).expect("policy");
    Some((checkpoint_text().into_bytes(), signature, policy.verify(&claimed).is_ok()))
}

fn by_proof(craft: &Craft) -> Option<Judged> {
    let (key, checkpoint, signature) = signed_checkpoint(craft)?;
    let inclusion = InclusionProof::default();
    let proof = TlogProof { extra: None, index: index(0), inclusion, checkpoint };
    let proof = TlogProof::parse(proof.to_string().as_bytes()).expect("what prints, parses");
    let verdict = proof.verify(&Hash::leaf(b"leaf"), &Policy::single_log(key)).is_ok();
    Some((checkpoint_text().into_bytes(), signature, verdict))
}

/// The cosigner's key, the message that it signs, the cosigned note and the signature.
fn cosigned(craft: &Craft) -> Option<(VerifierKey, Vec<u8>, String, [u8; 64])> {
    let key = vkey("witness.example/w", Algorithm::CosignatureV1, craft.public)?;
    let text = checkpoint_text();
    let message = format!("cosignature/v1\ntime {TIME}\n{text}").into_bytes();
    let (file, signature) = note(&text, craft, &key, &message);
    Some((key, message, file, signature))
}

fn by_cosignature(craft: &Craft) -> Option<Judged> {
    let (key, message, file, signature) = cosigned(craft)?;
    let read = Note::parse(file.as_bytes()).expect("a note");
    let time = cosignature::verify_line(&read, &key, &read.signatures()[0]);
    assert!(time.is_none_or(|time| time == TIME));
    Some((message, signature, time.is_some()))
}

fn by_policy_witness(craft: &Craft) -> Option<Judged> {
    let (witness, message, file, signature) = cosigned(craft)?;
    let log = key(LOG, Algorithm::Ed25519, 1);
    let policy = format!("log {}\nwitness w {witness}\nquorum w\n", log.verifier());
    let policy = Policy::parse(policy.as_bytes()).expect("policy");
    let claimed = ClaimedCheckpoint::parse(file.as_bytes()).expect("a checkpoint");
    let claimed = claimed.with_signatures([log.sign_text(&checkpoint_text())]).expect("room");
    Some((message, signature, policy.verify(&claimed).is_ok()))
}

/// A charter whose only member has the crafted key, and a record that it signed.
fn charter_and_record(craft: &Craft) -> Option<(Charter, Record, [u8; 64])> {
    let key = vkey("lab.example", Algorithm::Ed25519, craft.public)?;
    let log = ledger_tests::key(LOG, Algorithm::Ed25519, 1);
    let charter = CharterDraft::new("Edge", log.verifier().clone())
        .member("lab.example", key.clone(), ["steward"])
        .draft(RecordId::from_parts(1, [1; 10]), TIME)
        .expect("a charter");
    let charter = Charter::check_draft(&charter).expect("a charter");
    let draft = Draft::parse(DECISION).expect("a record");
    let text = draft.text();
    let (file, signature) = note(&text, craft, &key, text.as_bytes());
    Some((charter, Record::parse(file.as_bytes()).expect("a record"), signature))
}

fn by_charter(craft: &Craft) -> Option<Judged> {
    let (charter, record, signature) = charter_and_record(craft)?;
    let message = record.text().as_bytes().to_vec();
    Some((message, signature, charter.verify(record).is_ok()))
}

fn by_admission(craft: &Craft) -> Option<Judged> {
    let (charter, record, signature) = charter_and_record(craft)?;
    let message = record.text().as_bytes().to_vec();
    let logged = ledger_core::record::Logged { time: TIME, governance: index(0) };
    let admitted = charter.verify(record).and_then(|r| charter.admit(&r, &logged, index(1)));
    Some((message, signature, admitted.is_ok()))
}

const DECISION: &str = r#"{
  "log": "log.example/edge",
  "kind": "decision",
  "id": "00000000-0001-7101-8101-010101010101",
  "issuer": "lab.example",
  "issued_at": "2026-07-14T03:33:20Z",
  "title": {"en": "Which signatures count"},
  "summary": {"en": "One rule for all verifiers."},
  "status": "accepted",
  "context": "Verifiers of Ed25519 disagree about crafted signatures.",
  "options": ["strict", "lax"],
  "outcome": "strict",
  "rationale": "Two honest verifiers must never disagree.",
  "decided_by": ["everybody"]
}"#;

#[test]
fn crafted_signatures_get_the_strict_verdict_on_every_path() {
    for (path, judge) in PATHS {
        let (mut accepted, mut lax) = (Vec::new(), Vec::new());
        for craft in crafts() {
            let Some((message, signature, verdict)) = judge(&craft) else {
                assert_eq!(craft.name, "key of small order", "{path}");
                let message = checkpoint_text();
                let signature = (craft.sign)(message.as_bytes());
                assert!(plain(&craft.public, message.as_bytes(), &signature));
                lax.push(craft.name);
                continue;
            };
            let expected = strict(&craft.public, &message, &signature);
            assert_eq!(verdict, expected, "{path}: {}", craft.name);
            if verdict {
                accepted.push(craft.name);
            } else if plain(&craft.public, &message, &signature) {
                lax.push(craft.name);
            }
        }
        assert_eq!(accepted, ["honest", "key off the prime subgroup"], "{path}");
        assert_eq!(
            lax,
            ["nonce of small order", "key of small order"],
            "{path}: lax accepts these"
        );
    }
}
