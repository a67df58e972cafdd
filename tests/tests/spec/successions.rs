//! Succession notes of the first form, which named no governance entry.

use ledger_core::Hint;
use ledger_core::note::Note;
use ledger_core::record::Record;
use ledger_core::succession::{ClaimedSuccession, FIRST_LINE};
use ledger_tests::workspace;

fn read(name: &str) -> Vec<u8> {
    let path = workspace().join("tests/vectors/v1").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_succession_of_the_previous_form_is_refused() {
    let bytes = read("succession/without-governed.succession");
    // it was a note that three members had signed
    let note = Note::parse(&bytes).expect("a signed note");
    assert!(note.text().starts_with(FIRST_LINE));
    let charter = Record::parse(&read("charter.record")).expect("an old record");
    let known =
        |name: &str| charter.note().signatures().iter().any(|own| own.name().as_str() == name);
    assert_eq!(note.signatures().iter().filter(|own| known(own.name().as_str())).count(), 3);
    let refused = ClaimedSuccession::parse(&bytes).expect_err("it names no governance entry");
    assert_eq!(
        refused.to_string(),
        "the succession: line 7 is not `governed`, a space and a value"
    );
    assert!(refused.hint().contains("docs/governance.md"));
}
