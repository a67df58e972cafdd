//! Keys, notes and checkpoints against signed_note and tlog_tiles.

use ledger_core::Hash;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::{cosign, verify_line};
use ledger_core::merkle::TreeHead;
use ledger_core::note::{
    Algorithm, KeyName, MAX_SIGNATURES, Note, Signature, SignerKey, VerifierKey,
};
use ledger_tests::{key, size};
use proptest::prelude::*;
use signed_note::Verifier as _;
use signed_note::{Note as TheirNote, Signer as _, StandardSigner, StandardVerifier, VerifierList};

const SIGNED: &str = "example.com/foo";

fn their_signer(key: &SignerKey) -> StandardSigner {
    StandardSigner::new(&key.to_secret_text()).expect("their parser reads our key file")
}

fn their_verifier(key: &VerifierKey) -> StandardVerifier {
    StandardVerifier::new(&key.to_string()).expect("their parser reads our vkey")
}

fn known(keys: &[&VerifierKey]) -> VerifierList {
    let verifiers = keys.iter().map(|key| Box::new(their_verifier(key)) as Box<_>);
    VerifierList::new(verifiers.collect())
}

#[test]
fn keys_mean_the_same_to_both() {
    for seed in 0..50 {
        for name in [SIGNED, "a", "log.example/\u{e9}/x,y", "PeterNeumann"] {
            let own = key(name, Algorithm::Ed25519, seed);
            let (signer, verifier) = (their_signer(&own), their_verifier(own.verifier()));
            let id = u32::from_be_bytes(*own.verifier().id().as_bytes());
            assert_eq!((signer.name(), signer.key_id()), (name, id));
            assert_eq!((verifier.name(), verifier.key_id()), (name, id));
            let line = own.sign_text("text\n");
            assert_eq!(signer.sign(b"text\n").expect("signs"), line.bytes());
            assert!(verifier.verify(b"text\n", line.bytes()));
        }
    }
}

#[test]
fn their_published_keys_are_ours_too() {
    // from the documentation of golang.org/x/mod/sumdb/note and of signed_note
    let secret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: SignerKey = secret.parse().expect("their key file");
    assert_eq!(key.to_secret_text(), secret);
    assert_eq!(key.verifier().to_string(), public);
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n";
    let note = Note::new(text, vec![key.sign_text(text)]).expect("a note");
    let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ\
                SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    assert_eq!(note.to_string(), format!("{text}\n{line}"));
}

