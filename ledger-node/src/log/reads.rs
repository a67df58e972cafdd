//! Reads on behalf of callers: only so many run at once, so that what they hold has a bound.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Reads that run at once: enough to keep a disk busy. Each holds an entry or a part of a file, and
/// opens one file.
const AT_ONCE: usize = 32;

/// Where reads of files run, away from the threads that serve sockets.
#[derive(Debug, Clone)]
pub struct Reads(Arc<Semaphore>);

impl Default for Reads {
    fn default() -> Reads {
        Reads(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Reads {
    /// Runs something that reads, once there is a turn for it. `None` when it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            // kept also where the caller has gone: the read goes on
            let _turn = turn;
            read()
        });
        done.await.ok()
    }
}
