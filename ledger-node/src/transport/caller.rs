//! Who is at the other end of a connection.

use std::net::SocketAddr;

use super::node_key::NodeKey;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// From where.
    pub address: SocketAddr,
    /// The node key that it showed; whose it is, and whether it counts, is not said.
    pub key: Option<NodeKey>,
}