/// The texts that both accept; what only one accepts is listed in the test below.
fn texts() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[ -~]{0,20}",
        1 => "\\PC{0,10}",
        1 => Just("\u{2014} not a signature".to_owned()),
    ];
    prop::collection::vec(line, 1..6)
        .prop_map(|lines| lines.join("\n") + "\n")
        .prop_filter("a lone newline", |text| text != "\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ledger_tests::long::cases(300)))]

    #[test]
    fn notes_signed_by_one_verify_with_the_other(
        text in texts(), seeds in prop::collection::btree_set(any::<u8>(), 1..5),
    ) {
        let keys: Vec<SignerKey> =
            seeds.iter().map(|seed| key(&format!("k{seed}"), Algorithm::Ed25519, *seed)).collect();
        let lines = keys.iter().map(|key| key.sign_text(&text)).collect();
        let own = Note::new(&text, lines).expect("a note");

        let mut theirs = TheirNote::new(text.as_bytes(), &[]).expect("a text for both");
        let signers: Vec<_> = keys.iter().map(their_signer).collect();
        let signers: Vec<_> = signers.iter().map(|s| s as &dyn signed_note::Signer).collect();
        theirs.add_sigs(&signers).expect("they sign");
        // Ed25519 has one signature for a key and a text: the two notes are equal byte for byte
        prop_assert_eq!(theirs.to_bytes(), own.to_string().into_bytes());

        let read = Note::parse(&theirs.to_bytes()).expect("ours reads theirs");
        for (key, line) in keys.iter().zip(read.signatures()) {
            prop_assert!(line.is_by(key.verifier()));
            prop_assert!(key.verifier().verify(read.text().as_bytes(), line.bytes()));
        }
        let verifiers: Vec<_> = keys.iter().map(SignerKey::verifier).collect();
        let read = TheirNote::from_bytes(own.to_string().as_bytes()).expect("theirs reads ours");
        let (verified, unknown) = read.verify(&known(&verifiers)).expect("theirs verifies ours");
        prop_assert_eq!((verified.len(), unknown.len()), (keys.len(), 0));
    }

    /// Both parsers on spoiled notes: they agree, but for what ours refuses on purpose.
    #[test]
    fn spoiled_notes_are_judged_alike(
        text in texts(), seed in any::<u8>(), at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let own = key("a.example/k", Algorithm::Ed25519, seed);
        let note = Note::new(&text, vec![own.sign_text(&text)]).expect("a note");
        let mut bytes = note.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let theirs = TheirNote::from_bytes(&bytes);
        match Note::parse(&bytes) {
            Ok(read) => {
                let theirs = theirs.expect("what ours reads, theirs reads");
                prop_assert_eq!(theirs.text(), read.text().as_bytes());
                let ok = theirs.verify(&known(&[own.verifier()])).is_ok();
                let by_own = read.signatures().iter().filter(|line| line.is_by(own.verifier()));
                let verdicts: Vec<bool> = by_own
                    .map(|line| own.verifier().verify(read.text().as_bytes(), line.bytes()))
                    .collect();
                prop_assert_eq!(ok, !verdicts.is_empty() && verdicts.iter().all(|good| *good));
            }
            Err(_) if theirs.is_ok() => {
                // DEL and C1 controls in a key name, and a text of one empty line
                let whole = String::from_utf8(bytes).expect("theirs read it");
                let (text, lines) = whole.rsplit_once("\n\n").expect("theirs read it");
                let control = |c: char| c.is_control() && c != '\n';
                prop_assert!(text.is_empty() || lines.contains(control), "{:?}", whole);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn checkpoints_of_one_verify_with_the_other(
        origin in "[a-z]{1,8}\\.example(/[a-z0-9]{1,6}){0,2}", n in 0..=i64::MAX as u64,
        root in any::<[u8; 32]>(), seed in any::<u8>(),
    ) {
        let own = key(&origin, Algorithm::Ed25519, seed);
        let head = TreeHead { size: size(n), root: Hash::from_bytes(root) };
        let name = Origin::new(&origin).expect("an origin");
        let claimed = Checkpoint::new(name, head).sign(&own);

        let note = TheirNote::from_bytes(claimed.to_string().as_bytes()).expect("a note");
        note.verify(&known(&[own.verifier()])).expect("theirs verifies ours");
        let theirs = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
        prop_assert_eq!((theirs.origin(), theirs.size()), (origin.as_str(), n));
        prop_assert_eq!(theirs.hash().0, root);

        let text = tlog_tiles::Checkpoint::new(&origin, n, tlog_tiles::Hash(root), "")
            .expect("a checkpoint")
            .to_bytes();
        let mut note = TheirNote::new(&text, &[]).expect("a text");
        note.add_sigs(&[&their_signer(&own)]).expect("they sign");
        let read = ClaimedCheckpoint::parse(&note.to_bytes()).expect("ours reads theirs");
        prop_assert_eq!(&read, &claimed);
        prop_assert!(read.verify(&[own.verifier().clone()]).is_ok());
    }
}

#[test]
fn an_unknown_key_of_a_known_name_or_id_is_ignored_by_both() {
    let (own, other) = (key(SIGNED, Algorithm::Ed25519, 1), key(SIGNED, Algorithm::Ed25519, 2));
    let text = format!("{SIGNED}\n0\n{}\n", Hash::EMPTY_ROOT.to_base64());
    let same_name = other.sign_text("something else\n");
    let name = KeyName::new("other.example").expect("name");
    let same_id = Signature::new(name, own.verifier().id(), vec![7; 64]);
    let note = Note::new(&text, vec![same_name, same_id, own.sign_text(&text)]).expect("a note");
    let claimed = ClaimedCheckpoint::parse(note.to_string().as_bytes()).expect("a checkpoint");
    assert!(claimed.verify(&[own.verifier().clone()]).is_ok());
    let theirs = TheirNote::from_bytes(note.to_string().as_bytes()).expect("a note");
    let (good, unknown) = theirs.verify(&known(&[own.verifier()])).expect("one good line");
    assert_eq!((good.len(), unknown.len()), (1, 2));
}

#[test]
fn one_key_has_another_id_for_another_type() {
    let (note, witness) = (Algorithm::Ed25519, Algorithm::CosignatureV1);
    let (a, b) = (key(SIGNED, note, 1), key(SIGNED, witness, 1));
    assert_eq!(a.verifier().public(), b.verifier().public());
    assert_ne!(a.verifier().id(), b.verifier().id());
    let data = [&[4], a.verifier().public().as_bytes()].concat();
    let id = u32::from_be_bytes(*b.verifier().id().as_bytes());
    assert_eq!(signed_note::key_id(SIGNED, &data), id);
}

#[test]
fn notes_with_up_to_64_signatures_are_read() {
    for count in [1, 16, MAX_SIGNATURES as u8] {
        let sign = |seed| key(&format!("k{seed}"), Algorithm::Ed25519, seed).sign_text("text\n");
        let note = Note::new("text\n", (0..count).map(sign).collect()).expect("a note");
        let read = Note::parse(note.to_string().as_bytes()).expect("a note");
        assert_eq!(read.signatures().len(), usize::from(count));
    }
}

#[test]
fn an_origin_need_not_look_like_a_url() {
    let root = Hash::EMPTY_ROOT.to_base64();
    for origin in ["a log", "a+b", "\u{e9}\u{2003}\u{4e16}", "https://x/", "\u{2014} x AAAA"] {
        let text = format!("{origin}\n0\n{root}\n");
        let own = Checkpoint::parse_text(&text).expect("any line is an origin");
        assert_eq!(own.origin().as_str(), origin);
        let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).expect("to them too");
        assert_eq!(theirs.origin(), origin);
    }
}

#[test]
fn extension_lines_are_cosigned() {
    let root = Hash::EMPTY_ROOT.to_base64();
    let extended = format!("{SIGNED}\n0\n{root}\nan extension\n");
    let checkpoint = Checkpoint::parse_text(&extended).expect("a checkpoint");
    let witness = key("witness.example", Algorithm::CosignatureV1, 3);
    let line = cosign(&witness, &checkpoint, 5);
    for (text, time) in [
        (extended.clone(), Some(5)),
        (extended.replace("an ", "another "), None),
        (extended.replace("an extension\n", ""), None),
    ] {
        let note = Note::new(&text, vec![line.clone()]).expect("a note");
        assert_eq!(verify_line(&note, witness.verifier(), &line), time, "{text}");
    }
}
