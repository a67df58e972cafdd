//! From a directory to a log that is open, before anybody is served.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::checkpoint::Origin;
use ledger_core::evidence::Trust;
use ledger_core::note::{PublicKey, SignerKey, VerifierKey};
use tokio::sync::{Semaphore, watch};

use super::error::StartError;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, read_key};
use crate::evidence::EvidenceStore;
use crate::gossip::bridges::Bridges;
use crate::gossip::{Gossip, GossipError, GossipParts};
use crate::index::Index;
use crate::known_logs::LogList;
use crate::mirror::{Mirror, MirrorParts};
use crate::pending::DraftStore;
use crate::publisher::asking::Asking;
use crate::publisher::shown::{JUDGED_AT_ONCE, ShownHeads};
use crate::publisher::{Contacts, Publisher, strangers};
use crate::recovery::recover;
use crate::sequencer::{Sequencer, SequencerParts};
use crate::store::Store;
use crate::store::disk::{DiskStore, Layout};
use crate::transport::{Dialer, Limits, NodeKey, ServerTls, certificate, read_authorities};
use crate::witness::{Witness, WitnessParts};

/// A log that is open, before anybody is served.
pub(super) struct Opened {
    pub sequencer: Sequencer,
    /// Ends once nothing in this process uses the log's directory any more.
    pub let_go: watch::Receiver<()>,
    pub publisher: Arc<Publisher>,
    pub index: Arc<Index>,
    pub pending: DraftStore,
    pub asking: Asking,
    pub mirror: Option<Mirror>,
    pub refresh: Duration,
    pub gossip: Arc<Gossip>,
    pub gossips_every: Duration,
    pub limits: Limits,
    pub tls: Option<ServerTls>,
    pub known_nodes_only: bool,
}

/// The keys of a node, each for one use.
struct Keys {
    log: SignerKey,
    previous_log: Option<SignerKey>,
    witness: Vec<SignerKey>,
    mirror: Vec<SignerKey>,
    node: Option<SignerKey>,
}

impl Keys {
    fn read(dir: &Path, layout: &Layout, config: &Config) -> Result<Keys, ConfigError> {
        let read = |file| read_key(layout, dir, file);
        let keys = Keys {
            log: read(&config.log_key)?,
            previous_log: config.previous_log_key.as_deref().map(read).transpose()?,
            witness: config.witness_keys.iter().map(|file| read(file)).collect::<Result<_, _>>()?,
            mirror: config.mirror_keys.iter().map(|file| read(file)).collect::<Result<_, _>>()?,
            node: config.tls.node_key.as_deref().map(read).transpose()?,
        };
        if keys.shares_node_key() { Err(ConfigError::SharedNodeKey) } else { Ok(keys) }
    }

    fn shares_node_key(&self) -> bool {
        let others = self.witness.iter().chain(&self.mirror).chain([&self.log]);
        let mut others = others.chain(&self.previous_log);
        self.node.as_ref().is_some_and(|node| others.any(|other| public(other) == public(node)))
    }

    /// The keys by which this node knows itself in a charter.
    fn own(&self) -> Vec<PublicKey> {
        [&self.log].into_iter().chain(&self.witness).chain(&self.node).map(public).collect()
    }

    /// The keys with which this node cosigns.
    fn cosigners(&self) -> Vec<VerifierKey> {
        self.witness.iter().chain(&self.mirror).map(|key| key.verifier().clone()).collect()
    }

    /// Those that a mirror's must not be.
    fn not_a_mirrors(&self) -> Vec<VerifierKey> {
        self.witness.iter().chain([&self.log]).map(|key| key.verifier().clone()).collect()
    }
}

fn public(key: &SignerKey) -> PublicKey {
    key.verifier().public()
}

