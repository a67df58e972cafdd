//! A connection to somebody else, which ends when whoever is there would be let in no more.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that this program made.
pub struct PinnedStream {
    stream: Box<dyn Duplex>,
    /// Over when the other end is believed no more.
    ends: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

/// Bytes that go both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl PinnedStream {
    /// A connection that lasts until `ends` is over.
    pub fn new(
        stream: impl Duplex + 'static,
        ends: impl Future<Output = ()> + Send + 'static,
    ) -> PinnedStream {
        PinnedStream { stream: Box::new(stream), ends: Box::pin(ends), ended: false }
    }

    /// Notices the end. Whoever waits to read is woken by it.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.ended = self.ended || self.ends.as_mut().poll(context).is_ready();
        if self.ended {
            let why = "another node key is known for this address now";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        }
        Ok(())
    }
}

impl AsyncRead for PinnedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PinnedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn whoever_reads_is_woken_by_the_end_and_nothing_is_written_after_it() {
        let (near, mut far) = tokio::io::duplex(64);
        let (end, ends) = oneshot::channel::<()>();
        let mut line = PinnedStream::new(near, async { drop(ends.await) });
        line.write_all(b"question").await.expect("it lasts");
        far.write_all(b"answer").await.expect("it lasts");
        let mut bytes = [0; 6];
        line.read_exact(&mut bytes).await.expect("it lasts");
        assert_eq!(&bytes, b"answer");

        let reading = tokio::spawn(async move { (line.read(&mut [0]).await, line) });
        tokio::task::yield_now().await;
        drop(end);
        let (read, mut line) = reading.await.expect("no panic");
        assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionAborted));
        let error = line.write_all(b"question").await.expect_err("it has ended");
        assert!(error.to_string().contains("another node key"), "{error}");
    }
}
