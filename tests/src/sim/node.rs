//! A node: what it knows, what it keeps, and what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::cosignature;
use ledger_core::evidence::ClaimedEvidence;
use ledger_core::gossip::{
    Event, EvidenceRef, FalseSignature, HeadSource, KnownKeys, LogStanding, LogStatus, Message,
    Moment, PeerBudget, PeerFault, PrefixProver, Question, Round, RoundSalt, View,
};
use ledger_core::merkle::{PrefixProof, TreeHead};
use ledger_core::note::{SignerKey, VerifierKey};
use ledger_core::witness::{AddCheckpoint, Authenticated, LogKeys, Refusal};

use super::ROUND_MS;
use super::branch::Branch;
use super::net::{Happening, Leg, Parcel, Place, Verdict};
use super::plan::{Cheat, Role};
use super::wire;
use super::world::World;

/// From one round of a node to its next.
const INTERVAL: Duration = Duration::from_millis(ROUND_MS);

/// How long an answer is waited for.
const PATIENCE_MS: u64 = 3_000;

/// What is kept over a fall.
#[derive(Debug, Clone, Default)]
struct Disk {
    cosigned: BTreeMap<usize, TreeHead>,
    logs: BTreeMap<Origin, Rc<LogStatus>>,
    evidence: Vec<Rc<ClaimedEvidence>>,
    mirrors: BTreeMap<usize, Rc<Branch>>,
}

/// A round that waits for an answer.
#[derive(Debug)]
struct Asking {
    peer: usize,
    leg: Leg,
    round: Round,
    bytes: u64,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// What it is like.
    pub role: Role,
    /// What it knows.
    pub view: View,
    /// Whether it is down.
    pub down: bool,
    key: SignerKey,
    disk: Disk,
    synced: Disk,
    /// Of those whom it asks; only a round of its own that goes well clears it.
    asked: BTreeMap<usize, PeerBudget>,
    /// Of those who ask it.
    askers: BTreeMap<usize, PeerBudget>,
    /// The evidence that a peer was asked for in answers.
    wanted: BTreeMap<usize, Vec<EvidenceRef>>,
    asking: Option<Asking>,
    rounds: u64,
    /// What was said to it, for a node that says it again.
    pub(super) heard: Vec<Message>,
}

/// The trees that a node holds.
#[derive(Default)]
pub(super) struct Trees(Vec<(Origin, Rc<Branch>)>);

impl PrefixProver for Trees {
    fn prove_prefix(&mut self, of: &Origin, old: TreeSize, head: &TreeHead) -> Option<PrefixProof> {
        let mut trees = self.0.iter().filter(|(origin, _)| origin == of);
        trees.find_map(|(_, branch)| branch.beginning(old, head))
    }
}

impl Node {
    /// A node that knows these keys and nothing else.
    pub fn new(
        role: Role,
        key: SignerKey,
        (logs, cosigners): (Vec<KnownKeys>, Vec<VerifierKey>),
    ) -> Node {
        Node {
            role,
            view: View::new(logs, cosigners),
            down: false,
            key,
            disk: Disk::default(),
            synced: Disk::default(),
            asked: BTreeMap::new(),
            askers: BTreeMap::new(),
            wanted: BTreeMap::new(),
            asking: None,
            rounds: 0,
            heard: Vec::new(),
        }
    }

    /// The key with which it cosigns.
    pub fn cosigner(&self) -> VerifierKey {
        self.key.verifier().clone()
    }

    /// Falls. Says whether something was lost.
    pub fn fall(&mut self, loses: bool) -> bool {
        self.down = true;
        self.asking = None;
        self.asked.clear();
        self.askers.clear();
        self.wanted.clear();
        if !loses {
            return false;
        }
        let lost = self.disk.logs != self.synced.logs || self.disk.cosigned != self.synced.cosigned;
        self.disk = self.synced.clone();
        lost
    }

    /// Rises with what it kept, told again to a view that knows nothing.
    pub fn rise(&mut self, view: View) {
        self.down = false;
        self.view = view;
        for evidence in &self.disk.evidence {
            // what was held against somebody unknown convicts nobody again
            drop(self.view.convict(evidence));
        }
        for (origin, status) in &self.disk.logs {
            let open = status.open.iter().map(|(head, _)| head);
            for head in status.adopted.iter().chain(open).chain(&status.convicting) {
                drop(self.view.observe(head, HeadSource::Fetched));
            }
            for (head, _) in status.open.iter().filter(|(_, alarm)| *alarm) {
                self.view.recall_alarm(origin, head.checkpoint().head());
            }
        }
    }

