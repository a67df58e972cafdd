//! The node: its sequencer with failing storage, and the real process with real sockets and disks.

mod faults;
mod process;
