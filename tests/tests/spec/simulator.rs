//! Gossip, witnesses and evidence in a simulated consortium; see `ledger_tests::sim`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger_tests::sim::plan::{Cut, Fraud, Role, Tiles};
use ledger_tests::sim::{self, Cheat, Plan, ROUND_MS, Report, Scale, Violation};

/// Seeds of small runs; more with `LEDGER_SIM_SEEDS`.
const SEEDS: u64 = 2_000;

/// Seeds of runs of 50 nodes and 20 logs, a hundredth of the small ones.
const LARGE: Scale = Scale::Exactly { nodes: 50, logs: 20 };

/// What happens in some of any hundred small runs, or the runs say less than they seem to.
const SEEN: [&str; 35] = [
    "alarm",
    "alarm-due",
    "arrived-nowhere",
    "bad-empty",
    "came-too-late",
    "contradicted",
    "cosigned",
    "cosigner",
    "cosigner-due",
    "cut",
    "doubled",
    "doubt",
    "due-in-the-calm",
    "evidence-due",
    "false-evidence",
    "fault",
    "fell-and-lost",
    "flooded",
    "fork-other-size",
    "fork-rejoin",
    "fork-same-size",
    "freeze",
    "late",
    "lost",
    "not-cosigned",
    "refused-to-listen",
    "rewrite",
    "roll-back",
    "said-again",
    "same-size",
    "slandered",
    "split-history",
    "talked-nonsense",
    "timed-out",
    "yes",
];

/// Seeds that are tried until a cheat is seen.
const TRIES: u64 = 400;

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
    let mut slowest: Vec<u64> = report.detections.iter().map(|took| took.all).collect();
    slowest.sort_unstable();
    println!("{:#?}", report.counts);
    println!("{} detections, the slowest after {:?} ms", slowest.len(), slowest.last());
    println!("{} bytes in {} rounds", report.bytes, report.rounds);
    report
}

/// The first run in which a node that is held for honest is seen to do this, if there is any.
fn seen(cheat: Cheat, rule: &str) -> Option<Box<Violation>> {
    let run = |seed| sim::run(Plan { cheat: Some(cheat), ..Plan::draw(seed, Scale::Small) });
    (0..TRIES).find_map(|seed| run(seed).err().filter(|violation| violation.rule == rule))
}

#[test]
fn small_consortia_keep_every_rule_in_any_weather() {
    let seeds = number("LEDGER_SIM_SEEDS", SEEDS);
    let report = run_all(seeds, Scale::Small);
    let missing: Vec<&str> =
        SEEN.into_iter().filter(|what| seeds >= 100 && report.count(what) == 0).collect();
    assert!(missing.is_empty(), "none of these happened: {missing:?}");
    assert!(report.idle_bytes < 1_024, "{} bytes to say nothing new", report.idle_bytes);
}

#[test]
fn large_consortia_keep_every_rule_in_any_weather() {
    let report = run_all(number("LEDGER_SIM_SEEDS", SEEDS).div_ceil(100), LARGE);
    assert!(report.idle_bytes < 1_024, "{} bytes to say nothing new", report.idle_bytes);
}

/// A log that was convicted by more heads than a node kept: a cosigner of two of them went free
/// there.
#[test]
fn a_cosigner_falls_also_where_a_log_was_convicted_by_many_heads() {
    let outcome = sim::run(Plan::draw(1_019_300, Scale::Small));
    let report = outcome.unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.count("cosigner-due") > 0, "no cosigner had to fall");
}

/// A back-off that grew over the partition would keep the two sides apart after it.
#[test]
fn a_fork_across_a_long_partition_is_evidence_within_the_bound_after_it_heals() {
    let mut found = 0;
    for seed in 0..24 {
        let nodes = 2 + usize::from(seed % 2 == 1);
        let mut plan = Plan::draw(seed, Scale::Exactly { nodes, logs: 1 });
        plan.nodes.fill(Role::Honest);
        plan.falls.clear();
        plan.calm = 80 * ROUND_MS;
        let second: Vec<bool> = (0..nodes).map(|node| node % 2 == 1).collect();
        plan.cuts = vec![Cut { from: 0, until: plan.calm, apart: second.clone() }];
        let log = &mut plan.logs[0];
        (log.host, log.fraud, log.tiles) = (None, Fraud::SameSize, Tiles::None);
        (log.turn, log.second) = (0, second);
        log.reads.fill(true);
        let report = sim::run(plan).unwrap_or_else(|violation| panic!("{violation}"));
        found += report.count("evidence-due");
    }
    // the sides may have kept heads of no common size, of which there is no evidence without tiles
    assert!(found > 16, "{found}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..20 {
        let run = || format!("{:?}", sim::run(Plan::draw(seed, Scale::Small)));
        assert_eq!(run(), run(), "seed {seed}");
    }
    let broken = seen(Cheat::Trustful, "no-further-cosigning").expect("seen");
    let plan = Plan::draw(broken.seed, Scale::Small);
    let again = sim::run(Plan { cheat: Some(Cheat::Trustful), ..plan });
    assert_eq!(again.err(), Some(broken));
}

#[test]
fn the_observer_sees_every_rule_that_is_broken() {
    let cheats = [
        (Cheat::WitnessForgets, "cosigns-once"),
        (Cheat::LogForgets, "log-signs-once"),
        (Cheat::Trustful, "no-further-cosigning"),
        (Cheat::Patient, "alarm-in-time"),
        (Cheat::Incurious, "evidence-in-time"),
        (Cheat::Incurious, "honest-logs-are-good"),
        (Cheat::Secret, "signed"),
        (Cheat::Lenient, "cosigners-in-time"),
        (Cheat::Slander, "evidence-is-true"),
        (Cheat::Lonely, "honest-logs-publish"),
        (Cheat::Touchy, "honest-nodes-are-not-accused"),
    ];
    let blind: Vec<_> =
        cheats.into_iter().filter(|(cheat, rule)| seen(*cheat, rule).is_none()).collect();
    assert!(blind.is_empty(), "not seen: {blind:?}");
}
