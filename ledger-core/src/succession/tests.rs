//! A succession counts what a change of the charter counts, and nothing else is read as one.

use super::*;
use crate::charter::world::{World, admit, change, key, key_change};
use crate::record::tests::{ISSUED, signer};
use crate::record::{Object, RESERVED_FIRST_LINES};

fn head(size: u64) -> TreeHead {
    TreeHead { size: TreeSize::new(size).expect("small"), root: Hash::leaf(b"root") }
}

fn origin(name: &str) -> Origin {
    Origin::new(name).expect("an origin")
}

fn succession(size: u64, issued: u64) -> Succession {
    let old = (origin("ledger.example/2026"), head(size));
    let new = (origin("ledger.example/2027"), StatementId::of_text("the new charter\n"));
    Succession::new(old, new, issued).expect("two logs")
}

fn signed(succession: &Succession, names: &[&str]) -> ClaimedSuccession {
    let keys: Vec<SignerKey> = names.iter().map(|name| key(name)).collect();
    let note = succession.sign(&keys.iter().collect::<Vec<_>>()).expect("record keys");
    let read = ClaimedSuccession::parse(note.to_string().as_bytes()).expect("it reads its own");
    assert_eq!(read, note);
    read
}

fn governance(world: &World) -> Governance {
    let entries = world.entries.iter().map(|(index, entry)| (*index, entry));
    Governance::replay(entries).expect("lawful")
}

#[test]
fn as_many_members_as_change_the_charter_leave_the_log() {
    assert!(RESERVED_FIRST_LINES.contains(&FIRST_LINE));
    let world = World::new();
    let note = succession(7, ISSUED + 60);
    let statement = StatementId::of_text("the new charter\n");
    assert_eq!(
        note.text(),
        format!(
            "ledger-succession/v1\norigin ledger.example/2026\nsize 7\nroot {}\n\
             successor ledger.example/2027\ncharter {statement}\nissued 2026-11-23T11:24:20Z\n",
            Hash::leaf(b"root").to_base64()
        )
    );
    let verified = signed(&note, &["c", "a"]).verify(&world.charter).expect("two of three");
    assert_eq!(verified.members(), ["a", "c"]);
    assert_eq!(verified.decided_by(), LeafIndex::ZERO);
    assert_eq!(verified.succession(), &note);
    let alone = signed(&note, &["a"]);
    let refused = alone.verify(&world.charter).expect_err("one of two");
    assert_eq!(
        refused.to_string(),
        "a succession needs 2 member(s) with role \"steward\"; 1 signed"
    );
    assert!(refused.lacks_signatures());
    let more = alone.cosign(&key("b")).expect("another key");
    assert!(more.verify(&world.charter).is_ok());
    assert_eq!(more.cosign(&key("b")), Err(SuccessionError::HasSigned("b".into())));
    // others may join, but count for nothing
    assert!(signed(&note, &["a", "d"]).verify(&world.charter).is_err());
    assert_eq!(
        signed(&note, &["a", "b", "d"]).verify(&world.charter).expect("lawful").members().len(),
        3
    );
}

#[test]
fn one_bad_line_spoils_the_note() {
    let world = World::new();
    let note = succession(1, ISSUED);
    let stranger = signed(&note, &["a", "b", "x"]).verify(&world.charter);
    assert!(matches!(stranger, Err(SuccessionError::Note(MemberNoteError::UnknownKey { .. }))));
    let altered = signed(&note, &["a", "b"]).to_string().replace("size 1\n", "size 2\n");
    let altered = ClaimedSuccession::parse(altered.as_bytes()).expect("well formed");
    assert_eq!(
        altered.verify(&world.charter),
        Err(SuccessionError::Note(MemberNoteError::BadSignature("a".into())))
    );
    let other = Succession { origin: origin("other.example"), ..note.clone() };
    let other = signed(&other, &["a", "b"]).verify(&world.charter);
    assert!(matches!(other, Err(SuccessionError::OtherLog { .. })));
    let cosigner =
        SignerKey::from_seed(KeyName::new("a/w").expect("name"), Algorithm::CosignatureV1, [5; 32]);
    let refused = note.sign(&[&cosigner.expect("sound")]);
    assert!(matches!(refused, Err(SuccessionError::Note(MemberNoteError::CosignerKey(_)))));
}

