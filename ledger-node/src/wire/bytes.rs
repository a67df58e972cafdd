//! Bytes that several messages hold.

use bytes::Bytes;
use ledger_core::Hash;

pub fn hash_bytes(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash.as_bytes())
}
