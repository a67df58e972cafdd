//! A running node: the parts put together, from open to shutdown.

mod error;
mod open;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, read_key};
use crate::gossip::{Gossip, rounds};
use crate::index::Index;
use crate::log::Reads;
use crate::own_trouble::OwnTrouble;
use crate::pending::{self};
use crate::publisher::asking::Asking;
use crate::publisher::board::Board;
use crate::publisher::confirm::{Consent, confirm};
use crate::publisher::gather::Gatherer;
use crate::publisher::{PublishError, Publisher};
use crate::recovery::recover;
use crate::sequencer::{Pending, Sequencer, SequencerError};
use crate::service::Service;
use crate::store::disk::{DiskStore, Layout};
use crate::store::{Store, StoreError};
use crate::transport::Gate;
use crate::witness::Witness;
use crate::{grpc, http};

pub use error::StartError;

use open::{Opened, open};

/// How long connections may take to finish after the node was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

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
        let own = rounds::RoundSources {
            observe_own: observe_own(witness, &publisher),
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
            tokio::spawn(pending::run_maintenance(Arc::clone(&service), stopping.clone())),
            tokio::spawn(gatherer.run(stopping.clone())),
            tokio::spawn(stop_on_alarm(
                gossip.own_trouble(),
                Arc::clone(&publisher),
                stopping.clone(),
            )),
            tokio::spawn(rounds::run(gossip, own, stopping.clone())),
        ];
        servers.push(tokio::spawn(follow_charter(Arc::clone(&service), stopping.clone())));
        servers.extend(tls.map(|tls| tokio::spawn(tls.reload_when_changed(stopping))));
        let (report, sequenced) = oneshot::channel();
        let begun =
            StartedLog { sequencer, queue, asking, board: Arc::clone(&service.board), consent };
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
/// What lets gossip observe the heads that the publisher has, and those that the node's own witness
/// cosigned.
fn observe_own(
    witness: Option<Arc<Witness>>,
    publisher: &Publisher,
) -> Arc<dyn Fn(&Gossip) + Send + Sync> {
    let (signed, published) = (publisher.signed(), publisher.published());
    Arc::new(move |gossip| {
        let signed = signed.borrow().as_ref().map(|signed| signed.head.clone());
        let published = published.borrow().as_ref().map(|own| own.checkpoint().claimed().clone());
        let heads: Vec<_> = signed.into_iter().chain(published).collect();
        gossip.observe(&heads);
        if let Some(witness) = &witness {
            gossip.observe_cosigned(witness.all_latest());
        }
    })
}

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
struct StartedLog {
    sequencer: Sequencer,
    queue: mpsc::Receiver<Pending>,
    asking: Arc<Asking>,
    board: Arc<Board>,
    consent: Consent,
}

impl StartedLog {
    /// Asks the witnesses and the peers whether the log is what they saw, then sequences until the
    /// queue is closed.
    async fn sequence(
        self,
        mut closed: watch::Receiver<bool>,
        report: oneshot::Sender<Result<(), SequencerError>>,
    ) {
        let StartedLog { mut sequencer, mut queue, asking, board, consent } = self;
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
            let ran = sequencer.resume().and_then(|()| sequencer.run(&mut queue));
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