#[test]
fn the_rules_behind_the_named_tree_decide() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    world.change(vec![key_change("revoke_key", "a", "a"), admit("f", &["steward"])], &["a", "b"]);
    world.change(vec![change("suspend", "b")], &["a/2", "c"]);
    let governance = governance(&world);
    let judge =
        |size, names: &[&str]| signed(&succession(size, ISSUED), names).verify_by(&governance);
    assert_eq!(judge(2, &["a", "b"]).expect("before").decided_by().get(), 1);
    assert_eq!(judge(9, &["a/2", "f"]).expect("after").decided_by().get(), 3);
    assert_eq!(
        judge(3, &["a", "b"]).expect_err("revoked by entry 2").to_string(),
        "key \"a\" was revoked by entry 2"
    );
    assert_eq!(
        judge(4, &["a/2", "b"]).expect_err("suspended by entry 3").to_string(),
        "member \"b\" was suspended by entry 3"
    );
    assert!(matches!(
        judge(2, &["b", "f"]),
        Err(SuccessionError::Note(MemberNoteError::UnknownKey { .. }))
    ));
    // a later charter does not judge an earlier tree
    let early = signed(&succession(2, ISSUED), &["a", "b"]).verify(&world.charter);
    assert!(matches!(early, Err(SuccessionError::NotReached { .. })));
    let early = signed(&succession(9, ISSUED - 1), &["a/2", "f"]).verify_by(&governance);
    assert!(matches!(early, Err(SuccessionError::TooEarly { .. })));
}

#[test]
fn stewards_are_held_over_for_a_succession_and_revoked_keys_are_not() {
    let until = crate::record::format_time(ISSUED + 1000);
    let mut world = World::founded(|object| {
        let ending = format!("\"role\": \"steward\", \"until\": \"{until}\"");
        let json = object.to_pretty_json().replacen("\"role\": \"steward\"", &ending, 2);
        Object::parse(&json).expect("JSON")
    });
    let late = |names: &[&str], world: &World| {
        signed(&succession(9, ISSUED + 2000), names).verify(&world.charter)
    };
    assert!(late(&["a", "c"], &world).is_ok());
    assert!(late(&["a", "b"], &world).is_err(), "one seat alone is vacant");
    let own = world.membership("c", vec![key_change("revoke_key", "c", "c")]);
    world.time = ISSUED + 2000;
    world.log(&own, &["c"]);
    assert!(late(&["a", "b"], &world).is_ok(), "now both are");
    assert!(late(&["a", "c"], &world).is_err(), "it may sign nothing but its replacement");
}

#[test]
fn successions_are_read_strictly() {
    use MemberNoteError as Lines;
    use SuccessionError as E;
    let good = succession(7, ISSUED).text();
    let (lab, board) = (signer("lab.example", 1), signer("board.example", 2));
    let by = |text: &str, keys: &[&SignerKey]| {
        let lines = keys.iter().map(|key| key.sign_text(text)).collect();
        ClaimedSuccession::parse(Note::new(text, lines).expect("a note").to_string().as_bytes())
    };
    assert!(by(&good, &[&board, &lab]).is_ok());
    assert_eq!(by(&good, &[&lab, &board]), Err(E::SignatureOrder(2)));
    assert_eq!(by(&good, &[&lab, &lab]), Err(E::SignatureOrder(2)));
    let root = Hash::leaf(b"root").to_base64();
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
        (format!("{good}more x\n"), Lines::MoreLines(8).into()),
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
