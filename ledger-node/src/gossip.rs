//! Gossip: what this node knows of all logs, from its own witness, from the logs, and from its
//! peers.
//!
//! The judgement is [`ledger_core::gossip`]; here are its surroundings. [`Gossip`] holds the view,
//! and keeps what it concludes on the disk before anybody is told. `seek` looks for what settles
//! its questions, [`rounds`] talks to a peer now and then. The witness asks here whether a log may
//! be cosigned, and lays heads before it that contradict what it cosigned.

mod answers;
pub mod bridges;
mod cosigned;
mod events;
pub mod heads;
mod known;
pub mod lineage;
mod log_address;
pub mod peers;
mod retired;
pub mod rounds;
mod seek;
mod status;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::time::Instant;

use ledger_core::Hint;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::evidence::ClaimedEvidence;
use ledger_core::gossip::{
    Event, HeadSource, Lineage, LogStanding, Message, Moment, Question, Round, RoundSalt,
    RoundStep, View,
};
use ledger_core::merkle::{ConsistencyProof, PrefixProof, TreeHead};
use ledger_core::note::{PublicKey, VerifierKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::address::ConfiguredPeer;
use crate::clock::Clock;
use crate::evidence::{EvidenceStore, EvidenceStoreError};
use crate::known_logs::{LogLine, LogList, LogsError};
use crate::log::{LogReader, Published};
use crate::own_trouble::OwnTrouble;
use crate::store::StoreError;
use crate::transport::{Caller, Dialer, KnownNode, grpc_url};

use bridges::Bridges;
use heads::{Heads, HeadsError};
pub use known::AlsoKnown;
use lineage::OwnLineage;
pub use status::{Figures, GossipStatus, LogWord, PeerState};

use peers::{Peers, Sender};
pub use trees::CopyProver;
use trees::Trees;

/// What gossip is made from.
pub struct GossipParts {
    /// The list of logs that the node knows beside its own.
    pub logs: Arc<LogList>,
    /// The charter of the node's own log, which is always known.
    pub charter: watch::Receiver<Arc<Charter>>,
    /// The own log's stored tree.
    pub reader: Arc<LogReader>,
    /// What readers see of the own log.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// The evidence that the node holds.
    pub evidence: Arc<EvidenceStore>,
    /// The heads by which keys of this node's log vouch for later ones.
    pub bridges: Bridges,
    /// The file with the heads that the node has heard of.
    pub heads: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether heads are compared at all; evidence is taken, kept and passed on in any case.
    pub compares: bool,
    /// Peers beside those of the charter.
    pub peers: Vec<ConfiguredPeer>,
    /// How peers and logs are reached; it learns of their node keys.
    pub dialer: Dialer,
    /// The public keys that this node holds: its own address in the charter is no peer's.
    pub own: Vec<PublicKey>,
    /// The keys with which this node cosigns: evidence against them counts too.
    pub cosigners: Vec<VerifierKey>,
}

/// Why gossip cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// The list of logs cannot be used.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The evidence cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceStoreError),
    /// The heads cannot be read.
    #[error(transparent)]
    Heads(#[from] HeadsError),
}

impl Hint for GossipError {
    fn hint(&self) -> &'static str {
        match self {
            GossipError::Logs(_) => "mend the file; see `ledger witness --help`",
            GossipError::Evidence(error) => error.hint(),
            GossipError::Heads(error) => error.hint(),
        }
    }
}

/// What this node knows of all logs.
pub struct Gossip {
    inner: Mutex<GossipState>,
    peers: Mutex<Peers>,
    evidence: Arc<EvidenceStore>,
    logs: Arc<LogList>,
    charter: watch::Receiver<Arc<Charter>>,
    reader: Arc<LogReader>,
    published: watch::Receiver<Option<Arc<Published>>>,
    configured: Vec<ConfiguredPeer>,
    dialer: Dialer,
    own: Vec<PublicKey>,
    cosigners: Vec<VerifierKey>,
    clock: Arc<dyn Clock>,
    compares: bool,
    /// The logs that may not be cosigned.
    standings: RwLock<BTreeMap<Origin, LogStanding>>,
    /// The edition of the list of logs that the view was told.
    told_edition: AtomicU64,
    /// Evidence could not be kept: what it says must be shown to nobody.
    broken: AtomicBool,
    began: Instant,
    /// Wakes the seeker; it ends when this is gone.
    questions: mpsc::SyncSender<()>,
    /// Messages of others that are looked at.
    answering: Arc<Semaphore>,
    alarm: watch::Sender<Option<OwnTrouble>>,
    figures: Mutex<Figures>,
}

