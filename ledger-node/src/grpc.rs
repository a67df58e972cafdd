//! The gRPC interface, `ledger.v1`. Its files and those of `wire` are the only ones that know
//! protobuf.

mod answers;
mod authority;
mod find;
mod gossip;
mod ledger;
mod memory_limit;
mod mirror;
mod pending;
mod quota;
mod rated;
mod response_limit;
mod serve;
mod service;
mod status;
mod stream;
mod witness;
mod witnesses;

pub use self::serve::serve;
