//! From a signed head to a published checkpoint: the policy's quorum of cosignatures.
//!
//! The sequencer hands over every head that it signs and goes on; it never waits for a witness.
//! Under a policy that asks for no cosignature the checkpoint is published there and then.
//! Otherwise the [`gather`] task asks the witnesses of the [`Plan`], each through a worker of its
//! own, and publishes when the quorum holds. [`confirm`] asks the same witnesses at a start, before
//! anything is signed.

pub mod asking;
pub mod board;
pub mod confirm;
pub mod error;
pub mod gather;
mod link;
mod plan;
pub mod shown;
mod tally;
mod worker;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::verify_line;
use ledger_core::evidence::Exclusions;
use ledger_core::note::{MAX_SIGNATURES, Signature, VerifierKey};
use ledger_core::policy::{Policy, PolicyError};
use tokio::sync::watch;

use crate::clock::ClockError;
use crate::evidence::EvidenceStore;
use crate::gossip::bridges::Bridges;
use crate::log::{LogReader, Published};
use crate::own_trouble::OwnTrouble;
use crate::store::{Store, StoreError};

use error::ConfirmError;

pub use plan::{Contacts, Plan, PublisherError, strangers};

/// A head that the log has promised, and how it becomes a checkpoint.
#[derive(Debug)]
pub struct Signed {
    /// The head with the log's signature.
    pub head: ClaimedCheckpoint,
    /// What it takes to publish it.
    pub plan: Arc<Plan>,
}

impl Signed {
    /// The plan by which the head becomes a checkpoint now: without convicted witnesses, and without
    /// the policies before the present one once readers have seen the head.
    pub fn judged(&self, exclusions: &Exclusions, published: Option<&Published>) -> Arc<Plan> {
        let size = self.head.checkpoint().head().size;
        let is_seen = published.is_some_and(|seen| seen.size() >= size);
        if exclusions.is_empty() && !is_seen {
            return Arc::clone(&self.plan);
        }
        let plan = self.plan.without_convicted(exclusions);
        Arc::new(if is_seen { plan.without_before() } else { plan })
    }
}

/// Why publishing came to an end. The sequencer then signs nothing more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The own checkpoint does not satisfy the policy.
    #[error("the checkpoint does not satisfy the policy: {0}")]
    Policy(#[from] PolicyError),
    /// The clock cannot be right.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A witness shows a head that the log signed and this node does not know.
    #[error(transparent)]
    Contradicted(ConfirmError),
    /// Somebody else signs for this log.
    #[error(transparent)]
    Own(OwnTrouble),
}

/// What readers see, and what is on the way to them.
pub struct Publisher {
    store: Arc<dyn Store>,
    reader: Arc<LogReader>,
    contacts: Contacts,
    bridges: Option<Bridges>,
    /// What convicts witnesses; nothing before [`Publisher::excluding`].
    evidence: Option<Arc<EvidenceStore>>,
    signed: watch::Sender<Option<Arc<Signed>>>,
    published: watch::Sender<Option<Arc<Published>>>,
    /// Since when a signed head has waited for its quorum.
    waiting: watch::Sender<Option<Instant>>,
    /// Publications happen one after another and only go forward.
    turn: Mutex<()>,
    trouble: watch::Sender<Option<Arc<PublishError>>>,
}

impl Publisher {
    /// Publishes heads of the log in `store`; witnesses are reached as `contacts` and policies say.
    pub fn new(store: Arc<dyn Store>, contacts: Contacts) -> Publisher {
        Publisher {
            reader: Arc::new(LogReader::new(store.clone())),
            store,
            contacts,
            bridges: None,
            evidence: None,
            signed: watch::Sender::new(None),
            published: watch::Sender::new(None),
            waiting: watch::Sender::new(None),
            turn: Mutex::new(()),
            trouble: watch::Sender::new(None),
        }
    }

    /// Keeps the heads that several keys of the log sign, each before witnesses or readers see it.
    #[must_use]
    pub fn keeping(self, bridges: Bridges) -> Publisher {
        Publisher { bridges: Some(bridges), ..self }
    }