    fn asked(&mut self, peer: usize, now: Moment) -> &mut PeerBudget {
        self.asked.entry(peer).or_insert_with(|| PeerBudget::new(now))
    }

    fn asker(&mut self, peer: usize, now: Moment) -> &mut PeerBudget {
        self.askers.entry(peer).or_insert_with(|| PeerBudget::new(now))
    }

    /// Whether it does what gossip asks for.
    fn gossips(&self) -> bool {
        matches!(self.role, Role::Honest | Role::Yes)
    }
}

impl World {
    pub(super) fn trees(&self, node: usize) -> Trees {
        if self.cheats(Cheat::Incurious) {
            return Trees::default();
        }
        let mirrors = self.nodes[node].disk.mirrors.iter();
        let mirrors = mirrors.map(|(log, tree)| (self.logs[*log].origin.clone(), tree.clone()));
        let own = self.logs.iter().filter(|log| log.plan.host == Some(node));
        let own = own.map(|log| (log.origin.clone(), log.tree()));
        Trees(mirrors.chain(own).collect())
    }

    /// Whether a node can show what the larger tree was.
    pub(super) fn holds(&self, node: usize, log: usize, old: &TreeHead, head: &TreeHead) -> bool {
        let origin = &self.logs[log].origin;
        self.trees(node).prove_prefix(origin, old.size, head).is_some()
    }

    /// Whether the log itself shows it.
    pub(super) fn log_shows(&self, log: usize, old: &TreeHead, head: &TreeHead) -> bool {
        let origin = self.logs[log].origin.clone();
        let question = Question { origin, smaller: *old, larger: *head };
        self.logs[log].beginning(&question).is_some()
    }

    pub(super) fn round(&mut self, node: usize) {
        self.poll(node);
        if !self.nodes[node].gossips() {
            return self.lie(node);
        }
        if self.cheats(Cheat::Slander) && self.now > self.plan.calm / 2 {
            self.slander(node);
        }
        if !self.cheats(Cheat::Patient) {
            let events = self.nodes[node].view.tick();
            self.note(node, events);
        }
        self.consult(node);
        if !self.cheats(Cheat::Incurious) {
            self.fetch(node);
        }
        self.sync(node);
        self.begin_round(node);
    }

    fn poll(&mut self, node: usize) {
        for log in 0..self.logs.len() {
            if self.random.one_in(2) && self.logs[log].plan.reads[node] {
                self.send(Place::Node(node), Place::Log(log), Parcel::Poll);
            }
        }
    }

    fn consult(&mut self, node: usize) {
        let mut trees = self.trees(node);
        let events = self.nodes[node].view.resolve_with(&mut trees);
        self.note(node, events);
    }

    /// Takes the questions to the logs and to those who keep their tiles.
    fn fetch(&mut self, node: usize) {
        let questions = self.nodes[node].view.questions();
        for question in questions {
            let log = self.by_origin[&question.origin];
            let plan = &self.logs[log].plan;
            let copies = plan.mirrors.iter().filter(|at| plan.copies[node] && **at != node);
            let places = copies.map(|at| Place::Node(*at));
            let own = plan.reads[node].then_some(Place::Log(log));
            for place in places.chain(own).collect::<Vec<_>>() {
                self.send(Place::Node(node), place, Parcel::Fetch(question.clone()));
            }
        }
    }

