//! A log's files over HTTP, whatever they are: honest, forked, or withheld.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::note::SignerKey;
use tokio::net::TcpListener;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A tlog-tiles prefix on a free port of the loopback, served until its runtime ends.
#[derive(Debug, Clone)]
pub struct TestSite {
    files: Files,
    /// The prefix.
    pub url: String,
}

/// A tree that somebody signed: its head, and its files by path.
#[derive(Debug, Clone)]
pub struct SignedTree {
    /// The checkpoint.
    pub head: ClaimedCheckpoint,
    /// Tiles and bundles.
    pub tiles: BTreeMap<String, Vec<u8>>,
}

impl SignedTree {
    /// The tree of these entries, by the log with this key.
    ///
    /// # Panics
    /// If the key's name is no origin.
    pub fn new(key: &SignerKey, entries: &[String]) -> SignedTree {
        let mut edge = Edge::new();
        let entries: Vec<Vec<u8>> =
            entries.iter().map(|entry| entry.clone().into_bytes()).collect();
        let batch = edge.append(&entries).expect("there is room");
        let tiles = batch.tiles.into_iter().map(|(at, bytes)| (at.to_string(), bytes.to_vec()));
        let origin = Origin::new(key.verifier().name().as_str()).expect("an origin");
        let head = Checkpoint::new(origin, edge.head()).sign(key);
        SignedTree { head, tiles: tiles.collect() }
    }

    /// So many entries; those from `fork` on are told apart by `branch`.
    pub fn forked(key: &SignerKey, entries: usize, fork: usize, branch: &str) -> SignedTree {
        let entry = |at| if at < fork { format!("{at}") } else { format!("{branch} {at}") };
        SignedTree::new(key, &(0..entries).map(entry).collect::<Vec<_>>())
    }
}

impl TestSite {
    /// Serves nothing yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> TestSite {
        let files = Files::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let routes = Router::new().route("/{*path}", get(file)).with_state(Arc::clone(&files));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        TestSite { files, url }
    }

    /// Shows a tree's head, with its tiles.
    pub fn show(&self, tree: &SignedTree) {
        self.show_head(&tree.head);
        self.lock().extend(tree.tiles.clone());
    }

    /// Shows a head; the tiles stay as they are.
    pub fn show_head(&self, head: &ClaimedCheckpoint) {
        self.lock().insert("checkpoint".to_owned(), head.to_string().into_bytes());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().expect("no panics under this lock")
    }
}

async fn file(State(files): State<Files>, Path(path): Path<String>) -> Response {
    match files.lock().expect("no panics under this lock").get(&path) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
