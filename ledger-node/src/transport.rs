//! Connections: who may have how many, how long they may be silent, what keeps others from reading
//! them, and who is at the other end.
//!
//! Both faces take their connections from one kind of [`Door`]: it counts them at the node's
//! [`Gate`], which also counts requests, gives up on those that stay silent, and has TLS spoken
//! where there is a certificate ([`ServerTls`]). Whoever has a node key shows it there. What a
//! request may hold is the faces' own matter. A [`Dialer`] is the other direction: how the node,
//! and `ledger`, reach others.

mod caller;
mod calls;
mod connection;
mod dial;
mod door;
mod gate;
mod network;
mod node_key;
mod nodes;
mod pinned_stream;
mod self_signed;
mod socket;
mod tls;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub use caller::Caller;
pub use calls::{endpoint, within};
pub use connection::Connection;
pub use dial::{DialError, Dialer, grpc_url};
pub use door::{Door, Incoming};
pub use gate::{Endpoint, Gate, Limits, LimitsError, RefusalReason};
pub use network::network;
pub use node_key::{NodeKey, UnusableNodeKey, certificate};
pub use nodes::{KnownNode, Nodes};
pub use self_signed::{SelfSignError, self_sign};
pub use tls::{ServerTls, read_authorities};

/// The cryptography of TLS: one for all connections, whatever else is linked into the program.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}
