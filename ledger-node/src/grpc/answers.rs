//! Answers of a stream, to a caller who may take them slowly, but not for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::Failure;

/// Where answers go.
#[derive(Debug)]
pub struct Answers<T> {
    sender: Sender<Result<T, Status>>,
    /// Room for the word that the caller was too slow.
    last: Option<OwnedPermit<Result<T, Status>>>,
    waiting: Queue<T>,
    patience: Duration,
}

/// Answers that wait for the caller, who takes them one after another.
#[derive(Debug)]
pub struct Waiting<T>(Queue<T>);

type Queue<T> = Arc<Mutex<Receiver<Result<T, Status>>>>;

/// Nobody takes answers any more: the caller has gone, or was too slow and is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

impl<T> Answers<T> {
    /// Up to `ahead` answers wait for the caller, and the next one for `patience`.
    pub fn new(ahead: usize, patience: Duration) -> (Answers<T>, Waiting<T>) {
        let (sender, receiver) = channel(ahead + 1);
        let last = sender.clone().try_reserve_owned().ok();
        let waiting = Arc::new(Mutex::new(receiver));
        let taken = Waiting(Arc::clone(&waiting));
        (Answers { sender, last, waiting, patience }, taken)
    }

    /// Sends an answer once there is room for it.
    ///
    /// # Errors
    /// [`Unread`]: there is no use in going on.
    pub async fn send(&mut self, answer: Result<T, Status>) -> Result<(), Unread> {
        match tokio::time::timeout(self.patience, self.sender.send(answer)).await {
            Ok(sent) => sent.map_err(|_| Unread),
            Err(_) => {
                self.give_up();
                Err(Unread)
            }
        }
    }

    /// What nobody takes holds no memory either.
    fn give_up(&mut self) {
        let mut waiting = lock(&self.waiting);
        while waiting.try_recv().is_ok() {}
        if let Some(last) = self.last.take() {
            last.send(Err(too_slow(self.patience)));
        }
    }
}

impl<T> Stream for Waiting<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll_recv(context)
    }
}

impl<T> Drop for Waiting<T> {
    /// The caller has gone: whoever sends is told at once.
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

fn lock<T>(queue: &Queue<T>) -> MutexGuard<'_, Receiver<Result<T, Status>>> {
    // a channel is whole whoever panicked
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_slow(patience: Duration) -> Status {
    let why = format!("no answer was taken for {patience:?}");
    Failure::new(Code::DeadlineExceeded, why, "read on while you send, or ask for less").into()
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn who_takes_no_answers_is_waited_for_and_then_told() {
        let (mut answers, mut waiting) = Answers::new(1, Duration::from_millis(1));
        assert_eq!(answers.send(Ok(1)).await, Ok(()));
        assert_eq!(answers.send(Ok(2)).await, Err(Unread));
        drop(answers);
        let status = waiting.next().await.expect("the reason").expect_err("nothing else waits");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(waiting.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_has_gone_is_not_waited_for() {
        let (mut answers, waiting) = Answers::new(1, Duration::MAX);
        drop(waiting);
        assert_eq!(answers.send(Ok(1)).await, Err(Unread));
    }
}
