//! Each type on a real fork; every alteration refused; the parser on anything.

use proptest::prelude::*;

use super::sample::*;
use super::*;
use crate::charter::world::World;
use crate::merkle::{BeginningError, TreeHead};
use crate::note::{SignerKey, VerifierKey};
use crate::record::{Entry, Logged};

/// Evidence, who judges it, and whom it convicts.
struct Sample {
    evidence: ClaimedEvidence,
    trust: Trust,
    convicts: VerifierKey,
}

fn leaves(names: &str) -> Vec<String> {
    names.chars().map(String::from).collect()
}

fn opaque(names: &str, keys: &[&SignerKey], time: u64) -> crate::checkpoint::ClaimedCheckpoint {
    let mut tree = tree(&leaves(names));
    signed(&checkpoint(ORIGIN, head_of(&mut tree, names.len())), keys, time)
}

/// The contradictions of a log that forked after "ab", one of each type.
fn conflicts(keys: &[&SignerKey]) -> Vec<Conflict> {
    let (a, b) = (opaque("abc", keys, 7), opaque("abdefgh", keys, 9));
    let other = opaque("abd", keys, 8);
    let mut nodes = tree(&leaves("abdefgh"));
    let split = Conflict::of_trees(Heads { one: &b, other: &a }, &mut nodes);
    let bad = TreeHead { size: size(0), root: Hash::digest(b"x") };
    let bad = signed(&checkpoint(ORIGIN, bad), keys, 3);
    vec![
        Conflict::of_heads(Heads { one: &a, other: &other }).expect("two roots"),
        split.expect("a tree").expect("another beginning"),
        Conflict::of_head(&bad).expect("no empty tree"),
    ]
}

fn bundle_of_charter() -> AuthorityBundle {
    let ledger = Ledger::of(&world());
    ledger.bundle(0, &[0], &ledger.head(4, &[&log_key(100), &cosigner(9)]))
}

fn by_key(key: &SignerKey) -> Trust {
    Trust::new().with_key(key.verifier().clone())
}

fn samples() -> Vec<Sample> {
    let (log, witness) = (log_key(100), cosigner(1));
    let convicts = log.verifier().clone();
    let authority = [bundle_of_charter()];
    let anchored = Trust::new().with_anchor(authority[0].charter().expect("a charter"));
    let mut samples = Vec::new();
    for conflict in conflicts(&[&witness, &cosigner(2), &log]) {
        for (trust, authority) in [(by_key(&log), &[][..]), (anchored.clone(), &authority)] {
            let case = Case { trust: &trust, authority };
            let evidence = ClaimedEvidence::against_log(&conflict, case).expect("convicts");
            samples.push(Sample { evidence, trust, convicts: convicts.clone() });
        }
        let (trust, key) = (by_key(&witness), witness.verifier());
        let case = Case { trust: &trust, authority: &[] };
        let evidence = ClaimedEvidence::against_cosigner(&conflict, key, case).expect("convicts");
        samples.push(Sample { evidence, trust, convicts: key.clone() });
    }
    let world = world();
    for evidence in ledger_samples(&world, &by_key(&log)) {
        for trust in [by_key(&log), anchored.clone()] {
            let convicts = convicts.clone();
            samples.push(Sample { evidence: evidence.clone(), trust, convicts });
        }
    }
    samples
}

/// The types about leaves: an unlawful signer, a wrong g, a time that goes back, a doubled
/// statement.
fn ledger_samples(world: &World, trust: &Trust) -> Vec<ClaimedEvidence> {
    let (log, case) = (log_key(100), Case { trust, authority: &[] });
    let mut ledger = Ledger::of(world);
    let mut other = self::world();
    let object = other.incident("d");
    let forged = other.entry(&object, &["d"]);
    let object = other.incident("a");
    let lawful = other.entry(&object, &["a"]).into_record();
    let late = forged.logged();
    let stale = Logged { governance: index(0), ..late };
    let early = Logged { time: late.time - 1, ..late };
    ledger.entries.push(forged);
    ledger.entries.push(Entry::new(stale, lawful.clone()));
    ledger.entries.push(Entry::new(early, lawful));
    let n = ledger.entries.len();
    let head = ledger.head(n, &[&cosigner(3), &log]);
    let mut made = Vec::new();
    for at in [n - 3, n - 2] {
        let bundle = ledger.bundle(at, &[0, 2], &head);
        let record = ledger.entries[at].record();
        made.push(ClaimedEvidence::unlawful_leaf(record, &bundle, case).expect("unlawful"));
    }
    let pair = |rule, first, second| {
        let charter = ledger.entry(0, n);
        let (first, second) = (ledger.entry(first, n), ledger.entry(second, n));
        let leaves = Leaves { head: head.clone(), charter, first, second };
        let pair = LeafPair::new(rule, leaves).expect("a breach");
        ClaimedEvidence::leaves(&pair, case).expect("convicts")
    };
    made.push(pair(LeafRule::TimeReversal, n - 3, n - 1));
    made.push(pair(LeafRule::DuplicateLeaf, n - 2, n - 1));
    made
}

