//! A tlog-tiles log as files behind a real HTTP socket, which tests alter, cut off and count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::note::SignerKey;
use tokio::net::TcpListener;

/// Writes the site of a log with these entries, whose name is its key's: checkpoint, tiles,
/// bundles.
///
/// # Panics
/// If it cannot be written.
pub fn write_site<T: AsRef<[u8]>>(folder: &Path, entries: &[T], log: &SignerKey) {
    let mut site = SiteWriter::new(folder);
    site.append(entries);
    site.sign(log);
}

/// Writes a site piece by piece, for logs that are larger than memory.
#[derive(Debug)]
pub struct SiteWriter {
    folder: PathBuf,
    edge: Edge,
}

impl SiteWriter {
    /// An empty log in a folder.
    pub fn new(folder: &Path) -> SiteWriter {
        SiteWriter { folder: folder.to_owned(), edge: Edge::new() }
    }

    /// Writes the tiles and bundles of more entries.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn append<T: AsRef<[u8]>>(&mut self, entries: &[T]) {
        for (coord, bytes) in &self.edge.append(entries).expect("room").tiles {
            let path = self.folder.join(coord.to_string());
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }
    }

    /// Writes the checkpoint of all entries.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn sign(&self, log: &SignerKey) {
        let origin = Origin::new(log.verifier().name().as_str()).expect("an origin");
        let checkpoint = Checkpoint::new(origin, self.edge.head()).sign(log).to_string();
        std::fs::write(self.folder.join("checkpoint"), checkpoint).expect("written");
    }
}

#[derive(Default)]
struct ServedState {
    folder: PathBuf,
    /// Files whose path begins so are answered with 503.
    cut_off: Option<String>,
    asked: BTreeMap<String, u64>,
}

/// A folder that is served until its runtime ends.
#[derive(Clone)]
pub struct ServedSite {
    inner: Arc<Mutex<ServedState>>,
    /// The prefix.
    pub url: String,
}

impl ServedSite {
    /// Serves a folder on a free port of the loopback.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(folder: &Path) -> ServedSite {
        let inner = ServedState { folder: folder.to_owned(), ..ServedState::default() };
        let inner = Arc::new(Mutex::new(inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let routes = Router::new().fallback(file).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        ServedSite { inner, url }
    }

    /// Serves another folder from now on.
    pub fn show(&self, folder: &Path) {
        self.lock().folder = folder.to_owned();
    }

    /// Answers 503 for paths that begin so, or for none.
    pub fn cut_off(&self, prefix: Option<&str>) {
        self.lock().cut_off = prefix.map(str::to_owned);
    }

    /// How often a path was asked for and given.
    pub fn asked(&self, path: &str) -> u64 {
        self.lock().asked.get(path).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, ServedState> {
        self.inner.lock().expect("no test panics while it holds the lock")
    }
}

async fn file(State(inner): State<Arc<Mutex<ServedState>>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/').to_owned();
    let mut inner = inner.lock().expect("no test panics while it holds the lock");
    if inner.cut_off.as_ref().is_some_and(|prefix| path.starts_with(prefix.as_str())) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match std::fs::read(inner.folder.join(&path)) {
        Ok(bytes) => {
            *inner.asked.entry(path).or_default() += 1;
            bytes.into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
