//! Where a mirror reads a log: a C2SP tlog-tiles prefix over HTTP, or a node of ours over gRPC.
//!
//! Nothing that comes from here is trusted: whoever asks verifies it against a signed head.

use std::future::Future;
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
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::source::{Source, SourceError};
use crate::transport::{Dialer, grpc_url, within};

/// Bundles that are fetched at the same time.
const FETCHERS: u64 = 4;

/// Bundles that one fetcher holds ready beside the one that it fetches: with the longest entries a
/// bundle has 16 MiB.
const AHEAD: usize = 1;

/// Where a log is read.
#[derive(Debug, Clone)]
pub enum Feed {
    /// Its tiles.
    Tiles(Source),
    /// A node.
    Node(NodeFeed),
}

/// A node that is asked from a thread.
#[derive(Debug, Clone)]
pub struct NodeFeed {
    client: LedgerClient<Channel>,
    /// Drives the connection.
    runtime: tokio::runtime::Handle,
    /// How long the node may take for an answer, and for as many entries as a bundle has.
    patience: Duration,
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

impl FeedError {
    /// There is no more where more was promised.
    pub fn ended() -> FeedError {
        FeedError::Unreachable("the source ended before its tree did".to_owned())
    }
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
        let _inside = runtime.enter();
        let channel = dialer.lazy(&url).map_err(|e| unusable(e.to_string()))?;
        let (client, runtime) = (LedgerClient::new(channel), runtime.clone());
        Ok(Feed::Node(NodeFeed { client, runtime, patience: dialer.patience() }))
    }

    /// Where tiles can be read, if they can.
    pub fn tiles(&self) -> Option<String> {
        match self {
            Feed::Tiles(source) => Some(source.to_string()),
            Feed::Node(_) => None,
        }
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> Result<ClaimedCheckpoint, FeedError> {
        let bytes = match self {
            Feed::Tiles(source) => source.checkpoint().map_err(|e| read_error("checkpoint", e))?,
            Feed::Node(node) => {
                let mut client = node.client.clone();
                let asked = client.get_checkpoint(wire::GetCheckpointRequest {});
                node.wait(asked)?.into_inner().checkpoint.to_vec()
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
            Feed::Node(node) => {
                let (old_size, new_size) = (old.get(), Some(new.get()));
                let request = wire::GetConsistencyProofRequest { old_size, new_size };
                let mut client = node.client.clone();
                let answer = node.wait(client.get_consistency_proof(request))?.into_inner();
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
            Feed::Node(node) => {
                use wire::get_inclusion_proof_request::Leaf;
                let leaf = Some(Leaf::Index(index.get()));
                let tree_size = Some(size.get());
                let request = wire::GetInclusionProofRequest { leaf, tree_size };
                let mut client = node.client.clone();
                let answer = node.wait(client.get_inclusion_proof(request))?.into_inner();
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
            Feed::Node(node) => {
                let request = wire::GetEntriesRequest { start: index.get(), count: Some(1) };
                let mut client = node.client.clone();
                let first = node.wait(async {
                    client.get_entries(request).await?.into_inner().message().await
                })?;
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
    ) -> Prefetch {
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
            Feed::Node(node) => {
                let (send, receive) = sync_channel(AHEAD);
                ready.push(receive);
                scope.spawn(move || {
                    if let Err(error) = node.stream(from, size, &send) {
                        // whoever takes entries may have gone
                        let _ = send.send(Err(error));
                    }
                });
            }
        }
        let skip = match self {
            Feed::Tiles(_) => usize::try_from(from.get() % width).unwrap_or(0),
            Feed::Node(_) => 0,
        };
        Prefetch { ready, turn: 0, skip }
    }
}

/// Entries on their way, in order.
#[derive(Debug)]
pub struct Prefetch {
    ready: Vec<Receiver<Result<Vec<Vec<u8>>, FeedError>>>,
    turn: usize,
    /// Entries of the first bundle that nobody asked for.
    skip: usize,
}

impl Prefetch {
    /// The next entries, up to 256.
    pub fn next(&mut self) -> Result<Vec<Vec<u8>>, FeedError> {
        let receiver = self.ready.get(self.turn).ok_or_else(FeedError::ended)?;
        let mut entries = receiver.recv().map_err(|_| FeedError::ended())??;
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

impl NodeFeed {
    /// Waits for what comes of a call, but not for ever.
    fn wait<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, FeedError> {
        self.runtime.block_on(within(self.patience, call)).map_err(|e| status(&e))
    }

    /// Sends the entries from `from` to the end of the tree of `size` leaves, as long as somebody
    /// takes them.
    fn stream(
        &self,
        from: TreeSize,
        size: TreeSize,
        send: &SyncSender<Result<Vec<Vec<u8>>, FeedError>>,
    ) -> Result<(), FeedError> {
        let count = Some(size.get().saturating_sub(from.get()));
        let request = wire::GetEntriesRequest { start: from.get(), count };
        let mut client = self.client.clone();
        let mut entries = self.wait(client.get_entries(request))?.into_inner();
        let mut next = from.get();
        while next < size.get() {
            let until = size.get().min(next + u64::from(TILE_WIDTH));
            let some = self.wait(async {
                let mut some = Vec::with_capacity(usize::from(TILE_WIDTH));
                for _ in next..until {
                    some.extend(entries.message().await?);
                }
                Ok(some)
            })?;
            if some.iter().zip(next..).any(|(entry, index)| entry.index != index) {
                return Err(damaged("the order of entries"));
            }
            next += some.len() as u64;
            let some = some.into_iter().map(|entry| entry.entry.to_vec()).collect();
            if send.send(Ok(some)).is_err() {
                return Ok(());
            }
            if next < until {
                return Err(FeedError::Unreachable("the node sends no more entries".to_owned()));
            }
        }
        Ok(())
    }
}

fn damaged(what: &str) -> FeedError {
    FeedError::Damaged(format!("{what} is not what it should be"))
}

fn read_error(what: &str, error: SourceError) -> FeedError {
    let text = format!("its {what} {error}");
    match error {
        SourceError::Failed(_) => FeedError::Unreachable(text),
        _ => FeedError::Damaged(text),
    }
}

fn prove_error(error: ProveError<TileReadError<SourceError>>) -> FeedError {
    match error {
        ProveError::Read(TileReadError::Source(error)) => read_error("hash tile", error),
        ProveError::Read(error) => FeedError::Damaged(error.to_string()),
        _ => damaged("the order of sizes"),
    }
}

fn status(status: &tonic::Status) -> FeedError {
    let text = status.message().lines().next().unwrap_or_default();
    let text = match status.code() {
        Code::DeadlineExceeded => format!("the node is too slow: {text}"),
        code => format!("the node says {code:?}: {text}"),
    };
    match status.code() {
        Code::OutOfRange | Code::NotFound | Code::DataLoss | Code::InvalidArgument => {
            FeedError::Damaged(text)
        }
        _ => FeedError::Unreachable(text),
    }
}