#[test]
fn each_type_convicts_whoever_signed_and_nobody_else() {
    let kinds: Vec<&str> = samples().iter().map(|own| own.evidence.kind()).collect();
    let heads = ["same-size", "same-size", "cosigner", "split-history", "split-history"];
    let rest = ["cosigner", "bad-empty", "bad-empty", "cosigner"];
    let about_leaves = ["unlawful-leaf"; 4].into_iter().chain(["time-reversal"; 2]);
    let all = heads.into_iter().chain(rest).chain(about_leaves).chain(["duplicate-leaf"; 2]);
    assert_eq!(kinds, all.collect::<Vec<_>>());
    for Sample { evidence, trust, convicts } in samples() {
        let conviction = evidence.verify(&trust).expect("it holds");
        assert_eq!(conviction.culprit().keys(), [convicts], "{evidence}");
        assert_eq!(conviction.culprit().origin(), ORIGIN);
        assert_eq!((evidence.origin(), conviction.kind()), (ORIGIN, evidence.kind()));
        assert!(!conviction.explanation().contains('\n'));
        for nobody in [Trust::new(), by_key(&log_key(77)), by_key(&cosigner(77))] {
            let error = evidence.verify(&nobody).expect_err("knows nobody");
            assert!(matches!(error, EvidenceError::UnknownKey { .. }), "{error}");
        }
        let read = ClaimedEvidence::parse(evidence.as_str().as_bytes()).expect("own text");
        assert_eq!((read.id(), &read), (evidence.id(), &evidence));
        assert_eq!(EvidenceId::from_hex(&evidence.id().to_string()), Ok(evidence.id()));
    }
}

#[test]
fn equal_evidence_has_equal_bytes_whoever_makes_it() {
    let log = log_key(100);
    let (a, b) = (opaque("abc", &[&log], 0), opaque("abd", &[&cosigner(5), &log], 0));
    let trust = by_key(&log);
    let case = Case { trust: &trust, authority: &[] };
    let made = [Heads { one: &a, other: &b }, Heads { one: &b, other: &a }].map(|heads| {
        ClaimedEvidence::against_log(&Conflict::of_heads(heads).expect("two roots"), case)
    });
    assert_eq!(made[0], made[1]);
    assert!(made[0].is_some());
}

#[test]
fn every_altered_byte_is_refused() {
    let mut seen = Vec::new();
    for Sample { evidence, trust, .. } in samples() {
        let bytes = evidence.as_str().as_bytes();
        // a file that holds a charter is long: each byte of one file of each type is enough
        let (long, kind) = (bytes.len() > 4_000, evidence.kind());
        if long && seen.contains(&kind) {
            continue;
        }
        seen.extend(long.then_some(kind));
        let flips: &[u8] = if long { &[0x01] } else { &[0x01, 0x02, 0x20] };
        for (at, flip) in (0..bytes.len()).flat_map(|at| flips.iter().map(move |flip| (at, flip))) {
            let mut altered = bytes.to_vec();
            altered[at] ^= flip;
            let judged = ClaimedEvidence::parse(&altered).map(|read| read.verify(&trust));
            assert!(!matches!(judged, Ok(Ok(_))), "byte {at} ^ {flip} of {evidence}");
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 2, bytes.len() - 1] {
            assert!(ClaimedEvidence::parse(&bytes[..cut]).is_err());
        }
        assert!(ClaimedEvidence::parse(&[bytes, b"\n"].concat()).is_err());
    }
}

