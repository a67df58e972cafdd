//! A simulated year, from several seeds: the core's verdicts against the simulation's own book, the
//! registers against the slow model, and the same state whatever one starts from.

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, Governance, MemberStanding, Term};
use ledger_core::record::Kind;
use ledger_core::register::{
    Chains, Chronicle, Fact, decisions, duties, incidents, members, reviews, risks,
};
use ledger_tests::index;
use ledger_tests::random::Random;
use ledger_tests::registers_model::{Model, shown};
use ledger_tests::year::{Breach, DAY, Span, Stands, Year};

/// The seed whose year is a full one.
const FULL: (u64, usize) = (2025, 2_000);

/// Shorter years.
const SHORT: [(u64, usize); 4] = [(1, 300), (2, 300), (3, 400), (4, 500)];

/// The years that are tested; `LEDGER_TEST_SEED` adds a full one.
fn years() -> Vec<(u64, usize)> {
    let own = std::env::var("LEDGER_TEST_SEED").ok();
    let own = own.map(|seed| (seed.parse().expect("LEDGER_TEST_SEED is a number"), FULL.1));
    SHORT.into_iter().chain([FULL]).chain(own).collect()
}

/// The year of a seed; a test that fails shows which.
fn year((seed, records): (u64, usize)) -> Year {
    println!("LEDGER_TEST_SEED={seed}, {records} records");
    Year::new(seed, records)
}

#[test]
fn the_core_and_the_simulation_agree_on_every_record_of_a_year() {
    for which in years() {
        let year = year(which);
        let founder = &year.attempts[0].entry;
        let mut governance = Governance::found(founder).expect("a sound charter");
        let (mut taken, mut refused) = (1, 0);
        for attempt in &year.attempts[1..] {
            let (entry, place) = (&attempt.entry, index(attempt.index));
            let verdict = governance.judge(entry.record(), &entry.logged(), place);
            let story = || format!("seed {} place {place}: {}", year.seed, attempt.what);
            match verdict {
                Ok(_) => {
                    assert!(attempt.breaches.is_empty(), "{}: {:?}", story(), attempt.breaches);
                    assert_eq!(attempt.index, taken, "{}", story());
                    taken += 1;
                    if entry.record().kind().is_governance() {
                        governance.push(place, entry).expect("judged already");
                    }
                }
                Err(error) => {
                    let breach = Breach::of(&error);
                    let believed = &attempt.breaches;
                    assert!(believed.contains(&breach), "{}: {error}; {believed:?}", story());
                    assert!(error.is_unlawful() && error.to_string().contains(breach.words()));
                    refused += 1;
                }
            }
        }
        assert_eq!(taken as usize, year.entries.len());
        assert!(refused * 8 > taken, "seed {}: {refused} of {taken} refused", year.seed);
    }
}

#[test]
fn all_kinds_are_logged_in_a_year_and_every_rule_is_broken_in_vain() {
    let year = year(FULL);
    assert_eq!(year.entries.len(), FULL.1);
    for kind in Kind::ALL {
        let count = year.entries.iter().filter(|entry| entry.record().kind() == kind).count();
        println!("{kind}: {count}");
        assert!(count > 0, "no {kind}");
    }
    let stories = |lawful: bool| {
        let own = year.attempts.iter().filter(move |own| own.breaches.is_empty() == lawful);
        own.map(|own| own.what).collect::<std::collections::BTreeSet<_>>()
    };
    println!("taken: {:?}\nrefused: {:?}", stories(true), stories(false));
    for breach in Breach::ALL.into_iter().filter(|own| *own != Breach::WrongGovernance) {
        let alone = year.attempts.iter().filter(|own| own.breaches.iter().eq([&breach]));
        let count = year.attempts.iter().filter(|own| own.breaches.contains(&breach)).count();
        println!("{breach:?}: {count}, {} of them alone", alone.count());
        assert!(count > 0, "nobody tried {breach:?}");
    }
    for story in [
        "rotation",
        "expulsion",
        "withdrawal",
        "held over",
        "a lie under a stolen key",
        "a stolen key is revoked",
        "a revoked key signs its successor",
        "the first log key goes",
        "a suspended member revokes its key",
        "the lie is retracted",
        "an announcement",
        "admission for a term",
        "a revision of a series",
        "a disclosure",
    ] {
        assert!(stories(true).contains(story), "{story:?} was not taken");
    }
    let span = year.end() - year.entries[0].logged().time;
    assert!((360 * DAY..370 * DAY).contains(&span), "{} days", span / DAY);
}

