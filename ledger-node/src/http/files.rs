//! Files as bodies of answers: a part is read once the caller has taken the one before.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use ledger_core::tile::TileCoord;

use super::{FOREVER, OCTETS, failed};
use crate::log::{LogReader, ReadError, Reads, ServedFile};

/// The answer with a tile or bundle of a log; `None` where it does not exist.
pub(super) async fn answer(
    reads: &Reads,
    reader: Arc<LogReader>,
    coord: TileCoord,
) -> Option<Response> {
    let opening = Arc::clone(&reader);
    match reads.run(move || opening.open(coord)).await {
        Some(Ok(Some((file, first)))) => {
            let headers = [(header::CONTENT_TYPE, OCTETS), (header::CACHE_CONTROL, FOREVER)];
            let first = Bytes::from(first);
            let body = if first.len() as u64 == file.len() {
                Body::from(first)
            } else {
                let at = first.len() as u64;
                let (first, reads) = (Some(first), reads.clone());
                Body::new(FileBody { reads, reader, file, at, first, reading: None })
            };
            Some((headers, body).into_response())
        }
        Some(Ok(None)) => None,
        _ => Some(failed("the tile cannot be read")),
    }
}

/// The bytes of a file. It holds one part of them.
struct FileBody {
    reads: Reads,
    reader: Arc<LogReader>,
    file: ServedFile,
    /// How many bytes were read.
    at: u64,
    /// The part that was read before the answer began.
    first: Option<Bytes>,
    reading: Option<Reading>,
}

type Reading = Pin<Box<dyn Future<Output = Option<Result<Vec<u8>, ReadError>>> + Send>>;

/// A file could not be read to its end: the connection ends too, so that the caller notices.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the file cannot be read")]
struct Unreadable;

impl FileBody {
    fn read(&self) -> Reading {
        let (reads, reader) = (self.reads.clone(), Arc::clone(&self.reader));
        let (file, at) = (self.file.clone(), self.at);
        Box::pin(async move { reads.run(move || reader.read_on(&file, at)).await })
    }
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.at >= self.file.len() {
            return Poll::Ready(None);
        }
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.read(),
        };
        let read = ready!(self.reading.insert(reading).as_mut().poll(context));
        self.reading = None;
        match read {
            Some(Ok(bytes)) if !bytes.is_empty() => {
                self.at += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
            }
            read => {
                let why = read.and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(why = why.unwrap_or_default(), "an answer ends early");
                Poll::Ready(Some(Err(Unreadable.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.at >= self.file.len()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        SizeHint::with_exact(self.file.len().saturating_sub(self.at) + first)
    }
}
