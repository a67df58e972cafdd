//! Whoever runs a log: the honest, and the cheats.

use std::collections::BTreeMap;
use std::rc::Rc;

use ledger_core::Hash;
use ledger_core::TreeSize;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature;
use ledger_core::gossip::Question;
use ledger_core::merkle::{PrefixProof, TreeHead};
use ledger_core::note::{Signature, SignerKey, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::witness::AddCheckpoint;

use super::branch::Branch;
use super::net::Verdict;
use super::plan::{Cheat, Fraud, LogPlan, Tiles};
use crate::random::Random;

/// One of the trees that a log shows, and what it says of it.
#[derive(Debug, Clone, Default)]
struct Side {
    branch: Rc<Branch>,
    /// Signed, and on its way to the witnesses.
    pending: Option<(ClaimedCheckpoint, Rc<Branch>)>,
    lines: BTreeMap<usize, Signature>,
    published: Option<(ClaimedCheckpoint, Rc<Branch>)>,
}

/// A log.
#[derive(Debug)]
pub struct Operator {
    /// How it behaves.
    pub plan: LogPlan,
    /// Its name.
    pub origin: Origin,
    key: SignerKey,
    policy: Policy,
    witness_keys: BTreeMap<usize, VerifierKey>,
    /// The first tree, and the second of a cheat that has begun to cheat.
    sides: Vec<Side>,
    /// What it has synced, with the head that is published.
    synced: (Rc<Branch>, Option<(ClaimedCheckpoint, Rc<Branch>)>),
    /// What a frozen audience is shown.
    frozen: Option<(ClaimedCheckpoint, Rc<Branch>)>,
    /// The sizes that the witnesses are believed to be at.
    at: BTreeMap<usize, TreeSize>,
    /// Publishing stops in the calm, for cheats.
    cheat: Option<Cheat>,
    random: Random,
}

/// A request to one witness.
pub struct Asked {
    /// The witness.
    pub witness: usize,
    /// Which of the trees.
    pub side: usize,
    /// The request.
    pub request: AddCheckpoint,
}

impl Operator {
    /// Starts an empty log.
    ///
    /// # Panics
    /// Never: a key's name is a name for a log.
    pub fn new(
        plan: LogPlan,
        key: SignerKey,
        witness_keys: BTreeMap<usize, VerifierKey>,
        random: Random,
    ) -> Operator {
        let mut lines: Vec<String> = vec![format!("log {}", key.verifier())];
        let names: Vec<String> = witness_keys.keys().map(|at| format!("w{at}")).collect();
        let witnesses = names.iter().zip(witness_keys.values());
        lines.extend(witnesses.map(|(name, key)| format!("witness {name} {key}")));
        lines.push(format!("group all {} {}", plan.needed, names.join(" ")));
        lines.push("quorum all\n".to_owned());
        let policy = Policy::parse(lines.join("\n").as_bytes()).expect("a policy");
        Operator {
            origin: Origin::new(key.verifier().name().as_str()).expect("a name"),
            plan,
            key,
            policy,
            witness_keys,
            sides: vec![Side::default()],
            synced: (Rc::default(), None),
            frozen: None,
            at: BTreeMap::new(),
            cheat: None,
            random,
        }
    }

    /// Its key, as others know it.
    pub fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The honest ones behave like this from now on.
    pub fn cheat(&mut self, cheat: Option<Cheat>) {
        self.cheat = cheat.filter(|_| self.is_honest());
    }

    /// Whether nothing speaks against it but what it cannot help.
    pub fn is_honest(&self) -> bool {
        self.plan.fraud == Fraud::None
    }

    /// The tree that a node is shown.
    pub fn side_of(&self, node: usize, now: u64) -> usize {
        let second = match self.plan.fraud {
            _ if self.sides.len() == 1 => false,
            Fraud::None | Fraud::Freeze | Fraud::BadEmpty => false,
            Fraud::SameSize | Fraud::OtherSize => self.plan.second[node],
            Fraud::Rejoin => self.plan.second[node] && now < self.plan.rejoin,
            Fraud::RollBack | Fraud::Rewrite => true,
        };
        usize::from(second)
    }

    /// Signs what is new and asks the witnesses. Gives the trees whose heads were signed.
    pub fn publish(&mut self, now: u64, quiet: bool) -> (Vec<Rc<Branch>>, Vec<Asked>) {
        if now >= self.plan.turn && !quiet {
            self.turn();
        }
        let mut signed = Vec::new();
        if self.is_honest() && self.cheat != Some(Cheat::LogForgets) {
            self.sync();
        }
        for side in 0..self.sides.len() {
            let is_left = matches!(self.plan.fraud, Fraud::RollBack | Fraud::Rewrite)
                && side + 1 < self.sides.len();
            let waits = self.is_honest() && self.sides[side].pending.is_some();
            if quiet && !self.is_honest() || is_left || waits {
                continue;
            }
            signed.extend(self.sign(side));
        }
        (signed, self.ask(now))
    }

    fn sign(&mut self, side: usize) -> Option<Rc<Branch>> {
        let count = match self.plan.fraud {
            Fraud::SameSize => 1,
            _ => 1 + self.random.below(3),
        };
        let own = &mut self.sides[side];
        let mut branch = Branch::clone(&own.branch);
        (0..count).for_each(|_| branch.push(leaf(&mut self.random)));
        own.branch = Rc::new(branch);
        if self.is_honest() && self.cheat != Some(Cheat::LogForgets) {
            self.sync();
        }
        let own = &mut self.sides[side];
        let head = own.branch.checkpoint(&self.origin).sign(&self.key);
        own.lines.clear();
        own.pending = Some((head.clone(), own.branch.clone()));
        if self.plan.fraud != Fraud::None {
            own.published = own.pending.clone();
        }
        Some(self.sides[side].branch.clone())
    }

    /// Begins to cheat, where there is something to cheat about.
    fn turn(&mut self) {
        let first = &self.sides[0];
        let (size, is_new) = (first.branch.size(), self.sides.len() == 1);
        if size < 2 || !is_new {
            return;
        }
        let old = match self.plan.fraud {
            Fraud::None => return,
            Fraud::Freeze => {
                self.frozen = self.frozen.take().or_else(|| first.published.clone());
                return;
            }
            Fraud::BadEmpty => {
                let root = leaf(&mut self.random);
                let bad =
                    Checkpoint::new(self.origin.clone(), TreeHead { root, ..TreeHead::EMPTY });
                let bad = (bad.sign(&self.key), Rc::default());
                self.frozen.get_or_insert(bad);
                return;
            }
            Fraud::SameSize | Fraud::OtherSize | Fraud::Rejoin => Branch::clone(&first.branch),
            Fraud::RollBack => first.branch.first(size / 2),
            Fraud::Rewrite => {
                let at = usize::try_from(size / 2).expect("a small tree");
                first.branch.rewritten(at, leaf(&mut self.random))
            }
        };
        self.sides.push(Side { branch: Rc::new(old), ..Side::default() });
    }

    /// Asks all witnesses that have not cosigned yet what is pending.
    fn ask(&self, now: u64) -> Vec<Asked> {
        let witnesses = self.plan.witnesses.iter().copied();
        let lonely = self.cheat == Some(Cheat::Lonely);
        let witnesses = witnesses.take(if lonely { 1 } else { usize::MAX });
        let sides = 0..self.sides.len();
        let all = witnesses.flat_map(|witness| sides.clone().map(move |side| (witness, side)));
        let of_its = |(witness, side): &(usize, usize)| {
            *side == self.side_of(*witness, now) || self.plan.friends.contains(witness)
        };
        all.filter(of_its).filter_map(|(witness, side)| self.ask_one(witness, side)).collect()
    }

    fn ask_one(&self, witness: usize, side: usize) -> Option<Asked> {
        let (head, branch) = self.sides[side].pending.as_ref()?;
        if self.sides[side].lines.contains_key(&witness) {
            return None;
        }
        let old = self.at.get(&witness).copied().unwrap_or_default();
        // a cheat asks from where it may hope to be believed
        let old = if old.get() > branch.size() { TreeSize::ZERO } else { old };
        let request = AddCheckpoint::new(old, branch.growth(old)?, head.clone());
        Some(Asked { witness, side, request })
    }

    /// Takes a witness's verdict about a head; may ask it again.
    pub fn take(
        &mut self,
        witness: usize,
        (side, size): (usize, TreeSize),
        verdict: Verdict,
    ) -> Option<Asked> {
        match verdict {
            Verdict::Refused => None,
            Verdict::At(size) => {
                let known = self.at.insert(witness, size);
                (known != Some(size)).then(|| self.ask_one(witness, side)).flatten()
            }
            Verdict::Cosigned(line) => {
                self.at.insert(witness, size);
                self.cosigned(witness, side, line);
                None
            }
        }
    }

    fn cosigned(&mut self, witness: usize, side: usize, line: Signature) {
        let Some(own) = self.sides.get_mut(side) else { return };
        let (Some((head, branch)), Some(key)) =
            (own.pending.as_ref(), self.witness_keys.get(&witness))
        else {
            return;
        };
        // a line for a head that is not pending any more does not verify
        if !line.is_by(key) || cosignature::verify_line(head.note(), key, &line).is_none() {
            return;
        }
        own.lines.insert(witness, line);
        let is_honest = self.plan.fraud == Fraud::None;
        if is_honest && own.lines.len() < self.plan.needed {
            return;
        }
        let whole = head.with_signatures(own.lines.values().cloned()).expect("few lines");
        let published = Some((whole.clone(), branch.clone()));
        if !is_honest {
            own.published = published;
        } else if self.policy.verify(&whole).is_ok() {
            own.published = published;
            own.pending = None;
        }
    }

    /// What a node is shown as published, with the tree where the log shows it.
    pub fn polled(&self, node: usize, now: u64) -> Option<(ClaimedCheckpoint, Option<Rc<Branch>>)> {
        let side = self.side_of(node, now);
        let frozen = self.frozen.as_ref().filter(|_| self.plan.second[node]);
        let (head, branch) = frozen.or(self.sides[side].published.as_ref())?;
        Some((head.clone(), self.shows(side).then(|| branch.clone())))
    }

    /// Whether it shows the tiles of a tree.
    fn shows(&self, side: usize) -> bool {
        let is_left = matches!(self.plan.fraud, Fraud::RollBack | Fraud::Rewrite)
            && side + 1 < self.sides.len();
        match self.plan.tiles {
            Tiles::All => !is_left,
            Tiles::First => side == 0 && !is_left,
            Tiles::None => false,
        }
    }

    /// What it shows about a question.
    pub fn beginning(&self, question: &Question) -> Option<PrefixProof> {
        let shown = (0..self.sides.len()).filter(|side| self.shows(*side));
        let branches = shown.map(|side| &self.sides[side].branch);
        let Question { smaller, larger, .. } = question;
        branches.into_iter().find_map(|branch| branch.beginning(smaller.size, larger))
    }

    /// The tree that its node holds itself.
    pub fn tree(&self) -> Rc<Branch> {
        self.sides[0].branch.clone()
    }

    /// The size that is published.
    pub fn published_size(&self) -> u64 {
        self.sides[0].published.as_ref().map_or(0, |(_, branch)| branch.size())
    }

    /// Whether it cheats already.
    pub fn has_turned(&self) -> bool {
        self.sides.len() > 1 || self.frozen.is_some()
    }

    fn sync(&mut self) {
        self.synced = (self.sides[0].branch.clone(), self.sides[0].published.clone());
    }

    /// Its node falls. Says whether something was lost.
    pub fn fall(&mut self, loses: bool) -> bool {
        self.at.clear();
        let own = &mut self.sides[0];
        own.pending = None;
        own.lines.clear();
        if !loses {
            return false;
        }
        let lost = own.branch.size() != self.synced.0.size();
        own.branch = self.synced.0.clone();
        own.published = self.synced.1.clone();
        lost
    }
}

fn leaf(random: &mut Random) -> Hash {
    Hash::leaf(&random.word().to_be_bytes())
}