#[test]
fn registers_of_a_year_equal_the_slow_model() {
    let mut seen = String::new();
    for which in years() {
        let year = year(which);
        let told = year.told();
        let governance = Governance::replay(year.governance(u64::MAX)).expect("lawful");
        let last = told.len() - 1;
        for upto in [last / 7, last / 2, last] {
            let model = Model::new(told[..=upto].to_vec());
            let chronicle = chronicle(&year, &governance, 0..=upto);
            let chains = Chains::of(&chronicle);
            let at = told[upto].logged;
            for (register, rows, expected) in [
                ("incidents", shown::incidents(&incidents(&chains)), model.incidents()),
                ("risks", shown::risks(&risks(&chains)), model.risks()),
                ("decisions", shown::decisions(&decisions(&chains)), model.decisions()),
                ("reviews", shown::reviews(&reviews(&chains)), model.reviews()),
                ("at once", shown::duties(&duties(&chains, at)), model.duties(at)),
                (
                    "later",
                    shown::duties(&duties(&chains, at + 45 * DAY)),
                    model.duties(at + 45 * DAY),
                ),
            ] {
                assert_rows(&format!("seed {} at {upto}: {register}", year.seed), &rows, &expected);
                seen.extend(rows.iter().map(|row| format!("{row}\n")));
            }
        }
    }
    for word in [
        "closed",
        "duplicate of",
        "retracted true",
        "claims[\"",
        "unknown",
        "sealed",
        " met by",
        " late ",
        " overdue ",
        " upcoming ",
        "promise kept",
        "conditions met",
        "remediation done",
        "interim report",
        "final report",
        "first report, grave",
        "step of a dispute",
        "concern answered",
        "results",
        "mitigations[\"",
        "appeals[\"",
        "reviews[\"",
        "Some(",
    ] {
        assert!(seen.contains(word), "no row with {word:?}");
    }
}

#[test]
fn the_members_register_of_a_year_equals_the_simulations_book() {
    for which in years() {
        let year = year(which);
        let governance = Governance::replay(year.governance(u64::MAX)).expect("lawful");
        for state in governance.states() {
            let at = state.index().get();
            for now in [state.time(), state.time() + 20 * DAY, year.end()] {
                let rows = member_rows(state.charter(), now);
                let about = format!("seed {} at {at}", year.seed);
                assert_rows(&about, &rows, &year.members(at, now));
            }
            let log_keys = state.charter().log_keys().iter().map(ToString::to_string);
            assert_eq!(log_keys.collect::<Vec<_>>(), year.book(at).log_keys);
        }
    }
}

#[test]
fn a_year_replayed_from_any_prefix_gives_the_same_state() {
    for which in years() {
        let year = year(which);
        let mut random = Random::new(year.seed);
        let whole = Governance::replay(year.governance(u64::MAX)).expect("lawful");
        let last = year.entries.len() - 1;
        let all = chronicle(&year, &whole, 0..=last);
        let expected = shown::duties(&duties(&Chains::of(&all), year.end()));
        for _ in 0..4 {
            let cut = random.below(last as u64);
            let mut own = Governance::replay(year.governance(cut)).expect("lawful");
            assert_eq!(own.states(), &whole.states()[..own.states().len()], "seed {}", year.seed);
            for (place, entry) in year.governance(u64::MAX).filter(|(place, _)| place.get() > cut) {
                own.push(place, entry).expect("lawful");
            }
            assert_eq!(own, whole, "seed {} from {cut}", year.seed);
            // what the registers remember is read on from there too
            let mut half = chronicle(&year, &whole, 0..=cut as usize);
            let _ = Chains::of(&half);
            for at in cut as usize + 1..=last {
                tell(&mut half, &year, &whole, at);
            }
            let rows = shown::duties(&duties(&Chains::of(&half), year.end()));
            assert_rows(&format!("seed {} from {cut}", year.seed), &rows, &expected);
        }
    }
}

#[track_caller]
fn assert_rows(about: &str, rows: &[String], expected: &[String]) {
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected, "{about}");
    }
    assert_eq!(rows.len(), expected.len(), "{about}");
}

fn chronicle(
    year: &Year,
    governance: &Governance,
    range: std::ops::RangeInclusive<usize>,
) -> Chronicle {
    let mut chronicle = Chronicle::new();
    range.for_each(|at| tell(&mut chronicle, year, governance, at));
    chronicle
}

fn tell(chronicle: &mut Chronicle, year: &Year, governance: &Governance, at: usize) {
    let entry = &year.entries[at];
    let charter = governance.at(entry.logged().governance).expect("a governance entry");
    chronicle.add(&Fact::of(index(at as u64), &entry.logged(), entry.record()), charter);
}

/// The core's members as the simulation's book writes them.
fn member_rows(charter: &Charter, now: u64) -> Vec<String> {
    let span = |term: Term| Span { from: term.from(), until: term.until() };
    let stands = |standing| match standing {
        MemberStanding::Good => Stands::Well,
        MemberStanding::Suspended(at) => Stands::Suspended(at.get()),
        MemberStanding::Expelled(at) => Stands::Expelled(at.get()),
        MemberStanding::Withdrawn(at) => Stands::Withdrawn(at.get()),
    };
    let row = |row: &ledger_core::register::MemberRow| {
        let roles = row.roles.iter();
        let roles: Vec<String> = roles
            .map(|own| format!("{} {:?} {}", own.role, span(own.term), own.in_force))
            .collect();
        let keys = row.keys.iter().map(|own| {
            let revoked = own.revoked.map(LeafIndex::get);
            format!("{} {} {:?} {revoked:?} {}", own.vkey, own.usage, span(own.term), own.in_force)
        });
        let keys: Vec<String> = keys.collect();
        format!("{} {:?} {roles:?} {keys:?}", row.name, stands(row.standing))
    };
    members(charter, now).iter().map(row).collect()
}
