//! A running node: the parts put together, from open to shutdown.

mod open;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::LeafIndex;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::{Origin, ParseCheckpointError};
use ledger_core::policy::ConvictedWitness;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, read_key};
use crate::gossip::{Gossip, GossipError, OwnTrouble, rounds};
use crate::index::{Index, IndexError};
use crate::log::{LogReader, Published, Reads};
use crate::mirror::{Mirror, MirrorError};
use crate::pending::{self, Desk};
use crate::publisher::board::Board;
use crate::publisher::confirm::{Consent, confirm};
use crate::publisher::gather::{Asking, Gatherer};
use crate::publisher::{PublishError, Publisher, PublisherError, Signed};
use crate::recovery::{RecoveryError, recover};
use crate::sequencer::{Pending, Sequencer, SequencerError};
use crate::store::disk::{DiskStore, Layout};
use crate::store::{Store, StoreError};
use crate::transport::{Gate, ServerTls};
use crate::witness::logs::LogsError;
use crate::witness::{Witness, WitnessError};
use crate::{grpc, http};

use open::{Opened, open};

/// How long connections may take to finish after the node was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long a request waits for the first checkpoint of a log.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a stopping node waits for the checkpoint of the head that it signed last.
const LAST_PUBLICATION: Duration = Duration::from_secs(3);

/// How long a stopping node waits for its threads to let go of the log: one may be reading a file.
const LETTING_GO: Duration = Duration::from_secs(3);

/// What the command line may set over `config.toml`.
#[derive(Debug, Default)]
pub struct Overrides {
    /// Another configuration file.
    pub config: Option<PathBuf>,
    /// Where gRPC listens.
    pub grpc: Option<SocketAddr>,
    /// Where HTTP listens.
    pub http: Option<SocketAddr>,
    /// Sockets that listen already, for gRPC and for HTTP; they go before all addresses.
    pub sockets: Option<(std::net::TcpListener, std::net::TcpListener)>,
    /// Listen beyond this machine without TLS, whatever the configuration says.
    pub plain: bool,
    /// What the operator said about witnesses at this start.
    pub consent: Consent,
    /// How old the newest cosignatures of a quiet log may become.
    pub rewitness: Option<Duration>,
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
    /// What the node needs to be a mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The list of logs that the node knows.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// What the node has heard of logs.
    #[error(transparent)]
    Gossip(#[from] GossipError),
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
            StartError::Mirror(error) => error.hint(),
            StartError::Logs(_) => "mend the file; see `ledger witness --help`",
            StartError::Gossip(error) => error.hint(),
            StartError::Listen { .. } => "is another program using the port? see --grpc and --http",
            StartError::Index(_) => "run ledger-node reindex; the index is derived",
            StartError::Origin(_) => "was this log made with ledger-node init?",
            StartError::Sequencer(error) => error.hint(),
            StartError::Reflection(_) => "check the disk and start again",
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
    /// Where files are read for callers.
    pub reads: Reads,
    /// What entries are found by.
    pub index: Arc<Index>,
    /// The log's name.
    pub origin: Origin,
    /// What readers see.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// The head signed last.
    pub signed: watch::Receiver<Option<Arc<Signed>>>,
    /// Since when a signed head has waited for its quorum.
    pub waiting: watch::Receiver<Option<Instant>>,
    /// How the log's witnesses are doing.
    pub board: Arc<Board>,
    /// Witnesses, by their names in the policy, that the operator leaves out.
    pub without: BTreeSet<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The rules in force at the end of the log.
    pub charter: watch::Receiver<Arc<Charter>>,
    /// What the node knows of all logs.
    pub gossip: Arc<Gossip>,
    /// The witness, if the node has keys to cosign with.
    pub witness: Option<Arc<Witness>>,
    /// The mirror, if the node has keys to cosign with what it mirrors.
    pub mirror: Option<Mirror>,
    /// What counts connections and requests.
    pub gate: Arc<Gate>,
    /// What the ports show, if they speak TLS.
    pub tls: Option<ServerTls>,
    /// Whether gossip is for nodes alone that show a key which is known.
    pub known_nodes_only: bool,
    /// Turns true when the node shuts down.
    pub stopping: watch::Receiver<bool>,
}

/// Why there is nothing that readers may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpublished {
    /// Nothing was published yet.
    #[error("no checkpoint is published yet: the quorum of witnesses has not cosigned one")]
    Nothing,
    /// An entry is logged, but readers may not see it yet.
    #[error("entry {0} is logged, but the quorum of witnesses has not cosigned a head with it yet")]
    Entry(LeafIndex),
}

