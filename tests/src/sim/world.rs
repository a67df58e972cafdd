//! Everything that there is in a run, and the loop over what happens.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::evidence::{Entries, Trust};
use ledger_core::gossip::{KnownKeys, LogStanding, Pairs, Reachability, View};
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, VerifierKey};

use super::ROUND_MS;
use super::net::{Agenda, Happening, Parcel, Place};
use super::node::Node;
use super::observer::{Observer, Report, Violation};
use super::operator::{Asked, Operator};
use super::plan::{Cheat, Fraud, Plan, Role};
use crate::key;
use crate::random::Random;

/// The seed byte of the first log's key; the nodes' begin at 1.
const LOG_KEYS: u8 = 128;

/// The quickest way through the net, and what the slowest ordinary one takes longer.
const LATENCY_MS: (u64, u64) = (10, 90);

/// What a late message takes longer, at most: longer than anybody waits.
const LATE_MS: u64 = 8_000;

/// A consortium.
#[derive(Debug)]
pub struct World {
    pub(super) plan: Plan,
    pub(super) now: u64,
    pub(super) random: Random,
    agenda: Agenda,
    pub(super) nodes: Vec<Node>,
    pub(super) logs: Vec<Operator>,
    pub(super) by_origin: BTreeMap<Origin, usize>,
    pub(super) observer: Observer,
    /// What must be so at the deadline.
    due: BTreeMap<usize, Due>,
    /// The cosigners that must be convicted at the deadline.
    guilty: BTreeSet<usize>,
    /// The sizes of the logs at the deadline.
    sizes: Vec<u64>,
}

/// What must be so of a log. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// All honest nodes raise the alarm, or better.
    Alarm,
    /// All honest nodes hold evidence.
    Evidence,
}