    /// Counts no cosignature of a witness that this evidence convicts.
    #[must_use]
    pub fn excluding(self, evidence: Arc<EvidenceStore>) -> Publisher {
        Publisher { evidence: Some(evidence), ..self }
    }

    /// The witnesses that count for no quorum now.
    pub fn exclusions(&self) -> Arc<Exclusions> {
        self.evidence.as_ref().map(|own| own.exclusions()).unwrap_or_default()
    }

    /// How heads are published under a charter.
    ///
    /// # Errors
    /// [`PublisherError`] when that can never succeed.
    pub fn plan(&self, charter: &Charter, log_key: &VerifierKey) -> Result<Plan, PublisherError> {
        Plan::under(charter, log_key, &self.contacts)
    }

    /// How heads are published under a charter with another policy than the one in force.
    ///
    /// # Errors
    /// [`PublisherError`] as [`Publisher::plan`], and if convicted witnesses leave no quorum.
    pub fn plan_change(
        &self,
        charter: &Charter,
        log_key: &VerifierKey,
    ) -> Result<Plan, PublisherError> {
        let plan = self.plan(charter, log_key)?;
        let judged = plan.without_convicted(&self.exclusions());
        match judged.stopped_by(&BTreeSet::new()) {
            convicted if convicted.is_empty() => Ok(plan),
            convicted => Err(PublisherError::Convicted(convicted)),
        }
    }

    /// The same plan for heads that bring it into force after these policies.
    pub fn after(&self, plan: &Plan, before: impl IntoIterator<Item = Policy>) -> Arc<Plan> {
        Arc::new(plan.clone().after(before, &self.contacts))
    }

    /// The stored log.
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// What readers see, now and later.
    pub fn published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    /// The head signed last, now and later.
    pub fn signed(&self) -> watch::Receiver<Option<Arc<Signed>>> {
        self.signed.subscribe()
    }

    /// The size of the head signed last.
    pub fn signed_size(&self) -> Option<TreeSize> {
        self.signed.borrow().as_ref().map(|signed| signed.head.checkpoint().head().size)
    }

    /// The plan by which a head becomes a checkpoint now ([`Signed::judged`]).
    pub fn judged(&self, signed: &Signed) -> Arc<Plan> {
        signed.judged(&self.exclusions(), self.published.borrow().as_deref())
    }

    /// Since when a signed head has waited for its quorum, now and later; `None` while readers see
    /// all that was signed.
    pub fn waiting(&self) -> watch::Receiver<Option<Instant>> {
        self.waiting.subscribe()
    }

    /// Takes a head that was signed and promised. Returns at once, unless no cosignature is needed:
    /// then the checkpoint is published first. A head that two keys of the log have signed is kept
    /// first: a later head may be published in its place.
    ///
    /// # Errors
    /// [`PublishError`] when it could not be kept or published.
    pub fn take(&self, signed: Signed) -> Result<(), PublishError> {
        if signed.head.note().signatures().len() > 1
            && let Some(bridges) = &self.bridges
        {
            bridges.keep(&signed.head)?;
        }
        let signed = Arc::new(signed);
        if signed.plan.needs_no_witness() {
            self.reveal(&signed, &signed.plan, [])?;
        }
        self.signed.send_replace(Some(signed));
        self.count_wait(Instant::now());
        Ok(())
    }

    /// Notes whether a signed head waits, from `now` on unless one waits already.
    fn count_wait(&self, now: Instant) {
        let seen = self.published.borrow().as_ref().map(|published| published.size());
        let behind = self.signed_size().is_some_and(|signed| seen.is_none_or(|seen| seen < signed));
        self.waiting.send_if_modified(|waiting| {
            let before = *waiting;
            *waiting = behind.then(|| waiting.unwrap_or(now));
            *waiting != before
        });
    }

    /// Shows readers what they saw before the node stopped, if it still satisfies the policy. A
    /// witness that was convicted since takes no checkpoint back.
    pub fn resume(&self, checkpoint: &ClaimedCheckpoint, plan: &Plan) {
        if let Ok(accepted) = plan.policy().verify(checkpoint) {
            let published = Published::new(accepted.checkpoint, &self.reader);
            self.published.send_replace(Some(Arc::new(published)));
        }
    }

