//! Gossip, witnesses and evidence in a simulated consortium; see `ledger_tests::sim`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger_tests::sim::{self, Plan, Report, Scale, Violation};

/// Seeds of small runs; more with `LEDGER_SIM_SEEDS`.
const SEEDS: u64 = 2_000;

/// Seeds of runs of 50 nodes and 20 logs, a hundredth of the small ones.
const LARGE: Scale = Scale::Exactly { nodes: 50, logs: 20 };

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Runs many seeds on all cores and stops at the first that breaks a rule.
fn run_all(count: u64, scale: Scale) -> Report {
    let first = number("LEDGER_SIM_FIRST", 0);
    let next = AtomicU64::new(first);
    let total = Mutex::new((Report::default(), None::<Box<Violation>>));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + count || total.lock().expect("no panic").1.is_some() {
            return;
        }
        let outcome = sim::run(Plan::draw(seed, scale));
        let mut total = total.lock().expect("no panic");
        match outcome {
            Ok(report) => total.0.add(&report),
            Err(violation) => total.1 = total.1.take().or(Some(violation)),
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    let (report, violation) = total.into_inner().expect("no panic");
    if let Some(violation) = violation {
        let name = if scale == Scale::Small { "small" } else { "large" };
        panic!(
            "{violation}\nhint: replay it with LEDGER_SIM_FIRST={} LEDGER_SIM_SEEDS=1 cargo test \
             -p ledger-tests --test spec simulator::{name}",
            violation.seed
        );
    }
    println!("{report:#?}");
    report
}

#[test]
fn small_consortia_keep_every_rule_in_any_weather() {
    run_all(number("LEDGER_SIM_SEEDS", SEEDS), Scale::Small);
}

#[test]
fn large_consortia_keep_every_rule_in_any_weather() {
    run_all(number("LEDGER_SIM_SEEDS", SEEDS).div_ceil(100), LARGE);
}
