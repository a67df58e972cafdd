//! Listening to others: what a message may cost, and who is not listened to.

use ledger_core::gossip::{EvidenceRef, FalseSignature, Message, Moment, RoundStep};

use super::peers::Sender;
use super::{BUSY_WHEN_BROKEN, Gossip, Reply};

/// Bytes of a message that nobody has read yet that count as one unit of work: as evidence does.
const BYTES_A_UNIT: usize = 4_096;

/// Names of evidence that a sender was asked for; whoever shares an address shares them.
const MAX_WANTED: usize = 256;

impl Gossip {
    /// Whether a message of so many bytes may be looked at, before anything in it was: for how many
    /// milliseconds not, otherwise.
    ///
    /// # Errors
    /// What [`Reply::Busy`] says.
    pub fn accepts(&self, from: &Sender, bytes: usize) -> Result<(), u64> {
        let now = self.now();
        // nothing is taken for it: what the message really costs is not known yet
        let mut conduct = self.peers().caller(from, now).conduct.clone();
        let units = u32::try_from(bytes / BYTES_A_UNIT).unwrap_or(u32::MAX);
        conduct.try_spend(now, units).map_err(|again| self.refuse(from, now, again))
    }

    /// Counts a message that is not looked at; gives the milliseconds after which its sender may
    /// try again.
    fn refuse(&self, from: &Sender, now: Moment, again: Moment) -> u64 {
        let mut peers = self.peers();
        let caller = peers.caller(from, now);
        if !caller.conduct.is_limited(now) && caller.turned_away(now) {
            let number = caller.number();
            tracing::warn!(%from, caller = number, "a peer asks for more than its share");
        }
        drop(peers);
        self.figures().refused += 1;
        again.0.saturating_sub(now.0)
    }

    /// Answers a message of a round that somebody else began.
    pub fn answer(&self, from: &Sender, message: Message) -> Reply {
        let now = self.now();
        let mut peers = self.peers();
        let caller = peers.caller(from, now);
        if let Err(again) = message.try_spend(&mut caller.conduct, now) {
            drop(peers);
            return Reply::Busy(self.refuse(from, now, again));
        }
        let before = caller.wanted.clone();
        drop(peers);
        let mut wanted = before.clone();
        let mut charge = 0;
        let step = self.take_step(|view, trees| {
            let step = view.answer(message, &mut wanted, trees);
            charge = step.charge();
            step
        });
        self.note_answered(from, charge, step.doubt.as_ref(), (&before, wanted));
        if self.is_broken() {
            return Reply::Busy(BUSY_WHEN_BROKEN);
        }
        self.figures().answered += 1;
        if let Some(fault) = step.fault {
            return self.refuse_for_fault(from, &fault);
        }
        step.reply.map_or(Reply::Busy(0), Reply::Answer)
    }

    /// Takes what a message led to from its sender's share, and remembers what is doubtful about
    /// it.
    fn note_answered(
        &self,
        from: &Sender,
        debt: u32,
        doubt: Option<&FalseSignature>,
        (before, wanted): (&[EvidenceRef], Vec<EvidenceRef>),
    ) {
        let mut peers = self.peers();
        let now = self.now();
        let caller = peers.caller(from, now);
        caller.conduct.charge(debt);
        // another message of the same sender may have been answered meanwhile
        caller.wanted.retain(|own| !before.contains(own) || wanted.contains(own));
        caller.wanted.extend(wanted.into_iter().filter(|own| !before.contains(own)));
        caller.wanted.drain(..caller.wanted.len().saturating_sub(MAX_WANTED));
        if let Some(doubt) = doubt
            && caller.doubt(doubt, now)
        {
            let number = caller.number();
            tracing::warn!(%from, caller = number, %doubt, "a peer sent what cannot be verified");
        }
    }

    /// Does not listen for a while to somebody who sent what no honest node sends.
    pub fn refuse_for_fault(&self, from: &Sender, why: &dyn std::error::Error) -> Reply {
        let now = self.now();
        let mut peers = self.peers();
        let caller = peers.caller(from, now);
        let first = !caller.conduct.is_limited(now);
        if first {
            let number = caller.number();
            tracing::warn!(%from, caller = number, %why, "a peer is not listened to for a while");
            caller.fault(why, now);
        }
        drop(peers);
        self.figures().faults += u64::from(first);
        Reply::Busy(0)
    }

    /// A round with a peer begins: what was doubtful about the last one is over.
    pub(super) fn forget_doubt(&self, url: &str) {
        if let Some(peer) = self.peers().peer(url) {
            peer.doubt = None;
        }
    }

    /// Takes what a peer's answer led to from its share, and remembers what is doubtful about it.
    pub(super) fn note_step(&self, url: &str, step: &RoundStep) {
        if let Some(peer) = self.peers().peer(url) {
            peer.budget.charge(step.charge());
            peer.doubt = step.doubt.as_ref().map(ToString::to_string).or(peer.doubt.take());
        }
    }

    /// Charges the answer of a peer to its share.
    ///
    /// # Errors
    /// The milliseconds after which it may answer with as much.
    pub(super) fn charge(&self, url: &str, message: &Message) -> Result<(), u64> {
        let now = self.now();
        let mut peers = self.peers();
        let Some(peer) = peers.peer(url) else { return Ok(()) };
        message.try_spend(&mut peer.budget, now).map_err(|again| again.0.saturating_sub(now.0))
    }
}