impl Unpublished {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Unpublished::Nothing => {
                "try again in a while; `ledger witness status` says who is silent"
            }
            Unpublished::Entry(_) => {
                "nothing is lost: submit the same record again in a while to get its proof; \
                 `ledger witness status` says who is silent"
            }
        }
    }
}

impl Service {
    /// The published checkpoint.
    ///
    /// # Errors
    /// [`Unpublished::Nothing`] while the witnesses of a new log have not cosigned.
    pub fn current(&self) -> Result<Arc<Published>, Unpublished> {
        self.published.borrow().clone().ok_or(Unpublished::Nothing)
    }

    /// As [`Service::current`], but gives the witnesses of a log that has just begun a moment.
    ///
    /// # Errors
    /// [`Unpublished::Nothing`].
    pub async fn current_soon(&self) -> Result<Arc<Published>, Unpublished> {
        let mut published = self.published.clone();
        let first = published.wait_for(Option::is_some);
        let _ = tokio::time::timeout(FIRST_PATIENCE, first).await;
        self.current()
    }

    /// The convicted witnesses without which no checkpoint can be published: the others are no
    /// quorum. Empty while they are.
    pub fn stopped_by(&self) -> Vec<ConvictedWitness> {
        let Some(signed) = self.signed.borrow().clone() else { return Vec::new() };
        let exclusions = self.gossip.evidence().exclusions();
        let plan = signed.judged(&exclusions, self.published.borrow().as_deref());
        plan.stopped_by(&plan.places(&self.without))
    }

    /// Waits for a published checkpoint that covers the entry at `index`.
    ///
    /// # Errors
    /// [`Unpublished::Entry`] when there is none after `patience`.
    pub async fn current_with(
        &self,
        index: LeafIndex,
        patience: Duration,
    ) -> Result<Arc<Published>, Unpublished> {
        let mut published = self.published.clone();
        let covers = |published: &Option<Arc<Published>>| {
            published.as_ref().is_some_and(|published| published.size().contains(index))
        };
        let waited = tokio::time::timeout(patience, published.wait_for(covers)).await;
        let found = waited.ok().and_then(Result::ok).and_then(|published| published.clone());
        found.ok_or(Unpublished::Entry(index))
    }
}

