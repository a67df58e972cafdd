//! Heads of several logs and cosignatures on them.

use std::collections::HashMap;

use super::super::conflict::{ConflictShape, alone};
use super::super::sample::{checkpoint, head_of, signed, size, tree};
use super::super::*;
use super::{HISTORIES, Rng, numbered_key};
use crate::checkpoint::ClaimedCheckpoint;
use crate::merkle::{ConsistencyProof, TreeHead, prove_consistency};
use crate::note::{Algorithm, Note, Signature, SignerKey};

/// What a log's tree has: one letter a leaf.
type Letters = Vec<u8>;

const ORIGINS: [&str; 3] = ["log.example/0", "log.example/1", "log.example/2"];

/// Everybody's keys. The twins share name and id with an honest key.
struct Cast {
    /// For each log its first key and the one it rotates to.
    logs: Vec<[SignerKey; 2]>,
    witnesses: Vec<SignerKey>,
    log_twin: SignerKey,
    witness_twin: SignerKey,
    bad_log: SignerKey,
    bad_witness: SignerKey,
    cache: HashMap<(Vec<u8>, String), ClaimedCheckpoint>,
}

/// A signed head and the leaves that it is of.
#[derive(Clone)]
struct Seen {
    head: ClaimedCheckpoint,
    leaves: Letters,
}

struct History {
    /// What is public: heads with all their lines.
    seen: Vec<Seen>,
    /// For each log whether its first key was retired, and is the adversary's now.
    retired: [bool; 3],
}

impl Cast {
    fn new() -> Cast {
        let key = |name: &str, number| numbered_key(name, Algorithm::Ed25519, number);
        let cosigner = |name: &str, n| numbered_key(name, Algorithm::CosignatureV1, n);
        let first = [43_879, 1, 2];
        let logs = (0..3).map(|at| [key(ORIGINS[at], first[at]), key(ORIGINS[at], 10)]);
        let cast = Cast {
            logs: logs.collect(),
            witnesses: vec![
                cosigner("witness.example/1", 36_862),
                cosigner("witness.example/2", 3),
            ],
            log_twin: key(ORIGINS[0], 58_663),
            witness_twin: cosigner("witness.example/1", 106_801),
            bad_log: key("log.example/bad", 4),
            bad_witness: cosigner("witness.example/bad", 5),
            cache: HashMap::new(),
        };
        assert_eq!(cast.log_twin.verifier().id(), cast.logs[0][0].verifier().id());
        assert_eq!(cast.witness_twin.verifier().id(), cast.witnesses[0].verifier().id());
        cast
    }

    /// A head with these lines; the same ones are made once.
    fn head(
        &mut self,
        origin: &str,
        head: TreeHead,
        by: &[&SignerKey],
        time: u64,
    ) -> ClaimedCheckpoint {
        let text = checkpoint(origin, head);
        let mut names = time.to_be_bytes().to_vec();
        by.iter().for_each(|key| names.extend(key.verifier().public().as_bytes()));
        let made = self.cache.entry((names, text.to_string()));
        made.or_insert_with(|| signed(&text, by, time)).clone()
    }

    fn history(&mut self, rng: &mut Rng) -> History {
        let mut seen: Vec<Seen> = Vec::new();
        let mut retired = [false; 3];
        for (at, origin) in ORIGINS.iter().enumerate() {
            let leaves: Letters = (0..rng.below(6)).map(|_| *rng.pick(b"ab")).collect();
            let rotation = rng.one_in(2).then(|| 1 + rng.below(5));
            let mut all = tree(&leaves.iter().map(|leaf| [*leaf]).collect::<Vec<_>>());
            for n in 0..=leaves.len() {
                // a restart publishes the same head once more, perhaps with other cosignatures
                for _ in 0..rng.below(3) {
                    let mut by: Vec<SignerKey> = match rotation {
                        Some(r) if n >= r && retired[at] => vec![self.logs[at][1].clone()],
                        Some(r) if n >= r => self.logs[at].to_vec(),
                        _ => vec![self.logs[at][0].clone()],
                    };
                    retired[at] |= rotation.is_some_and(|r| n >= r);
                    let cosigns = |_: &&SignerKey| rng.one_in(2);
                    by.extend(self.witnesses.iter().filter(cosigns).cloned());
                    let by: Vec<&SignerKey> = by.iter().collect();
                    let head = self.head(origin, head_of(&mut all, n), &by, n as u64);
                    seen.push(Seen { head, leaves: leaves[..n].to_vec() });
                }
            }
        }
        let bad: Letters = (0..rng.below(4)).map(|_| *rng.pick(b"ab")).collect();
        let key = self.bad_log.clone();
        let head = self.forge(key.verifier().name().as_str(), &bad, &[&key]);
        seen.push(Seen { head, leaves: bad });
        History { seen, retired }
    }

