//! What a view holds of one log.

use std::collections::VecDeque;

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{Conflict, EvidenceId, Heads};
use crate::merkle::{Beginning, TreeHead, VerifyError};
use crate::note::VerifierKey;
use crate::witness::LogKeys;

use super::remains::Remains;
use super::seen::Seen;
use super::view::Reach;
use super::{MAX_KEPT_PROOFS, MAX_NEIGHBOURS, MAX_OPEN, MAX_PATH, PATIENCE_ROUNDS};

/// What has to be shown about two heads of a log: whether the tree of the larger one, when it was
/// smaller, had the root of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The log's name.
    pub origin: Origin,
    /// The head of the smaller tree.
    pub smaller: TreeHead,
    /// The head of the larger tree.
    pub larger: TreeHead,
}

/// Whether a log may be cosigned, as far as a view knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nothing speaks against it.
    Good,
    /// It signed heads that nobody could show to belong together. Holds the question that has been
    /// open longest.
    Unreconciled(Question),
    /// Evidence convicts every key that is known for it.
    Convicted(EvidenceId),
}

/// A head whose place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    seen: Seen,
    /// Heads that are proven to lie on its history.
    path: VecDeque<Seen>,
    /// Rounds that it has been open.
    age: u32,
}

/// Heads were turned away because others were open. It ends when none is open any more, or a round passes
/// in which all that came had room: what was turned away is told again.
#[derive(Debug, Clone, Copy)]
struct Overflow {
    /// Rounds that it has lasted.
    age: u32,
    /// Whether a head was turned away since the last round.
    again: bool,
}

/// One log.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) keys: LogKeys,
    /// Keys whose heads are held, and contradict others, but are not adopted any more.
    pub(super) retired: Vec<VerifierKey>,
    pub(super) reach: Reach,
    adopted: Option<Seen>,
    open: Vec<Open>,
    path: VecDeque<Seen>,
    proofs: VecDeque<(Question, Beginning)>,
    /// Since more heads were open than are kept.
    overflow: Option<Overflow>,
    /// What stays when a key falls.
    pub(super) remains: Remains,
}

/// What a head or a proof changed. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that others should hear of.
    Nothing,
    /// A head that was held has more cosigners.
    Richer,
    /// The head is adopted now.
    Adopted,
    /// The head is open now.
    Opened,
    /// An open head lies on the history of the adopted one.
    Settled,
    /// Heads that contradict each other.
    Conflict(Box<Conflict>),
}

impl Known {
    pub(super) fn new(keys: LogKeys, reach: Reach) -> Known {
        Known {
            keys,
            retired: Vec::new(),
            reach,
            adopted: None,
            open: Vec::new(),
            path: VecDeque::new(),
            proofs: VecDeque::new(),
            overflow: None,
            remains: Remains::default(),
        }
    }

    pub(super) fn adopted(&self) -> Option<&Seen> {
        self.adopted.as_ref()
    }

    /// What is passed on.
    pub(super) fn told(&self) -> impl Iterator<Item = &Seen> {
        self.heads().chain(self.remains.heads())
    }

    /// The adopted head and the open ones.
    fn heads(&self) -> impl Iterator<Item = &Seen> {
        self.adopted.iter().chain(self.open.iter().map(|open| &open.seen))
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&ClaimedCheckpoint, bool)> {
        let overflowed = self.has_overflowed();
        self.open.iter().map(move |open| (open.seen.checkpoint(), overflowed || open.is_alarming()))
    }

    /// Whether exactly this was heard before: a head goes round many times.
    pub(super) fn has_heard(&self, heard: &ClaimedCheckpoint) -> bool {
        self.all().any(|held| held.covers(heard))
    }

