//! A running node: the parts put together, from open to shutdown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ledger_core::charter::Charter;
use ledger_core::checkpoint::{Origin, ParseCheckpointError};
use ledger_core::note::SignerKey;
use ledger_core::policy::Policy;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, read_key};
use crate::index::{Index, IndexError};
use crate::log::{LogReader, Published};
use crate::pending::{self, Desk};
use crate::publisher::{Publisher, PublisherError};
use crate::recovery::{RecoveryError, recover};
use crate::sequencer::{Parts, Sequencer, SequencerError};
use crate::store::disk::{DiskStore, Layout};
use crate::store::{Store, StoreError};
use crate::witness::{Witness, WitnessError, WitnessParts};
use crate::{grpc, http};

/// How long connections may take to finish after the node was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What the command line may set over `config.toml`.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Another configuration file.
    pub config: Option<PathBuf>,
    /// Where gRPC listens.
    pub grpc: Option<SocketAddr>,
    /// Where HTTP listens.
    pub http: Option<SocketAddr>,
}

/// Why a node does not start. No socket was opened before everything else was sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration or a key file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log's directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What is stored is not what this log has promised.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The log's name.
    #[error("the charter's log name: {0}")]
    Origin(#[from] ParseCheckpointError),
    /// Nothing could be published.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// The first head could not be published.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// What the node needs to be a witness.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The gRPC descriptors are damaged: a fault of the build.
    #[error("cannot serve gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl StartError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StartError::Config(error) => error.hint(),
            StartError::Store(error) => error.hint(),
            StartError::Recovery(error) => error.hint(),
            StartError::Publisher(error) => error.hint(),
            StartError::Witness(error) => error.hint(),
            StartError::Listen { .. } => "is another program using the port? see --grpc and --http",
            StartError::Index(_) => "run ledger-node reindex; the index is derived",
            StartError::Origin(_) => "was this log made with ledger-node init?",
            StartError::Sequencer(_) | StartError::Reflection(_) => {
                "check the disk and start again"
            }
        }
    }
}

/// What gRPC and HTTP serve.
pub struct Service {
    /// The way in.
    pub admission: Admission,
    /// The drafts that wait for signatures.
    pub pending: Desk,
    /// The stored log.
    pub reader: Arc<LogReader>,
    /// What entries are found by.
    pub index: Arc<Index>,
    /// What readers see.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// The rules in force at the end of the log.
    pub charter: watch::Receiver<Arc<Charter>>,
    /// The witness, if the node has keys to cosign with.
    pub witness: Option<Witness>,
    /// Turns true when the node shuts down.
    pub stopping: watch::Receiver<bool>,
}

impl Service {
    /// The published checkpoint; a node that serves has one.
    pub fn current(&self) -> Arc<Published> {
        self.published.borrow().clone().expect("a node publishes before it serves")
    }
}

/// A node that serves.
pub struct RunningNode {
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    sequencer: oneshot::Receiver<Result<(), SequencerError>>,
}