    fn forge(&mut self, origin: &str, leaves: &[u8], by: &[&SignerKey]) -> ClaimedCheckpoint {
        let mut all = tree(&leaves.iter().map(|leaf| [*leaf]).collect::<Vec<_>>());
        let head = head_of(&mut all, leaves.len());
        self.head(origin, head, by, leaves.len() as u64)
    }

    /// Keys that sign whatever the adversary likes.
    fn own(&self, history: &History) -> Vec<SignerKey> {
        let leaked = (0..3).filter(|at| history.retired[*at]).map(|at| &self.logs[at][0]);
        let own = [&self.log_twin, &self.witness_twin, &self.bad_log, &self.bad_witness];
        leaked.chain(own).cloned().collect()
    }

    /// A judge who knows the keys in force, and those of the bad log and the bad witness.
    fn trust(&self, history: &History) -> Trust {
        let logs = (0..3).map(|at| &self.logs[at][usize::from(history.retired[at])]);
        let others = self.witnesses.iter().chain([&self.bad_log, &self.bad_witness]);
        logs.chain(others).fold(Trust::new(), |trust, key| trust.with_key(key.verifier().clone()))
    }

    /// One side of an accusation: a head with one line.
    fn side(&mut self, history: &History, rng: &mut Rng) -> Option<Seen> {
        let Seen { head, leaves } = rng.pick(&history.seen).clone();
        let line = rng.pick(head.note().signatures()).clone();
        let elsewhere = rng.pick(&history.seen);
        let foreign = rng.pick(elsewhere.head.note().signatures()).clone();
        let one = |head: &ClaimedCheckpoint, line: &Signature, leaves: Letters| {
            Some(Seen { head: alone(head, line)?, leaves })
        };
        match rng.below(8) {
            0 | 1 => one(&head, &line, leaves),
            // a signature that is another text's
            2 => one(&head, &foreign, leaves),
            // another text under the signature
            3 => {
                let (text, leaves) = altered(&head, &leaves, rng);
                let note = Note::new(&text, vec![line]).ok()?;
                let head = ClaimedCheckpoint::parse(note.to_string().as_bytes()).ok()?;
                Some(Seen { head, leaves })
            }
            // cosignatures as heads' signatures, and the other way round
            4 => one(&head, &confused(&line, &foreign)?, leaves),
            // what the adversary signs itself
            _ => {
                let own = self.own(history);
                let key = rng.pick(&own).clone();
                let named = key.verifier().name().as_str().to_owned();
                let origin = if rng.one_in(3) || named.starts_with("witness") {
                    (*rng.pick(&ORIGINS)).to_owned()
                } else {
                    named
                };
                let mut forged = leaves;
                if rng.one_in(2) && !forged.is_empty() {
                    let at = rng.below(forged.len());
                    forged[at] = b'x';
                }
                forged.extend((0..rng.below(3)).map(|_| b'y'));
                let head = self.forge(&origin, &forged, &[&key]);
                Some(Seen { head, leaves: forged })
            }
        }
    }

    fn accusation(&mut self, history: &History, rng: &mut Rng) -> Option<ClaimShape> {
        let (one, other) = (self.side(history, rng)?, self.side(history, rng)?);
        let shape = match rng.below(5) {
            0 => ConflictShape::BadEmpty { head: one.head },
            1 => {
                let root = |seen: &Seen| *seen.head.checkpoint().head().root.as_bytes();
                let (a, b) = match root(&one) < root(&other) || rng.one_in(8) {
                    true => (one, other),
                    false => (other, one),
                };
                ConflictShape::SameSize { a: a.head, b: b.head }
            }
            _ => {
                let (a, b) = if one.leaves.len() <= other.leaves.len() || rng.one_in(8) {
                    (one, other)
                } else {
                    (other, one)
                };
                let (root, proof) = beginning(&a, &b, history, rng);
                ConflictShape::SplitHistory { a: a.head, b: b.head, root, proof }
            }
        };
        let conflict = Conflict::new(shape).ok()?;
        Some(if rng.one_in(2) { ClaimShape::Cosigner(conflict) } else { ClaimShape::Log(conflict) })
    }
}

/// A checkpoint's text with another size, root, origin or line; and what leaves it may be of.
fn altered(head: &ClaimedCheckpoint, leaves: &[u8], rng: &mut Rng) -> (String, Letters) {
    let own = head.checkpoint();
    let other: Letters = leaves.iter().map(|_| b'z').chain([b'z']).collect();
    let mut all = tree(&other.iter().map(|leaf| [*leaf]).collect::<Vec<_>>());
    let n = own.head().size;
    match rng.below(5) {
        0 => (format!("{}\n{}\n{}\n", own.origin(), n, Hash::leaf(b"x").to_base64()), Vec::new()),
        1 => {
            let head = head_of(&mut all, leaves.len());
            (checkpoint(own.origin().as_str(), head).to_string(), other[..leaves.len()].to_vec())
        }
        2 => {
            let head = TreeHead { size: size(leaves.len() + 1), ..*own.head() };
            (checkpoint(own.origin().as_str(), head).to_string(), other)
        }
        3 => (checkpoint(rng.pick::<&str>(&ORIGINS), *own.head()).to_string(), leaves.to_vec()),
        _ => (format!("{}extension\n", head.note().text()), leaves.to_vec()),
    }
}

