//! The node: its sequencer with failing storage, and the real process with real sockets and disks.

mod crash;
mod damage;
mod faults;
mod interop;
mod process;
mod shutdown;
