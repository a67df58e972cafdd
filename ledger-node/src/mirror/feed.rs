//! Where a mirror reads a log: a C2SP tlog-tiles prefix over HTTP, or a node of ours over gRPC.
//!
//! Nothing that comes from here is trusted: whoever asks verifies it against a signed head.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::Duration;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{
    ConsistencyProof, InclusionProof, ProveError, prove_consistency, prove_inclusion,
};
use ledger_core::tile::{EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader};
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::{self as wire, ledger_client::LedgerClient};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::source::{ReadError, Source};
use crate::transport::{Dialer, grpc_url};

/// Bundles that are fetched at the same time.
const FETCHERS: u64 = 4;

/// Bundles that one fetcher holds ready beside the one that it fetches: with the longest entries a
/// bundle has 16 MiB.
const AHEAD: usize = 1;

/// How long a node may take for an answer, and between two entries of a stream.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a log is read.
#[derive(Debug, Clone)]
pub enum Feed {
    /// Its tiles.
    Tiles(Source),
    /// A node.
    Node {
        /// The connection.
        client: LedgerClient<Channel>,
        /// Drives it.
        runtime: tokio::runtime::Handle,
    },
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The network, or a server that is not well.
    #[error("{0}")]
    Unreachable(String),
    /// What came is not what it should be.
    #[error("{0}")]
    Damaged(String),
}

