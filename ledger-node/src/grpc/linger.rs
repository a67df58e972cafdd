//! Closing a connection without losing the answers on it.
//!
//! A socket that is closed while bytes lie unread in it makes the system send a reset, which throws
//! away what the client has not read yet: the answers to its last records. A client that streams
//! records while the node shuts down is such a case. So the node closes its own half, and reads and
//! drops what comes until the client has closed the other.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long a client may take to close its half.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are dropped at once.
const SCRATCH: usize = 8 << 10;

/// A connection that is closed in both directions in turn.
#[derive(Debug)]
pub struct Lingering {
    socket: TcpStream,
    /// Set when the own half is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    /// Lingers on `socket` when it is shut down.
    pub fn new(socket: TcpStream) -> Lingering {
        Lingering { socket, closing: None }
    }
}

impl Connected for Lingering {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lingering { socket, closing } = &mut *self;
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
