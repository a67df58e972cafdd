//! Which listed keys of a log are in force and which are retired, by the log's governance at the
//! addresses that the list gives. A contradiction by two keys convicts only if both are in force.

use std::fmt;
use std::time::{Duration, Instant};

use ledger_core::charter::{Charter, Governance, RetiredLogKey, governance_chain};
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::merkle::{TreeHead, prove_inclusion, verify_inclusion};
use ledger_core::note::VerifierKey;
use ledger_core::record::{Entry, Outline};
use ledger_core::tile::{EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReader};
use ledger_core::{LeafIndex, TreeSize};

use super::Gossip;
use super::log_address::{AddressTiles, LogAddress};

/// How long the node reads the files of one log's governance.
const BUDGET: Duration = Duration::from_secs(60);

/// Governance entries that are read of one log: changes of a charter are rare.
const MAX_ENTRIES: usize = 4096;

/// A log of which two listed keys contradict each other.
pub(super) struct Paired {
    origin: Origin,
    /// The listed keys.
    keys: Vec<VerifierKey>,
    /// Where its governance can be read.
    addresses: Vec<String>,
    /// The size of the largest head that this node holds: the governance of a smaller tree may lack
    /// the latest changes.
    held: TreeSize,
}

/// What an address shows of the listed keys. A key that is in neither list may be either.
pub(super) struct KeysShown {
    retired: Vec<VerifierKey>,
    in_force: Vec<VerifierKey>,
}

/// Why an address does not show the governance.
struct NotRead(String);

impl Paired {
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What an address shows of the listed keys; `None` if it shows nothing.
    pub(super) fn read_at(&self, place: &mut LogAddress) -> Option<KeysShown> {
        let origin = &self.origin;
        let shown = self.read(place).unwrap_or_else(|NotRead(why)| {
            tracing::warn!(%origin, why, "two keys of the log contradict each other, and its \
                governance cannot be read: no key is convicted yet");
            KeysShown { retired: Vec::new(), in_force: Vec::new() }
        });
        (!shown.retired.is_empty() || !shown.in_force.is_empty()).then_some(shown)
    }

    fn read(&self, place: &mut LogAddress) -> Result<KeysShown, NotRead> {
        let not_read = |why: &str| NotRead(why.to_owned());
        let bytes = place.source().checkpoint().map_err(|e| NotRead(format!("checkpoint {e}")))?;
        let claimed = ClaimedCheckpoint::parse(&bytes).map_err(|e| NotRead(e.to_string()))?;
        if claimed.checkpoint().origin() != &self.origin {
            return Err(not_read("the checkpoint is of another log"));
        }
        let verified = claimed.verify(&self.keys).map_err(|e| NotRead(e.to_string()))?;
        let head = *verified.head();
        let last = head.size.last().ok_or_else(|| not_read("the tree is empty"))?;
        let mut tree = AddressTree { address: place, head, until: Instant::now() + BUDGET };
        let founding = Entry::parse(&tree.entry(LeafIndex::ZERO)?)?;
        if Governance::found(&founding)?.charter().origin() != self.origin.as_str() {
            return Err(not_read("its first entry is the charter of another log"));
        }
        let governance = tree.governance(last)?;
        Ok(self.shown(governance.charter(), &claimed))
    }

    /// What the charter at a head says of the listed keys. A retirement is final, so that any head
    /// shows it. That a key is in force now, a head that is smaller than another does not show.
    fn shown(&self, charter: &Charter, head: &ClaimedCheckpoint) -> KeysShown {
        let listed = |key: &&VerifierKey| self.keys.contains(key);
        let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
        let retired = retired.filter(listed).cloned().collect();
        let size = head.checkpoint().head().size;
        if size < self.held {
            tracing::warn!(origin = %self.origin, %size, held = %self.held, "two keys of the log \
                contradict each other, and its address shows an older head");
            return KeysShown { retired, in_force: Vec::new() };
        }
        let signers: Vec<_> = self.keys.iter().filter(|key| has_line(head, key)).collect();
        // a thief of a retired key can sign a tree in which the key is in force: another key has to
        // say so, unless the key is the log's newest, as no later one has taken its place
        let vouched = |key: &&VerifierKey| {
            signers.iter().any(|signer| signer != key) || charter.log_keys().last() == Some(*key)
        };
        let in_force = charter.log_keys().iter().filter(listed).filter(vouched).cloned().collect();
        KeysShown { retired, in_force }
    }
}

/// Whether a head has a line by a key. All lines by listed keys were verified.
fn has_line(head: &ClaimedCheckpoint, key: &VerifierKey) -> bool {
    head.note().signatures().iter().any(|line| line.is_by(key))
}