#[test]
fn members_removed_doubled_swapped_or_added_are_refused_or_change_nothing() {
    use crate::record::{Object, Value};
    for Sample { evidence, trust, .. } in samples() {
        let truth = evidence.verify(&trust).expect("it holds");
        let object = Object::parse(evidence.as_str()).expect("JSON");
        let members: Vec<(String, Value)> =
            object.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let judge = |members: &[(String, Value)]| {
            let object = members
                .iter()
                .fold(Object::new(), |object, (name, value)| object.with(name, value.clone()));
            let text = format!("{}\n", object.to_pretty_json());
            ClaimedEvidence::parse(text.as_bytes()).ok().map(|read| read.verify(&trust))
        };
        let same = |judged: Option<Result<Conviction, EvidenceError>>| {
            judged.is_none_or(|judged| judged.is_err() || judged.as_ref() == Ok(&truth))
        };
        assert_eq!(judge(&members), Some(Ok(truth.clone())));
        for at in 0..members.len() {
            let mut less = members.clone();
            less.remove(at);
            assert!(same(judge(&less)), "without {}", members[at].0);
            for other in 0..members.len() {
                let mut swapped = members.clone();
                swapped.swap(at, other);
                assert!(at == other || judge(&swapped).is_none(), "order");
                let mut values = members.clone();
                values[at].1 = members[other].1.clone();
                values[other].1 = members[at].1.clone();
                assert!(same(judge(&values)), "{} is {}", members[at].0, members[other].0);
            }
        }
        let mut more = members.clone();
        more.push(("note".to_owned(), Value::from("x")));
        assert_eq!(judge(&more), None);
        let text = evidence.as_str();
        let doubled = text.replacen("  \"type\"", "  \"type\": \"x\",\n  \"type\"", 1);
        let compact = serde_json::to_string(&object).expect("prints");
        for spelling in [&doubled, &compact, &text.replacen(": ", " : ", 1), &format!(" {text}")] {
            assert!(ClaimedEvidence::parse(spelling.as_bytes()).is_err());
        }
        let big = vec![b' '; MAX_EVIDENCE_BYTES + 1];
        assert_eq!(ClaimedEvidence::parse(&big), Err(ParseEvidenceError::TooLong));
    }
}

#[test]
fn what_agrees_is_no_conflict() {
    let log = log_key(100);
    let head = |names| opaque(names, &[&log], 0);
    let (empty, old, new, other) = (head(""), head("abc"), head("abcdef"), head("abx"));
    let mut nodes = tree(&leaves("abcdef"));
    let of = |one, other, nodes: &mut _| Conflict::of_trees(Heads { one, other }, nodes);
    assert_eq!(of(&old, &new, &mut nodes), Ok(None));
    assert_eq!(of(&empty, &new, &mut nodes), Ok(None));
    assert_eq!(of(&new, &new, &mut nodes), Ok(None));
    assert!(matches!(of(&other, &old, &mut nodes), Ok(Some(_))));
    // tiles of another tree prove nothing about this one
    assert_eq!(of(&other, &new, &mut tree(&leaves("abcdeX"))), Err(BeginningError::OtherTree));
    let elsewhere = checkpoint("log.example/b", *other.checkpoint().head());
    let elsewhere = signed(&elsewhere, &[&log], 0);
    assert_eq!(of(&elsewhere, &old, &mut nodes), Ok(None));
    assert_eq!(Conflict::of_heads(Heads { one: &old, other: &new }), None);
    assert_eq!(Conflict::of_head(&empty), None);
}

#[test]
fn lines_that_do_not_convict_are_left_out() {
    for Sample { evidence, .. } in samples().iter().take(9) {
        let lines = evidence.as_str().matches("\\n\\n\u{2014} ").count();
        let bundles = evidence.authority().len();
        let heads = if evidence.as_str().contains("\"head\"") { 1 } else { 2 };
        // a bundle has a note for each record too
        assert_eq!(lines, heads + 2 * bundles, "{evidence}");
        assert!(!evidence.as_str().contains("witness.example/2"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_parser_takes_anything_and_only_its_own_spelling(
        pick in 0usize..17,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 0..4),
    ) {
        let samples = SAMPLES.get_or_init(|| samples().into_iter().map(|own| own.evidence).collect());
        let mut bytes = samples[pick].as_str().as_bytes().to_vec();
        for (at, byte, what) in cuts {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(read) = ClaimedEvidence::parse(&bytes) {
            prop_assert_eq!(read.as_str().as_bytes(), &bytes);
        }
    }

    #[test]
    fn the_parser_survives_junk(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ClaimedEvidence::parse(&bytes).is_err());
    }
}

static SAMPLES: std::sync::OnceLock<Vec<ClaimedEvidence>> = std::sync::OnceLock::new();
