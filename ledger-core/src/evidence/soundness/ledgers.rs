//! Ledgers whose keys change by norms, judged by an anchor or by the keys in force.
//!
//! Beside what it holds anyway, the adversary has a norm that the stewards signed and that lost the
//! race to be logged: it would have retired the log's key and put the adversary's in its place. A
//! tree of its own in which that norm is lawful proves its key to be the log's.

use super::super::conflict::alone;
use super::super::sample::{ORIGIN, checkpoint, head_of, index, log_key, signed, size, tree};
use super::super::*;
use super::{HISTORIES, Rng};
use crate::authority::GovernanceEntry;
use crate::charter::CharterDraft;
use crate::checkpoint::ClaimedCheckpoint;
use crate::merkle::{MemoryTree, prove_inclusion};
use crate::note::{SignerKey, VerifierKey};
use crate::proof::TlogProof;
use crate::record::tests::{ISSUED, envelope, incident, signer};
use crate::record::{Draft, Entry, Logged, Object, Record, RecordId, StatementId, format_time};

/// Signed once, used in all histories.
struct LedgerCast {
    anchor: StatementId,
    keys: [SignerKey; 2],
    mallory: SignerKey,
    charter: Record,
    incidents: Vec<Record>,
    add: Record,
    /// On top of `add`.
    retire: Record,
    both: Record,
    /// The norm that lost the race: for mallory's key, against the first.
    stale: Record,
    /// Signed by nobody's member.
    unlawful: Record,
}

/// A tree of entries that somebody has, and its signed heads.
struct Branch {
    entries: Vec<Entry>,
    tree: MemoryTree,
    heads: Vec<ClaimedCheckpoint>,
    /// Where governance entries stand.
    governance: Vec<usize>,
}

struct LedgerHistory {
    /// The honest one first.
    branches: Vec<Branch>,
    in_force: Vec<VerifierKey>,
    /// Whether the first key was retired and is the adversary's now.
    leaked: bool,
}

fn id(n: u8) -> RecordId {
    RecordId::from_parts(ISSUED * 1000, [n; 10])
}

fn sign(object: &Object, key: &str) -> Record {
    let key = signer(key, key.as_bytes()[0]);
    Draft::from_object(object).expect("shapes").sign(&[&key]).expect("signed")
}

impl LedgerCast {
    fn new() -> LedgerCast {
        let keys = [log_key(100), log_key(101)];
        let mallory = log_key(102);
        let draft = CharterDraft::new("c", keys[0].verifier().clone())
            .member("a", signer("a", b'a').verifier().clone(), ["publisher", "steward"])
            .draft(id(0), ISSUED);
        let charter = draft.expect("sound").sign(&[&signer("a", b'a')]).expect("signed");
        let anchor = charter.statement();
        let own =
            |n: u8, issuer: &str| incident().with("id", id(n).to_string()).with("issuer", issuer);
        let norm =
            |n: u8, base: StatementId, changes: Vec<(&str, &SignerKey)>, then: &[&SignerKey]| {
                let changes = changes.iter().map(|(action, key)| {
                    let vkey = key.verifier().to_string();
                    Object::new().with("action", *action).with("vkey", vkey)
                });
                let lines: String =
                    then.iter().map(|key| format!("log {}\n", key.verifier())).collect();
                let policy = format!("{lines}quorum none\n");
                let policy = Object::new().with("action", "set_policy").with("policy", policy);
                let changes = changes.chain([policy]);
                let object = envelope("norm")
                    .with("id", id(n).to_string())
                    .with("issuer", "a")
                    .with("base", base.to_string())
                    .with("version", "1")
                    .with("effective_from", format_time(ISSUED))
                    .with("text", "Be good.")
                    .with("changes", changes.collect::<Vec<_>>());
                sign(&object, "a")
            };
        let add = norm(10, anchor, vec![("add_log_key", &keys[1])], &[&keys[0], &keys[1]]);
        let retire = norm(11, add.statement(), vec![("retire_log_key", &keys[0])], &[&keys[1]]);
        let swap = |n, key| {
            norm(n, anchor, vec![("add_log_key", key), ("retire_log_key", &keys[0])], &[key])
        };
        let (both, stale) = (swap(12, &keys[1]), swap(13, &mallory));
        let incidents = (20..25).map(|n| sign(&own(n, "a"), "a")).collect();
        let unlawful = sign(&own(30, "z"), "z");
        LedgerCast { anchor, keys, mallory, charter, incidents, add, retire, both, stale, unlawful }
    }