struct GossipState {
    view: View,
    heads: Heads,
    trees: Trees,
    /// What the view was told that this node knows.
    known: Vec<LogLine>,
    /// What the node's mirror knows.
    also: BTreeMap<Origin, AlsoKnown>,
    /// Listed keys that are retired by the governance of their log, as far as this node read it.
    retired: BTreeMap<Origin, Vec<VerifierKey>>,
    lineage: OwnLineage,
    charter: Arc<Charter>,
    /// The head that the own witness cosigned last, of each log, as far as the view was told.
    cosigned: BTreeMap<Origin, TreeHead>,
    /// Whether that is another head than the stored one.
    moved: bool,
}

/// Messages of others that are looked at: the view is one, and whoever waits for it must not hold
/// the threads on which all else reads and writes.
const MAX_ANSWERING: usize = 8;

/// How long peers are sent away by a node whose disk failed, in milliseconds: until it was
/// restarted.
const BUSY_WHEN_BROKEN: u64 = 60_000;

/// What a peer is told.
#[derive(Debug)]
pub enum Reply {
    /// The answer.
    Answer(Message),
    /// Nothing now; it may try again after so many milliseconds.
    Busy(u64),
}

impl Gossip {
    /// Opens what the node knew, and starts the seeker, which ends with the last handle.
    ///
    /// # Errors
    /// [`GossipError`].
    pub fn open(parts: GossipParts) -> Result<Arc<Gossip>, GossipError> {
        let GossipParts {
            logs,
            charter,
            reader,
            published,
            evidence,
            bridges,
            heads,
            clock,
            compares,
            peers,
            dialer,
            own,
            cosigners,
        } = parts;
        let heads = Heads::open(&heads)?;
        let now = Arc::clone(&charter.borrow());
        let origin = Origin::new(now.origin()).ok();
        let inner = GossipState {
            view: if compares { View::default() } else { View::of_evidence_only() },
            heads,
            trees: Trees::new(origin, Arc::clone(&reader)),
            known: Vec::new(),
            also: BTreeMap::new(),
            retired: BTreeMap::new(),
            lineage: OwnLineage::new(bridges),
            charter: now,
            cosigned: BTreeMap::new(),
            moved: false,
        };
        let (questions, waiting) = mpsc::sync_channel(1);
        let gossip = Arc::new(Gossip {
            inner: Mutex::new(inner),
            peers: Mutex::default(),
            evidence,
            logs,
            charter,
            reader,
            published,
            configured: peers,
            dialer,
            own,
            cosigners,
            clock,
            compares,
            standings: RwLock::default(),
            told_edition: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            began: Instant::now(),
            questions,
            answering: Arc::new(Semaphore::new(MAX_ANSWERING)),
            alarm: watch::Sender::new(None),
            figures: Mutex::default(),
        });
        gossip.open_view()?;
        let weak = Arc::downgrade(&gossip);
        std::thread::Builder::new()
            .name("gossip".to_owned())
            .spawn(move || seek::run(&weak, &waiting))
            .map_err(StoreError::io("start", "the thread of gossip"))
            .map_err(EvidenceStoreError::from)?;
        Ok(gossip)
    }

    fn open_view(&self) -> Result<(), GossipError> {
        let mut inner = self.lock();
        inner.view.recall_confirmed(&self.evidence.confirmed());
        self.set_known(&mut inner);
        let GossipState { view, heads, cosigned, trees, .. } = &mut *inner;
        *cosigned = heads.recall(view)?;
        // what was open of the own log may be settled by now, by a recovery: no alarm is raised
        // before
        let events = view.resolve_with(trees);
        self.conclude(&mut inner, events);
        self.note_standings(&inner);
        Ok(())
    }

    /// Tells the view what the node knows now, if that changed.
    fn refresh(&self, inner: &mut GossipState) {
        // of a list that changes meanwhile this is an older edition, and it is read again
        let edition = self.logs.edition();
        let same_charter = Arc::ptr_eq(&inner.charter, &self.charter.borrow());
        let published = self.published.borrow().clone();
        let proven = !inner.lineage.is_outdated(&inner.charter, published.as_deref());
        if !same_charter || !proven || inner.known != self.logs.lines() {
            self.set_known(inner);
        }
        self.told_edition.store(edition, Ordering::Release);
    }

    /// Tells the view of the logs that were added to the list or removed from it, if it does not
    /// know yet. Whoever takes a key from the list asks for this before it takes what speaks
    /// against the key.
    pub fn update_logs(&self) {
        if self.is_behind() {
            self.refresh(&mut self.lock());
        }
    }

    /// Whether the list has changed since the view was told of it.
    pub fn is_behind(&self) -> bool {
        self.told_edition.load(Ordering::Acquire) != self.logs.edition()
    }