impl RunningNode {
    /// Opens the log in `dir`, brings it up to its journal, and serves it.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(dir: &Path, overrides: Overrides) -> Result<RunningNode, StartError> {
        RunningNode::start_with(dir, overrides, Arc::new(SystemClock)).await
    }

    /// As [`RunningNode::start`], by another clock.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(
        dir: &Path,
        overrides: Overrides,
        clock: Arc<dyn Clock>,
    ) -> Result<RunningNode, StartError> {
        let layout = Layout::new(dir);
        let path = overrides.config.unwrap_or_else(|| layout.config());
        let config = Config::read(&path)?;
        let (grpc, http) =
            (overrides.grpc.unwrap_or(config.grpc), overrides.http.unwrap_or(config.http));
        let dir = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&dir, &layout, &config, clock)).await;
        let opened = match opened {
            Ok(opened) => opened?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let grpc = listen(grpc).await?;
        let http = listen(http).await?;
        RunningNode::serve(opened, grpc, http)
    }

    fn serve(
        opened: Opened,
        grpc: TcpListener,
        http: TcpListener,
    ) -> Result<RunningNode, StartError> {
        let Opened { mut sequencer, index, pending, witness } = opened;
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let (grpc_addr, http_addr) = (address(&grpc), address(&http));
        let (stop, stopping) = watch::channel(false);
        let (charter, reader) = (sequencer.charter(), sequencer.reader());
        let published = sequencer.published();
        let (admission, mut queue) = Admission::new(
            charter.clone(),
            Arc::clone(&index),
            Arc::clone(&reader),
            published.clone(),
        );
        let service = Arc::new(Service {
            admission,
            pending,
            reader,
            index,
            published,
            charter,
            witness,
            stopping: stopping.clone(),
        });
        let servers = vec![
            tokio::spawn(grpc::serve(Arc::clone(&service), grpc, stopping.clone())?),
            tokio::spawn(http::serve(Arc::clone(&service), http, stopping.clone())),
            tokio::spawn(pending::look_after(Arc::clone(&service), stopping)),
        ];
        let (report, sequenced) = oneshot::channel();
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || {
                let ran = sequencer.run(&mut queue);
                // whoever hears of it may open the log again
                drop(sequencer);
                let _ = report.send(ran);
            })
            .map_err(StoreError::io("start", "the sequencer's thread"))?;
        Ok(RunningNode { grpc_addr, http_addr, service, stop, servers, sequencer: sequenced })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// What the node serves.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Waits until the sequencer stops by itself, which it does only when the disk fails.
    pub async fn failed(&mut self) -> SequencerError {
        match (&mut self.sequencer).await {
            Ok(Err(error)) => error,
            _ => SequencerError::Store(StoreError::Failed),
        }
    }

    /// Takes no more records, finishes those that were accepted, and ends.
    ///
    /// # Errors
    /// [`SequencerError`] when they could not be finished.
    pub async fn shutdown(self) -> Result<(), SequencerError> {
        self.service.admission.close();
        let finished = self.sequencer.await;
        // the answers are on their way: let connections carry them out
        let _ = self.stop.send(true);
        for mut server in self.servers {
            if tokio::time::timeout(GRACE, &mut server).await.is_err() {
                server.abort();
                let _ = server.await;
            }
        }
        finished.unwrap_or(Err(SequencerError::Store(StoreError::Failed)))
    }
}

/// A log that is open, before anybody is served.
struct Opened {
    sequencer: Sequencer,
    index: Arc<Index>,
    pending: Desk,
    witness: Option<Witness>,
}

fn open(
    dir: &Path,
    layout: &Layout,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    let log_key = read_key(layout, dir, &config.log_key)?;
    let keys: Result<Vec<_>, _> =
        config.witness_keys.iter().map(|file| read_key(layout, dir, file)).collect();
    let keys = keys?;
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(layout, config.journal_segment_bytes)?);
    let index = Arc::new(Index::open(&layout.index())?);
    let recovered = recover(&store, &index, &log_key)?;
    let origin = Origin::new(recovered.charter.origin())?;
    let cosigners = of_policy(&recovered.charter, &keys);
    let publisher = Publisher::under(&recovered.charter, cosigners, &log_key)?;
    let lifetime = u64::from(config.pending_days) * 86_400;
    let pending = Desk::open(&layout.pending(), lifetime, Arc::clone(&clock))?;
    let witness_clock = Arc::clone(&clock);
    let parts = Parts { store, index: Arc::clone(&index), log_key, publisher, clock };
    let sequencer = Sequencer::start(parts, recovered, origin)?;
    let witness = if keys.is_empty() {
        None
    } else {
        Some(Witness::open(WitnessParts {
            keys,
            state: layout.witness(),
            dir: dir.to_owned(),
            charter: sequencer.charter(),
            clock: witness_clock,
        })?)
    };
    Ok(Opened { sequencer, index, pending, witness })
}

/// The keys that the charter's policy names: the others witness other logs only.
pub(crate) fn of_policy(charter: &Charter, keys: &[SignerKey]) -> Vec<SignerKey> {
    let policy = Policy::parse(charter.policy_text().unwrap_or_default().as_bytes());
    // a policy that cannot be read is the publisher's to complain about
    let Ok(policy) = policy else { return Vec::new() };
    let named = |key: &&SignerKey| policy.witnesses().iter().any(|w| w.key == *key.verifier());
    keys.iter().filter(named).cloned().collect()
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Rebuilds everything derived from the entries, while no node runs.
///
/// # Errors
/// [`StartError`]. Returns how many entries were indexed.
pub fn reindex(dir: &Path) -> Result<u64, StartError> {
    let layout = Layout::new(dir);
    let config = Config::read(&layout.config())?;
    let log_key = read_key(&layout, dir, &config.log_key)?;
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&layout, config.journal_segment_bytes)?);
    Index::delete(&layout.index())?;
    let index = Index::open(&layout.index())?;
    recover(&store, &index, &log_key)?;
    index.flush()?;
    Ok(index.size())
}
