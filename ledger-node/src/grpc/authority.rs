//! `GetAuthority`: an entry's proof with the governance entries that decide whether it was allowed.

use std::sync::{Arc, Mutex};

use ledger_core::authority::{AuthorityBundle, GovernanceEntry, MAX_BUNDLE_BYTES};
use ledger_core::hash::Hash;
use ledger_core::record::{Entry, Outline};
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::{self as wire, get_inclusion_proof_request::Leaf};
use tonic::Code;

use super::{Failure, damaged, hash_bytes, locate};
use crate::governance::{self, GovernanceError};
use crate::log::Published;
use crate::node::Service;

/// The governance entries with their proofs under the checkpoint that was asked about last: they
/// are the same in all bundles under it.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(TreeSize, Arc<[GovernanceEntry]>)>>);

impl Cache {
    /// Those under the published checkpoint; reads the disk where it is a new one.
    fn of(
        &self,
        service: &Service,
        published: &Published,
    ) -> Result<Arc<[GovernanceEntry]>, Failure> {
        let size = published.size();
        let kept = || self.0.lock().expect("no panics under this lock").clone();
        if let Some((_, governance)) = kept().filter(|(own, _)| *own == size) {
            return Ok(governance);
        }
        // not under the lock: whoever asks about an older checkpoint need not wait
        let prove = |(index, entry): (LeafIndex, Entry)| {
            let inclusion = published.inclusion(index, &entry.leaf_hash(), size)?;
            Ok(GovernanceEntry { index, entry, inclusion })
        };
        let chain = governance::entries(&service.reader, size)?;
        let governance: Vec<_> = chain.into_iter().map(prove).collect::<Result<_, Failure>>()?;
        let governance: Arc<[GovernanceEntry]> = governance.into();
        let mut kept = self.0.lock().expect("no panics under this lock");
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
    let (index, entry) = locate(service, published, leaf)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let outline = Outline::parse(record).map_err(|_| damaged(index))?;
    let governance = cache.of(service, published)?;
    let proof = published.prove(index, &Hash::leaf(&entry), logged.to_string().into_bytes())?;
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