    /// Whether evidence could not be kept. Nothing is cosigned and no peer is told anything any
    /// more, until the node is started again.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn set_known(&self, inner: &mut GossipState) {
        inner.charter = Arc::clone(&self.charter.borrow());
        inner.known = self.logs.lines();
        let mut logs = known::logs(&inner.charter, &inner.known);
        let cosigners = known::cosigners(&inner.charter, &inner.also, &self.cosigners);
        known::add_also(&mut logs, &inner.charter, &inner.also);
        let published = self.published.borrow().clone();
        let own = inner.lineage.now(&inner.charter, &self.reader, published.as_deref());
        let lineages = known::lineages(&inner.charter, own, &inner.also);
        known::add_retired(&mut logs, &inner.retired, &lineages);
        inner.view.set_logs_with(logs, cosigners, lineages);
        self.evidence.trust(inner.view.trust().clone());
        // evidence is for good: a log that comes back to the list stays convicted. What anybody can
        // judge by an anchor comes first
        let mut held = self.evidence.judged();
        held.sort_by_key(|(evidence, _)| evidence.authority().is_empty());
        for (evidence, verdict) in held {
            if let Some(verdict) = verdict {
                inner.view.remember(&evidence, verdict);
            }
            let _ = inner.view.recall(&evidence);
        }
        self.note_standings(inner);
        let now = self.now();
        let charters = peers::of_charter(&inner.charter, &self.own);
        let configured = self.configured.iter().map(|peer| peer.url.clone());
        self.peers().set(configured.chain(charters).collect(), now);
        let of_charter = KnownNode::of_charter(&inner.charter, grpc_url);
        let pinned = self.configured.iter();
        let pinned =
            pinned.filter_map(|peer| KnownNode::pinned(peer.url.clone(), peer.key.as_ref()?));
        self.dialer.nodes().set(of_charter.collect(), pinned.collect());
    }

    /// Learns whose keys the charter names now. Whoever changes the charter need not wait for a
    /// round.
    pub fn follow_charter(&self) {
        self.refresh(&mut self.lock());
    }

    /// Whoever asks, by name if it shows a node key that is known now.
    pub fn sender(&self, caller: Option<Caller>) -> Sender {
        let shown = caller.and_then(|caller| caller.key);
        let name = shown.and_then(|key| self.dialer.nodes().name(key, self.clock.now()));
        name.map_or_else(|| Sender::of(caller), Sender::Node)
    }

    /// How peers and logs are reached.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Waits until another message may be looked at; it may as long as this is held.
    pub async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.answering).acquire_owned().await.ok()
    }

    /// Whether a log may be cosigned.
    pub fn standing(&self, origin: &Origin) -> LogStanding {
        let fallen = self.standings.read().unwrap_or_else(PoisonError::into_inner);
        fallen.get(origin).cloned().unwrap_or(LogStanding::Good)
    }

    /// The evidence that the node holds.
    pub fn evidence(&self) -> &Arc<EvidenceStore> {
        &self.evidence
    }

    /// What speaks against the own log, now and later.
    pub fn own_trouble(&self) -> watch::Receiver<Option<OwnTrouble>> {
        self.alarm.subscribe()
    }

    /// Sets what the node's mirror knows of a log, in place of what it knew before. Questions about
    /// the log are answered from the copy.
    pub fn set_mirrored(&self, origin: &Origin, copy: CopyProver, also: AlsoKnown) {
        let mut inner = self.lock();
        inner.trees.hold(origin.clone(), copy);
        if inner.also.get(origin) != Some(&also) {
            inner.also.insert(origin.clone(), also);
            self.set_known(&mut inner);
        }
    }

    /// What is known of the charter of a log that the mirror follows.
    pub fn lineage_of(&self, origin: &Origin) -> Option<Lineage> {
        self.lock().also.get(origin)?.lineage.clone()
    }

    /// Runs one step on the view, with what the node knows now, and keeps what follows from it.
    /// Whether anything followed.
    fn apply(&self, step: impl FnOnce(&mut View, &mut Trees) -> Vec<Event>) -> bool {
        self.apply_to_state(|state| step(&mut state.view, &mut state.trees))
    }

    fn apply_to_state(&self, step: impl FnOnce(&mut GossipState) -> Vec<Event>) -> bool {
        let mut inner = self.lock();
        self.refresh(&mut inner);
        let events = step(&mut inner);
        let followed = !events.is_empty();
        self.conclude(&mut inner, events);
        followed
    }

    /// Observes heads that this node fetched itself. A head whose log signature does not verify
    /// changes nothing.
    pub fn observe(&self, heads: &[ClaimedCheckpoint]) {
        self.apply(|view, _| {
            let observe = |head| view.observe(head, HeadSource::Fetched).unwrap_or_default();
            heads.iter().flat_map(observe).collect()
        });
    }

    /// Observes a head that the node's mirror holds, and one that the mirror has verified to extend
    /// it.
    pub fn observe_grown(
        &self,
        before: &ClaimedCheckpoint,
        head: &ClaimedCheckpoint,
        proof: ConsistencyProof,
    ) {
        let (smaller, larger) = (*before.checkpoint().head(), *head.checkpoint().head());
        let question = Question { origin: head.checkpoint().origin().clone(), smaller, larger };
        let shown = PrefixProof { root: smaller.root, proof };
        self.apply(|view, _| {
            let mut events = Vec::new();
            for held in [before, head] {
                events.extend(view.observe(held, HeadSource::Fetched).unwrap_or_default());
            }
            events.extend(view.resolve(&question, &shown).unwrap_or_default());
            events
        });
    }

    /// Takes evidence from a caller or a file.
    ///
    /// # Errors
    /// [`EvidenceStoreError`] if the evidence convicts no key that this node knows, or could not be
    /// kept.
    pub fn convict(&self, evidence: &ClaimedEvidence) -> Result<(), EvidenceStoreError> {
        let mut judged = Ok(());
        self.apply(|view, _| {
            view.convict(evidence).unwrap_or_else(|error| {
                judged = Err(error);
                Vec::new()
            })
        });
        judged?;
        if self.is_broken() { Err(StoreError::Failed.into()) } else { Ok(()) }
    }

    /// Begins a round.
    pub fn begin(&self, salt: RoundSalt) -> (Round, Message) {
        let mut inner = self.lock();
        self.refresh(&mut inner);
        Round::begin(&inner.view, salt)
    }

    /// Takes the answer of a peer in a round that this node began.
    pub fn take_answer(&self, round: &mut Round, message: Message) -> RoundStep {
        self.take_step(|view, trees| round.take(view, message, trees))
    }

    /// Runs one step of a round and keeps what follows from it. A node whose disk failed replies
    /// nothing.
    fn take_step(&self, step: impl FnOnce(&mut View, &mut Trees) -> RoundStep) -> RoundStep {
        let mut taken = None;
        self.apply(|view, trees| {
            let mut step = step(view, trees);
            let events = std::mem::take(&mut step.events);
            taken = Some(step);
            events
        });
        let mut step = taken.expect("the step was run");
        step.reply = step.reply.filter(|_| !self.is_broken());
        step
    }

    /// Ends a round: each open head is one round older.
    pub fn tick(&self) {
        self.apply(|view, _| view.tick());
    }

    /// Resolves questions from the trees on this node's disk, and returns those that stay open, each
    /// with the addresses where the log can be read.
    fn questions(&self) -> Vec<(Question, Vec<String>)> {
        self.apply(|view, trees| view.resolve_with(trees));
        let inner = self.lock();
        let of = |question: Question| {
            let mut urls = known::urls_of(&inner.known, question.origin.as_str());
            let also = inner.also.get(&question.origin);
            urls.extend(also.iter().flat_map(|also| also.urls.clone()));
            (question, urls)
        };
        inner.view.questions().into_iter().map(of).collect()
    }

    /// Takes a proof about a question from the log itself or from a server with a copy of it.
    /// Whether anything followed.
    fn resolve(&self, question: &Question, proof: &PrefixProof) -> bool {
        self.apply(|view, _| view.resolve(question, proof).unwrap_or_default())
    }

    /// The heads of the own log that were observed: the adopted one, and those that are open.
    pub fn own_heads(&self) -> Vec<ClaimedCheckpoint> {
        let inner = self.lock();
        let log = inner.trees.own().and_then(|origin| inner.view.log(origin));
        let Some(log) = log else { return Vec::new() };
        log.adopted.into_iter().chain(log.open.into_iter().map(|(head, _)| head)).collect()
    }

    /// Whether this is the name of the own log.
    fn is_own(&self, origin: &Origin) -> bool {
        self.charter.borrow().origin() == origin.as_str()
    }

    /// Whether there are peers that this node asks.
    pub fn has_peers(&self) -> bool {
        !self.peers().asked().is_empty()
    }

    fn knows(&self, origin: &Origin) -> bool {
        self.lock().view.log(origin).is_some()
    }

    /// Where the logs of the list can be read, each address once for a log.
    fn addresses(&self) -> BTreeSet<(Origin, String)> {
        let of_line =
            |line: LogLine| Some((Origin::new(line.key.name().as_str()).ok()?, line.url?));
        self.logs.lines().into_iter().filter_map(of_line).collect()
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, GossipState> {
        // a view follows its events; what a panic left out is heard again
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
