//! Which logs and cosigners the node knows: from its charter, from the witness's list, from its
//! mirror.

use std::collections::BTreeMap;

use ledger_core::charter::Charter;
use ledger_core::checkpoint::Origin;
use ledger_core::evidence::Entries;
use ledger_core::gossip::{KnownKeys, Lineage, Pairs, Reachability};
use ledger_core::note::VerifierKey;

use crate::known_logs::LogLine;

/// What the node knows of a log that stands in no list of the witness's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoKnown {
    /// The keys that may sign its checkpoints.
    pub keys: Vec<VerifierKey>,
    /// Whether the rules of our entries bind it.
    pub entries: Entries,
    /// Where it can be read: URLs or folders of its tiles.
    pub urls: Vec<String>,
    /// Its charter, of a log of ours.
    pub lineage: Option<Lineage>,
    /// The witnesses of its policy.
    pub cosigners: Vec<VerifierKey>,
}

/// The cosigners that a node knows: the witnesses of its policy and of those before it, those of the
/// logs that it mirrors, and itself. Evidence against them counts.
pub(super) fn cosigners(
    charter: &Charter,
    also: &BTreeMap<Origin, AlsoKnown>,
    own: &[VerifierKey],
) -> Vec<VerifierKey> {
    let mirrored = also.values().flat_map(|also| &also.cosigners);
    let mut cosigners: Vec<VerifierKey> = Vec::new();
    for key in charter.policy_witnesses().iter().chain(mirrored).chain(own) {
        if !cosigners.contains(key) {
            cosigners.push(key.clone());
        }
    }
    cosigners
}

/// The logs that a node knows: its own, and those of its list.
pub(super) fn logs(charter: &Charter, lines: &[LogLine]) -> Vec<KnownKeys> {
    let mut logs = Vec::new();
    if let Ok(origin) = Origin::new(charter.origin()) {
        let keys = charter.log_keys().to_vec();
        let (entries, reach) = (Entries::Records, Reachability::Somewhere);
        let (retired, pairs) = (Vec::new(), Pairs::Convict);
        logs.push(KnownKeys { origin, keys, retired, pairs, entries, reach });
    }
    for line in lines {
        let Ok(origin) = Origin::new(line.key.name().as_str()) else { continue };
        let reach =
            if line.url.is_some() { Reachability::Somewhere } else { Reachability::Nowhere };
        // of its own log's keys the charter says all
        let is_own = origin.as_str() == charter.origin();
        let keys = if is_own { Vec::new() } else { vec![line.key.clone()] };
        let pairs = if is_own { Pairs::Convict } else { pairs_of(line.url.is_some()) };
        let (retired, entries) = (Vec::new(), Entries::Opaque);
        add(&mut logs, KnownKeys { origin, keys, retired, pairs, entries, reach });
    }
    logs
}

/// Adds what the mirror knows; of its own log the node knows best itself.
pub(super) fn add_also(
    logs: &mut Vec<KnownKeys>,
    charter: &Charter,
    also: &BTreeMap<Origin, AlsoKnown>,
) {
    for (origin, also) in also.iter().filter(|(origin, _)| origin.as_str() != charter.origin()) {
        let reach =
            if also.urls.is_empty() { Reachability::Nowhere } else { Reachability::Somewhere };
        let (origin, keys, entries) = (origin.clone(), also.keys.clone(), also.entries);
        let pairs = pairs_of(!also.urls.is_empty());
        add(logs, KnownKeys { origin, keys, retired: Vec::new(), pairs, entries, reach });
    }
}

/// Adds something that is known of a log to all that was known before.
fn add(logs: &mut Vec<KnownKeys>, more: KnownKeys) {
    let Some(log) = logs.iter_mut().find(|log| log.origin == more.origin) else {
        logs.push(more);
        return;
    };
    for key in more.keys {
        if !log.keys.contains(&key) {
            log.keys.push(key);
        }
    }
    if more.entries == Entries::Records {
        log.entries = more.entries;
    }
    if more.reach == Reachability::Somewhere {
        log.reach = more.reach;
    }
    if more.pairs == Pairs::Ask {
        log.pairs = more.pairs;
    }
}

/// Whether two keys convict a log that people list by hand: not before its governance was read,
/// where an address says how to read it.
fn pairs_of(has_address: bool) -> Pairs {
    if has_address { Pairs::Ask } else { Pairs::Convict }
}

/// Adds the keys that were read to be retired. The keys of a log whose charter is known follow from
/// that, and convict together.
pub(super) fn add_retired(
    logs: &mut [KnownKeys],
    retired: &BTreeMap<Origin, Vec<VerifierKey>>,
    lineages: &BTreeMap<Origin, Lineage>,
) {
    for log in logs {
        if lineages.contains_key(&log.origin) {
            log.pairs = Pairs::Convict;
        } else if let Some(retired) = retired.get(&log.origin) {
            log.retired.clone_from(retired);
        }
    }
}

/// The charters that the node knows: its own log's, and those that the mirror follows.
pub(super) fn lineages(
    charter: &Charter,
    own: Lineage,
    also: &BTreeMap<Origin, AlsoKnown>,
) -> BTreeMap<Origin, Lineage> {
    let of_mirror = also.iter().filter_map(|(origin, also)| {
        Some((origin.clone(), also.lineage.clone()?))
            .filter(|_| origin.as_str() != charter.origin())
    });
    let own = Origin::new(charter.origin()).ok().map(|origin| (origin, own));
    of_mirror.chain(own).collect()
}

/// Where the witness's list says that a log can be read.
pub(super) fn urls_of(lines: &[LogLine], origin: &str) -> Vec<String> {
    let of_log = lines.iter().filter(|line| line.key.name().as_str() == origin);
    of_log.filter_map(|line| line.url.clone()).collect()
}
