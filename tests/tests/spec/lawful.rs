//! The judgement that audits and mirrors share, entry by entry.

use std::sync::Arc;

use ledger_core::charter::Charter;
use ledger_core::lawful::{CheckedEntry, DuplicatesInMemory, EntryVisitor, Finding, Unlawful};
use ledger_core::note::Algorithm;
use ledger_core::record::{Draft, Entry, Logged, Record, RecordId};
use ledger_tests::consortium::Consortium;
use ledger_tests::year::Site;
use ledger_tests::{index, key};
use ledger_tools::cli::run_step;
use ledger_tools::failure::Exit;
use ledger_tools::output::Output;
use serde_json::Value;

struct Log {
    consortium: Consortium,
    charter: Entry,
}

impl Log {
    fn new() -> Log {
        let consortium = Consortium::at(1_790_000_000);
        let logged = Logged { time: consortium.time, governance: index(0) };
        let charter = Entry::new(logged, consortium.charter());
        Log { consortium, charter }
    }

    fn fold(&self) -> EntryVisitor<DuplicatesInMemory> {
        let charter = Arc::new(Charter::found(&self.charter).expect("it founds a log"));
        EntryVisitor::new(charter, 0, DuplicatesInMemory::default())
    }

    fn incident(&self, n: u64, later: u64) -> Vec<u8> {
        let logged = Logged { time: self.consortium.time + later, governance: index(0) };
        Entry::new(logged, self.consortium.incident(n)).to_bytes()
    }

    /// What is wrong with each of these entries behind the charter.
    fn judge(&self, entries: &[Vec<u8>]) -> Vec<Option<Unlawful>> {
        let mut fold = self.fold();
        let all = [vec![self.charter.to_bytes()], entries.to_vec()].concat();
        let verdict = |(at, entry): (u64, &Vec<u8>)| {
            let look = CheckedEntry::at(fold.charter(), entry);
            let Ok(finding) = fold.judge(index(at), look);
            match finding {
                Finding::Lawful(_) => None,
                Finding::Unlawful(why) => Some(why),
                other => panic!("entry {at}: {other:?}"),
            }
        };
        (0..).zip(&all).map(verdict).skip(1).collect()
    }
}

#[test]
fn lawful_entries_pass_and_equal_times_are_in_order() {
    let log = Log::new();
    let entries = [log.incident(1, 0), log.incident(2, 0), log.incident(3, 9)];
    assert_eq!(log.judge(&entries), [None, None, None]);
}

#[test]
fn time_that_goes_back_is_unlawful_and_the_later_time_counts_from_then_on() {
    let log = Log::new();
    let time = log.consortium.time;
    let entries = [log.incident(1, 5), log.incident(2, 4), log.incident(3, 4)];
    let back = Unlawful::TimeReversal { time: time + 4, before: time + 5 };
    assert_eq!(log.judge(&entries), [None, Some(back), None]);
}

#[test]
fn a_statement_and_an_id_come_once() {
    let log = Log::new();
    let json = log.consortium.incident_json(1).replace("Incident 1", "Another title");
    let other = log.consortium.signed(&json, &[&log.consortium.lab]);
    let logged = Logged { time: log.consortium.time, governance: index(0) };
    let other = Entry::new(logged, other).to_bytes();
    let entries = [log.incident(1, 0), log.incident(1, 0), other];
    let twice = [None, Some(Unlawful::Statement { first: 1 }), Some(Unlawful::Id { first: 1 })];
    assert_eq!(log.judge(&entries), twice);
}

#[test]
fn an_unlawful_entry_occupies_its_statement_but_takes_no_id_away() {
    let log = Log::new();
    let board = log.consortium.incident_json(1).replace("Incident 1", "By nobody who may");
    let signed = log.consortium.signed(&board, &[&log.consortium.board]);
    let logged = Logged { time: log.consortium.time, governance: index(0) };
    let unlawful = Entry::new(logged, signed).to_bytes();
    let found = log.judge(&[unlawful.clone(), log.incident(1, 0), unlawful]);
    assert!(matches!(found[0], Some(Unlawful::Refused(_))), "{found:?}");
    assert_eq!(found[1], None, "the same issuer and id");
    assert_eq!(found[2], Some(Unlawful::Statement { first: 1 }));
}