    fn begin_round(&mut self, node: usize) {
        let now = Moment(self.now);
        let others: Vec<usize> = (0..self.nodes.len()).filter(|peer| *peer != node).collect();
        let own = &mut self.nodes[node];
        let due = |peer: &usize| own.asked.get(peer).is_none_or(|known| known.is_due(now));
        let peers: Vec<usize> = others.into_iter().filter(due).collect();
        if peers.is_empty() {
            return self.observer.count("nobody-to-ask");
        }
        let peer = peers[usize::try_from(self.random.below(peers.len() as u64)).expect("few")];
        let salt = [self.random.word().to_be_bytes(), self.random.word().to_be_bytes()];
        let salt = RoundSalt(*salt.concat().first_chunk().expect("16 bytes"));
        let own = &mut self.nodes[node];
        own.rounds += 1;
        let (round, hello) = Round::begin(&own.view, salt);
        let leg = Leg { round: own.rounds, message: 0 };
        let bytes = wire::size(&hello) as u64;
        own.asking = Some(Asking { peer, leg, round, bytes });
        self.observer.report.rounds += 1;
        self.send(Place::Node(node), Place::Node(peer), Parcel::Gossip(leg, hello));
        self.plan_in(PATIENCE_MS, Happening::Timeout(node, leg));
    }

    pub(super) fn timeout(&mut self, node: usize, leg: Leg) {
        let now = Moment(self.now);
        let own = &mut self.nodes[node];
        if let Some(asking) = own.asking.take_if(|asking| asking.leg == leg) {
            own.asked(asking.peer, now).failed(now, INTERVAL);
            self.observer.report.bytes += asking.bytes;
            self.observer.count("timed-out");
        }
    }

    pub(super) fn node_hears(&mut self, node: usize, from: Place, parcel: Parcel) {
        match (parcel, from) {
            (Parcel::Gossip(leg, message), Place::Node(peer)) => {
                self.answer(node, peer, leg, message);
            }
            (Parcel::Reply(leg, message), Place::Node(peer)) => {
                self.hear_reply(node, peer, leg, message);
            }
            (Parcel::Cosign(side, request), Place::Log(log)) => {
                let size = request.checkpoint().checkpoint().head().size;
                let verdict = self.witness(node, log, &request);
                let parcel = Parcel::Verdict(side, size, verdict);
                self.send(Place::Node(node), Place::Log(log), parcel);
            }
            (Parcel::Polled(head, tree), Place::Log(log)) => {
                self.mirror(node, log, &head, tree);
                self.hear(node, &head);
            }
            (Parcel::Fetch(question), Place::Node(peer)) => {
                let Question { origin, smaller, larger } = &question;
                let shown = self.trees(node).prove_prefix(origin, smaller.size, larger);
                if let Some(beginning) = shown.filter(|_| self.nodes[node].gossips()) {
                    let parcel = Parcel::Fetched(question, beginning);
                    self.send(Place::Node(node), Place::Node(peer), parcel);
                }
            }
            (Parcel::Fetched(question, beginning), _) => {
                let events = self.nodes[node].view.resolve(&question, &beginning);
                self.note(node, events.unwrap_or_default());
            }
            _ => {}
        }
    }

    pub(super) fn hear(&mut self, node: usize, head: &ClaimedCheckpoint) {
        let events = self.nodes[node].view.observe(head, HeadSource::Fetched).unwrap_or_default();
        self.note(node, events);
    }

    /// Keeps the tiles of a head that grew out of those that are kept.
    fn mirror(
        &mut self,
        node: usize,
        log: usize,
        head: &ClaimedCheckpoint,
        tree: Option<Rc<Branch>>,
    ) {
        let Some(tree) = tree.filter(|_| self.logs[log].plan.mirrors.contains(&node)) else {
            return;
        };
        let kept = self.nodes[node].disk.mirrors.entry(log).or_default();
        if tree.head() == *head.checkpoint().head()
            && tree.size() > kept.size()
            && tree.agrees(kept)
        {
            *kept = tree;
        }
    }

    fn answer(&mut self, node: usize, peer: usize, leg: Leg, message: Message) {
        let now = Moment(self.now);
        if !self.nodes[node].gossips() {
            return self.lie_to(node, peer, leg, message);
        }
        let mut trees = self.trees(node);
        let own = &mut self.nodes[node];
        let reply = if message.try_spend(own.asker(peer, now), now).is_err() {
            self.observer.count("refused-to-listen");
            None
        } else {
            let wanted = own.wanted.entry(peer).or_default();
            let mut heard = own.view.answer(message, wanted, &mut trees);
            own.asker(peer, now).charge(heard.charge());
            if !heard.events.is_empty() && self.cheats(Cheat::Touchy) {
                heard.fault = Some(PeerFault::OutOfTurn);
            }
            self.note(node, heard.events);
            if heard.fault.is_some() {
                self.nodes[node].asker(peer, now).fault(now);
            }
            self.fault(node, peer, heard.fault);
            self.doubt(node, peer, heard.doubt);
            heard.reply
        };
        self.send(Place::Node(node), Place::Node(peer), Parcel::Reply(leg, reply));
    }

