//! The clock and randomness, in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use ledger_core::record::RecordId;

use crate::failure::Failure;

/// POSIX seconds.
pub fn now() -> u64 {
    milliseconds() / 1000
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes from the operating system.
///
/// # Errors
/// [`Failure`] when the operating system provides none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| {
        Failure::environment(
            format!("the operating system provides no random bytes: {e}"),
            "try again on a machine whose /dev/urandom works",
        )
    })?;
    Ok(bytes)
}

/// A fresh id for a record written now.
///
/// # Errors
/// As [`random`].
pub fn fresh_id() -> Result<RecordId, Failure> {
    Ok(RecordId::from_parts(milliseconds(), random()?))
}
