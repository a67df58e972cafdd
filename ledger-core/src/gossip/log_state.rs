//! What a view holds of one log.

use std::collections::VecDeque;

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{Conflict, Heads};
use crate::merkle::{PrefixProof, TreeHead, VerifyError};
use crate::note::VerifierKey;
use crate::witness::LogKeys;

use super::convicting_heads::ConvictingHeads;
use super::pairs::HeldPairs;
use super::verified_head::VerifiedHead;
use super::vocabulary::{HeadSource, Question, Reachability};
use super::{MAX_KEPT_PROOFS, MAX_NEIGHBOURS, MAX_OPEN, MAX_PATH, PATIENCE_ROUNDS};

/// A head whose place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// Whose places it takes.
    from: HeadSource,
    last: Aged,
    /// Heads that are proven to lie on its history: a log that signs on and on is as old as the
    /// first.
    path: VecDeque<Aged>,
}

/// A head, and for how many rounds it has been open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Aged {
    seen: VerifiedHead,
    age: u32,
}

/// Heads were turned away because others were open. It ends when none is open any more, and with a
/// round in which all that came had room, or all that were open before it were settled: what was
/// turned away is told again.
#[derive(Debug, Clone, Copy)]
struct Overflow {
    /// Rounds that it has lasted.
    age: u32,
    /// Whether a head was turned away since the last round.
    again: bool,
}

/// One log.
#[derive(Debug)]
pub(super) struct LogState {
    pub(super) keys: LogKeys,
    /// Keys whose heads are held, and contradict others, but are not adopted any more.
    pub(super) retired: Vec<VerifierKey>,
    pub(super) reach: Reachability,
    adopted: Option<VerifiedHead>,
    open: Vec<Open>,
    path: VecDeque<VerifiedHead>,
    proofs: VecDeque<(Question, PrefixProof)>,
    /// Since more heads were open than are kept.
    overflow: Option<Overflow>,
    /// What stays when a key falls.
    pub(super) convicting: ConvictingHeads,
    /// Contradictions by two keys that are not known to be in force.
    pub(super) pairs: HeldPairs,
}

/// What a head or a proof changed. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StateChange {
    /// Nothing that others should hear of.
    Nothing,
    /// A head that was held has more cosigners.
    CosignaturesAdded,
    /// The head is adopted now.
    Adopted,
    /// The head is open now.
    Opened,
    /// An open head lies on the history of the adopted one.
    Settled,
    /// Heads that contradict each other.
    Conflict(Box<Conflict>),
}

impl LogState {
    pub(super) fn new(keys: LogKeys, reach: Reachability) -> LogState {
        LogState {
            keys,
            retired: Vec::new(),
            reach,
            adopted: None,
            open: Vec::new(),
            path: VecDeque::new(),
            proofs: VecDeque::new(),
            overflow: None,
            convicting: ConvictingHeads::default(),
            pairs: HeldPairs::default(),
        }
    }

    pub(super) fn adopted(&self) -> Option<&VerifiedHead> {
        self.adopted.as_ref()
    }

    /// What is passed on.
    pub(super) fn shared_heads(&self) -> impl Iterator<Item = &VerifiedHead> {
        self.heads().chain(self.convicting.heads())
    }

    /// The adopted head and the open ones.
    fn heads(&self) -> impl Iterator<Item = &VerifiedHead> {
        self.adopted.iter().chain(self.open.iter().map(|open| &open.last.seen))
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&ClaimedCheckpoint, bool)> {
        let overflowed = self.has_overflowed();
        self.open
            .iter()
            .map(move |open| (open.last.seen.checkpoint(), overflowed || open.is_alarming()))
    }

    /// Whether exactly this was heard before: a head goes round many times.
    pub(super) fn has_observed(&self, observed: &ClaimedCheckpoint) -> bool {
        self.all().any(|held| held.covers(observed))
    }

