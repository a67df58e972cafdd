//! The ledger's gRPC interface: messages, client and server of `ledger.v1`.
//!
//! The interface itself is documented in `proto/ledger/v1/`. Nothing here verifies
//! anything: a client hands what it receives to `ledger-core`. Only the number of a message's
//! fields is bounded before it is decoded.

mod bounded;

pub use bounded::{
    BoundedCodec, BoundedDecoder, MAX_REQUEST_FIELDS, Shape, Shaped, most_fields,
    most_request_fields,
};

/// Package `ledger.v1`.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("ledger.v1");

    /// The compiled description of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/ledger_v1.bin"));
}

/// Which fields of the package's messages are messages.
mod shapes {
    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}