    /// Takes a head whose signatures were checked.
    pub(super) fn hear(&mut self, heard: Seen) -> Change {
        if let Some(conflict) = Conflict::of_head(heard.checkpoint()) {
            return Change::Conflict(Box::new(conflict));
        }
        if let Some(held) = self.held_mut(heard.head()) {
            return if held.merge(&heard) { Change::Richer } else { Change::Nothing };
        }
        let rival = self.all().find(|held| held.head().size == heard.head().size);
        if let Some(rival) = rival {
            let heads = Heads { one: rival.checkpoint(), other: heard.checkpoint() };
            if let Some(conflict) = Conflict::of_heads(heads) {
                return Change::Conflict(Box::new(conflict));
            }
        }
        // a retired key speaks for nobody: whoever has it must not raise alarms about the log
        if !heard.counts(self.keys.trusted()) {
            return Change::Nothing;
        }
        // the empty tree is the beginning of every tree
        let Some(adopted) = self.adopted.as_ref().filter(|own| !own.head().size.is_empty()) else {
            self.adopted = Some(heard);
            return Change::Adopted;
        };
        if heard.head().size.is_empty() {
            return Change::Nothing;
        }
        debug_assert_ne!(adopted.head().size, heard.head().size, "equal sizes are settled above");
        if self.was_shown(heard.head()) {
            return Change::Nothing;
        }
        if self.open.len() == MAX_OPEN {
            // old heads of an honest log may be shown in heaps: it has as long to settle them as others
            self.overflow.get_or_insert(Overflow { age: 0, again: true }).again = true;
            return Change::Nothing;
        }
        self.open.push(Open { seen: heard, path: VecDeque::new(), age: 0 });
        Change::Opened
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
    pub(super) fn learn(
        &mut self,
        question: &Question,
        beginning: &Beginning,
    ) -> Result<Change, VerifyError> {
        if question.smaller.size >= question.larger.size {
            return Err(VerifyError::SizesReversed);
        }
        let find = |head: &TreeHead| self.all().find(|held| held.head() == head);
        let (Some(smaller), Some(larger)) = (find(&question.smaller), find(&question.larger))
        else {
            return Ok(Change::Nothing);
        };
        let heads = Heads { one: smaller.checkpoint(), other: larger.checkpoint() };
        if let Some(conflict) = Conflict::of_beginning(heads, beginning)? {
            return Ok(Change::Conflict(Box::new(conflict)));
        }
        Ok(self.settle(question, beginning))
    }

    /// Two held heads belong together.
    fn settle(&mut self, question: &Question, beginning: &Beginning) -> Change {
        let is_new = self.remembered(question).is_none();
        let change = self.join(question);
        if is_new {
            push_bounded(&mut self.proofs, (question.clone(), beginning.clone()), MAX_KEPT_PROOFS);
        }
        change
    }

    /// Adopts an open head that was verified to have grown out of one that lies on the history of
    /// the adopted head, if it is larger than that.
    pub(super) fn grow(&mut self, before: &TreeHead, head: &TreeHead) -> Change {
        let Some(adopted) = &self.adopted else {
            return Change::Nothing;
        };
        if adopted.head() != before || before.size >= head.size {
            return Change::Nothing;
        }
        let origin = adopted.checkpoint().checkpoint().origin().clone();
        self.join(&Question { origin, smaller: *before, larger: *head })
    }

    /// Makes one history of the two that a verified question speaks of.
    fn join(&mut self, question: &Question) -> Change {
        let Question { smaller, larger, .. } = question;
        let adopted = self.adopted.as_ref().map(|own| *own.head());
        let of_adopted = |head: &TreeHead| self.path.iter().any(|held| held.head() == head);
        let into_adopted = adopted == Some(*larger) || of_adopted(larger);
        let grown = self.open.iter().position(|open| open.has(larger));
        let shrunk = self.open.iter().position(|open| open.seen.head() == smaller);
        let change = match (shrunk, grown) {
            (Some(at), None) if into_adopted => {
                let Open { seen, path, .. } = self.open.remove(at);
                merge(&mut self.path, path.into_iter().chain([seen]));
                Change::Settled
            }
            (None, Some(at)) if adopted == Some(*smaller) => {
                let Open { seen, path, .. } = self.open.remove(at);
                let before = self.adopted.replace(seen);
                merge(&mut self.path, path.into_iter().chain(before));
                Change::Adopted
            }
            (Some(at), Some(of)) if at != of => {
                let Open { seen, path, age } = self.open[at].clone();
                merge(&mut self.open[of].path, path.into_iter().chain([seen]));
                self.open[of].age = self.open[of].age.max(age);
                self.open.remove(at);
                Change::Settled
            }
            _ => Change::Nothing,
        };
        self.overflow = self.overflow.filter(|_| !self.open.is_empty());
        change
    }

    /// A round has passed. Says whether the alarm is raised by it.
    pub(super) fn tick(&mut self) -> bool {
        let before = self.alarm();
        for open in &mut self.open {
            open.age = open.age.saturating_add(1);
        }
        let lasts = self.overflow.filter(|overflow| overflow.again || overflow.is_alarming());
        self.overflow = lasts.map(|own| Overflow { age: own.age.saturating_add(1), again: false });
        !before && self.alarm()
    }

    /// Whether heads have been open for too long.
    pub(super) fn alarm(&self) -> bool {
        let stays = self.has_overflowed() || self.open.iter().any(Open::is_alarming);
        stays && self.reach == Reach::Somewhere
    }

    fn has_overflowed(&self) -> bool {
        self.overflow.is_some_and(|overflow| overflow.is_alarming())
    }

    /// Of what has to be shown, that about the head which has been open longest.
    pub(super) fn oldest(&self, origin: &Origin) -> Option<Question> {
        let oldest = self.open.iter().min_by_key(|open| std::cmp::Reverse(open.age))?;
        let (smaller, larger) = in_order(*self.adopted.as_ref()?.head(), *oldest.seen.head());
        Some(Question { origin: origin.clone(), smaller, larger })
    }

    /// An open head raised the alarm before the node was restarted.
    pub(super) fn recall_alarm(&mut self, head: &TreeHead) {
        for open in self.open.iter_mut().filter(|open| open.seen.head() == head) {
            open.age = PATIENCE_ROUNDS;
        }
    }

    /// What has to be shown, the oldest first: whether an open head and the adopted one belong
    /// together. Where that is not shown within a round, anything that shows whose history an open
    /// head lies on, or that it lies on none.
    pub(super) fn questions(&self, origin: &Origin) -> Vec<Question> {
        let Some(adopted) = self.adopted.as_ref() else { return Vec::new() };
        let mut open: Vec<&Open> = self.open.iter().collect();
        open.sort_by_key(|open| std::cmp::Reverse(open.age));
        let ask = |(smaller, larger): (TreeHead, TreeHead)| {
            let origin = origin.clone();
            Question { origin, smaller, larger }
        };
        let own = (adopted, &self.path);
        // what is shown about these always settles them, also where it was shown before
        let first = open.iter().map(|open| in_order(*adopted.head(), *open.seen.head()));
        let mut asked: Vec<Question> = first.map(ask).collect();
        let mut more: Vec<Question> = Vec::new();
        let stays: Vec<_> =
            open.iter().filter(|open| open.age > 0).map(|open| open.line()).collect();
        for (at, one) in stays.iter().enumerate() {
            let others = stays[..at].iter();
            more.extend(others.map(|(other, _)| ask(in_order(*one.0.head(), *other.head()))));
        }
        for (at, one) in stays.iter().enumerate() {
            let others = stays[..at].iter().copied().chain([own]);
            more.extend(others.flat_map(|other| neighbours(*one, other)).map(ask));
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
    pub(super) fn remembered(&self, question: &Question) -> Option<&Beginning> {
        let about = |known: &&(Question, Beginning)| {
            known.0.larger == question.larger && known.0.smaller.size == question.smaller.size
        };
        self.proofs.iter().find(about).map(|(_, beginning)| beginning)
    }

    /// Keeps the heads by which these keys of the log are convicted.
    pub(super) fn keep_remains(&mut self, conflict: &Conflict, culprits: &[VerifierKey]) {
        let adopted = self.adopted.iter().chain(&self.path);
        let open = self.open.iter().flat_map(|open| open.path.iter().chain([&open.seen]));
        self.remains.keep(conflict, culprits, adopted.chain(open));
    }

    /// The keys whose signatures say anything here.
    pub(super) fn signers(&self) -> Vec<VerifierKey> {
        self.keys.trusted().iter().chain(&self.retired).cloned().collect()
    }

    /// Knows other keys from now on. Heads that none of them signed are forgotten, and open ones that no
    /// trusted key did.
    pub(super) fn set_keys(&mut self, keys: LogKeys, retired: Vec<VerifierKey>) {
        if self.keys != keys || self.retired != retired {
            // what was shown of heads that are forgotten now may have to be shown again
            self.proofs.clear();
        }
        (self.keys, self.retired) = (keys, retired);
        let (trusted, known) = (self.keys.trusted().to_vec(), self.signers());
        let held = self.adopted.take().into_iter().chain(self.path.drain(..));
        let open = std::mem::take(&mut self.open);
        let mut settled: Vec<Seen> = held.filter(|seen| seen.counts(&known)).collect();
        settled.sort_by_key(|seen| std::cmp::Reverse(seen.head().size));
        let mut settled = settled.into_iter();
        // what lay on one history still does, whoever signed the rest of it
        self.adopted = settled.next();
        self.path = settled.rev().collect();
        self.open = open.into_iter().filter_map(|open| open.counting(&trusted)).collect();
        self.overflow = self.overflow.filter(|_| !self.open.is_empty());
        if self.adopted.is_none() && !self.open.is_empty() {
            let Open { seen, path, .. } = self.open.remove(0);
            (self.adopted, self.path) = (Some(seen), path);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Seen> {
        self.heads().chain(&self.path).chain(self.open.iter().flat_map(|open| &open.path))
    }

    fn held_mut(&mut self, head: &TreeHead) -> Option<&mut Seen> {
        let open = self.open.iter_mut();
        let open = open.flat_map(|open| open.path.iter_mut().chain([&mut open.seen]));
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
    fn is_alarming(&self) -> bool {
        self.age >= PATIENCE_ROUNDS
    }

    fn has(&self, head: &TreeHead) -> bool {
        self.seen.head() == head || self.path.iter().any(|held| held.head() == head)
    }

    fn line(&self) -> (&Seen, &VecDeque<Seen>) {
        (&self.seen, &self.path)
    }

    /// What is left of it where only these keys count.
    fn counting(self, trusted: &[VerifierKey]) -> Option<Open> {
        let mut left: VecDeque<Seen> =
            self.path.into_iter().chain([self.seen]).filter(|seen| seen.counts(trusted)).collect();
        let seen = left.pop_back()?;
        Some(Open { seen, path: left, age: self.age })
    }
}

fn in_order(one: TreeHead, other: TreeHead) -> (TreeHead, TreeHead) {
    if one.size < other.size { (one, other) } else { (other, one) }
}

/// Of two histories, the pairs of heads that stand next to each other in size, one of each, the largest
/// first. Whoever holds a part of either tree can answer about one of them, also where nobody holds
/// the trees of both ends: heads of one history were ends once.
fn neighbours(
    one: (&Seen, &VecDeque<Seen>),
    other: (&Seen, &VecDeque<Seen>),
) -> Vec<(TreeHead, TreeHead)> {
    let of = |history: (&Seen, &VecDeque<Seen>), side: bool| -> Vec<(TreeHead, bool)> {
        let heads = history.1.iter().chain([history.0]);
        heads.map(|seen| (*seen.head(), side)).collect()
    };
    let mut heads = [of(one, false), of(other, true)].concat();
    heads.sort_by_key(|(head, _)| std::cmp::Reverse(head.size));
    let pairs = heads.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let pairs = pairs.map(|pair| (pair[1].0, pair[0].0));
    pairs.filter(|(small, large)| small.size < large.size).take(MAX_NEIGHBOURS).collect()
}

/// Adds heads to a history, in order of size; the largest are kept.
fn merge(path: &mut VecDeque<Seen>, more: impl Iterator<Item = Seen>) {
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
