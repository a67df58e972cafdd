//! One socket: it is given up when it stays silent, and closed without losing answers.
//!
//! A socket that is closed while bytes lie unread in it makes the system send a reset, which throws
//! away what the client has not read yet: the answers to its last records. A client that streams
//! records while the node shuts down is such a case. So the node closes its own half, and reads and
//! drops what comes until the client has closed the other.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::gate::Permit;

/// How long a client may take to close its half.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are dropped at once.
const SCRATCH: usize = 8 << 10;

/// A socket that was let in.
#[derive(Debug)]
pub struct Socket {
    socket: TcpStream,
    address: SocketAddr,
    permit: Permit,
    /// How long it may be silent.
    idle: Duration,
    /// When a byte came or went last.
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
    /// Set when the own half is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(
        socket: TcpStream,
        address: SocketAddr,
        permit: Permit,
        idle: Duration,
    ) -> Socket {
        let (moved, alarm) = (Instant::now(), Box::pin(sleep(idle)));
        Socket { socket, address, permit, idle, moved, alarm, closing: None }
    }

    /// Who is at the other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came of reading or writing; an error once the connection has been silent for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.moved = Instant::now();
            return outcome;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let until = self.moved + self.idle;
            if until <= Instant::now() {
                self.permit.was_slow();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // set anew only here, not at every byte
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.watched(context, outcome)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watched(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.watched(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket { socket, closing, .. } = &mut *self;
        if closing.is_none() {
            ready!(Pin::new(&mut *socket).poll_shutdown(context))?;
        }
        let patience = closing.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        let mut scratch = [0; SCRATCH];
        loop {
            if patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut dropped = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut *socket).poll_read(context, &mut dropped));
            if read.is_err() || dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
