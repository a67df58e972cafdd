//! The judgement that audits and mirrors share, entry by entry.

use std::sync::Arc;

use ledger_core::charter::Charter;
use ledger_core::lawful::{Finding, Lawful, Look, SeenInMemory, Unlawful};
use ledger_core::record::{Entry, Logged};
use ledger_tests::consortium::Consortium;
use ledger_tests::index;

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

    fn fold(&self) -> Lawful<SeenInMemory> {
        let charter = Arc::new(Charter::found(&self.charter).expect("it founds a log"));
        Lawful::new(charter, 0, SeenInMemory::default())
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
            let look = Look::at(fold.charter(), entry);
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
    let mut fold = Lawful::new(
        Arc::clone(log.fold().charter()),
        log.consortium.time + 5,
        SeenInMemory::default(),
    );
    let look = Look::at(fold.charter(), &log.incident(2, 4));
    let Ok(finding) = fold.judge(index(2), look);
    let back = matches!(finding, Finding::Unlawful(Unlawful::TimeReversal { .. }));
    assert!(back, "{finding:?}");
}