    fn hear_reply(&mut self, node: usize, peer: usize, leg: Leg, message: Option<Message>) {
        let now = Moment(self.now);
        let mut trees = self.trees(node);
        let own = &mut self.nodes[node];
        let awaited = own.asking.take_if(|asking| asking.leg == leg && asking.peer == peer);
        let Some(mut asking) = awaited else { return self.observer.count("came-too-late") };
        let Some(message) = message else {
            own.asked(peer, now).failed(now, INTERVAL);
            self.observer.report.bytes += asking.bytes;
            return self.observer.count("refused");
        };
        let is_idle = message == Message::Same;
        asking.bytes += wire::size(&message) as u64;
        if message.try_spend(own.asked(peer, now), now).is_err() {
            own.asked(peer, now).failed(now, INTERVAL);
            self.observer.report.bytes += asking.bytes;
            return self.observer.count("costly");
        }
        let heard = asking.round.take(&mut own.view, message, &mut trees);
        own.asked(peer, now).charge(heard.charge());
        if heard.reply.is_none() && heard.fault.is_none() {
            own.asked(peer, now).succeeded();
        }
        if let Some(reply) = heard.reply {
            asking.leg.message += 1;
            asking.bytes += wire::size(&reply) as u64;
            let leg = asking.leg;
            own.asking = Some(asking);
            self.note(node, heard.events);
            self.send(Place::Node(node), Place::Node(peer), Parcel::Gossip(leg, reply));
            self.plan_in(PATIENCE_MS, Happening::Timeout(node, leg));
        } else {
            let report = &mut self.observer.report;
            report.bytes += asking.bytes;
            if is_idle {
                report.idle_bytes = report.idle_bytes.max(asking.bytes);
            }
            self.observer.count(if is_idle { "round-idle" } else { "round-busy" });
            self.note(node, heard.events);
        }
        if heard.fault.is_some() {
            self.nodes[node].asked(peer, now).fault(now);
        }
        self.fault(node, peer, heard.fault);
        self.doubt(node, peer, heard.doubt);
    }

    /// All nodes know the same keys here: nobody honest passes on a line that does not verify.
    fn doubt(&mut self, node: usize, peer: usize, doubt: Option<FalseSignature>) {
        let Some(doubt) = doubt else { return };
        self.observer.count("doubt");
        if self.nodes[peer].gossips() {
            let what = format!("node {node} says of node {peer}: {doubt}");
            self.observer.broken(self.now, "honest-nodes-are-not-accused", what);
        }
    }

    fn fault(&mut self, node: usize, peer: usize, fault: Option<PeerFault>) {
        let Some(fault) = fault else { return };
        self.observer.count(match fault {
            PeerFault::FalseEvidence(_) | PeerFault::Unasked => "false-evidence",
            _ => "fault",
        });
        if self.nodes[peer].gossips() {
            let what = format!("node {node} says of node {peer}: {fault}");
            self.observer.broken(self.now, "honest-nodes-are-not-accused", what);
        }
    }

    /// Keeps what followed from something, evidence before anybody is answered.
    pub(super) fn note(&mut self, node: usize, events: Vec<Event>) {
        let (mut convicted, mut fresh) = (false, BTreeSet::new());
        for event in events {
            let origin = match &event {
                Event::Adopted(head) | Event::Opened(head) => head.checkpoint().origin().clone(),
                Event::Settled(origin) | Event::CosignaturesAdded(origin) => origin.clone(),
                Event::Unreconciled(question) => question.origin.clone(),
                Event::Convicted(evidence) => {
                    self.convicted(node, evidence);
                    convicted = true;
                    continue;
                }
                _ => continue,
            };
            let is_honest = self.nodes[node].role == Role::Honest;
            if let (Event::Adopted(head) | Event::Opened(head), true) = (&event, is_honest) {
                let log = self.by_origin[&origin];
                self.observer.reached(self.now, log, head.checkpoint().head());
                fresh.insert(log);
            }
            if matches!(event, Event::Unreconciled(_)) {
                self.observer.count("alarm");
            }
            let own = &mut self.nodes[node];
            let status = own.view.log(&origin);
            let is_kept = |status: &LogStatus| {
                // further cosignatures are heard again, unless the log has fallen
                !matches!(event, Event::CosignaturesAdded(_)) || !status.convicting.is_empty()
            };
            if let Some(status) = status.filter(is_kept) {
                own.disk.logs.insert(origin, Rc::new(status));
            }
        }
        if convicted {
            self.sync(node);
        }
        fresh.into_iter().for_each(|log| self.look_again(log));
    }

