//! `GetAuthority`: an entry's proof with the governance entries that decide whether it was allowed.

use ledger_core::authority::{AuthorityBundle, GovernanceEntry, MAX_BUNDLE_BYTES};
use ledger_core::hash::Hash;
use ledger_core::record::{Entry, Outline};
use ledger_proto::v1::{self as wire, get_inclusion_proof_request::Leaf};
use tonic::Code;

use super::{Failure, damaged, hash_bytes, locate};
use crate::governance::{self, GovernanceError};
use crate::log::Published;
use crate::node::Service;

/// The bundle of one entry, under the published checkpoint.
pub(super) fn bundle(
    service: &Service,
    published: &Published,
    leaf: Leaf,
) -> Result<wire::GetAuthorityResponse, Failure> {
    let (index, entry) = locate(service, published, leaf)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let outline = Outline::parse(record).map_err(|_| damaged(index))?;
    let chain = governance::entries(&service.reader, published.size())?;
    let mut governance = Vec::with_capacity(chain.len());
    for (index, entry) in chain {
        let inclusion = published.inclusion(index, &entry.leaf_hash(), published.size())?;
        governance.push(GovernanceEntry { index, entry, inclusion });
    }
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