    /// Takes a head whose signatures were checked.
    pub(super) fn observe(&mut self, observed: VerifiedHead, from: HeadSource) -> StateChange {
        if let Some(conflict) = Conflict::of_head(observed.checkpoint()) {
            return StateChange::Conflict(Box::new(conflict));
        }
        if let Some(held) = self.held_mut(observed.head()) {
            // lines of another text over the same head, with other extensions, say nothing of this
            // one
            let is_richer = held.is_same(&observed) && held.merge(&observed);
            return if is_richer { StateChange::CosignaturesAdded } else { StateChange::Nothing };
        }
        let rival = self.all().find(|held| held.head().size == observed.head().size);
        if let Some(rival) = rival {
            let heads = Heads { one: rival.checkpoint(), other: observed.checkpoint() };
            if let Some(conflict) = Conflict::of_heads(heads) {
                return StateChange::Conflict(Box::new(conflict));
            }
        }
        // a retired key speaks for nobody: whoever has it must not raise alarms about the log
        if !observed.counts(self.keys.trusted()) {
            return StateChange::Nothing;
        }
        // the empty tree is the beginning of every tree
        let Some(adopted) = self.adopted.as_ref().filter(|own| !own.head().size.is_empty()) else {
            self.adopted = Some(observed);
            return StateChange::Adopted;
        };
        if observed.head().size.is_empty() {
            return StateChange::Nothing;
        }
        debug_assert_ne!(
            adopted.head().size,
            observed.head().size,
            "equal sizes are settled above"
        );
        if self.was_shown(observed.head()) {
            return StateChange::Nothing;
        }
        if self.open.iter().filter(|open| open.from == from).count() >= MAX_OPEN {
            // old heads of an honest log may be shown in heaps: it has as long to settle them as
            // others
            self.overflow.get_or_insert(Overflow { age: 0, again: true }).again = true;
            return StateChange::Nothing;
        }
        let last = Aged { seen: observed, age: 0 };
        self.open.push(Open { from, last, path: VecDeque::new() });
        StateChange::Opened
    }

    /// Whether a head that is held no more, for it is old, was shown to lie on the adopted history.
    fn was_shown(&self, head: &TreeHead) -> bool {
        let mut shown = self.proofs.iter().filter(|(known, _)| known.smaller == *head);
        shown.any(|(known, _)| {
            let mut own = self.adopted.iter().chain(&self.path);
            own.any(|held| *held.head() == known.larger)
        })
    }

    /// Takes what somebody showed about two heads that are held.
    ///
    /// `Err` when the proof does not lead to the larger head.
    pub(super) fn resolve(
        &mut self,
        question: &Question,
        prefix: &PrefixProof,
    ) -> Result<StateChange, VerifyError> {
        if question.smaller.size >= question.larger.size {
            return Err(VerifyError::SizesReversed);
        }
        let find = |head: &TreeHead| self.all().find(|held| held.head() == head);
        let (Some(smaller), Some(larger)) = (find(&question.smaller), find(&question.larger))
        else {
            return Ok(StateChange::Nothing);
        };
        let heads = Heads { one: smaller.checkpoint(), other: larger.checkpoint() };
        if let Some(conflict) = Conflict::of_prefix_proof(heads, prefix)? {
            return Ok(StateChange::Conflict(Box::new(conflict)));
        }
        Ok(self.settle(question, prefix))
    }

    /// Two held heads belong together.
    fn settle(&mut self, question: &Question, prefix: &PrefixProof) -> StateChange {
        let is_new = self.remembered(question).is_none();
        let change = self.join(question);
        if is_new {
            push_bounded(&mut self.proofs, (question.clone(), prefix.clone()), MAX_KEPT_PROOFS);
        }
        change
    }

    /// Adopts a head that was verified to have grown out of one that lies on the history of the
    /// adopted head, if it is larger than that. It need not be open: there may have been no room,
    /// and then it is read, by the keys whose signatures say anything here.
    pub(super) fn observe_growth(
        &mut self,
        before: &TreeHead,
        head: TreeHead,
        read: impl FnOnce(&[VerifierKey]) -> Option<VerifiedHead>,
    ) -> StateChange {
        let Some(adopted) = &self.adopted else {
            return StateChange::Nothing;
        };
        if adopted.head() != before || before.size >= head.size {
            return StateChange::Nothing;
        }
        let contradicts =
            |held: &VerifiedHead| held.head().size == head.size && *held.head() != head;
        if self.all().any(contradicts) {
            return StateChange::Nothing;
        }
        let origin = adopted.checkpoint().checkpoint().origin().clone();
        let is_open = self.open.iter().any(|open| open.has(&head));
        if !is_open
            && let Some(seen) = read(&self.signers())
            && seen.counts(self.keys.trusted())
        {
            let last = Aged { seen, age: 0 };
            self.open.push(Open { from: HeadSource::OwnWitness, last, path: VecDeque::new() });
        }
        self.join(&Question { origin, smaller: *before, larger: head })
    }