/// The tree of one head, as an address shows it: each entry is proven to be in it.
struct AddressTree<'a> {
    address: &'a mut LogAddress,
    head: TreeHead,
    until: Instant,
}

impl AddressTree<'_> {
    fn governance(&mut self, last: LeafIndex) -> Result<Governance, NotRead> {
        let bytes = self.entry(last)?;
        let (logged, record) = Entry::split(&bytes)?;
        let outline = Outline::parse(record)?;
        let is_governance = outline.envelope().kind().is_governance();
        let latest = if is_governance { last } else { logged.governance };
        if latest > last {
            return Err(NotRead("an entry names a later one".to_owned()));
        }
        let mut left = MAX_ENTRIES;
        let chain = governance_chain(latest, |at| {
            left = left
                .checked_sub(1)
                .ok_or_else(|| NotRead(format!("more than {MAX_ENTRIES} governance entries")))?;
            Ok(Entry::parse(&self.entry(at)?)?)
        });
        let chain = chain.map_err(|error| match error {
            ledger_core::charter::ChainError::Read(error) => error,
            ledger_core::charter::ChainError::Order(at) => {
                NotRead(format!("entry {at} names a governance entry that is not before it"))
            }
        })?;
        Ok(Governance::replay(chain.iter().map(|(at, entry)| (*at, entry)))?)
    }

    fn entry(&mut self, index: LeafIndex) -> Result<Vec<u8>, NotRead> {
        let (size, width) = (self.head.size, u64::from(TILE_WIDTH));
        let damaged = || NotRead(format!("entry {index} is not in its bundle"));
        let coord = TileCoord::in_tree(TileKind::Entries, index.get() / width, size);
        let coord = coord.ok_or_else(damaged)?;
        if Instant::now() >= self.until {
            return Err(NotRead("its files come too slowly".to_owned()));
        }
        let bytes = self.address.source().tile(coord)?;
        let bundle = EntryBundle::parse_or_cut(coord, bytes)?;
        let at = usize::try_from(index.get() % width).map_err(|_| damaged())?;
        let entry = bundle.iter().nth(at).ok_or_else(damaged)?.to_vec();
        let tiles = AddressTiles { address: self.address, until: self.until };
        let inclusion = prove_inclusion(&mut TileReader::new(tiles, size), index, size)
            .map_err(|_| NotRead(format!("the tiles around entry {index} cannot be read")))?;
        verify_inclusion(&inclusion, &Hash::leaf(&entry), index, &self.head)?;
        Ok(entry)
    }
}

impl Gossip {
    /// The logs of which two listed keys contradict each other.
    pub(crate) fn paired_logs(&self) -> Vec<Origin> {
        self.lock().view.paired().into_iter().map(|(origin, _)| origin).collect()
    }

    /// The listed keys of a log of which two contradict each other, and where its governance can be
    /// read.
    pub(super) fn paired(&self, origin: &Origin) -> Option<Paired> {
        let inner = self.lock();
        let (_, held) = inner.view.paired().into_iter().find(|(own, _)| own == origin)?;
        let of_line = inner.known.iter().filter(|line| line.key.name().as_str() == origin.as_str());
        let also = inner.also.get(origin);
        let of_also = also.into_iter().flat_map(|also| also.keys.iter().cloned());
        let keys = of_line.map(|line| line.key.clone()).chain(of_also).collect();
        let mut addresses = super::known::urls_of(&inner.known, origin.as_str());
        addresses.extend(also.into_iter().flat_map(|also| also.urls.clone()));
        Some(Paired { origin: origin.clone(), keys, addresses, held })
    }

    /// Learns which listed keys of a log are retired, and which in force: these convict the log by
    /// their contradictions.
    pub(super) fn learn_keys(&self, origin: &Origin, shown: KeysShown) {
        let KeysShown { retired, in_force } = shown;
        tracing::warn!(%origin, retired = retired.len(), in_force = in_force.len(), "two keys of \
            the log contradict each other; its governance was read");
        self.apply_to_state(|state| {
            let known = state.retired.entry(origin.clone()).or_default();
            known
                .extend(retired.into_iter().filter(|key| !known.contains(key)).collect::<Vec<_>>());
            self.set_known(state);
            let events = state.view.settle_pairs(origin, &in_force);
            self.evidence().trust(state.view.trust().clone());
            events
        });
    }
}

impl<E: fmt::Display> From<E> for NotRead {
    fn from(error: E) -> NotRead {
        NotRead(error.to_string())
    }
}
