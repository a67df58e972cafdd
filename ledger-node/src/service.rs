//! What gRPC and HTTP serve: the parts of an open log, and what readers see of it.

use crate::admission::Admission;
use crate::clock::Clock;
use crate::gossip::Gossip;
use crate::index::Index;
use crate::log::{LogReader, Published, Reads};
use crate::mirror::Mirror;
use crate::pending::DraftStore;
use crate::publisher::Signed;
use crate::publisher::board::Board;
use crate::transport::{Gate, ServerTls};
use crate::witness::Witness;
use ledger_core::Hint;
use ledger_core::LeafIndex;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::Origin;
use ledger_core::policy::ConvictedWitness;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a request waits for the first checkpoint of a log.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What gRPC and HTTP serve.
pub struct Service {
    /// The way in.
    pub admission: Admission,
    /// The drafts that wait for signatures.
    pub pending: DraftStore,
    /// The stored log.
    pub reader: Arc<LogReader>,
    /// Where files are read for callers.
    pub reads: Reads,
    /// What entries are found by.
    pub index: Arc<Index>,
    /// The log's name.
    pub origin: Origin,
    /// What readers see.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// The head signed last.
    pub signed: watch::Receiver<Option<Arc<Signed>>>,
    /// Since when a signed head has waited for its quorum.
    pub waiting: watch::Receiver<Option<Instant>>,
    /// How the log's witnesses are doing.
    pub board: Arc<Board>,
    /// Witnesses, by their names in the policy, that the operator leaves out.
    pub without: BTreeSet<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The rules in force at the end of the log.
    pub charter: watch::Receiver<Arc<Charter>>,
    /// What the node knows of all logs.
    pub gossip: Arc<Gossip>,
    /// The witness, if the node has keys to cosign with.
    pub witness: Option<Arc<Witness>>,
    /// The mirror, if the node has keys to cosign with what it mirrors.
    pub mirror: Option<Mirror>,
    /// What counts connections and requests.
    pub gate: Arc<Gate>,
    /// What the ports show, if they speak TLS.
    pub tls: Option<ServerTls>,
    /// Whether gossip is for nodes alone that show a key which is known.
    pub known_nodes_only: bool,
    /// Turns true when the node shuts down.
    pub stopping: watch::Receiver<bool>,
}

/// Why there is nothing that readers may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpublished {
    /// Nothing was published yet.
    #[error("no checkpoint is published yet: the quorum of witnesses has not cosigned one")]
    Nothing,
    /// An entry is logged, but readers may not see it yet.
    #[error("entry {0} is logged, but the quorum of witnesses has not cosigned a head with it yet")]
    Entry(LeafIndex),
}

impl Hint for Unpublished {
    fn hint(&self) -> &'static str {
        match self {
            Unpublished::Nothing => {
                "try again in a while; `ledger witness status` says who is silent"
            }
            Unpublished::Entry(_) => {
                "nothing is lost: submit the same record again in a while to get its proof; \
                 `ledger witness status` says who is silent"
            }
        }
    }
}

impl Service {
    /// The published checkpoint.
    ///
    /// # Errors
    /// [`Unpublished::Nothing`] while the witnesses of a new log have not cosigned.
    pub fn current(&self) -> Result<Arc<Published>, Unpublished> {
        self.published.borrow().clone().ok_or(Unpublished::Nothing)
    }

    /// As [`Service::current`], but gives the witnesses of a log that has just begun a moment.
    ///
    /// # Errors
    /// [`Unpublished::Nothing`].
    pub async fn current_soon(&self) -> Result<Arc<Published>, Unpublished> {
        let mut published = self.published.clone();
        let first = published.wait_for(Option::is_some);
        let _ = tokio::time::timeout(FIRST_PATIENCE, first).await;
        self.current()
    }

    /// The convicted witnesses without which no checkpoint can be published: the others are no
    /// quorum. Empty while they are.
    pub fn stopped_by(&self) -> Vec<ConvictedWitness> {
        let Some(signed) = self.signed.borrow().clone() else { return Vec::new() };
        let exclusions = self.gossip.evidence().exclusions();
        let plan = signed.judged(&exclusions, self.published.borrow().as_deref());
        plan.stopped_by(&plan.places(&self.without))
    }

    /// Waits for a published checkpoint that covers the entry at `index`.
    ///
    /// # Errors
    /// [`Unpublished::Entry`] when there is none after `patience`.
    pub async fn current_with(
        &self,
        index: LeafIndex,
        patience: Duration,
    ) -> Result<Arc<Published>, Unpublished> {
        let mut published = self.published.clone();
        let covers = |published: &Option<Arc<Published>>| {
            published.as_ref().is_some_and(|published| published.size().contains(index))
        };
        let waited = tokio::time::timeout(patience, published.wait_for(covers)).await;
        let found = waited.ok().and_then(Result::ok).and_then(|published| published.clone());
        found.ok_or(Unpublished::Entry(index))
    }
}