impl World {
    /// The world of a plan, before anything happened.
    ///
    /// # Panics
    /// If there are more nodes or logs than keys.
    pub fn new(plan: Plan) -> World {
        assert!(plan.nodes.len() < usize::from(LOG_KEYS) && plan.logs.len() < 127, "keys");
        let mut random = Random::new(plan.seed ^ 0x5eed);
        let byte = |at: usize| u8::try_from(at).expect("few");
        let cosigner = |at: usize| {
            let name = format!("node{at}.example");
            key(&name, Algorithm::CosignatureV1, 1 + byte(at))
        };
        let keys: Vec<_> = (0..plan.nodes.len()).map(cosigner).collect();
        let public = |at: &usize| (*at, keys[*at].verifier().clone());
        let mut logs = Vec::new();
        for (at, log) in plan.logs.iter().enumerate() {
            let signer = key(&format!("log{at}.example"), Algorithm::Ed25519, LOG_KEYS + byte(at));
            let witnesses = log.witnesses.iter().map(public).collect();
            let own = Random::new(random.word());
            let mut log = Operator::new(log.clone(), signer, witnesses, own);
            log.cheat(plan.cheat);
            logs.push(log);
        }
        let by_origin = logs.iter().enumerate().map(|(at, log)| (log.origin.clone(), at)).collect();
        let observer =
            observer(&plan, &logs, &keys.iter().map(|k| k.verifier().clone()).collect::<Vec<_>>());
        let public: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
        let nodes = keys.into_iter().zip(&plan.nodes).enumerate();
        let nodes = nodes
            .map(|(at, (key, role))| {
                Node::new(*role, key, known(&logs, cared_for(&plan, &public, at), at))
            })
            .collect();
        let agenda = Agenda::default();
        let (due, sizes) = (BTreeMap::new(), Vec::new());
        World {
            plan,
            now: 0,
            random,
            agenda,
            nodes,
            logs,
            by_origin,
            observer,
            due,
            guilty: BTreeSet::new(),
            sizes,
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first thing that must hold and did not.
    pub fn run(mut self) -> Result<Report, Box<Violation>> {
        self.begin();
        let end = self.plan.end();
        while let Some((at, what)) = self.agenda.take_next().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.happen(what);
            if let Some(violation) = self.observer.violation() {
                return Err(violation);
            }
        }
        self.judge_the_end();
        if let Some(violation) = self.observer.violation() {
            return Err(violation);
        }
        let honest = self.plan.honest().count();
        self.observer.detections(honest);
        Ok(self.observer.report)
    }

    fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            let at = self.random.below(ROUND_MS);
            self.agenda.plan(at, Happening::Round(node));
        }
        for log in 0..self.logs.len() {
            let at = self.random.below(self.logs[log].plan.pace);
            self.agenda.plan(at, Happening::Publish(log));
        }
        for fall in self.plan.falls.clone() {
            self.agenda.plan(fall.at, Happening::Falls(fall.node, fall.loses));
            self.agenda.plan(fall.at + fall.down, Happening::Rises(fall.node));
        }
        self.agenda.plan(self.plan.calm, Happening::Calm);
        self.agenda.plan(self.plan.deadline(), Happening::Deadline);
    }

    pub(super) fn plan_in(&mut self, millis: u64, what: Happening) {
        self.agenda.plan(self.now + millis, what);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrives { from, to, parcel } => self.arrive(from, to, parcel),
            Happening::Round(node) => {
                self.plan_in(ROUND_MS, Happening::Round(node));
                if !self.nodes[node].down {
                    self.round(node);
                }
            }
            Happening::Timeout(node, leg) => self.timeout(node, leg),
            Happening::Publish(log) => self.publish(log),
            Happening::Falls(node, loses) => self.fall(node, loses),
            Happening::Rises(node) => self.rise(node),
            Happening::Calm => self.look(),
            Happening::Due(log) => self.judge(log),
            Happening::Deadline => self.judge_the_deadline(),
        }
    }

    fn arrive(&mut self, from: Place, to: Place, parcel: Parcel) {
        if self.is_down(to) {
            return self.observer.count("arrived-nowhere");
        }
        match (to, from) {
            (Place::Node(node), from) => self.node_hears(node, from, parcel),
            (Place::Log(log), Place::Node(node)) => self.log_hears(log, node, parcel),
            (Place::Log(_), Place::Log(_)) => {}
        }
    }

    fn log_hears(&mut self, log: usize, node: usize, parcel: Parcel) {
        let (now, own) = (self.now, &mut self.logs[log]);
        let reply = match parcel {
            Parcel::Poll => {
                own.polled(node, now).map(|(head, tree)| Parcel::Polled(Box::new(head), tree))
            }
            Parcel::Fetch(question) => {
                let shown = own.beginning(&question);
                shown.map(|beginning| Parcel::Fetched(question, beginning))
            }
            Parcel::Verdict(side, size, verdict) => {
                let more = own.take(node, (side, size), verdict);
                more.into_iter().for_each(|asked| self.ask(log, asked));
                None
            }
            _ => None,
        };
        if let Some(reply) = reply {
            self.send(Place::Log(log), Place::Node(node), reply);
        }
    }

    fn ask(&mut self, log: usize, asked: Asked) {
        let parcel = Parcel::Cosign(asked.side, Box::new(asked.request));
        self.send(Place::Log(log), Place::Node(asked.witness), parcel);
    }

    fn publish(&mut self, log: usize) {
        self.plan_in(self.logs[log].plan.pace, Happening::Publish(log));
        if self.is_down(Place::Log(log)) {
            return;
        }
        let told = !self.cheats(Cheat::Secret);
        let quiet = (self.plan.calm..=self.plan.deadline()).contains(&self.now);
        let had_turned = self.logs[log].has_turned();
        let (signed, asked) = self.logs[log].publish(self.now, quiet);
        if self.logs[log].has_turned() && !had_turned {
            self.observer.count(name_of(self.logs[log].plan.fraud));
        }
        let is_honest = self.logs[log].is_honest();
        for tree in signed.into_iter().filter(|_| told) {
            self.observer.signed(self.now, log, is_honest, &tree);
        }
        asked.into_iter().for_each(|asked| self.ask(log, asked));
    }

    pub(super) fn is_down(&self, place: Place) -> bool {
        match place {
            Place::Node(node) => self.nodes[node].down,
            Place::Log(log) => self.logs[log].plan.host.is_some_and(|host| self.nodes[host].down),
        }
    }

    /// Sends, through whatever the net does today.
    pub(super) fn send(&mut self, from: Place, to: Place, parcel: Parcel) {
        let mut delay = LATENCY_MS.0 + self.random.below(LATENCY_MS.1);
        if self.now < self.plan.calm {
            if self.is_cut(from, to) {
                return self.observer.count("cut");
            }
            if self.random.below(1_000) < self.plan.lost {
                return self.observer.count("lost");
            }
            if self.random.below(1_000) < self.plan.late {
                self.observer.count("late");
                delay += self.random.below(LATE_MS);
            }
            if self.random.below(1_000) < self.plan.doubled {
                self.observer.count("doubled");
                let again = delay + self.random.below(LATE_MS);
                self.plan_in(again, Happening::Arrives { from, to, parcel: parcel.clone() });
            }
        }
        self.plan_in(delay, Happening::Arrives { from, to, parcel });
    }

    fn is_cut(&self, from: Place, to: Place) -> bool {
        let node = |place| match place {
            Place::Node(node) => Some(node),
            // a cheat reaches whom it likes
            Place::Log(log) => self.logs[log].plan.host,
        };
        let (Some(from), Some(to)) = (node(from), node(to)) else { return false };
        let now = self.now;
        let mut cuts = self.plan.cuts.iter().filter(|cut| (cut.from..cut.until).contains(&now));
        cuts.any(|cut| cut.apart[from] != cut.apart[to])
    }

    fn fall(&mut self, node: usize, loses: bool) {
        self.observer.count("fell");
        let hosted = self.logs.iter_mut().filter(|log| log.plan.host == Some(node));
        let lost: Vec<bool> = hosted.map(|log| log.fall(loses)).collect();
        let own = self.nodes[node].fall(loses);
        if own || lost.contains(&true) {
            self.observer.count("fell-and-lost");
        }
    }

    fn rise(&mut self, node: usize) {
        let keys: Vec<_> = self.nodes.iter().map(Node::cosigner).collect();
        let view = known(&self.logs, cared_for(&self.plan, &keys, node), node);
        self.nodes[node].rise(View::new(view.0, view.1));
    }

    /// The storm is over: what do honest nodes hold that contradicts itself?
    fn look(&mut self) {
        for log in 0..self.logs.len() {
            self.look_at(log);
            self.guilty_of(log);
        }
    }

    /// A node holds a new head: in the calm that may be the first that contradicts another.
    pub(super) fn look_again(&mut self, log: usize) {
        let calm = (self.plan.calm..self.plan.deadline()).contains(&self.now);
        if calm && !self.logs[log].is_honest() && !self.due.contains_key(&log) {
            self.look_at(log);
        }
    }

    fn look_at(&mut self, log: usize) {
        if let Some(due) = self.due_of(log) {
            self.due.insert(log, due);
            self.plan_in(self.plan.bound() * ROUND_MS, Happening::Due(log));
            if self.now > self.plan.calm {
                self.observer.count("due-in-the-calm");
            }
        }
    }

    /// Who cosigned two of the heads, of one size, by which honest nodes have convicted a log; and
    /// who is convicted anywhere.
    fn guilty_of(&mut self, log: usize) {
        let origin = self.logs[log].origin.clone();
        let views: Vec<_> = self.plan.honest().map(|node| &self.nodes[node].view).collect();
        let kept = views.iter().filter_map(|view| view.log(&origin));
        let kept: Vec<_> = kept.flat_map(|status| status.convicting).collect();
        let is_guilty = |node: &usize| {
            let key = self.nodes[*node].cosigner();
            let signed = |head: &&ClaimedCheckpoint| {
                head.note().signatures().iter().any(|line| line.is_by(&key))
            };
            let heads: Vec<TreeHead> =
                kept.iter().filter(signed).map(|head| *head.checkpoint().head()).collect();
            let size = |head: &TreeHead| head.size;
            let roots: BTreeMap<_, _> = heads.iter().map(|head| (size(head), head.root)).collect();
            heads.iter().any(|head| roots[&size(head)] != head.root)
                || views.iter().any(|view| view.against(&key).is_some())
        };
        let guilty: Vec<usize> = (0..self.nodes.len()).filter(is_guilty).collect();
        self.guilty.extend(guilty);
    }

    fn due_of(&mut self, log: usize) -> Option<Due> {
        let origin = self.logs[log].origin.clone();
        let honest: Vec<usize> = self.plan.honest().collect();
        let mut heads: Vec<TreeHead> = Vec::new();
        for node in honest {
            let view = &self.nodes[node].view;
            if matches!(view.standing(&origin), LogStanding::Convicted(_)) {
                return Some(Due::Evidence);
            }
            let Some(status) = view.log(&origin) else { continue };
            let open = status.open.iter().map(|(head, _)| head);
            let held = status.adopted.iter().chain(open).map(|head| *head.checkpoint().head());
            heads.extend(held);
        }
        let mut due = None;
        for (at, one) in heads.iter().enumerate() {
            for other in &heads[..at] {
                due = due.max(self.due_of_two(log, one, other));
            }
        }
        due
    }

    fn due_of_two(&self, log: usize, one: &TreeHead, other: &TreeHead) -> Option<Due> {
        let (Some(tree), Some(its)) =
            (self.observer.tree(log, one), self.observer.tree(log, other))
        else {
            return None;
        };
        if tree.agrees(its) {
            return None;
        }
        let (smaller, larger) = if one.size < other.size { (one, other) } else { (other, one) };
        let is_shown = || {
            let mut honest = self.plan.honest();
            let held = honest.any(|node| self.holds(node, log, smaller, larger));
            let mut readers = self.plan.honest().filter(|node| self.logs[log].plan.reads[*node]);
            held || readers.next().is_some() && self.log_shows(log, smaller, larger)
        };
        let evident = one.size == other.size || is_shown();
        Some(if evident { Due::Evidence } else { Due::Alarm })
    }

    fn judge(&mut self, log: usize) {
        let Some(due) = self.due.get(&log).copied() else { return };
        let origin = self.logs[log].origin.clone();
        let honest: Vec<usize> = self.plan.honest().collect();
        for node in honest {
            // who knows the key alone raises no alarm
            if due == Due::Alarm && !self.logs[log].plan.reads[node] {
                continue;
            }
            self.observer.fallen.insert((node, log));
            let standing = self.nodes[node].view.standing(&origin);
            let rule = match (due, &standing) {
                (_, LogStanding::Convicted(_)) => continue,
                (Due::Alarm, LogStanding::Unreconciled(_)) => continue,
                (Due::Alarm, _) => "alarm-in-time",
                (Due::Evidence, _) => "evidence-in-time",
            };
            let fraud = self.logs[log].plan.fraud;
            let what = format!("node {node} of log {log} ({fraud:?}): {standing:?}");
            self.observer.broken(self.now, rule, what);
        }
        self.observer.count(match due {
            Due::Alarm => "alarm-due",
            Due::Evidence => "evidence-due",
        });
    }

    fn judge_the_deadline(&mut self) {
        for guilty in std::mem::take(&mut self.guilty) {
            let key = self.nodes[guilty].cosigner();
            let knows = |node: &usize| self.nodes[*node].view.against(&key).is_some();
            if let Some(node) = self.plan.honest().find(|node| !knows(node)) {
                let what = format!("node {node} of cosigner {guilty}");
                self.observer.broken(self.now, "cosigners-in-time", what);
            }
            self.observer.count("cosigner-due");
        }
        self.sizes = self.logs.iter().map(|log| log.tree().size()).collect();
    }

    fn judge_the_end(&mut self) {
        for log in 0..self.logs.len() {
            let own = &self.logs[log];
            if !own.is_honest() {
                continue;
            }
            let honest = own.plan.witnesses.iter().filter(|node| self.plan.is_honest(**node));
            let (published, before) = (own.published_size(), self.sizes[log]);
            if honest.count() >= own.plan.needed && published <= before {
                let what = format!("log {log} is at {published} and was at {before} before");
                self.observer.broken(self.now, "honest-logs-publish", what);
            }
            let origin = self.logs[log].origin.clone();
            let bad = |node: &usize| self.nodes[*node].view.standing(&origin) != LogStanding::Good;
            if let Some(node) = self.plan.honest().find(bad) {
                let standing = self.nodes[node].view.standing(&origin);
                let what = format!("node {node} says of log {log}: {standing:?}");
                self.observer.broken(self.now, "honest-logs-are-good", what);
            }
        }
    }

    pub(super) fn cheats(&self, cheat: Cheat) -> bool {
        self.plan.cheat == Some(cheat)
    }
}

