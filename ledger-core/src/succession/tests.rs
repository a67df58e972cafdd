//! A succession counts what a change of the charter counts, by the rules of its tree and by the
//! newest that are known, and nothing else is read as one.

use super::*;
use crate::Hint;
use crate::authority::{AuthorityBundle, GovernanceEntry};
use crate::charter::Governance;
use crate::charter::world::{World, admit, change, key, key_change};
use crate::checkpoint::Checkpoint;
use crate::cosignature::cosign;
use crate::merkle::{MemoryTree, prove_consistency, prove_inclusion};
use crate::policy::Policy;
use crate::proof::TlogProof;
use crate::record::tests::{ISSUED, signer};
use crate::record::{Object, RESERVED_FIRST_LINES};

const LATER: u64 = ISSUED + 1_000_000;

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("small")
}

fn origin(name: &str) -> Origin {
    Origin::new(name).expect("an origin")
}

fn tree(world: &World, size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (_, entry) in &world.entries[..size as usize] {
        tree.push(entry.leaf_hash()).expect("room");
    }
    tree
}

fn head(world: &World, size: u64) -> TreeHead {
    tree(world, size).frontier().head()
}

/// The governance entries of the tree of `size`, under a checkpoint that the log alone signed.
fn bundle(world: &World, size: u64) -> AuthorityBundle {
    let mut nodes = tree(world, size);
    let size = nodes.size();
    let mut prove = |index| prove_inclusion(&mut nodes, index, size).expect("inside");
    let entries = world.entries.iter().filter(|(index, _)| size.contains(*index));
    let norms = entries.filter(|(_, entry)| entry.record().kind().is_governance());
    let governance: Vec<GovernanceEntry> = norms
        .map(|(index, entry)| GovernanceEntry {
            index: *index,
            entry: entry.clone(),
            inclusion: prove(*index),
        })
        .collect();
    let last = governance.last().expect("the charter").clone();
    let checkpoint = Checkpoint::new(origin(world.charter.origin()), head(world, size.get()));
    let proof = TlogProof {
        extra: Some(last.entry.logged().to_string().into_bytes()),
        index: last.index,
        inclusion: last.inclusion,
        checkpoint: checkpoint.sign(&signer(world.charter.origin(), 100)),
    };
    AuthorityBundle::new(governance, proof)
}

/// What a reader knows who was given the charter and all of the log's files.
fn knows(world: &World) -> KnownLog {
    let founded = Governance::found(&world.entries[0].1).expect("a charter");
    let mut known = KnownLog::new(founded);
    let all = world.entries.len() as u64;
    let policy = world.charter.policy();
    known.add_bundle(&bundle(world, all), &policy).expect("holds");
    (1..=all).for_each(|older| shows(&mut known, world, older).expect("holds"));
    known
}

/// Adds the head of `older` entries and its last entry to what is known.
fn shows(known: &mut KnownLog, world: &World, older: u64) -> Result<(), KnownLogError> {
    let all = world.entries.len() as u64;
    let proof = prove_consistency(&mut tree(world, all), size(older), size(all)).expect("inside");
    known.link(head(world, older), &head(world, all), &proof)?;
    let last = size(older).last().expect("not empty");
    let inclusion = prove_inclusion(&mut tree(world, older), last, size(older)).expect("inside");
    known.add_end(&head(world, older), &world.entries[last.get() as usize].1, &inclusion)
}

/// A note about the first `size` entries, by the governance that `known` has of them.
fn succession(world: &World, known: &KnownLog, at: u64, issued: u64) -> Succession {
    let old = (origin(world.charter.origin()), head(world, at));
    let new = (origin("ledger.example/2027"), StatementId::of_text("the new charter\n"));
    let governed = GovernanceRef::of(known.state_at(size(at)));
    Succession::new(old, new, governed, issued).expect("two logs")
}

fn signed(succession: &Succession, names: &[&str]) -> ClaimedSuccession {
    let keys: Vec<SignerKey> = names.iter().map(|name| key(name)).collect();
    let note = succession.sign(&keys.iter().collect::<Vec<_>>()).expect("record keys");
    let read = ClaimedSuccession::parse(note.to_string().as_bytes()).expect("it reads its own");
    assert_eq!(read, note);
    read
}