/// Opens a log and all that belongs to it.
///
/// # Errors
/// [`StartError`].
pub(super) fn open(
    dir: &Path,
    layout: &Layout,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    let keys = Keys::read(dir, layout, config)?;
    let (tls, dialer) = secured(dir, layout, config, keys.node.as_ref(), &clock)?;
    let contacts =
        Contacts::new(keys.witness.iter().map(SignerKey::verifier), config.witness_urls.clone())
            .with_monitoring(config.monitoring_urls.clone());
    let store = DiskStore::open(layout, config.journal_segment_bytes)?;
    let let_go = store.let_go();
    let store: Arc<dyn Store> = Arc::new(store);
    let index = Arc::new(Index::open(&layout.index())?);
    let recovered = recover(&store, &index, &keys.log)?;
    let origin = Origin::new(recovered.charter.origin())?;
    let bridges = Bridges::new(layout.bridges());
    let evidence = EvidenceStore::open(&layout.evidence(), Trust::new());
    let evidence = Arc::new(evidence.map_err(GossipError::from)?);
    let publisher = Publisher::new(Arc::clone(&store), contacts)
        .keeping(bridges.clone())
        .excluding(Arc::clone(&evidence));
    let publisher = Arc::new(publisher);
    let lifetime = u64::from(config.pending_days) * 86_400;
    let pending = DraftStore::open(&layout.pending(), lifetime, Arc::clone(&clock))?;
    let (own_keys, not_a_mirrors) = (keys.own(), keys.not_a_mirrors());
    let cosigners = keys.cosigners();
    let parts = SequencerParts {
        store,
        index: Arc::clone(&index),
        log_key: keys.log,
        previous_log_key: keys.previous_log,
        publisher: Arc::clone(&publisher),
        clock: Arc::clone(&clock),
    };
    let mut sequencer = Sequencer::open(parts, recovered, origin)?;
    let reader = Arc::clone(publisher.reader());
    let logs = Arc::new(LogList::open(dir)?);
    let gossip = Gossip::open(GossipParts {
        logs: Arc::clone(&logs),
        charter: sequencer.charter(),
        reader: Arc::clone(&reader),
        published: publisher.published(),
        evidence,
        bridges,
        heads: layout.heads(),
        clock: Arc::clone(&clock),
        compares: config.make_evidence,
        peers: config.gossip.configured()?,
        dialer: dialer.clone(),
        own: own_keys,
        cosigners,
    })?;
    warn_of_unknown(keys.node.as_ref(), &dialer, clock.now());
    for name in strangers(sequencer.plan().policy(), &config.witness_urls) {
        tracing::warn!(name, "[witness_urls] names no witness of the policy");
    }
    let own = open_witness(keys.witness, layout, logs, &sequencer, &clock, &gossip)?;
    let mirror = match keys.mirror.as_slice() {
        [] => None,
        _ => Some(Mirror::open(MirrorParts {
            keys: keys.mirror,
            others: not_a_mirrors,
            dir: dir.to_owned(),
            clock: Arc::clone(&clock),
            gossip: Arc::clone(&gossip),
            make_evidence: config.make_evidence,
            runtime: tokio::runtime::Handle::current(),
        })?),
    };
    let heads = shown_heads(layout, &sequencer, &publisher, &gossip);
    let knows_alone = sequencer.plan().is_empty() && !gossip.has_peers();
    if knows_alone && heads.held().is_none() {
        // no witness or peer can know better: what fails here fails before the node serves
        sequencer.resume()?;
    }
    Ok(Opened {
        sequencer,
        let_go,
        publisher,
        index,
        pending,
        asking: Asking { reader, clock, own, dialer, heads },
        mirror,
        refresh: Duration::from_secs(u64::from(config.rewitness_minutes) * 60),
        gossip,
        gossips_every: Duration::from_secs(config.gossip.interval_seconds.into()),
        limits: config.limits.clone(),
        tls,
        known_nodes_only: config.gossip.known_nodes_only,
    })
}

/// The node's own witness, if the node has keys to cosign with.
fn open_witness(
    keys: Vec<SignerKey>,
    layout: &Layout,
    logs: Arc<LogList>,
    sequencer: &Sequencer,
    clock: &Arc<dyn Clock>,
    gossip: &Arc<Gossip>,
) -> Result<Option<Arc<Witness>>, StartError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let witness = Witness::open(WitnessParts {
        keys,
        state: layout.witness(),
        logs,
        charter: sequencer.charter(),
        clock: Arc::clone(clock),
        gossip: Arc::clone(gossip),
    })?;
    Ok(Some(Arc::new(witness)))
}

/// What judges the heads that witnesses and peers show.
fn shown_heads(
    layout: &Layout,
    sequencer: &Sequencer,
    publisher: &Publisher,
    gossip: &Arc<Gossip>,
) -> Arc<ShownHeads> {
    Arc::new(ShownHeads {
        origin: sequencer.origin().clone(),
        charter: sequencer.charter(),
        reader: Arc::clone(publisher.reader()),
        promised: sequencer.promised().checkpoint().head().size,
        signed: publisher.signed(),
        published: publisher.published(),
        folder: layout.found(),
        gossip: Arc::clone(gossip),
        judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
    })
}

/// Says that others will not know this node by its key.
fn warn_of_unknown(node_key: Option<&SignerKey>, dialer: &Dialer, now: u64) {
    let Some(vkey) = node_key.map(SignerKey::verifier) else { return };
    let name = NodeKey::of(vkey).and_then(|key| dialer.nodes().name(key, now));
    if name.is_none() {
        tracing::warn!(%vkey, "the charter of this node's own log names no such key: nodes whose charter or `peers` name it know it");
    }
}

/// What the ports show, and how others are reached.
fn secured(
    dir: &Path,
    layout: &Layout,
    config: &Config,
    node_key: Option<&SignerKey>,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<ServerTls>, Dialer), ConfigError> {
    let authorities = config.tls.ca.as_ref().map(|file| read_authorities(&dir.join(file)));
    let authorities = authorities.transpose()?.unwrap_or_default();
    let shown = node_key.map(certificate).transpose()?.map(Arc::new);
    let pair = config.tls.pair()?.map(|(certificate, key)| (dir.join(certificate), dir.join(key)));
    let tls = pair.map(|pair| ServerTls::open(layout, pair, shown.clone())).transpose()?;
    let (nodes, patience) = (Arc::default(), config.limits.answer());
    Ok((tls, Dialer::new(authorities, shown, nodes, Arc::clone(clock), patience)))
}