    /// Makes one history of the two that a verified question speaks of.
    fn join(&mut self, question: &Question) -> StateChange {
        let Question { smaller, larger, .. } = question;
        let adopted = self.adopted.as_ref().map(|own| *own.head());
        let of_adopted = |head: &TreeHead| self.path.iter().any(|held| held.head() == head);
        let into_adopted = adopted == Some(*larger) || of_adopted(larger);
        let grown = self.open.iter().position(|open| open.has(larger));
        let shrunk = self.open.iter().position(|open| open.last.seen.head() == smaller);
        let change = match (shrunk, grown) {
            (Some(at), None) if into_adopted => {
                let settled = self.open.remove(at);
                merge(&mut self.path, settled.into_heads());
                StateChange::Settled
            }
            (None, None) if into_adopted => self.settle_older(smaller),
            (None, Some(at)) if adopted == Some(*smaller) => {
                let Open { last, path, .. } = self.open.remove(at);
                let before = self.adopted.replace(last.seen);
                merge(&mut self.path, path.into_iter().map(|own| own.seen).chain(before));
                StateChange::Adopted
            }
            (Some(at), Some(of)) if at != of => {
                let Open { last, path, .. } = self.open[at].clone();
                self.open[of].absorb(path.into_iter().chain([last]));
                self.open.remove(at);
                StateChange::Settled
            }
            _ => StateChange::Nothing,
        };
        self.overflow = self.overflow.filter(|_| !self.open.is_empty());
        change
    }

    /// A head on the history of an open one lies on the adopted history too, and with it all that
    /// are smaller: they have been settled, however old they are.
    fn settle_older(&mut self, head: &TreeHead) -> StateChange {
        let lies = |open: &&mut Open| open.path.iter().any(|own| own.seen.head() == head);
        let Some(open) = self.open.iter_mut().find(lies) else { return StateChange::Nothing };
        let rest = open.path.partition_point(|own| own.seen.head().size <= head.size);
        let settled: Vec<VerifiedHead> = open.path.drain(..rest).map(|own| own.seen).collect();
        merge(&mut self.path, settled.into_iter());
        StateChange::Settled
    }

    /// A round has passed. Says whether the alarm is raised by it.
    pub(super) fn tick(&mut self) -> bool {
        let before = self.alarm();
        let stays = self.open.iter().any(|open| open.age() > 0);
        for own in self.open.iter_mut().flat_map(Open::all_mut) {
            own.age = own.age.saturating_add(1);
        }
        self.pairs.tick();
        let lasts = |own: &Overflow| own.again && (stays || own.age == 0) || own.is_alarming();
        let lasts = self.overflow.filter(lasts);
        self.overflow = lasts.map(|own| Overflow { age: own.age.saturating_add(1), again: false });
        !before && self.alarm()
    }

    /// Whether heads have been open for too long.
    pub(super) fn alarm(&self) -> bool {
        let stays = self.has_overflowed()
            || self.open.iter().any(Open::is_alarming)
            || self.pairs.is_alarming();
        stays && self.reach == Reachability::Somewhere
    }

    fn has_overflowed(&self) -> bool {
        self.overflow.is_some_and(|overflow| overflow.is_alarming())
    }

    /// Of what has to be shown, that about the head which has been open longest.
    pub(super) fn oldest(&self, origin: &Origin) -> Option<Question> {
        let oldest = self.open.iter().min_by_key(|open| std::cmp::Reverse(open.age()));
        let adopted = self.adopted.as_ref().map(|own| *own.head());
        let (smaller, larger) = match (oldest, adopted) {
            (Some(oldest), Some(adopted)) => in_order(adopted, *oldest.head()),
            _ => self.pairs.oldest()?,
        };
        Some(Question { origin: origin.clone(), smaller, larger })
    }