/// A node that serves.
pub struct RunningNode {
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    service: Arc<Service>,
    /// Turns true when no more records are taken.
    closing: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    /// Taken once it has said how it ended.
    sequencer: Option<oneshot::Receiver<Result<(), SequencerError>>>,
    /// Closed once nothing in this process uses the log's directory any more.
    let_go: watch::Receiver<()>,
    trouble: watch::Receiver<Option<Arc<PublishError>>>,
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
        let adopted = overrides.sockets.iter().flat_map(|(grpc, http)| [grpc, http]);
        let adopted: Vec<_> = adopted.filter_map(|socket| socket.local_addr().ok()).collect();
        let addresses = if adopted.is_empty() { vec![grpc, http] } else { adopted };
        let mut addresses = addresses.into_iter();
        let beyond = addresses.find(|address| !address.ip().to_canonical().is_loopback());
        let is_plain = config.tls.pair()?.is_none();
        let is_meant = config.plain || overrides.plain;
        if let Some(address) = beyond.filter(|_| is_plain && !is_meant) {
            return Err(ConfigError::Plain(address).into());
        }
        let dir = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&dir, &layout, &config, clock)).await;
        let mut opened = match opened {
            Ok(opened) => opened?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        opened.refresh = overrides.rewitness.unwrap_or(opened.refresh);
        let (grpc, http) = match overrides.sockets {
            Some((grpc, http)) => (adopt(grpc)?, adopt(http)?),
            None => (listen(grpc).await?, listen(http).await?),
        };
        RunningNode::serve(opened, grpc, http, overrides.consent)
    }

    fn serve(
        opened: Opened,
        grpc: TcpListener,
        http: TcpListener,
        consent: Consent,
    ) -> Result<RunningNode, StartError> {
        let Opened {
            sequencer,
            let_go,
            publisher,
            index,
            pending,
            asking,
            mirror,
            refresh,
            gossip,
            gossips_every,
            limits,
            tls,
            known_nodes_only,
        } = opened;
        let witness = asking.own.clone();
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let (grpc_addr, http_addr) = (address(&grpc), address(&http));
        let (stop, stopping) = watch::channel(false);
        let (closing, closed) = watch::channel(false);
        let (charter, reader) = (sequencer.charter(), sequencer.reader());
        let published = publisher.published();
        let (admission, queue) = Admission::new(
            charter.clone(),
            Arc::clone(&index),
            Arc::clone(&reader),
            published.clone(),
        );
        let board = Arc::new(Board::new(Arc::clone(gossip.evidence())));
        let service = Arc::new(Service {
            admission,
            pending,
            reader,
            reads: Reads::default(),
            index,
            origin: sequencer.origin().clone(),
            published,
            signed: publisher.signed(),
            waiting: publisher.waiting(),
            board: Arc::clone(&board),
            without: consent.without.clone(),
            clock: Arc::clone(&asking.clock),
            charter,
            gossip: Arc::clone(&gossip),
            witness: witness.clone(),
            mirror,
            gate: Gate::new(limits),
            tls: tls.clone(),
            known_nodes_only,
            stopping: stopping.clone(),
        });
        let own = rounds::Own {
            witness,
            signed: publisher.signed(),
            published: publisher.published(),
            clock: Arc::clone(&asking.clock),
            interval: gossips_every,
        };
        let asking = Arc::new(asking);
        let gatherer = Gatherer::new(
            Arc::clone(&publisher),
            Arc::clone(&asking),
            board,
            refresh,
            consent.clone(),
        );
        let mut servers = vec![
            tokio::spawn(grpc::serve(Arc::clone(&service), grpc, stopping.clone())?),
            tokio::spawn(http::serve(Arc::clone(&service), http, stopping.clone())),
            tokio::spawn(pending::look_after(Arc::clone(&service), stopping.clone())),
            tokio::spawn(gatherer.run(stopping.clone())),
            tokio::spawn(stop_on_alarm(
                gossip.own_trouble(),
                Arc::clone(&publisher),
                stopping.clone(),
            )),
            tokio::spawn(rounds::run(gossip, own, stopping.clone())),
        ];
        servers.push(tokio::spawn(follow_charter(Arc::clone(&service), stopping.clone())));
        servers.extend(tls.map(|tls| tokio::spawn(tls.look_after(stopping))));
        let (report, sequenced) = oneshot::channel();
        let begun = Begun { sequencer, queue, asking, board: Arc::clone(&service.board), consent };
        tokio::spawn(begun.sequence(closed, report));
        let trouble = publisher.trouble();
        Ok(RunningNode {
            grpc_addr,
            http_addr,
            service,
            closing,
            stop,
            servers,
            sequencer: Some(sequenced),
            let_go,
            trouble,
        })
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

    /// Waits until nothing more is sequenced although nobody asked the node to stop: the disk
    /// failed, the clock is wrong, or witnesses know more of this log than the node does.
    pub async fn failed(&mut self) -> SequencerError {
        let Some(sequencer) = &mut self.sequencer else {
            return SequencerError::Store(StoreError::Failed);
        };
        let ended = tokio::select! {
            ended = sequencer => ended,
            Ok(trouble) = self.trouble.wait_for(Option::is_some) => {
                let trouble = trouble.clone().expect("it was waited for");
                return SequencerError::Publish(trouble);
            }
        };
        self.sequencer = None;
        match ended {
            Ok(Err(error)) => error,
            _ => SequencerError::Store(StoreError::Failed),
        }
    }

    /// Takes no more records, finishes those that were accepted, and ends. The log can be opened
    /// again then, unless a thread takes too long to let go of it.
    ///
    /// # Errors
    /// [`SequencerError`] when they could not be finished.
    pub async fn shutdown(self) -> Result<(), SequencerError> {
        self.service.admission.close();
        let _ = self.closing.send(true);
        let finished = match self.sequencer {
            Some(sequencer) => sequencer.await,
            // it has ended, and whoever asked was told why
            None => Ok(Ok(())),
        };
        // whoever submitted last waits for a proof
        let mut waiting = self.service.waiting.clone();
        let published = waiting.wait_for(Option::is_none);
        let _ = tokio::time::timeout(LAST_PUBLICATION, published).await;
        // the answers are on their way: let connections carry them out
        let _ = self.stop.send(true);
        let end = tokio::time::Instant::now() + GRACE;
        for mut server in self.servers {
            if tokio::time::timeout_at(end, &mut server).await.is_err() {
                server.abort();
                let _ = server.await;
            }
        }
        // threads of gossip and of the mirror may still hold the log
        drop(self.service);
        let mut let_go = self.let_go;
        let _ = tokio::time::timeout(LETTING_GO, let_go.changed()).await;
        finished.unwrap_or(Err(SequencerError::Store(StoreError::Failed)))
    }
}

