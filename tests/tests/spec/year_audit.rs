//! A simulated year as the files of a log: `ledger audit` judges every authorisation again, and
//! finds the one leaf that was forged into a copy; so does the leaf's authority bundle.

use std::collections::BTreeMap;
use std::path::Path;

use ledger_core::authority::{AuthorityBundle, AuthorityError, HeadPolicy};
use ledger_core::charter::Governance;
use ledger_core::policy::Policy;
use ledger_core::record::{Entry, Kind, Logged};
use ledger_tests::index;
use ledger_tests::year::{Attempt, Breach, Site, Year};
use ledger_tools::cli::run_step;
use ledger_tools::failure::Exit;
use ledger_tools::output::Output;
use serde_json::Value;

/// The full year, and a short one for the many copies.
const FULL: (u64, usize) = (2025, 2_000);
const SHORT: (u64, usize) = (4, 900);

fn year((seed, records): (u64, usize)) -> Year {
    println!("LEDGER_TEST_SEED={seed}, {records} records");
    Year::new(seed, records)
}

/// What `ledger audit --anchor` says of a folder, and how it ends.
fn audit(year: &Year, folder: &Path) -> (Exit, Value) {
    let anchor = year.entries[0].record().statement().to_string();
    let folder = folder.display().to_string();
    let out = Output::new(true, true).silent();
    let outcome = run_step(&["ledger", "audit", &folder, "--anchor", &anchor], &out);
    let outcome = outcome.expect("the log can be read");
    (outcome.exit, outcome.object)
}

/// The year's log, signed with the log key in force at its end.
fn site(year: &Year) -> Site {
    Site::new(&year.entries, year.ring.log(2))
}

