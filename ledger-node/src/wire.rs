//! Conversions between wire types and core types that both ends of a connection need.

pub mod bytes;
pub mod gossip;
