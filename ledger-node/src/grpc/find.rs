//! Finding the entry that a request names.

use super::status::{CallError, hash_of, invalid};
use crate::index::Key;
use crate::log::{Published, ReadError};
use crate::lookup::find_entry;
use crate::service::Service;
use ledger_core::LeafIndex;
use ledger_core::record::StatementId;
use ledger_proto::v1::get_inclusion_proof_request::Leaf;
use tonic::Code;

/// The index of the leaf that a request names.
pub(super) fn locate(
    service: &Service,
    published: &Published,
    leaf: Leaf,
) -> Result<LeafIndex, CallError> {
    match leaf {
        Leaf::Index(index) => {
            let index = LeafIndex::new(index).map_err(|e| invalid(format!("index is {e}"), ""))?;
            let is_there = published.size().contains(index);
            if is_there { Ok(index) } else { Err(ReadError::OutOfRange(published.size()).into()) }
        }
        Leaf::Statement(id) => find(service, published, &statement(&id)?),
        Leaf::LeafHash(hash) => find(service, published, &Key::Leaf(hash_of(&hash, "leaf_hash")?)),
    }
}

/// The index of the published entry with a key.
pub(super) fn find(
    service: &Service,
    published: &Published,
    key: &Key,
) -> Result<LeafIndex, CallError> {
    let found = find_entry(&service.index, &service.reader, published.size(), key)?;
    found.ok_or_else(|| {
        let message = "no published entry has this statement or leaf hash";
        let hint = "a record just submitted appears once it is published";
        CallError::new(Code::NotFound, message, hint)
    })
}

pub(super) fn statement(bytes: &[u8]) -> Result<Key, CallError> {
    Ok(Key::Statement(StatementId::from_hash(hash_of(bytes, "statement")?)))
}
