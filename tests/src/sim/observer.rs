//! Whoever sees everything: what must hold, and what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use ledger_core::evidence::{ClaimedEvidence, EvidenceId, Trust};
use ledger_core::merkle::TreeHead;
use ledger_core::note::VerifierKey;

use super::ROUND_MS;
use super::branch::Branch;

/// What must hold and did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// Virtual milliseconds.
    pub at: u64,
    /// Which rule. One word, for tests.
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

/// What happened in a run that broke no rule.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Of each log that was convicted at all honest nodes: milliseconds from when two heads in
    /// conflict had reached honest nodes to the first that had evidence, and to the last.
    pub detections: Vec<Detection>,
    /// Bytes of the largest round in which both knew the same.
    pub idle_bytes: u64,
    /// Bytes of all rounds.
    pub bytes: u64,
    /// Rounds that nodes began.
    pub rounds: u64,
}

/// How long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Until one honest node had evidence.
    pub first: u64,
    /// Until all had.
    pub all: u64,
}

/// Trees by their size and root.
type ObservedTrees = BTreeMap<(u64, [u8; 32]), Rc<Branch>>;

/// Who sees everything.
#[derive(Debug, Default)]
pub struct Observer {
    seed: u64,
    /// The trees of all heads that were ever signed.
    trees: Vec<ObservedTrees>,
    /// What honest witnesses cosigned.
    cosigned: BTreeMap<(usize, usize), Vec<Rc<Branch>>>,
    /// What honest nodes heard of logs that cheat.
    reached: BTreeMap<usize, Vec<Rc<Branch>>>,
    conflict_at: BTreeMap<usize, u64>,
    convicted_at: BTreeMap<usize, BTreeMap<usize, u64>>,
    judged: BTreeSet<EvidenceId>,
    trust: Trust,
    honest: Vec<VerifierKey>,
    /// Nodes, each with a log that it may not cosign any more.
    pub fallen: BTreeSet<(usize, usize)>,
    violation: Option<Box<Violation>>,
    /// What happened so far.
    pub report: Report,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { seed, at, rule, what } = self;
        write!(f, "seed {seed}, round {}: {rule}: {what}", at / ROUND_MS)
    }
}

impl Observer {
    /// Sees all logs, knows who is honest, and judges evidence by all keys.
    pub fn new(seed: u64, logs: usize, trust: Trust, honest: Vec<VerifierKey>) -> Observer {
        let trees = vec![BTreeMap::new(); logs];
        Observer { seed, trees, trust, honest, ..Observer::default() }
    }

    /// Something happened.
    pub fn count(&mut self, what: &'static str) {
        *self.report.counts.entry(what).or_default() += 1;
    }

    /// Something happened that must not.
    pub fn broken(&mut self, at: u64, rule: &'static str, what: String) {
        let seed = self.seed;
        self.violation.get_or_insert_with(|| Box::new(Violation { seed, at, rule, what }));
    }

    /// The first thing that must not have happened.
    pub fn violation(&mut self) -> Option<Box<Violation>> {
        self.violation.take()
    }

    /// A log signed the head of a tree.
    pub fn signed(&mut self, now: u64, log: usize, is_honest: bool, tree: &Rc<Branch>) {
        let trees = &mut self.trees[log];
        let broken = is_honest && trees.values().any(|other| !other.agrees(tree));
        trees.insert(key(&tree.head()), tree.clone());
        if broken {
            let what = format!("honest log {log} signed two heads that contradict each other");
            self.broken(now, "log-signs-once", what);
        }
    }

    /// The tree of a head that a log signed.
    pub fn tree(&self, log: usize, head: &TreeHead) -> Option<&Rc<Branch>> {
        self.trees[log].get(&key(head))
    }

    /// An honest witness cosigned.
    pub fn cosigned(&mut self, now: u64, node: usize, log: usize, head: &TreeHead) {
        let Some(tree) = self.tree(log, head).cloned() else {
            return self.broken(
                now,
                "signed",
                format!("log {log} never signed what {node} cosigned"),
            );
        };
        let before = self.cosigned.entry((node, log)).or_default();
        if before.iter().any(|other| !other.agrees(&tree)) {
            let what = format!("node {node} cosigned two heads of log {log} in contradiction");
            return self.broken(now, "cosigns-once", what);
        }
        before.push(tree);
        self.count("cosigned");
        if self.fallen.contains(&(node, log)) {
            let what = format!("node {node} cosigned log {log}, which was found out");
            self.broken(now, "no-further-cosigning", what);
        }
    }

    /// An honest node holds a head.
    pub fn reached(&mut self, now: u64, log: usize, head: &TreeHead) {
        let Some(tree) = self.tree(log, head).cloned() else {
            return self.broken(now, "signed", format!("log {log} never signed a head of its"));
        };
        if self.conflict_at.contains_key(&log) {
            return;
        }
        let before = self.reached.entry(log).or_default();
        if before.iter().any(|other| !other.agrees(&tree)) {
            self.conflict_at.insert(log, now);
        } else if before.iter().all(|other| other.size() != tree.size()) {
            before.push(tree);
        }
    }

    /// An honest node holds evidence.
    pub fn evidence(&mut self, now: u64, node: usize, log: Option<usize>, held: &ClaimedEvidence) {
        if self.judged.insert(held.id()) {
            match held.verify(&self.trust) {
                Err(error) => {
                    let what = format!("node {node} holds what convicts nobody: {error}");
                    self.broken(now, "evidence-is-true", what);
                }
                Ok(conviction) if self.honest.iter().any(|key| conviction.convicts(key)) => {
                    let what = format!("node {node}: {}", conviction.explanation());
                    self.broken(now, "evidence-is-true", what);
                }
                Ok(_) => self.count(held.kind()),
            }
        }
        if let Some(log) = log {
            self.fallen.insert((node, log));
            self.convicted_at.entry(log).or_default().entry(node).or_insert(now);
        }
    }

    /// Writes down how long it took until all of so many honest nodes had evidence.
    pub fn detections(&mut self, honest: usize) {
        for (log, at) in &self.convicted_at {
            let Some(since) = self.conflict_at.get(log) else { continue };
            let times = at.values().map(|at| at.saturating_sub(*since));
            let (Some(first), Some(all)) = (times.clone().min(), times.max()) else { continue };
            if at.len() == honest {
                self.report.detections.push(Detection { first, all });
            }
        }
    }
}

impl Report {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Report) {
        for (what, times) in &other.counts {
            *self.counts.entry(what).or_default() += times;
        }
        self.detections.extend(&other.detections);
        self.idle_bytes = self.idle_bytes.max(other.idle_bytes);
        self.bytes += other.bytes;
        self.rounds += other.rounds;
    }

    /// How often something happened.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

fn key(head: &TreeHead) -> (u64, [u8; 32]) {
    (head.size.get(), *head.root.as_bytes())
}