    /// An open head raised the alarm before the node was restarted.
    pub(super) fn recall_alarm(&mut self, head: &TreeHead) {
        for open in self.open.iter_mut().filter(|open| open.head() == head) {
            open.last.age = PATIENCE_ROUNDS;
        }
    }

    /// What has to be shown, the oldest first: whether an open head and the adopted one belong
    /// together. Where that is not shown within a round, anything that shows whose history an open
    /// head lies on, or that it lies on none.
    pub(super) fn questions(&self, origin: &Origin) -> Vec<Question> {
        let adopted = self.adopted.as_ref().filter(|_| !self.open.is_empty());
        let Some(adopted) = adopted else { return Vec::new() };
        let mut open: Vec<&Open> = self.open.iter().collect();
        open.sort_by_key(|open| std::cmp::Reverse(open.age()));
        let ask = |(smaller, larger): (TreeHead, TreeHead)| {
            let origin = origin.clone();
            Question { origin, smaller, larger }
        };
        let own: Vec<TreeHead> = self.path.iter().chain([adopted]).map(|own| *own.head()).collect();
        // what is shown about these always settles them, also where it was shown before
        let first = open.iter().map(|open| in_order(*adopted.head(), *open.head()));
        let mut asked: Vec<Question> = first.map(ask).collect();
        let mut more: Vec<Question> = Vec::new();
        let stays: Vec<&Open> = open.into_iter().filter(|open| open.age() > 0).collect();
        for (at, one) in stays.iter().enumerate() {
            let others = stays[..at].iter();
            more.extend(others.map(|other| ask(in_order(*one.head(), *other.head()))));
        }
        let lines: Vec<Vec<TreeHead>> = stays.iter().map(|open| open.line()).collect();
        for (at, one) in lines.iter().enumerate() {
            let others = lines[..at].iter().chain([&own]);
            more.extend(others.flat_map(|other| neighbours(one, other)).map(ask));
        }
        // two heads may have been shown to belong together without saying whose history it is
        more.retain(|asked| self.proofs.iter().all(|(known, _)| known != asked));
        for more in more {
            if !asked.contains(&more) {
                asked.push(more);
            }
        }
        asked
    }

    /// What was shown here about a question before.
    pub(super) fn remembered(&self, question: &Question) -> Option<&PrefixProof> {
        let about = |known: &&(Question, PrefixProof)| {
            known.0.larger == question.larger && known.0.smaller.size == question.smaller.size
        };
        self.proofs.iter().find(about).map(|(_, prefix)| prefix)
    }

    /// Keeps the heads by which these keys of the log are convicted.
    pub(super) fn keep_convicting(&mut self, conflict: &Conflict, culprits: &[VerifierKey]) {
        let adopted = self.adopted.iter().chain(&self.path);
        let open = self.open.iter().flat_map(Open::all);
        self.convicting.keep(conflict, culprits, adopted.chain(open));
    }

    /// The keys whose signatures say anything here.
    pub(super) fn signers(&self) -> Vec<VerifierKey> {
        self.keys.trusted().iter().chain(&self.retired).cloned().collect()
    }

    /// Knows other keys from now on. Heads that none of them signed are forgotten, and open ones
    /// that no trusted key did.
    pub(super) fn set_keys(&mut self, keys: LogKeys, retired: Vec<VerifierKey>) {
        if self.keys != keys || self.retired != retired {
            // what was shown of heads that are forgotten now may have to be shown again
            self.proofs.clear();
        }
        (self.keys, self.retired) = (keys, retired);
        let (trusted, known) = (self.keys.trusted().to_vec(), self.signers());
        let held = self.adopted.take().into_iter().chain(self.path.drain(..));
        let open = std::mem::take(&mut self.open);
        let mut settled: Vec<VerifiedHead> = held.filter(|seen| seen.counts(&known)).collect();
        settled.sort_by_key(|seen| std::cmp::Reverse(seen.head().size));
        let mut settled = settled.into_iter();
        // what lay on one history still does, whoever signed the rest of it
        self.adopted = settled.next();
        self.path = settled.rev().collect();
        self.open = open.into_iter().filter_map(|open| open.counting(&trusted)).collect();
        if self.adopted.is_none() && !self.open.is_empty() {
            let Open { last, path, .. } = self.open.remove(0);
            self.adopted = Some(last.seen);
            self.path = path.into_iter().map(|own| own.seen).collect();
        }
        self.overflow = self.overflow.filter(|_| !self.open.is_empty());
    }