    /// Entries with growing times and the right g.
    fn branch(&self, records: &[&Record], rng: &mut Rng) -> Branch {
        let (mut entries, mut governance): (Vec<Entry>, Vec<usize>) = Default::default();
        let mut time = ISSUED;
        for (at, record) in records.iter().enumerate() {
            time += rng.below(3) as u64;
            let latest = index(governance.last().copied().unwrap_or(0));
            let logged = Logged { time, governance: latest };
            entries.push(Entry::new(logged, (*record).clone()));
            if record.kind().is_governance() {
                governance.push(at);
            }
        }
        let leaves: Vec<Vec<u8>> = entries.iter().map(Entry::to_bytes).collect();
        Branch { tree: tree(&leaves), entries, heads: Vec::new(), governance }
    }

    fn history(&self, rng: &mut Rng) -> LedgerHistory {
        let mut records: Vec<&Record> = vec![&self.charter];
        let plan: &[&Record] = match rng.below(4) {
            0 => &[],
            1 => &[&self.add],
            2 => &[&self.add, &self.retire],
            _ => &[&self.both],
        };
        records.extend(self.incidents.iter().take(1 + rng.below(3)));
        let mut from = 1;
        for norm in plan {
            let at = from + rng.below(records.len() + 1 - from);
            records.insert(at, norm);
            from = at + 1;
        }
        let place =
            |norm: &Record| records.iter().position(|own| own.statement() == norm.statement());
        let added = place(&self.add).or_else(|| place(&self.both));
        let retired = place(&self.retire).or_else(|| place(&self.both));
        let mut honest = self.branch(&records, rng);
        let mut bridged = false;
        for n in 1..=records.len() {
            if !rng.one_in(2) && n != records.len() {
                continue;
            }
            let has = |at: Option<usize>| at.is_some_and(|at| at < n);
            let by = match (has(added), has(retired)) {
                (false, _) => vec![&self.keys[0]],
                // the first head over a retirement is signed by the old key too, and no other
                (true, true) if bridged => vec![&self.keys[1]],
                (true, gone) => {
                    bridged |= gone;
                    self.keys.iter().collect()
                }
            };
            honest.sign(n, &by);
        }
        let leaked = bridged && rng.one_in(2);
        let in_force = match (bridged, added.is_some_and(|at| at < records.len())) {
            (true, _) => vec![self.keys[1].verifier().clone()],
            (_, true) => self.keys.iter().map(|key| key.verifier().clone()).collect(),
            _ => vec![self.keys[0].verifier().clone()],
        };
        let mut branches = vec![honest];
        branches.push(self.fork(rng));
        if leaked {
            branches.push(self.leak(&records, rng));
        }
        LedgerHistory { branches, in_force, leaked }
    }

    /// The tree in which the norm that lost its race is lawful, and signed by mallory.
    fn fork(&self, rng: &mut Rng) -> Branch {
        let mut records = vec![&self.charter, &self.stale, &self.incidents[4], &self.unlawful];
        records.truncate(2 + rng.below(3));
        let mut branch = self.branch(&records, rng);
        (1..=records.len()).for_each(|n| branch.sign(n, &[&self.mallory]));
        branch
    }