    fn convicted(&mut self, node: usize, evidence: &ClaimedEvidence) {
        let of_log = evidence.kind() != "cosigner";
        let log = self.by_origin.get(&origin_of(evidence)).copied().filter(|_| of_log);
        self.nodes[node].disk.evidence.push(Rc::new(evidence.clone()));
        if self.nodes[node].role == Role::Honest {
            self.observer.evidence(self.now, node, log, evidence);
        }
    }

    fn sync(&mut self, node: usize) {
        let forgets = self.cheats(Cheat::WitnessForgets);
        let own = &mut self.nodes[node];
        let cosigned = std::mem::take(&mut own.synced.cosigned);
        own.synced = own.disk.clone();
        if forgets {
            own.synced.cosigned = cosigned;
        }
    }

    fn witness(&mut self, node: usize, log: usize, request: &AddCheckpoint) -> Verdict {
        let role = self.nodes[node].role;
        let keys = LogKeys::new([self.logs[log].key().clone()]);
        let Ok(request) = request.authenticate(Some(&keys)) else { return Verdict::Refused };
        let checkpoint = request.checkpoint().claimed().clone();
        if self.nodes[node].gossips() {
            self.hear(node, &checkpoint);
        }
        match role {
            Role::Yes => {
                self.observer.count("yes");
                let line = cosignature::cosign(
                    &self.nodes[node].key,
                    checkpoint.checkpoint(),
                    self.now / 1_000,
                );
                Verdict::Cosigned(line)
            }
            Role::Honest => self.cosign(node, log, &request),
            _ => Verdict::Refused,
        }
    }

    fn cosign(&mut self, node: usize, log: usize, request: &Authenticated) -> Verdict {
        let origin = &self.logs[log].origin;
        let standing = self.nodes[node].view.standing(origin);
        if standing != LogStanding::Good && !self.cheats(Cheat::Trustful) {
            self.observer.count("not-cosigned");
            return Verdict::Refused;
        }
        let latest = self.nodes[node].disk.cosigned.get(&log).copied();
        let verified = match request.step(latest.as_ref()) {
            Ok(verified) => verified,
            Err(Refusal::Conflict { size }) => return Verdict::At(size),
            Err(_) => {
                self.observer.count("contradicted");
                return Verdict::Refused;
            }
        };
        let head = *verified.head();
        self.grew(node, log, latest, request);
        self.nodes[node].disk.cosigned.insert(log, head);
        // kept before it is answered: the one rule of a witness
        self.sync(node);
        self.observer.cosigned(self.now, node, log, &head);
        let own = &self.nodes[node];
        let checkpoint = verified.claimed().checkpoint();
        Verdict::Cosigned(cosignature::cosign(&own.key, checkpoint, self.now / 1_000))
    }

    /// The proof for the witness settles what the view asks.
    fn grew(&mut self, node: usize, log: usize, old: Option<TreeHead>, request: &Authenticated) {
        let Some(smaller) = old else { return };
        let larger = *request.checkpoint().head();
        if smaller.size == larger.size {
            return;
        }
        let proof = request.request().proof().clone();
        let origin = self.logs[log].origin.clone();
        let beginning = PrefixProof { root: smaller.root, proof };
        let question = Question { origin, smaller, larger };
        let events = self.nodes[node].view.resolve(&question, &beginning);
        self.note(node, events.unwrap_or_default());
    }
}

fn origin_of(evidence: &ClaimedEvidence) -> Origin {
    Origin::new(evidence.origin()).expect("heads have names")
}
