//! Connections: who may have how many, how long they may be silent, and what else every byte passes
//! before a face of the node sees it.
//!
//! Both faces take their connections from one kind of [`door`](door): it counts them at the node's
//! [`Gate`], which also counts requests, and gives up on those that stay silent. What a request may
//! hold is the faces' own matter.

mod connection;
mod door;
mod gate;
mod network;

pub use connection::Connection;
pub use door::{Door, Incoming};
pub use gate::{Face, Gate, Limits, LimitsError, Reason};
pub use network::network;
