//! The way of a complete draft into the log.

use crate::admission::{Admission, Admitted};
use crate::refusal::Refusal;
use crate::sequencer::Outcome;
use crate::service::Service;
use ledger_core::record::StatementId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinError;

/// How often the node looks after drafts that nobody asks for: those whose time is over, that were
/// submitted by hand, or that the log could not take at first.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Runs something that reads and writes files, away from the threads that serve sockets.
///
/// # Errors
/// When it panics.
pub async fn blocking<T: Send + 'static>(
    service: &Arc<Service>,
    work: impl FnOnce(&Service) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let service = Arc::clone(service);
    tokio::task::spawn_blocking(move || work(&service)).await
}

/// Sends a draft that lacks nothing to the log, and notes what became of it.
async fn log(service: &Arc<Service>, statement: StatementId) -> Result<(), JoinError> {
    let take =
        move |service: &Service| service.pending.take_complete(&service.admission, statement);
    let Some(record) = blocking(service, take).await? else { return Ok(()) };
    let outcome = submit(&service.admission, record.as_bytes()).await;
    let outcome = outcome.unwrap_or_else(Outcome::Refused);
    blocking(service, move |service| service.pending.note(statement, &outcome)).await
}

/// The way of all records.
async fn submit(admission: &Admission, record: &[u8]) -> Result<Outcome, Refusal> {
    let room = admission.room_soon(record.len()).await?;
    match admission.check(record)? {
        Admitted::Duplicate(at) => Ok(Outcome::Duplicate(at)),
        Admitted::Verified(verified) => {
            let outcome = admission.enqueue(*verified, room).await?;
            Ok(outcome.await.unwrap_or(Outcome::Refused(Refusal::Unknown)))
        }
    }
}

/// Sends a draft that lacks nothing to the log, and waits until it is there. Goes on if whoever
/// waits goes away.
pub async fn log_if_complete(service: &Arc<Service>, statement: StatementId) {
    let service = Arc::clone(service);
    let logging = tokio::spawn(async move { log(&service, statement).await });
    // after a panic in there the draft is under way until the node starts again
    if let Err(error) | Ok(Err(error)) = logging.await {
        tracing::error!(%error, "logging a draft failed");
    }
}

/// Looks after drafts that nobody asks for, now and then, until the node stops.
pub async fn run_maintenance(service: Arc<Service>, mut stopping: watch::Receiver<bool>) {
    loop {
        let look = |service: &Service| service.pending.find_logged(&service.admission);
        let waiting = blocking(&service, look).await.unwrap_or_default();
        for statement in waiting {
            log_if_complete(&service, statement).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}