#[test]
fn what_is_no_record_or_names_another_governance_entry_is_unlawful() {
    let log = Log::new();
    let logged = Logged { time: log.consortium.time, governance: index(1) };
    let wrong = Entry::new(logged, log.consortium.incident(2)).to_bytes();
    let no_record = format!("logged {} 0\nnothing\n", log.consortium.time).into_bytes();
    let found = log.judge(&[b"nothing".to_vec(), no_record, wrong, log.incident(1, 0)]);
    assert!(matches!(found[0], Some(Unlawful::NoRecord(_))), "{found:?}");
    assert!(matches!(found[1], Some(Unlawful::NoRecord(_))), "{found:?}");
    assert!(matches!(found[2], Some(Unlawful::Refused(_))), "{found:?}");
    assert_eq!(found[3], None);
}

#[test]
fn a_fold_that_goes_on_judges_as_one_that_never_stopped() {
    let log = Log::new();
    let mut fold = EntryVisitor::new(
        Arc::clone(log.fold().charter()),
        log.consortium.time + 5,
        DuplicatesInMemory::default(),
    );
    let look = CheckedEntry::at(fold.charter(), &log.incident(2, 4));
    let Ok(finding) = fold.judge(index(2), look);
    let back = matches!(finding, Finding::Unlawful(Unlawful::TimeReversal { .. }));
    assert!(back, "{finding:?}");
}

/// What the program says, and how it ends.
fn run(args: &[&str]) -> (Exit, Value) {
    let outcome = run_step(args, &Output::new(true, true).silent()).expect("the files can be read");
    (outcome.exit, outcome.object)
}

/// A log in which a member that the second of two changes admits publishes; what `ledger audit` says
/// of it, and `ledger verify` of the authority bundle of that record.
fn audited_and_verified(id_of_second: Option<RecordId>) -> [(Exit, Value); 2] {
    let consortium = Consortium::at(1_790_000_000);
    let charter = consortium.charter();
    let role = serde_json::json!([
        {"action": "assign_role", "member": "board.test", "role": "publisher"}
    ]);
    let first = consortium.membership(&charter, role);
    let guest = key("guest.test", Algorithm::Ed25519, 77);
    let admit = serde_json::json!([{
        "action": "admit", "member": "guest.test", "roles": [{"role": "publisher"}],
        "keys": [{"vkey": guest.verifier().to_string(), "use": "record"}],
    }]);
    // the fixture gives each change the same id
    let second = consortium.membership(&first, admit);
    let second = match id_of_second {
        None => second,
        Some(id) => {
            let object = second.body().clone().with("id", id.to_string());
            let draft = Draft::from_object(&object).expect("sound");
            draft.sign(&[&consortium.lab, &consortium.institute]).expect("signed")
        }
    };
    let json = consortium.incident_json(1).replace("lab.test", "guest.test");
    let record = consortium.signed(&json, &[&guest]);
    let records: [(u64, &Record); 4] = [(0, &charter), (0, &first), (1, &second), (2, &record)];
    let entries = records.map(|(governance, record)| {
        let logged = Logged { time: consortium.time, governance: index(governance) };
        Entry::new(logged, record.clone())
    });
    let mut site = Site::new(&entries, consortium.log.clone());
    let folder = tempfile::tempdir().expect("a folder");
    site.write(folder.path());
    let bundle = folder.path().join("guest.authority");
    std::fs::write(&bundle, site.bundle(3, 3).to_string()).expect("written");
    std::fs::write(folder.path().join("guest.record"), record.as_bytes()).expect("written");
    let anchor = charter.statement().to_string();
    let (log, bundle) = (folder.path().display().to_string(), bundle.display().to_string());
    [
        run(&["ledger", "audit", &log, "--anchor", &anchor]),
        run(&["ledger", "verify", &bundle, "--anchor", &anchor]),
    ]
}

#[test]
fn an_audit_and_an_authority_bundle_give_one_verdict_on_one_log() {
    let fresh = RecordId::from_parts(1_790_000_000_000, [2; 10]);
    let [(audit, all), (verify, shown)] = audited_and_verified(Some(fresh));
    assert_eq!((audit, verify), (Exit::Done, Exit::Done), "{all:#} {shown:#}");

    let [(audit, all), (verify, shown)] = audited_and_verified(None);
    assert_eq!((audit, verify), (Exit::Refused, Exit::Refused), "{all:#} {shown:#}");
    let problem = &all["problems"][0];
    let message = problem["message"].as_str().expect("a message");
    assert_eq!((problem["index"].as_u64(), &problem["problem"]), (Some(2), &"unlawful".into()));
    assert_eq!(message, "entry 2: its issuer used its id already for entry 1");
    let said = shown["results"][0]["error"].to_string();
    assert!(said.contains(&format!("governance {message}")), "{said}");
}
