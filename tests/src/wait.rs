//! Waiting for what a real node does in its own time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// What takes moments takes no longer than this on a loaded machine.
pub const SOON: Duration = Duration::from_secs(150);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until there is an answer.
///
/// # Panics
/// If there is none [`SOON`]; it shows what came instead last.
#[track_caller]
pub fn until<T, E: Debug>(mut ask: impl FnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(instead) => assert!(began.elapsed() < SOON, "waited in vain: {instead:?}"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// As [`until`], without keeping others on the thread from going on.
///
/// # Panics
/// If there is no answer [`SOON`]; it shows what came instead last.
pub async fn until_async<T, E: Debug>(mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(instead) => assert!(began.elapsed() < SOON, "waited in vain: {instead:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is, once it is so.
///
/// # Errors
/// What is, as long as it is not so.
pub fn so<T>(is: T, well: impl FnOnce(&T) -> bool) -> Result<T, T> {
    if well(&is) { Ok(is) } else { Err(is) }
}