/// Judges a note about the first `size` entries of a log that is known whole.
fn judge(
    world: &World,
    (size, issued): (u64, u64),
    names: &[&str],
    now: u64,
) -> Result<VerifiedSuccession, SuccessionError> {
    let known = knows(world);
    signed(&succession(world, &known, size, issued), names).verify(&known, now)
}

fn superseded(judged: Result<VerifiedSuccession, SuccessionError>) -> String {
    let error = judged.expect_err("superseded");
    assert!(matches!(error, SuccessionError::Superseded { .. }), "{error}");
    assert!(!error.hint().is_empty());
    error.to_string()
}

/// A world in which the terms of a and b as stewards end.
fn with_terms(until: u64) -> World {
    let until = crate::record::format_time(until);
    World::founded(|object| {
        let ending = format!("\"role\": \"steward\", \"until\": \"{until}\"");
        let json = object.to_pretty_json().replacen("\"role\": \"steward\"", &ending, 2);
        Object::parse(&json).expect("JSON")
    })
}

/// Logs an ordinary record at a time.
fn logs(world: &mut World, time: u64) {
    world.time = time;
    let record = world.incident("c");
    world.log(&record, &["c"]);
}

#[test]
fn as_many_members_as_change_the_charter_leave_the_log() {
    assert!(RESERVED_FIRST_LINES.contains(&FIRST_LINE));
    let world = World::new();
    let known = knows(&world);
    let note = succession(&world, &known, 1, ISSUED + 60);
    let statement = StatementId::of_text("the new charter\n");
    assert_eq!(
        note.text(),
        format!(
            "ledger-succession/v1\norigin ledger.example/2026\nsize 1\nroot {}\n\
             successor ledger.example/2027\ncharter {statement}\ngoverned 0 {}\n\
             issued 2026-11-23T11:24:20Z\n",
            head(&world, 1).root.to_base64(),
            world.charter.statement(),
        )
    );
    let verified = signed(&note, &["c", "a"]).verify(&known, LATER).expect("two of three");
    assert_eq!(verified.members(), ["a", "c"]);
    assert_eq!(verified.rules_to(), LeafIndex::ZERO);
    assert_eq!((verified.abandoned(), verified.abandoned_governance().len()), (0, 0));
    assert_eq!(verified.succession(), &note);
    let alone = signed(&note, &["a"]);
    let refused = alone.verify(&known, LATER).expect_err("one of two");
    assert_eq!(
        refused.to_string(),
        "a succession needs 2 member(s) with role \"steward\"; 1 signed"
    );
    assert!(refused.lacks_signatures());
    let more = alone.cosign(&key("b")).expect("another key");
    assert!(more.verify(&known, LATER).is_ok());
    assert_eq!(more.cosign(&key("b")), Err(SuccessionError::HasSigned("b".into())));
    // others may join, but count for nothing
    assert!(signed(&note, &["a", "d"]).verify(&known, LATER).is_err());
    let three = signed(&note, &["a", "b", "d"]).verify(&known, LATER).expect("lawful");
    assert_eq!(three.members().len(), 3);
}

#[test]
fn one_bad_line_spoils_the_note() {
    let mut world = World::new();
    logs(&mut world, ISSUED);
    let known = knows(&world);
    let note = succession(&world, &known, 1, ISSUED);
    let stranger = signed(&note, &["a", "b", "x"]).verify(&known, LATER);
    assert!(matches!(stranger, Err(SuccessionError::Note(MemberNoteError::UnknownKey { .. }))));
    let altered = signed(&note, &["a", "b"]).to_string().replace(":20Z", ":21Z");
    let altered = ClaimedSuccession::parse(altered.as_bytes()).expect("well formed");
    assert_eq!(
        altered.verify(&known, LATER),
        Err(SuccessionError::Note(MemberNoteError::BadSignature("a".into())))
    );
    let other = Succession { origin: origin("other.example"), ..note.clone() };
    let other = signed(&other, &["a", "b"]).verify(&known, LATER);
    assert!(matches!(other, Err(SuccessionError::OtherLog { .. })));
    let cosigner =
        SignerKey::from_seed(KeyName::new("a/w").expect("name"), Algorithm::CosignatureV1, [5; 32]);
    let refused = note.sign(&[&cosigner.expect("sound")]);
    assert!(matches!(refused, Err(SuccessionError::Note(MemberNoteError::CosignerKey(_)))));
}