/// The cosigners that a node knows.
fn cared_for(plan: &Plan, cosigners: &[VerifierKey], node: usize) -> Vec<VerifierKey> {
    let is_lenient = plan.cheat == Some(Cheat::Lenient) && node % 2 == 1;
    if is_lenient { Vec::new() } else { cosigners.to_vec() }
}

/// What a node knows beforehand.
fn known(
    logs: &[Operator],
    cosigners: Vec<VerifierKey>,
    node: usize,
) -> (Vec<KnownKeys>, Vec<VerifierKey>) {
    let of = |log: &Operator| KnownKeys {
        origin: log.origin.clone(),
        keys: vec![log.key().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Opaque,
        reach: if log.plan.reads[node] { Reachability::Somewhere } else { Reachability::Nowhere },
    };
    (logs.iter().map(of).collect(), cosigners)
}

fn observer(plan: &Plan, logs: &[Operator], cosigners: &[VerifierKey]) -> Observer {
    let of_logs = logs.iter().map(|log| log.key().clone());
    let trust = of_logs.fold(Trust::new(), |trust, key| trust.with_log(key, Entries::Opaque));
    let trust = cosigners.iter().cloned().fold(trust, Trust::with_cosigner);
    let honest = logs.iter().filter(|log| log.is_honest()).map(|log| log.key().clone());
    // any fault of a node but one leaves its key alone
    let is_true = |node: &usize| plan.nodes[*node] != Role::Yes;
    let nodes = (0..plan.nodes.len()).filter(is_true).map(|node| cosigners[node].clone());
    Observer::new(plan.seed, logs.len(), trust, honest.chain(nodes).collect())
}

fn name_of(fraud: Fraud) -> &'static str {
    match fraud {
        Fraud::None => "honest",
        Fraud::SameSize => "fork-same-size",
        Fraud::OtherSize => "fork-other-size",
        Fraud::Rejoin => "fork-rejoin",
        Fraud::Freeze => "freeze",
        Fraud::RollBack => "roll-back",
        Fraud::Rewrite => "rewrite",
        Fraud::BadEmpty => "forged-empty",
    }
}