    /// Publishes a head with these cosignatures, judged as readers judge it by `plan`: the head's
    /// own, or what [`Publisher::judged`] made of it. A head that is older than what readers see is
    /// left alone; of the one that they see no cosignature is lost, but those of convicted
    /// witnesses.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was shown.
    pub fn reveal(
        &self,
        signed: &Signed,
        plan: &Plan,
        lines: impl IntoIterator<Item = Signature>,
    ) -> Result<(), PublishError> {
        let mut lines: Vec<Signature> = lines.into_iter().collect();
        plan.policy().verify(&complete(signed, &lines))?;
        let _turn = self.turn.lock().expect("no panics under this lock");
        let seen = self.published.borrow().clone();
        let size = signed.head.checkpoint().head().size;
        if seen.as_ref().is_some_and(|seen| seen.size() > size) {
            return Ok(());
        }
        if let Some(seen) = seen {
            keep(signed, plan, seen.checkpoint().claimed(), &mut lines);
        }
        let complete = complete(signed, &lines);
        let checkpoint = plan.policy().verify(&complete)?.checkpoint;
        self.store.publish(&complete)?;
        let published = Published::new(checkpoint, &self.reader);
        self.published.send_replace(Some(Arc::new(published)));
        // what still waits is a newer head
        self.waiting.send_replace(None);
        self.count_wait(Instant::now());
        Ok(())
    }

    /// Ends the log's signing: nothing more is sequenced once this was called.
    pub fn stop(&self, error: PublishError) {
        tracing::error!(%error, "no more heads are signed");
        self.trouble.send_if_modified(|trouble| {
            let first = trouble.is_none();
            trouble.get_or_insert_with(|| Arc::new(error));
            first
        });
    }

    /// Why publishing came to an end, now and later.
    pub fn trouble(&self) -> watch::Receiver<Option<Arc<PublishError>>> {
        self.trouble.subscribe()
    }
}

/// The head with these lines. A note has room for all: charters bound the witnesses of a policy and
/// of those before it. Of a log from before that rule the lines for previous policies are left out.
fn complete(signed: &Signed, lines: &[Signature]) -> ClaimedCheckpoint {
    let room = MAX_SIGNATURES.saturating_sub(signed.head.note().signatures().len());
    if lines.len() > room {
        tracing::error!(lines = lines.len(), room, "a checkpoint has no room for all cosignatures");
    }
    let lines = lines.iter().take(room).cloned();
    signed.head.with_signatures(lines).expect("the number of lines was bounded")
}

/// Adds the cosignatures that readers see already on the same head, of witnesses without a newer
/// one.
fn keep(signed: &Signed, plan: &Plan, seen: &ClaimedCheckpoint, lines: &mut Vec<Signature>) {
    if seen.note().text() != signed.head.note().text() {
        return;
    }
    let counted = plan.witnesses().enumerate().filter(|(at, _)| plan.convicted_at(*at).is_none());
    for (_, (witness, _)) in counted {
        let is_by = |line: &&Signature| line.is_by(&witness.key);
        if !lines.iter().any(|line| is_by(&line)) {
            let old = seen.note().signatures().iter().filter(is_by);
            let time = |line: &&Signature| verify_line(seen.note(), &witness.key, line);
            let newest = old.filter(|line| time(line).is_some()).max_by_key(time);
            lines.extend(newest.cloned());
        }
    }
}

impl Hint for PublishError {
    fn hint(&self) -> &'static str {
        match self {
            PublishError::Store(error) => error.hint(),
            PublishError::Policy(_) => "compare the charter's policy with the node's keys",
            PublishError::Clock(error) => error.hint(),
            PublishError::Contradicted(_) => {
                "what this node signed since its start may be of a second history, and others may hold \
                 it: keep a copy of the directory. Stop every other node of this log. Where the log only \
                 grew elsewhere, `ledger-node recover --dir DIR --from URL` fetches what is missing, and \
                 says so where it did not. The head is kept in private/found"
            }
            PublishError::Own(trouble) => trouble.hint(),
        }
    }
}
