//! The ledger's gRPC interface: messages, client and server of `ledger.v1`.
//!
//! The interface itself is documented in `proto/ledger/v1/`. Nothing here verifies
//! anything: a client hands what it receives to `ledger-core`.

/// Package `ledger.v1`.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("ledger.v1");

    /// The compiled description of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/ledger_v1.bin"));
}
