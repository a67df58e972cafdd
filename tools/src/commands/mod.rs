//! One file per command.

pub mod audit;
pub mod charter;
pub mod checkpoint;
pub mod completions;
pub mod demo;
pub mod evidence;
pub mod gossip;
pub mod import;
pub mod inbox;
pub mod keygen;
pub mod log_list;
pub mod man;
pub mod mirror;
pub mod propose;
pub mod prove;
pub mod record;
pub mod register;
pub mod seal;
pub mod submit;
pub mod unseal;
pub mod verify;
pub mod witness;
