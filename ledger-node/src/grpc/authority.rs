//! `GetAuthority`: an entry's proof with the governance entries that decide whether it was allowed.

use std::sync::{Arc, Mutex, PoisonError};

use ledger_core::authority::{AuthorityBundle, GovernanceEntry, MAX_BUNDLE_BYTES};
use ledger_core::record::{Entry, Outline};
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::{self as wire, get_inclusion_proof_request::Leaf};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Code;

use super::{Failure, damaged, hash_bytes, locate};
use crate::governance::{self, GovernanceError};
use crate::log::Published;
use crate::node::Service;

/// Bundles that are made at once: each may have 32 MiB.
const AT_ONCE: usize = 2;

/// The governance entries with their proofs under one published size.
type Kept = Option<(TreeSize, Arc<[GovernanceEntry]>)>;

/// The governance entries with their proofs under the checkpoint that was asked about last: they
/// are the same in all bundles under it.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Mutex<Kept>,
    turns: Semaphore,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { kept: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Cache {
    /// A turn to make a bundle, until it is dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Those under the published checkpoint; reads the disk where it is a new one.
    fn of(
        &self,
        service: &Service,
        published: &Published,
    ) -> Result<Arc<[GovernanceEntry]>, Failure> {
        let size = published.size();
        // the others that have a turn wait, for they would read the same
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, governance)) = kept.as_ref().filter(|(own, _)| *own == size) {
            return Ok(Arc::clone(governance));
        }
        let prove = |(index, entry): (LeafIndex, Entry)| {
            let inclusion = published.inclusion(index, &entry.leaf_hash(), size)?;
            Ok(GovernanceEntry { index, entry, inclusion })
        };
        let chain = governance::entries(&service.reader, size)?;
        let governance: Vec<_> = chain.into_iter().map(prove).collect::<Result<_, Failure>>()?;
        let governance: Arc<[GovernanceEntry]> = governance.into();
        if kept.as_ref().is_none_or(|(own, _)| *own < size) {
            *kept = Some((size, Arc::clone(&governance)));
        }
        Ok(governance)
    }
}

/// The bundle of one entry, under the published checkpoint.
pub(super) fn bundle(
    cache: &Cache,
    service: &Service,
    published: &Published,
    leaf: Leaf,
) -> Result<wire::GetAuthorityResponse, Failure> {
    let index = locate(service, published, leaf)?;
    let (entry, leaf) = published.entry(index)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let outline = Outline::parse(record).map_err(|_| damaged(index))?;
    let governance = cache.of(service, published)?;
    let proof = published.prove(index, &leaf, logged.to_string().into_bytes())?;
    let bundle = AuthorityBundle::new(governance, proof).to_string();
    if bundle.len() > MAX_BUNDLE_BYTES {
        let message = format!("the bundle would have {} bytes", bundle.len());
        let hint = "read the governance entries one by one: GetEntries";
        return Err(Failure::new(Code::ResourceExhausted, message, hint));
    }
    Ok(wire::GetAuthorityResponse {
        index: index.get(),
        statement: hash_bytes(outline.statement().as_hash()),
        bundle: bundle.into_bytes().into(),
    })
}

impl From<GovernanceError> for Failure {
    fn from(error: GovernanceError) -> Failure {
        match error {
            GovernanceError::Read(error) => error.into(),
            error => Failure::new(Code::DataLoss, error, "tell the operator to run `ledger audit`"),
        }
    }
}