impl Feed {
    /// Prepares the way to a source of the list; nothing is connected yet.
    ///
    /// # Errors
    /// [`FeedError::Unreachable`] where the address cannot be used.
    pub fn open(
        source: &str,
        dialer: &Dialer,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Feed, FeedError> {
        let unusable = |e: String| FeedError::Unreachable(format!("{source}: {e}"));
        let Some(url) = grpc_url(source).filter(|_| source.starts_with("grpc")) else {
            let opened = Source::open_by(dialer, source);
            return opened.map(Feed::Tiles).map_err(|e| unusable(e.to_string()));
        };
        let endpoint = Endpoint::from_shared(url);
        let endpoint = endpoint.map_err(|e| unusable(e.to_string()))?;
        let _inside = runtime.enter();
        let client = LedgerClient::new(dialer.lazy(&endpoint.connect_timeout(TIMEOUT)));
        Ok(Feed::Node { client, runtime: runtime.clone() })
    }

    /// Where tiles can be read, if they can.
    pub fn tiles(&self) -> Option<String> {
        match self {
            Feed::Tiles(source) => Some(source.to_string()),
            Feed::Node { .. } => None,
        }
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> Result<ClaimedCheckpoint, FeedError> {
        let bytes = match self {
            Feed::Tiles(source) => source.checkpoint().map_err(|e| read_error("checkpoint", e))?,
            Feed::Node { client, runtime } => {
                let mut client = client.clone();
                let asked = client.get_checkpoint(within(wire::GetCheckpointRequest {}));
                let answer = runtime.block_on(asked).map_err(|e| status(&e))?;
                answer.into_inner().checkpoint.to_vec()
            }
        };
        ClaimedCheckpoint::parse(&bytes)
            .map_err(|e| FeedError::Damaged(format!("its checkpoint: {e}")))
    }

    /// The proof that the tree of `new` leaves begins with that of `old`; not verified.
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, FeedError> {
        match self {
            Feed::Tiles(source) => {
                let mut nodes = TileReader::new(source, new);
                prove_consistency(&mut nodes, old, new).map_err(prove_error)
            }
            Feed::Node { client, runtime } => {
                let (old_size, new_size) = (old.get(), Some(new.get()));
                let request = wire::GetConsistencyProofRequest { old_size, new_size };
                let mut client = client.clone();
                let asked = client.get_consistency_proof(within(request));
                let answer = runtime.block_on(asked).map_err(|e| status(&e))?.into_inner();
                let hashes: Result<Vec<_>, _> =
                    answer.hashes.iter().map(|hash| hash.as_ref().try_into()).collect();
                let hashes = hashes.map_err(|_| damaged("a hash of a proof"))?;
                let hashes = hashes.into_iter().map(Hash::from_bytes).collect();
                ConsistencyProof::new(hashes).map_err(|_| damaged("a consistency proof"))
            }
        }
    }

    /// The proof of a leaf in the tree of `size` leaves; not verified.
    pub fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Result<InclusionProof, FeedError> {
        match self {
            Feed::Tiles(source) => {
                let mut nodes = TileReader::new(source, size);
                prove_inclusion(&mut nodes, index, size).map_err(prove_error)
            }
            Feed::Node { client, runtime } => {
                use wire::get_inclusion_proof_request::Leaf;
                let leaf = Some(Leaf::Index(index.get()));
                let tree_size = Some(size.get());
                let request = wire::GetInclusionProofRequest { leaf, tree_size };
                let mut client = client.clone();
                let asked = client.get_inclusion_proof(within(request));
                let answer = runtime.block_on(asked).map_err(|e| status(&e))?.into_inner();
                let hashes: Result<Vec<_>, _> =
                    answer.hashes.iter().map(|hash| hash.as_ref().try_into()).collect();
                let hashes = hashes.map_err(|_| damaged("a hash of a proof"))?;
                let hashes = hashes.into_iter().map(Hash::from_bytes).collect();
                InclusionProof::new(hashes).map_err(|_| damaged("an inclusion proof"))
            }
        }
    }

    /// One entry of the tree of `size` leaves; not verified.
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, FeedError> {
        match self {
            Feed::Tiles(source) => {
                let width = u64::from(TILE_WIDTH);
                let mut bundle = fetch(source, index.get() / width, size)?;
                let at = usize::try_from(index.get() % width).unwrap_or(usize::MAX);
                if at >= bundle.len() {
                    return Err(damaged("an entry bundle"));
                }
                Ok(bundle.swap_remove(at))
            }
            Feed::Node { client, runtime } => {
                let request = wire::GetEntriesRequest { start: index.get(), count: Some(1) };
                let mut client = client.clone();
                let first = runtime.block_on(async {
                    client.get_entries(within(request)).await?.into_inner().message().await
                });
                let first = first.map_err(|e| status(&e))?;
                let first = first.filter(|first| first.index == index.get());
                first.map(|own| own.entry.to_vec()).ok_or_else(|| damaged("an entry"))
            }
        }
    }

    /// Begins to read the entries from `from` to the end of the tree of `size` leaves, some of them
    /// ahead of whoever takes them.
    pub fn read_ahead<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        from: TreeSize,
        size: TreeSize,
    ) -> Ahead {
        let width = u64::from(TILE_WIDTH);
        let mut ready = Vec::new();
        match self {
            Feed::Tiles(source) => {
                let (first, end) = (from.get() / width, size.get().div_ceil(width));
                for n in 0..FETCHERS.min(end.saturating_sub(first)) {
                    let (send, receive) = sync_channel(AHEAD);
                    ready.push(receive);
                    scope.spawn(move || {
                        let mut number = first + n;
                        while number < end {
                            let fetched = fetch(source, number, size);
                            // whoever takes them has gone, or has heard of a failure
                            if fetched.is_err() | send.send(fetched).is_err() {
                                return;
                            }
                            number += FETCHERS;
                        }
                    });
                }
            }
            Feed::Node { client, runtime } => {
                let (send, receive) = sync_channel(AHEAD);
                ready.push(receive);
                let client = client.clone();
                scope.spawn(move || runtime.block_on(stream(client, from, size, &send)));
            }
        }
        let skip = match self {
            Feed::Tiles(_) => usize::try_from(from.get() % width).unwrap_or(0),
            Feed::Node { .. } => 0,
        };
        Ahead { ready, turn: 0, skip }
    }
}

/// Entries on their way, in order.
#[derive(Debug)]
pub struct Ahead {
    ready: Vec<Receiver<Result<Vec<Vec<u8>>, FeedError>>>,
    turn: usize,
    /// Entries of the first bundle that nobody asked for.
    skip: usize,
}

impl Ahead {
    /// The next entries, up to 256.
    pub fn next(&mut self) -> Result<Vec<Vec<u8>>, FeedError> {
        let ended = || FeedError::Unreachable("the source ended before its tree did".to_owned());
        let receiver = self.ready.get(self.turn).ok_or_else(ended)?;
        let mut entries = receiver.recv().map_err(|_| ended())??;
        self.turn = (self.turn + 1) % self.ready.len();
        entries.drain(..std::mem::take(&mut self.skip).min(entries.len()));
        Ok(entries)
    }
}

fn fetch(source: &Source, number: u64, size: TreeSize) -> Result<Vec<Vec<u8>>, FeedError> {
    let coord = TileCoord::in_tree(TileKind::Entries, number, size);
    let coord = coord.ok_or_else(|| damaged("an entry bundle"))?;
    let bytes = source.tile(coord).map_err(|e| read_error(&coord.to_string(), e))?;
    let bundle = EntryBundle::parse(coord, bytes);
    let bundle = bundle.map_err(|e| FeedError::Damaged(format!("its {coord}: {e}")))?;
    Ok(bundle.iter().map(<[u8]>::to_vec).collect())
}

async fn stream(
    mut client: LedgerClient<Channel>,
    from: TreeSize,
    size: TreeSize,
    send: &SyncSender<Result<Vec<Vec<u8>>, FeedError>>,
) {
    let (start, count) = (from.get(), size.get().saturating_sub(from.get()));
    let request = wire::GetEntriesRequest { start, count: Some(count) };
    let silent = || FeedError::Unreachable("the node sends no more entries".to_owned());
    let read = async {
        let mut entries = client.get_entries(request).await.map_err(|e| status(&e))?.into_inner();
        let mut next = start;
        while next < size.get() {
            let mut some = Vec::with_capacity(usize::from(TILE_WIDTH));
            while next < size.get() && some.len() < usize::from(TILE_WIDTH) {
                let entry = tokio::time::timeout(TIMEOUT, entries.message()).await;
                let entry = entry.map_err(|_| silent())?.map_err(|e| status(&e))?;
                let entry = entry.ok_or_else(silent)?;
                if entry.index != next {
                    return Err(damaged("the order of entries"));
                }
                some.push(entry.entry.to_vec());
                next += 1;
            }
            if send.send(Ok(some)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    if let Err(error) = read.await {
        // whoever takes entries may have gone
        let _ = send.send(Err(error));
    }
}

fn within<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

fn damaged(what: &str) -> FeedError {
    FeedError::Damaged(format!("{what} is not what it should be"))
}

fn read_error(what: &str, error: ReadError) -> FeedError {
    let text = format!("its {what} {error}");
    match error {
        ReadError::Failed(_) => FeedError::Unreachable(text),
        _ => FeedError::Damaged(text),
    }
}

fn prove_error(error: ProveError<TileReadError<ReadError>>) -> FeedError {
    match error {
        ProveError::Read(TileReadError::Source(error)) => read_error("hash tile", error),
        ProveError::Read(error) => FeedError::Damaged(error.to_string()),
        _ => damaged("the order of sizes"),
    }
}

fn status(status: &tonic::Status) -> FeedError {
    let text = status.message().lines().next().unwrap_or_default();
    let text = format!("the node says {:?}: {text}", status.code());
    match status.code() {
        Code::OutOfRange | Code::NotFound | Code::DataLoss | Code::InvalidArgument => {
            FeedError::Damaged(text)
        }
        _ => FeedError::Unreachable(text),
    }
}
