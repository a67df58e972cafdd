//! `GetAuthority`: an entry's proof with the governance entries that decide whether it was allowed.

use std::sync::{Arc, Mutex, PoisonError};

use ledger_core::authority::{AuthorityBundle, GovernanceEntry, MAX_BUNDLE_BYTES};
use ledger_core::record::{Entry, Outline};
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::{self as wire, get_inclusion_proof_request::Leaf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Code;

use super::find::locate;
use super::status::{CallError, damaged};
use crate::governance::{self, GovernanceError};
use crate::log::Published;
use crate::service::Service;
use crate::wire::bytes::hash_bytes;

/// Bundles that are made at once: each may have 32 MiB.
const AT_ONCE: usize = 2;

/// What to do where a bundle is too large.
const ONE_BY_ONE: &str = "read the governance entries one by one: GetEntries";

/// What is known of the governance entries.
#[derive(Debug, Default)]
struct KeptEntries {
    /// They with their proofs under one published size.
    proven: Option<(TreeSize, Arc<[GovernanceEntry]>)>,
    /// Whether they are too long for any bundle. They never become fewer, so they are not read again.
    too_long: bool,
}

/// The governance entries with their proofs under the checkpoint that was asked about last: they
/// are the same in all bundles under it.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Mutex<KeptEntries>,
    turns: Arc<Semaphore>,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { kept: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Cache {
    /// A turn to make a bundle, until it is dropped.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Those under the published checkpoint; reads the disk where it is a new one.
    fn of(
        &self,
        service: &Service,
        published: &Published,
    ) -> Result<Arc<[GovernanceEntry]>, CallError> {
        let size = published.size();
        // the others that have a turn wait, for they would read the same
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.too_long {
            return Err(GovernanceError::TooLong(MAX_BUNDLE_BYTES).into());
        }
        if let Some((_, governance)) = kept.proven.as_ref().filter(|(own, _)| *own == size) {
            return Ok(Arc::clone(governance));
        }
        let prove = |(index, entry): (LeafIndex, Entry)| {
            let inclusion = published.inclusion(index, &entry.leaf_hash(), size)?;
            Ok(GovernanceEntry { index, entry, inclusion })
        };
        let chain = governance::entries_within(&service.reader, size, MAX_BUNDLE_BYTES);
        if let Err(GovernanceError::TooLong(_)) = &chain {
            *kept = KeptEntries { proven: None, too_long: true };
        }
        let chain = chain?;
        let governance: Vec<_> = chain.into_iter().map(prove).collect::<Result<_, CallError>>()?;
        let governance: Arc<[GovernanceEntry]> = governance.into();
        if kept.proven.as_ref().is_none_or(|(own, _)| *own < size) {
            kept.proven = Some((size, Arc::clone(&governance)));
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
) -> Result<wire::GetAuthorityResponse, CallError> {
    let index = locate(service, published, leaf)?;
    let (entry, leaf) = published.entry(index)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let outline = Outline::parse(record).map_err(|_| damaged(index))?;
    let governance = cache.of(service, published)?;
    let proof = published.prove(index, &leaf, logged.to_string().into_bytes())?;
    let bundle = AuthorityBundle::new(governance, proof).to_string();
    if bundle.len() > MAX_BUNDLE_BYTES {
        let message = format!("the bundle would have {} bytes", bundle.len());
        return Err(CallError::new(Code::ResourceExhausted, message, ONE_BY_ONE));
    }
    Ok(wire::GetAuthorityResponse {
        index: index.get(),
        statement: hash_bytes(outline.statement().as_hash()),
        bundle: bundle.into_bytes().into(),
    })
}

impl From<GovernanceError> for CallError {
    fn from(error: GovernanceError) -> CallError {
        match error {
            GovernanceError::Read(error) => error.into(),
            error @ GovernanceError::TooLong(_) => {
                CallError::new(Code::ResourceExhausted, error, ONE_BY_ONE)
            }
            error => {
                CallError::new(Code::DataLoss, error, "tell the operator to run `ledger audit`")
            }
        }
    }
}