/// What an audit says of a copy: one unlawful entry, and nothing else. Gives the message.
#[track_caller]
fn only_problem(year: &Year, site: &Site, at: u64) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    site.write(folder.path());
    let (exit, object) = audit(year, folder.path());
    assert_eq!(exit, Exit::Refused);
    let problems = object["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "seed {}: {problems:#?}", year.seed);
    assert_eq!((&problems[0]["problem"], &problems[0]["index"]), (&"unlawful".into(), &at.into()));
    assert_eq!(object["lawful"], year.entries.len() - 1);
    problems[0]["message"].as_str().expect("a message").to_owned()
}

/// The verdict of a bundle that was printed and read again: by the policy that the log carries, if
/// `policy` gives no other.
fn verdict(
    year: &Year,
    bundle: &AuthorityBundle,
    record: &Entry,
    policy: Option<&Policy>,
) -> Result<(), AuthorityError> {
    let anchor = year.entries[0].record().statement();
    let bundle = AuthorityBundle::parse(bundle.to_string().as_bytes()).expect("its own file");
    let policy = policy.map_or(HeadPolicy::Charter(&Policy::clone), HeadPolicy::Given);
    bundle.verify(record.record(), anchor, policy).map(|_| ())
}

#[test]
fn an_audit_of_a_year_finds_every_entry_lawful() {
    for which in [SHORT, FULL] {
        let year = year(which);
        let folder = tempfile::tempdir().expect("a folder");
        site(&year).write(folder.path());
        let (exit, object) = audit(&year, folder.path());
        assert_eq!(exit, Exit::Done, "seed {}: {object:#}", year.seed);
        let signatures = year.entries.iter().map(|own| own.record().note().signatures().len());
        let signatures: usize = signatures.sum();
        for (name, value) in [
            ("size", Value::from(year.entries.len())),
            ("lawful", Value::from(year.entries.len())),
            ("signatures", Value::from(signatures)),
            ("cannot_judge", Value::from(0)),
            ("proven", Value::from(true)),
        ] {
            assert_eq!(object[name], value, "seed {}: {name} of {object:#}", year.seed);
        }
    }
}

#[test]
fn a_beginning_of_a_year_is_audited_with_the_log_key_of_its_time() {
    let year = year(SHORT);
    let added = year.books.iter().position(|book| book.log_keys.len() == 2).expect("a rotation");
    let [before, during] = [added, added + 1].map(|at| year.books[at].latest as usize);
    // one entry before the new key is known, and while both are in force
    for (upto, key, fine) in [
        (before, 1, true),
        (before, 2, false),
        (during, 1, true),
        (during, 2, true),
        (year.entries.len(), 1, false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        Site::new(&year.entries[..upto], year.ring.log(key)).write(folder.path());
        let anchor = year.entries[0].record().statement().to_string();
        let path = folder.path().display().to_string();
        let out = Output::new(true, true).silent();
        let run = run_step(&["ledger", "audit", &path, "--anchor", &anchor], &out);
        let well = run.is_ok_and(|outcome| outcome.exit == Exit::Done);
        assert_eq!(well, fine, "seed {}: {upto} entries, key {key}", year.seed);
    }
}

/// An attempt for each set of broken rules, at a place that a record which changes no rules took.
fn forgeries(year: &Year) -> Vec<&Attempt> {
    let mut found = BTreeMap::new();
    let takes = |own: &&Attempt| {
        let place = year.entries.get(own.index as usize);
        let ordinary = place.is_some_and(|entry| !entry.record().kind().is_governance());
        ordinary && own.index + 1 < year.entries.len() as u64 && !own.breaches.is_empty()
    };
    for attempt in year.attempts.iter().filter(takes) {
        let governance = attempt.entry.record().kind().is_governance();
        let first = attempt.breaches.first().expect("it is refused");
        found.entry((*first, governance)).or_insert(attempt);
    }
    found.into_values().collect()
}

/// One leaf in a copy is forged, and everything hashed and signed anew.
fn assert_found(year: &Year, honest: &Site, attempt: &Attempt) -> Breach {
    let at = attempt.index;
    let mut copy = honest.forged(at, attempt.entry.clone());
    let message = only_problem(year, &copy, at);
    let last = year.entries.len() as u64 - 1;
    let policy = Policy::single_log(year.ring.log(2).verifier().clone());
    // with all governance entries, and with those alone that the leaf names
    for (upto, policy) in [(last, None), (at, Some(&policy))] {
        let bundle = copy.bundle(at, upto);
        let error = verdict(year, &bundle, &attempt.entry, policy).expect_err("an unlawful leaf");
        let story = format!("seed {}: {}: {error}; {message}", year.seed, attempt.what);
        assert!(error.is_unlawful(), "{story}");
        assert!(message.contains(&error.to_string()), "{story}");
        let AuthorityError::Judged(judged) = &error else { panic!("{story}") };
        let breach = Breach::of(judged);
        assert!(attempt.breaches.contains(&breach), "{story}");
        assert!(message.contains(breach.words()), "{story}");
    }
    for honest in [at - 1, at + 1, last] {
        let bundle = copy.bundle(honest, last);
        verdict(year, &bundle, &year.entries[honest as usize], None)
            .unwrap_or_else(|error| panic!("seed {}: entry {honest}: {error}", year.seed));
    }
    let error = verdict(year, &copy.bundle(at, last), &attempt.entry, None).expect_err("unlawful");
    let AuthorityError::Judged(judged) = &error else { panic!("{error}") };
    Breach::of(judged)
}

#[test]
fn one_unlawful_leaf_in_a_copy_is_found_and_its_bundle_names_the_rule() {
    let year = year(SHORT);
    let honest = site(&year);
    let mut found: Vec<(Breach, bool)> = Vec::new();
    for attempt in forgeries(&year) {
        let governance = attempt.entry.record().kind().is_governance();
        found.push((assert_found(&year, &honest, attempt), governance));
    }
    println!("{found:?}");
    for wanted in [
        (Breach::KeyRevoked, false),
        (Breach::Standing, false),
        (Breach::TooFew, false),
        (Breach::KeyNotValid, false),
        (Breach::WrongLog, false),
        (Breach::Window, false),
        (Breach::BadSignature, false),
        (Breach::UnknownKey, false),
        (Breach::WrongUse, false),
        (Breach::Issuer, false),
        (Breach::SignerMissing, false),
        (Breach::NoRule, false),
        (Breach::TooFew, true),
        (Breach::StaleBase, true),
        (Breach::Change, true),
        (Breach::Deadlock, true),
        (Breach::NotYetEffective, true),
        (Breach::CharterAgain, true),
    ] {
        assert!(found.contains(&wanted), "no copy in which {wanted:?} is broken");
    }
}

#[test]
fn one_unlawful_leaf_in_a_full_year_is_found_by_story() {
    let year = year(FULL);
    let honest = site(&year);
    for (story, rule) in [
        ("a stolen key after its revocation", Breach::KeyRevoked),
        ("a member that has left", Breach::KeyRevoked),
        ("one signature too few", Breach::TooFew),
        ("a role that has ended", Breach::TooFew),
        ("a role that may not", Breach::TooFew),
        ("a stale base", Breach::StaleBase),
    ] {
        let attempt = forgeries_of(&year, story).next();
        let attempt = attempt.unwrap_or_else(|| panic!("nobody tried {story:?}"));
        assert_eq!(assert_found(&year, &honest, attempt), rule, "{story}");
    }
}

fn forgeries_of<'a>(year: &'a Year, story: &'a str) -> impl Iterator<Item = &'a Attempt> {
    let own = year.attempts.iter().filter(move |own| own.what == story);
    own.filter(|own| {
        let place = year.entries.get(own.index as usize);
        !own.breaches.is_empty() && place.is_some_and(|own| !own.record().kind().is_governance())
    })
}

#[test]
fn a_line_that_names_an_older_governance_entry_is_found_too() {
    let year = year(SHORT);
    let books = &year.books;
    let stale = books[books.len() / 2 - 1].latest;
    // the first ordinary record behind a change
    let at = books[books.len() / 2].latest + 1;
    let entry = &year.entries[at as usize];
    assert!(!entry.record().kind().is_governance(), "seed {}", year.seed);
    let logged = Logged { governance: index(stale), ..entry.logged() };
    let mut copy = site(&year).forged(at, Entry::new(logged, entry.record().clone()));
    let message = only_problem(&year, &copy, at);
    let rule = format!("{} {stale}", Breach::WrongGovernance.words());
    assert!(message.contains(&rule), "{message}");
    let last = year.entries.len() as u64 - 1;
    let error = verdict(&year, &copy.bundle(at, last), entry, None).expect_err("unlawful");
    assert!(error.is_unlawful() && error.to_string().contains(&rule), "{error}");
}

#[test]
fn a_bundle_shows_for_any_record_of_a_year_that_it_was_allowed() {
    let year = year(SHORT);
    let mut site = site(&year);
    let last = year.entries.len() as u64 - 1;
    let governance = Governance::replay(year.governance(u64::MAX)).expect("lawful");
    assert!(governance.states().len() > 30);
    let mut kinds = Kind::ALL.to_vec();
    for (at, entry) in year.entries.iter().enumerate() {
        if kinds.contains(&entry.record().kind()) {
            kinds.retain(|kind| *kind != entry.record().kind());
            let shown = verdict(&year, &site.bundle(at as u64, last), entry, None);
            shown.unwrap_or_else(|error| panic!("seed {}: entry {at}: {error}", year.seed));
        }
    }
    assert_eq!(kinds, Vec::new(), "seed {}", year.seed);
}
