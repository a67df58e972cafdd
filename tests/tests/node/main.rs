//! The node: its sequencer with failing storage, and the real process with real sockets and disks.

mod anchors;
mod bad_input;
mod cosigning;
mod crash;
mod damage;
mod faults;
mod gossip;
mod gossip_mirror;
mod gossip_peers;
mod gossip_status;
mod http;
mod interop;
mod limits;
mod mirror;
mod mirror_ours;
mod operator;
mod partition;
mod process;
mod publishing;
mod refused_heads;
mod shutdown;
mod tls;
mod tls_nodes;
mod witness;
mod witnesses;
mod witnessing;