    /// What a thief of the retired key signs: another history, larger or smaller.
    fn leak(&self, records: &[&Record], rng: &mut Rng) -> Branch {
        let mut records = records.to_vec();
        records.truncate(1 + rng.below(records.len()));
        records.push(if rng.one_in(2) { &self.incidents[4] } else { &self.unlawful });
        records.push(&self.incidents[3]);
        let mut branch = self.branch(&records, rng);
        (1..=records.len()).for_each(|n| branch.sign(n, &[&self.keys[0]]));
        branch
    }
}

impl Branch {
    fn sign(&mut self, n: usize, by: &[&SignerKey]) {
        let head = checkpoint(ORIGIN, head_of(&mut self.tree, n));
        self.heads.push(signed(&head, by, 0));
    }

    /// One of the heads, with one of its lines.
    fn head(&self, rng: &mut Rng) -> Option<(usize, ClaimedCheckpoint)> {
        let head = rng.pick(&self.heads);
        let n = usize::try_from(head.checkpoint().head().size.get()).expect("small");
        Some((n, alone(head, rng.pick(head.note().signatures()))?))
    }

    fn entry(&mut self, at: usize, n: usize, rng: &mut Rng) -> GovernanceEntry {
        let inclusion = prove_inclusion(&mut self.tree, index(at), size(n)).unwrap_or_default();
        let mut own =
            GovernanceEntry { index: index(at), entry: self.entries[at].clone(), inclusion };
        let mut logged = own.entry.logged();
        match rng.below(16) {
            0 => own.index = index(rng.below(n)),
            1 => logged.time -= 1,
            2 => logged.governance = index(rng.below(n)),
            _ => return own,
        }
        own.entry = Entry::new(logged, own.entry.into_record());
        own
    }

    /// A bundle about an entry, with most of the governance.
    fn bundle(
        &mut self,
        at: usize,
        n: usize,
        head: ClaimedCheckpoint,
        rng: &mut Rng,
    ) -> AuthorityBundle {
        let all: Vec<usize> = self.governance.iter().copied().filter(|own| *own < n).collect();
        let kept: Vec<usize> = all.into_iter().filter(|own| *own == 0 || !rng.one_in(5)).collect();
        let governance: Vec<_> = kept.iter().map(|own| self.entry(*own, n, rng)).collect();
        let own = self.entry(at, n, rng);
        let extra = Some(own.entry.logged().to_string().into_bytes());
        let (index, inclusion) = (own.index, own.inclusion);
        AuthorityBundle::new(governance, TlogProof { extra, index, inclusion, checkpoint: head })
    }

    /// A bundle as `authority` carries it: about its last governance entry.
    fn pinned(&mut self, rng: &mut Rng) -> Option<AuthorityBundle> {
        let head = rng.pick(&self.heads).clone();
        let n = usize::try_from(head.checkpoint().head().size.get()).ok()?;
        let one = alone(&head, rng.pick(head.note().signatures()))?;
        let head = if rng.one_in(2) { head } else { one };
        let until = 1 + rng.below(self.governance.iter().filter(|own| **own < n).count());
        let governance: Vec<GovernanceEntry> = self.governance[..until]
            .to_vec()
            .iter()
            .map(|at| {
                let inclusion = prove_inclusion(&mut self.tree, index(*at), size(n));
                let (index, entry) = (index(*at), self.entries[*at].clone());
                GovernanceEntry { index, entry, inclusion: inclusion.unwrap_or_default() }
            })
            .collect();
        let last = governance.last()?;
        let proof = TlogProof {
            extra: Some(last.entry.logged().to_string().into_bytes()),
            index: last.index,
            inclusion: last.inclusion.clone(),
            checkpoint: head,
        };
        Some(AuthorityBundle::new(governance, proof))
    }
}

