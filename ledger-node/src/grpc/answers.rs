//! Answers of a stream, to a caller who may take them slowly, but not for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::status::CallError;

/// Bytes of answers that wait for one caller: many of the usual ones, and few that hold a record.
const BYTES_AHEAD: usize = 256 << 10;

/// Where answers go.
#[derive(Debug)]
pub struct Answers<T> {
    sender: Sender<HeldAnswer<T>>,
    /// Room for the word that the caller was too slow.
    last: Option<OwnedPermit<HeldAnswer<T>>>,
    /// The bytes that may wait.
    permit: Arc<Semaphore>,
    waiting: Queue<T>,
    patience: Duration,
}

/// Answers that wait for the caller, who takes them one after another.
#[derive(Debug)]
pub struct Waiting<T>(Queue<T>);

type Queue<T> = Arc<Mutex<Receiver<HeldAnswer<T>>>>;

/// An answer with the room that it takes.
#[derive(Debug)]
struct HeldAnswer<T> {
    answer: Result<T, Status>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Nobody takes answers any more: the caller has gone, or was too slow and is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerGone;

impl<T: Message> Answers<T> {
    /// Up to `ahead` answers wait for the caller, as far as they are small, and the next one for
    /// `patience`.
    pub fn new(ahead: usize, patience: Duration) -> (Answers<T>, Waiting<T>) {
        let (sender, receiver) = channel(ahead + 1);
        let last = sender.clone().try_reserve_owned().ok();
        let waiting = Arc::new(Mutex::new(receiver));
        let taken = Waiting(Arc::clone(&waiting));
        let room = Arc::new(Semaphore::new(BYTES_AHEAD));
        (Answers { sender, last, permit: room, waiting, patience }, taken)
    }

    /// Sends an answer once there is room for it.
    ///
    /// # Errors
    /// [`CallerGone`]: there is no use in going on.
    pub async fn send(&mut self, answer: Result<T, Status>) -> Result<(), CallerGone> {
        match tokio::time::timeout(self.patience, self.queue(answer)).await {
            Ok(queued) => queued,
            Err(_) => {
                self.give_up();
                Err(CallerGone)
            }
        }
    }

    async fn queue(&self, answer: Result<T, Status>) -> Result<(), CallerGone> {
        let bytes = answer.as_ref().map_or(0, Message::encoded_len).min(BYTES_AHEAD);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.permit).acquire_many_owned(bytes);
        // the caller may go while there is no room
        let room = tokio::select! {
            room = room => room.ok(),
            () = self.sender.closed() => return Err(CallerGone),
        };
        self.sender.send(HeldAnswer { answer, _room: room }).await.map_err(|_| CallerGone)
    }

    /// What nobody takes holds no memory either.
    fn give_up(&mut self) {
        let mut waiting = lock(&self.waiting);
        while waiting.try_recv().is_ok() {}
        if let Some(last) = self.last.take() {
            last.send(HeldAnswer { answer: Err(too_slow(self.patience)), _room: None });
        }
    }
}

impl<T> Stream for Waiting<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll_recv(context).map(|held| held.map(|held| held.answer))
    }
}

impl<T> Drop for Waiting<T> {
    /// The caller has gone: whoever sends is told at once.
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

fn lock<T>(queue: &Queue<T>) -> MutexGuard<'_, Receiver<HeldAnswer<T>>> {
    // a channel is whole whoever panicked
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_slow(patience: Duration) -> Status {
    let why = format!("no answer was taken for {patience:?}");
    CallError::new(Code::DeadlineExceeded, why, "read on while you send, or ask for less").into()
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn who_takes_no_answers_is_waited_for_and_then_told() {
        let (mut answers, mut waiting) = Answers::new(1, Duration::from_millis(1));
        assert_eq!(answers.send(Ok(1)).await, Ok(()));
        assert_eq!(answers.send(Ok(2)).await, Err(CallerGone));
        drop(answers);
        let status = waiting.next().await.expect("the reason").expect_err("nothing else waits");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(waiting.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_has_gone_is_not_waited_for() {
        let (mut answers, waiting) = Answers::new(1, Duration::MAX);
        drop(waiting);
        assert_eq!(answers.send(Ok(1)).await, Err(CallerGone));
    }

    #[tokio::test]
    async fn large_answers_wait_in_few_bytes_and_all_of_them_come() {
        let (mut answers, mut waiting) = Answers::new(64, Duration::from_secs(3_600));
        let large = vec![7; BYTES_AHEAD / 4];
        let sending = tokio::spawn({
            let large = large.clone();
            async move {
                for _ in 0..12 {
                    answers.send(Ok(large.clone())).await.expect("they are taken");
                }
            }
        });
        // a length comes with each, so that the fourth finds no room
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&waiting.0).len(), 3);
        let mut taken = 0;
        while let Some(answer) = waiting.next().await {
            assert_eq!(answer.expect("an answer"), large);
            taken += 1;
        }
        assert_eq!(taken, 12);
        sending.await.expect("no panic");
    }

    #[tokio::test]
    async fn who_goes_while_there_is_no_room_is_not_waited_for() {
        let (mut answers, waiting) = Answers::new(64, Duration::MAX);
        assert_eq!(answers.send(Ok(vec![7; BYTES_AHEAD])).await, Ok(()));
        let next = tokio::spawn(async move { answers.send(Ok(vec![7; BYTES_AHEAD])).await });
        tokio::task::yield_now().await;
        drop(waiting);
        assert_eq!(next.await.expect("no panic"), Err(CallerGone));
    }
}