#[test]
fn a_succession_that_names_another_state_is_refused() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    logs(&mut world, ISSUED);
    let known = knows(&world);
    let right = succession(&world, &known, 3, ISSUED);
    assert_eq!(right.governed().index.get(), 1);
    assert!(signed(&right, &["a", "b"]).verify(&known, LATER).is_ok());
    let older = GovernanceRef::of(known.state_at(size(1)));
    let forged = GovernanceRef { statement: older.statement, ..right.governed() };
    for governed in [older, forged] {
        let note = Succession { governed, ..right.clone() };
        let error = signed(&note, &["a", "b"]).verify(&known, LATER).expect_err("another state");
        assert!(matches!(error, SuccessionError::OtherState { named, .. } if named == governed));
    }
    // the entry must stand in the tree that is named
    let old = (right.origin().clone(), head(&world, 1));
    let new = (right.successor().clone(), right.charter());
    let beyond = Succession::new(old, new, right.governed(), ISSUED);
    assert!(matches!(beyond, Err(SuccessionError::NotReached { .. })));
}

#[test]
fn members_that_have_left_or_are_suspended_decide_no_succession() {
    let mut world = World::new();
    logs(&mut world, ISSUED);
    world.change(vec![admit("f", &["steward"])], &["a", "b"]);
    assert!(judge(&world, (1, ISSUED), &["a", "b"], LATER).is_ok());
    world.change(vec![change("expel", "b")], &["a", "c"]);
    let judged = judge(&world, (1, ISSUED), &["a", "b"], LATER);
    assert_eq!(superseded(judged), "superseded: entry 3 expelled \"b\"");
    assert!(judge(&world, (1, ISSUED), &["a", "c"], LATER).is_ok());
    world.change(vec![change("suspend", "c")], &["a", "f"]);
    let judged = judge(&world, (1, ISSUED), &["a", "c"], LATER);
    assert_eq!(superseded(judged), "superseded: entry 4 suspended \"c\"");
    let verified = judge(&world, (3, ISSUED), &["a", "f"], LATER).expect("both may still");
    assert_eq!((verified.rules_to().get(), verified.abandoned()), (4, 2));
    let abandoned = verified.abandoned_governance().iter().map(|own| own.index.get());
    assert_eq!(abandoned.collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn keys_revoked_since_sign_no_succession() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    world.change(vec![key_change("revoke_key", "a", "a")], &["a", "b"]);
    let judged = judge(&world, (2, ISSUED), &["a", "b"], LATER);
    assert_eq!(superseded(judged), "superseded: entry 2 revoked the key \"a\"");
    assert!(judge(&world, (2, ISSUED), &["a/2", "b"], LATER).is_ok());
    // within the tree it is refused by the tree's own rules
    let judged = judge(&world, (3, ISSUED), &["a", "b"], LATER).expect_err("revoked");
    assert_eq!(judged.to_string(), "key \"a\" was revoked by entry 2");
}

#[test]
fn a_higher_threshold_since_then_counts() {
    let mut world = World::new();
    let all = crate::charter::world::requirement("steward", 3);
    let raise = Object::new().with("action", "set_governance").with("requirements", vec![all]);
    let norm = world.norm("a", vec![raise]);
    world.log(&norm, &["a", "b"]);
    let judged = judge(&world, (1, ISSUED), &["a", "b"], LATER);
    assert!(superseded(judged).contains("since entry 1 a succession needs 3 member(s)"));
    assert!(judge(&world, (1, ISSUED), &["a", "b", "c"], LATER).is_ok());
}

#[test]
fn stewards_of_a_past_term_cannot_date_a_note_back() {
    let mut world = with_terms(ISSUED + 1000);
    world.change(vec![admit("f", &["steward"])], &["a", "b"]);
    assert!(judge(&world, (1, ISSUED + 900), &["a", "b"], LATER).is_ok(), "the log says no more");
    logs(&mut world, ISSUED + 2000);
    let judged = judge(&world, (1, ISSUED + 900), &["a", "b"], LATER);
    assert_eq!(superseded(judged), "superseded: the term of \"a\" ended");
    assert!(judge(&world, (1, ISSUED + 900), &["a", "c"], LATER).is_err(), "f is in force");
    assert!(judge(&world, (3, ISSUED + 2000), &["c", "f"], LATER).is_ok());
    // the reader's clock bounds what the log says
    assert!(judge(&world, (1, ISSUED + 900), &["a", "b"], ISSUED + 950).is_ok());
}

#[test]
fn a_quorum_of_witnesses_tells_the_time_of_a_log_that_rests() {
    let mut world = with_terms(ISSUED + 1000);
    world.change(vec![admit("f", &["steward"])], &["a", "b"]);
    let mut known = knows(&world);
    let name = |name: &str| KeyName::new(name).expect("a name");
    let witness = |own: &str, seed: u8| {
        SignerKey::from_seed(name(own), Algorithm::CosignatureV1, [seed; 32]).expect("sound")
    };
    let witnesses = [witness("w1.example", 201), witness("w2.example", 202)];
    let log = signer(world.charter.origin(), 100);
    let policy = format!(
        "log {}\nwitness w1 {}\nwitness w2 {}\ngroup all all w1 w2\nquorum all\n",
        log.verifier(),
        witnesses[0].verifier(),
        witnesses[1].verifier()
    );
    let policy = Policy::parse(policy.as_bytes()).expect("a policy");
    let checkpoint = Checkpoint::new(origin(world.charter.origin()), head(&world, 2));
    let cosigned = |first: u64, second: u64| {
        let claimed = checkpoint.sign(&log);
        let lines = [(&witnesses[0], first), (&witnesses[1], second)];
        let lines = lines.map(|(key, time)| cosign(key, &checkpoint, time));
        let all = claimed.note().signatures().iter().cloned().chain(lines);
        let note = Note::new(claimed.note().text(), all.collect()).expect("a note");
        let claimed = crate::checkpoint::ClaimedCheckpoint::parse(note.to_string().as_bytes());
        policy.verify(&claimed.expect("well formed")).expect("accepted")
    };
    let note = signed(&succession(&world, &known, 1, ISSUED + 900), &["a", "b"]);
    // one witness alone moves nothing
    let one = cosigned(ISSUED + 900, ISSUED + 5000);
    assert_eq!(policy.quorum_time(&one), Some(ISSUED + 900));
    known.accept(&one, &policy).expect("its log");
    assert!(note.verify(&known, LATER).is_ok());
    known.accept(&cosigned(ISSUED + 2000, ISSUED + 5000), &policy).expect("its log");
    assert_eq!(superseded(note.verify(&known, LATER)), "superseded: the term of \"a\" ended");
}

#[test]
fn a_chosen_time_makes_no_seat_vacant() {
    // the terms of a and b end; from then on c and f are in force
    let mut world = with_terms(ISSUED + 1000);
    let steward = |bound: &str, time: u64| {
        let role = Object::new().with("role", "steward");
        let role = role.with(bound, crate::record::format_time(time));
        admit("f", &[]).with("roles", vec![role])
    };
    world.change(vec![steward("from", ISSUED + 1100)], &["a", "b"]);
    // between two terms one seat is vacant, and one of those held over fills it
    assert!(judge(&world, (2, ISSUED + 1050), &["a", "c"], ISSUED + 1050).is_ok());
    assert!(judge(&world, (2, ISSUED + 1050), &["a", "b"], ISSUED + 1050).is_err());
    // a log that is known to have gone on makes the seat taken, whatever time is chosen
    logs(&mut world, ISSUED + 1200);
    let judged = judge(&world, (2, ISSUED + 1050), &["a", "c"], LATER);
    assert_eq!(superseded(judged), "superseded: the term of \"a\" ended");
    // nor does a time ahead of the reader's clock, at which the term of f will have ended
    let mut world = with_terms(ISSUED + 1000);
    world.change(vec![steward("until", ISSUED + 2000)], &["a", "b"]);
    let ahead = |now| judge(&world, (2, ISSUED + 2001), &["a", "c"], now);
    assert_eq!(superseded(ahead(ISSUED + 1990)), "superseded: the term of \"a\" ended");
    assert!(ahead(ISSUED + 2000).is_ok(), "now the seat is vacant");
}

#[test]
fn a_time_within_reason_is_asked_for() {
    let mut world = World::new();
    logs(&mut world, ISSUED + 50);
    let judged = judge(&world, (2, ISSUED + 49), &["a", "b"], LATER);
    let end = ISSUED + 50;
    assert_eq!(judged, Err(SuccessionError::TooEarly { issued: ISSUED + 49, end }));
    assert!(judge(&world, (2, ISSUED + 50), &["a", "b"], LATER).is_ok());
    let ahead = |seconds| judge(&world, (2, LATER + seconds), &["a", "b"], LATER);
    assert!(ahead(EARLY_SECONDS).is_ok());
    let issued = LATER + EARLY_SECONDS + 1;
    assert_eq!(ahead(EARLY_SECONDS + 1), Err(SuccessionError::TooLate { issued }));
}

#[test]
fn nothing_is_known_of_a_tree_that_no_proof_shows() {
    let mut world = World::new();
    logs(&mut world, ISSUED);
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    let whole = knows(&world);
    let note = signed(&succession(&world, &whole, 2, ISSUED), &["a", "b"]);
    let founded = || KnownLog::new(Governance::found(&world.entries[0].1).expect("a charter"));
    let mut known = founded();
    assert_eq!(note.verify(&known, LATER), Err(SuccessionError::TreeNotShown(size(2))));
    let policy = world.charter.policy();
    known.add_bundle(&bundle(&world, 3), &policy).expect("holds");
    assert_eq!(note.verify(&known, LATER), Err(SuccessionError::TreeNotShown(size(2))));
    let proof = prove_consistency(&mut tree(&world, 3), size(2), size(3)).expect("inside");
    let false_head = TreeHead { root: Hash::leaf(b"x"), ..head(&world, 2) };
    let refused = known.link(false_head, &head(&world, 3), &proof).expect_err("another tree");
    assert!(matches!(refused, KnownLogError::NotProven { .. }));
    known.link(head(&world, 2), &head(&world, 3), &proof).expect("holds");
    assert_eq!(note.verify(&known, LATER), Err(SuccessionError::EndNotShown(size(2))));
    shows(&mut known, &world, 2).expect("holds");
    assert!(note.verify(&known, LATER).is_ok());
    // a bundle of the whole log may not lack a norm that is known, nor have one too many
    let mut hides = founded();
    hides.add_bundle(&bundle(&world, 3), &policy).expect("holds");
    let less = AuthorityBundle::new(
        bundle(&world, 3).governance()[..1].to_vec(),
        bundle(&world, 3).proof().clone(),
    );
    let refused = hides.add_bundle(&less, &policy).expect_err("entry 2 is missing");
    assert_eq!(refused, KnownLogError::OtherChain(LeafIndex::new(2).expect("small")));
    // an older copy is no contradiction, and takes no rules away
    hides.add_bundle(&bundle(&world, 2), &policy).expect("an older one");
    assert_eq!(hides.newest().index().get(), 2);
    // the end of a tree whose rules are not known is not taken
    let mut blind = founded();
    let accepted = policy.verify(&bundle(&world, 3).proof().checkpoint).expect("signed");
    blind.accept(&accepted, &policy).expect("its log");
    let refused = shows(&mut blind, &world, 3).expect_err("entry 2 is not known");
    assert!(matches!(refused, KnownLogError::OtherGovernance { .. }), "{refused}");
}

#[test]
fn stewards_are_held_over_for_a_succession_and_revoked_keys_are_not() {
    let mut world = with_terms(ISSUED + 1000);
    let late = |names: &[&str], size: u64, world: &World| {
        judge(world, (size, ISSUED + 2000), names, LATER)
    };
    assert!(late(&["a", "c"], 1, &world).is_ok());
    assert!(late(&["a", "b"], 1, &world).is_err(), "one seat alone is vacant");
    let own = world.membership("c", vec![key_change("revoke_key", "c", "c")]);
    world.time = ISSUED + 2000;
    world.log(&own, &["c"]);
    assert!(late(&["a", "b"], 2, &world).is_ok(), "now both are");
    assert!(late(&["a", "c"], 2, &world).is_err(), "it may sign nothing but its replacement");
}

#[test]
fn successions_are_read_strictly() {
    use MemberNoteError as Lines;
    use SuccessionError as E;
    let world = World::new();
    let whole = knows(&world);
    let good = succession(&world, &whole, 1, ISSUED).text().replace("size 1\n", "size 7\n");
    let (lab, board) = (signer("lab.example", 1), signer("board.example", 2));
    let by = |text: &str, keys: &[&SignerKey]| {
        let lines = keys.iter().map(|key| key.sign_text(text)).collect();
        ClaimedSuccession::parse(Note::new(text, lines).expect("a note").to_string().as_bytes())
    };
    assert!(by(&good, &[&board, &lab]).is_ok());
    assert_eq!(by(&good, &[&lab, &board]), Err(E::SignatureOrder(2)));
    assert_eq!(by(&good, &[&lab, &lab]), Err(E::SignatureOrder(2)));
    let root = head(&world, 1).root.to_base64();
    let (governed, anchor) =
        (format!("governed 0 {}", whole.newest().statement()), "ab".repeat(32));
    let cases = [
        (good.replace("succession/v1", "succession/v2"), Lines::FirstLine(FIRST_LINE).into()),
        (good.replace("size 7", "Size 7"), Lines::Line { line: 3, name: "size" }.into()),
        (good.replace("size 7", "size 07"), E::Size("07".into())),
        (good.replace("size 7", "size +7"), E::Size("+7".into())),
        (good.replace("size 7", "size 0"), E::Size("0".into())),
        (good.replace(&root, &root[1..]), E::Root(root[1..].into())),
        (good.replace("example/2027", "example/2026"), E::SameLog("ledger.example/2026".into())),
        (good.replace("ledger.example/2027", "cosignature/v1"), E::Origin("successor")),
        (good.replace("ledger.example/2026", FIRST_LINE), E::Origin("origin")),
        (good.replace(":20Z", ":20+00:00"), E::Issued("2026-11-23T11:23:20+00:00".into())),
        (
            good.replace(&format!("{governed}\n"), ""),
            Lines::Line { line: 7, name: "governed" }.into(),
        ),
        (
            good.replace("governed 0 ", "governed 00 "),
            E::Governed(governed[9..].replacen('0', "00", 1)),
        ),
        (good.replace(&governed, "governed 0"), E::Governed("0".into())),
        (
            good.replace(&governed, &format!("governed 0  {anchor}")),
            E::Governed(format!("0  {anchor}")),
        ),
        (
            good.replace(&governed, &format!("governed 0 {anchor} x")),
            E::Governed(format!("0 {anchor} x")),
        ),
        (
            good.replace("governed 0 ", "governed 7 "),
            E::NotReached { size: size(7), governance: LeafIndex::new(7).expect("small") },
        ),
        (format!("{good}more x\n"), Lines::MoreLines(9).into()),
        (good.replace("2027", &"7".repeat(MAX_SUCCESSION_BYTES)), E::TooLong(33_099)),
    ];
    for (text, error) in cases {
        match (by(&text, &[&lab]), &error) {
            (Err(E::TooLong(_)), E::TooLong(_)) => {}
            (read, error) => assert_eq!(read.as_ref(), Err(error), "{text:.300}"),
        }
        assert!(!error.hint().is_empty());
    }
    let statement = StatementId::of_text("the new charter\n").to_string();
    let upper = by(&good.replace(&statement, &statement.to_uppercase()), &[&lab]);
    assert!(matches!(upper, Err(E::Charter(_))));
    assert!(ClaimedSuccession::parse(good.as_bytes()).is_err(), "it is not signed");
}