/// A line's bytes under another line's name, cut or filled to that one's length.
fn confused(line: &Signature, other: &Signature) -> Option<Signature> {
    let mut bytes = line.bytes().to_vec();
    match (bytes.len(), other.bytes().len()) {
        (72, 64) => drop(bytes.drain(..8)),
        (64, 72) => bytes = [other.bytes()[..8].to_vec(), bytes].concat(),
        _ => {}
    }
    Some(Signature::new(other.name().clone(), other.id(), bytes))
}

/// A root for the smaller size, and a proof that should show it: true, of other sizes, of other
/// trees, or made up.
fn beginning(a: &Seen, b: &Seen, history: &History, rng: &mut Rng) -> (Hash, ConsistencyProof) {
    let source = if rng.one_in(3) { &rng.pick(&history.seen).leaves } else { &b.leaves };
    let mut all = tree(&source.iter().map(|leaf| [*leaf]).collect::<Vec<_>>());
    let shift = |n: usize, rng: &mut Rng| if rng.one_in(6) { n + rng.below(2) } else { n };
    let m = shift(a.leaves.len(), rng).min(source.len());
    let n = shift(b.leaves.len(), rng).clamp(m, source.len());
    let root = match rng.below(4) {
        0 => rng.pick(&history.seen).head.checkpoint().head().root,
        1 if rng.one_in(4) => Hash::leaf(b"z"),
        _ => head_of(&mut all, m).root,
    };
    let proof = prove_consistency(&mut all, size(m), size(n)).unwrap_or_default();
    (root, proof)
}

/// How far the adversary came.
#[derive(Default)]
struct Tally {
    conflicts: usize,
    convictions: usize,
}

fn run(seeds: std::ops::Range<u64>) {
    let mut cast = Cast::new();
    let mut tally = Tally::default();
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let history = cast.history(&mut rng);
        let trust = cast.trust(&history);
        let own: Vec<_> = cast.own(&history).iter().map(|key| key.verifier().clone()).collect();
        for _ in 0..24 {
            let Some(claim) = cast.accusation(&history, &mut rng) else { continue };
            tally.conflicts += 1;
            let evidence = ClaimedEvidence::assemble(claim, Vec::new());
            let Ok(conviction) = evidence.verify(&trust) else { continue };
            tally.convictions += 1;
            let framed = conviction.culprit().keys().iter().find(|key| !own.contains(key));
            assert_eq!(framed, None, "seed {seed}: {conviction:?}\n{evidence}");
            let read = ClaimedEvidence::parse(evidence.as_str().as_bytes());
            assert_eq!(read, Ok(evidence), "seed {seed}");
        }
        every_pair(&history, &trust, &own, seed);
    }
    // an adversary who never gets as far as a judge shows nothing
    assert!(tally.conflicts > 5_000 && tally.convictions > 100, "too tame an adversary");
}

/// What an honest node builds from all that it has seen, without any forgery.
fn every_pair(history: &History, trust: &Trust, own: &[crate::note::VerifierKey], seed: u64) {
    for (at, one) in history.seen.iter().enumerate() {
        for other in &history.seen[at + 1..] {
            let (small, large) = match one.leaves.len() <= other.leaves.len() {
                true => (one, other),
                false => (other, one),
            };
            let mut nodes = tree(&large.leaves.iter().map(|leaf| [*leaf]).collect::<Vec<_>>());
            let heads = Heads { one: &small.head, other: &large.head };
            let Ok(Some(conflict)) = Conflict::of_trees(heads, &mut nodes) else { continue };
            let case = Case { trust, authority: &[] };
            let made = ClaimedEvidence::against_log(&conflict, case);
            let culprits = made.and_then(|made| made.verify(trust).ok());
            let keys = culprits.iter().flat_map(|own| own.culprit().keys());
            assert!(keys.into_iter().all(|key| own.contains(key)), "seed {seed}");
        }
    }
}

const PART: u64 = HISTORIES / 4;

#[test]
fn no_honest_key_is_convicted_by_heads_first_part() {
    run(0..PART);
}

#[test]
fn no_honest_key_is_convicted_by_heads_second_part() {
    run(PART..2 * PART);
}

#[test]
fn no_honest_key_is_convicted_by_heads_third_part() {
    run(2 * PART..3 * PART);
}

#[test]
fn no_honest_key_is_convicted_by_heads_fourth_part() {
    run(3 * PART..4 * PART);
}