    fn all(&self) -> impl Iterator<Item = &VerifiedHead> {
        self.adopted.iter().chain(&self.path).chain(self.open.iter().flat_map(Open::all))
    }

    fn held_mut(&mut self, head: &TreeHead) -> Option<&mut VerifiedHead> {
        let open = self.open.iter_mut().flat_map(Open::all_mut).map(|own| &mut own.seen);
        let mut all = self.adopted.iter_mut().chain(open).chain(&mut self.path);
        all.find(|held| held.head() == head)
    }
}

impl Overflow {
    fn is_alarming(self) -> bool {
        self.age >= PATIENCE_ROUNDS
    }
}

impl Open {
    fn head(&self) -> &TreeHead {
        self.last.seen.head()
    }

    fn age(&self) -> u32 {
        self.path.iter().fold(self.last.age, |age, own| age.max(own.age))
    }

    fn is_alarming(&self) -> bool {
        self.age() >= PATIENCE_ROUNDS
    }

    fn has(&self, head: &TreeHead) -> bool {
        self.all().any(|held| held.head() == head)
    }

    fn all(&self) -> impl Iterator<Item = &VerifiedHead> {
        self.path.iter().chain([&self.last]).map(|own| &own.seen)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Aged> {
        self.path.iter_mut().chain([&mut self.last])
    }

    fn into_heads(self) -> impl Iterator<Item = VerifiedHead> {
        self.path.into_iter().chain([self.last]).map(|own| own.seen)
    }

    /// Its history, the smallest first.
    fn line(&self) -> Vec<TreeHead> {
        self.all().map(|seen| *seen.head()).collect()
    }

    /// Takes another's history into its own. Where there is no room for all, the age of those that
    /// go passes to the smallest that stays.
    fn absorb(&mut self, more: impl Iterator<Item = Aged>) {
        self.path.extend(more);
        self.path.make_contiguous().sort_by_key(|own| own.seen.head().size);
        let gone = self.path.drain(..self.path.len().saturating_sub(MAX_PATH));
        let age = gone.map(|own| own.age).max().unwrap_or(0);
        if let Some(first) = self.path.front_mut() {
            first.age = first.age.max(age);
        }
    }

    /// What is left of it where only these keys count.
    fn counting(self, trusted: &[VerifierKey]) -> Option<Open> {
        let (from, age) = (self.from, self.age());
        let all = self.path.into_iter().chain([self.last]);
        let mut left: VecDeque<Aged> = all.filter(|own| own.seen.counts(trusted)).collect();
        let mut last = left.pop_back()?;
        last.age = last.age.max(age);
        Some(Open { from, last, path: left })
    }
}

fn in_order(one: TreeHead, other: TreeHead) -> (TreeHead, TreeHead) {
    if one.size < other.size { (one, other) } else { (other, one) }
}

/// Of two histories, the pairs of heads that stand next to each other in size, one of each, the
/// largest first. Whoever holds a part of either tree can answer about one of them, also where
/// nobody holds the trees of both ends: heads of one history were ends once.
fn neighbours(one: &[TreeHead], other: &[TreeHead]) -> Vec<(TreeHead, TreeHead)> {
    let of = |history: &[TreeHead], side: bool| -> Vec<(TreeHead, bool)> {
        history.iter().map(|head| (*head, side)).collect()
    };
    let mut heads = [of(one, false), of(other, true)].concat();
    heads.sort_by_key(|(head, _)| std::cmp::Reverse(head.size));
    let pairs = heads.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let pairs = pairs.map(|pair| (pair[1].0, pair[0].0));
    pairs.filter(|(small, large)| small.size < large.size).take(MAX_NEIGHBOURS).collect()
}

/// Adds heads to a history, in order of size; the largest are kept.
fn merge(path: &mut VecDeque<VerifiedHead>, more: impl Iterator<Item = VerifiedHead>) {
    path.extend(more);
    path.make_contiguous().sort_by_key(|seen| seen.head().size);
    path.drain(..path.len().saturating_sub(MAX_PATH));
}

pub(super) fn push_bounded<T>(queue: &mut VecDeque<T>, new: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(new);
}
