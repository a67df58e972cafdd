//! Bringing a log back from another copy of it: the missing entries of a directory, or a whole
//! directory.

mod append;
mod rebuild;

pub use append::{RestoreError, Restored, append};
pub use rebuild::{LostLog, rebuild};