/// Tells gossip of every change of the charter: a node key that was revoked counts no longer.
async fn follow_charter(service: Arc<Service>, mut stopping: watch::Receiver<bool>) {
    let mut charter = service.charter.clone();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            changed = charter.changed() => if changed.is_err() {
                return;
            },
        }
        let gossip = Arc::clone(&service.gossip);
        let _ = tokio::task::spawn_blocking(move || gossip.follow_charter()).await;
    }
}

/// Ends the log's signing when gossip shows that somebody else signs for it.
async fn stop_on_alarm(
    mut alarm: watch::Receiver<Option<OwnTrouble>>,
    publisher: Arc<Publisher>,
    mut stopping: watch::Receiver<bool>,
) {
    let raised = tokio::select! {
        _ = stopping.wait_for(|stop| *stop) => return,
        raised = alarm.wait_for(Option::is_some) => raised.ok().and_then(|trouble| trouble.clone()),
    };
    if let Some(trouble) = raised {
        publisher.stop(PublishError::Own(trouble));
    }
}

/// A log that is served, and does not sign yet.
struct Begun {
    sequencer: Sequencer,
    queue: mpsc::Receiver<Pending>,
    asking: Arc<Asking>,
    board: Arc<Board>,
    consent: Consent,
}

impl Begun {
    /// Asks the witnesses and the peers whether the log is what they saw, then sequences until the
    /// queue is closed.
    async fn sequence(
        self,
        mut closed: watch::Receiver<bool>,
        report: oneshot::Sender<Result<(), SequencerError>>,
    ) {
        let Begun { mut sequencer, mut queue, asking, board, consent } = self;
        let plan = sequencer.plan();
        board.set(&plan);
        let published = sequencer.published().borrow().clone();
        if let Some(published) = published {
            board.recall(&plan, published.checkpoint().claimed());
        }
        let head = sequencer.promised();
        let ended = tokio::select! {
            confirmed = confirm(&head, &plan, &asking, &board, &consent) => {
                confirmed.err().map(|error| Err(error.into()))
            }
            () = turned(&mut closed) => Some(Ok(())),
        };
        if let Some(ended) = ended {
            // the receiver of the report may open the log again
            asking.heads.close().await;
            drop((sequencer, asking));
            let _ = report.send(ended);
            return;
        }
        let thread = std::thread::Builder::new().name("sequencer".into());
        let spawned = thread.spawn(move || {
            let ran = sequencer.take_up().and_then(|()| sequencer.run(&mut queue));
            // whoever hears of it may open the log again
            drop(sequencer);
            let _ = report.send(ran);
        });
        if let Err(error) = spawned {
            // the report went with it: whoever waits hears that the sequencer has gone
            tracing::error!(%error, "the sequencer's thread cannot be started");
        }
    }
}

async fn turned(closed: &mut watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

/// Goes on listening on a socket that somebody opened.
fn adopt(socket: std::net::TcpListener) -> Result<TcpListener, StartError> {
    let address = socket.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    let adopted = socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket));
    adopted.map_err(|source| StartError::Listen { address, source })
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