impl LedgerHistory {
    fn accusation(&mut self, rng: &mut Rng) -> Option<ClaimShape> {
        let branch = rng.below(self.branches.len());
        let other = rng.below(self.branches.len());
        // mostly a head of the tree itself, sometimes of another
        let from = if rng.one_in(5) { other } else { branch };
        let (n, head) = self.branches[from].head(rng)?;
        let own = &mut self.branches[branch];
        let n = n.min(own.entries.len());
        match rng.below(4) {
            0 => {
                let at = rng.below(n);
                let record = if rng.one_in(6) { rng.below(own.entries.len()) } else { at };
                let record = Box::new(own.entries[record].record().clone());
                let bundle = own.bundle(at, n, head, rng);
                Some(ClaimShape::UnlawfulLeaf { record, bundle })
            }
            1 => {
                let rule = *rng.pick(&[LeafRule::TimeReversal, LeafRule::DuplicateLeaf]);
                let charter = own.entry(0, n, rng);
                let (first, second) = (rng.below(n), rng.below(n));
                let (first, second) = (own.entry(first, n, rng), own.entry(second, n, rng));
                let leaves = Leaves { head, charter, first, second };
                Some(ClaimShape::Leaves(Box::new(LeafPair::new(rule, leaves).ok()?)))
            }
            _ => {
                let (m, smaller) = self.branches[other].head(rng)?;
                let larger = &mut self.branches[from];
                let heads = Heads { one: &smaller, other: &head };
                if m > usize::try_from(head.checkpoint().head().size.get()).ok()? {
                    return None;
                }
                Conflict::of_trees(heads, &mut larger.tree).ok()?.map(ClaimShape::Log)
            }
        }
    }
}

/// Convictions of the adversary's own keys: by the anchor alone, and of retired keys.
fn run(seeds: std::ops::Range<u64>) {
    let cast = LedgerCast::new();
    let (mut claims, mut convictions, mut of_retired, mut unconfirmed) = (0, 0, 0, 0);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let mut history = cast.history(&mut rng);
        let mut own = vec![cast.mallory.verifier().clone()];
        own.extend(history.leaked.then(|| cast.keys[0].verifier().clone()));
        for _ in 0..3 {
            let Some(claim) = history.accusation(&mut rng) else { continue };
            claims += 1;
            let mut trust = Trust::new();
            let knows = rng.below(4);
            if knows < 2 {
                trust = history.in_force.iter().cloned().fold(trust, Trust::with_key);
            }
            // nodes know both, and the anchors of other logs
            if knows > 0 {
                trust = trust.with_anchor(cast.stale.statement()).with_anchor(cast.anchor);
            }
            let bundles = (0..1 + rng.below(2)).filter_map(|_| {
                let at = rng.below(history.branches.len());
                history.branches[at].pinned(&mut rng)
            });
            let evidence = ClaimedEvidence::assemble(claim, bundles.collect());
            let Ok(conviction) = evidence.verify(&trust) else { continue };
            convictions += 1;
            of_retired += usize::from(matches!(conviction.culprit(), Culprit::RetiredKey { .. }));
            let framed = conviction.culprit().keys().iter().find(|key| !own.contains(key));
            assert_eq!(framed, None, "seed {seed}: {conviction:?}\n{evidence}");
            // mallory's key never was the log's: by name the log is not convicted
            let by_name = matches!(conviction.culprit(), Culprit::Log { .. });
            let is_mallorys = conviction.convicts(cast.mallory.verifier());
            assert!(!(by_name && is_mallorys), "seed {seed}: {conviction:?}\n{evidence}");
            unconfirmed += usize::from(is_mallorys);
        }
    }
    assert!(claims > 10_000 && convictions > 100 && of_retired > 10, "too tame an adversary");
    assert!(unconfirmed > 10, "too tame an adversary: {unconfirmed}");
}

const PART: u64 = HISTORIES / 4;

#[test]
fn no_honest_key_is_convicted_by_ledgers_first_part() {
    run(0..PART);
}

#[test]
fn no_honest_key_is_convicted_by_ledgers_second_part() {
    run(PART..2 * PART);
}

#[test]
fn no_honest_key_is_convicted_by_ledgers_third_part() {
    run(2 * PART..3 * PART);
}

#[test]
fn no_honest_key_is_convicted_by_ledgers_fourth_part() {
    run(3 * PART..4 * PART);
}
