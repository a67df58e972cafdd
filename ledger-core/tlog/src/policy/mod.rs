//! C2SP `tlog-policy`: which logs and witnesses a reader trusts, and how many of them it wants.
//!
//! ```
//! use tlog::policy::Policy;
//!
//! # let key = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/v1/log.vkey"));
//! let policy = Policy::parse(format!("log {}\nquorum none\n", key.trim_end()).as_bytes());
//! let policy = policy.expect("a policy");
//! assert!(policy.is_quorum_none() && policy.witnesses().is_empty());
//! ```

mod convicted;
mod latest;

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::{CheckpointError, ClaimedCheckpoint, VerifiedCheckpoint};
use crate::cosignature;
use crate::hash::Hash;
use crate::index::parse_decimal;
use crate::note::{Algorithm, ParseKeyError, VerifierKey};

/// Logs, witnesses and groups a policy may list, each. The specification asks for at least 32.
pub const MAX_ITEMS: usize = 1024;

/// Words of one line: a group of all that a policy may list, its name and its threshold.
const MAX_WORDS: usize = 3 + MAX_ITEMS;

/// A trust policy: what makes a checkpoint acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    quorum: Quorum,
    /// By place in `witnesses`: the id of the evidence that convicts the witness's key.
    convicted: BTreeMap<usize, Hash>,
}

/// A log that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// The log's key; its name is the log's origin.
    pub key: VerifierKey,
    /// Where to reach it, if the policy says so. Opaque octets.
    pub url: Option<Vec<u8>>,
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// The name inside the policy. Opaque octets.
    pub name: Vec<u8>,
    /// The key that cosigns.
    pub key: VerifierKey,
    /// Where to submit checkpoints, if the policy says so. Opaque octets.
    pub url: Option<Vec<u8>>,
}

/// What a name in a policy stands for. Items refer only to items before them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// The witness at this place in the policy's list.
    Witness(usize),
    /// So many of these items.
    Group { threshold: usize, members: Vec<usize> },
}

/// Whose cosignatures are enough: an item, or nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quorum {
    items: Vec<Item>,
    of: Option<usize>,
}

/// A checkpoint that satisfies a policy, with the cosignatures that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedCheckpoint {
    /// The checkpoint, signed by a log of the policy.
    pub checkpoint: VerifiedCheckpoint,
    /// For each witness that cosigned: its place in [`Policy::witnesses`] and its newest time.
    pub cosigned: BTreeMap<usize, u64>,
}

pub use convicted::ConvictedWitness;

/// How many witnesses a policy can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Witnesses that count for the quorum.
    pub witnesses: usize,
    /// The fewest that make a quorum.
    pub needed: usize,
    /// Any so many may be silent, and there still is a quorum: n - k in a flat group.
    pub may_be_down: usize,
    /// Any so many may lie, and no two quorums can still be shown different trees: 2k - n - 1 in a
    /// flat group. `None` when two quorums need not share a witness at all.
    pub may_lie: Option<usize>,
}

/// Why bytes are not a policy. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePolicyError {
    /// A control character other than tab and newline, or a last line without newline.
    #[error("line {0}: only tab and newline are allowed as control characters")]
    Control(usize),
    /// The file does not end with a newline.
    #[error("the last line does not end with a newline")]
    Unterminated,
    /// The line begins with no known word, or has too few or too many items.
    #[error(
        "line {0}: expected \"log <vkey> [<url>]\", \"witness <name> <vkey> [<url>]\", \"group <name> <k|any|all> <member>...\" or \"quorum <name>\""
    )]
    Syntax(usize),
    /// The key is none.
    #[error("line {0}: {1}")]
    Key(usize, ParseKeyError),
    /// A log's key must sign texts, a witness's key must cosign.
    #[error("line {0}: the key's signature type does not fit a {1}")]
    KeyUse(usize, &'static str),
    /// The public key was listed before.
    #[error("line {0}: the same public key is listed twice")]
    DuplicateKey(usize),
    /// Another key of the policy has the same name and key id: a line of one would be a false line
    /// of the other.
    #[error("line {0}: the key shares its name and key id with another key")]
    SharedKeyId(usize),
    /// The name was defined before, or is `none`.
    #[error("line {0}: the name is already taken, or is the reserved word \"none\"")]
    DuplicateName(usize),
    /// The name is not defined on a line before.
    #[error("line {0}: a name that no line before defines")]
    UndefinedName(usize),
    /// The member is already in a group: it could count twice.
    #[error("line {0}: a member that is already in a group")]
    MemberTwice(usize),
    /// The threshold is not between 1 and the number of members.
    #[error("line {0}: the threshold is not a number from 1 to the number of members")]
    Threshold(usize),
    /// No quorum line, or a second one.
    #[error("a policy has exactly one quorum line")]
    Quorum,
    /// More than [`MAX_ITEMS`].
    #[error("line {0}: more than {MAX_ITEMS} lines of this kind")]
    TooMany(usize),
}

/// Why a policy does not accept a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The log did not sign it, or it was altered.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A line names a witness of the policy but does not verify.
    #[error("the cosignature of {0} does not verify: the checkpoint was altered or forged")]
    BadCosignature(String),
    /// Too few witnesses cosigned.
    #[error("the policy's quorum did not cosign: {present} of its {witnesses} witnesses did")]
    NoQuorum {
        /// Witnesses whose cosignature verified.
        present: usize,
        /// Witnesses the policy lists.
        witnesses: usize,
    },
    /// The witnesses that cosigned would be enough, but evidence convicts some of them, and a
    /// convicted key counts for nothing.
    #[error("the policy's quorum did not cosign: {}", ConvictedWitness::list(.0))]
    ConvictedWitness(Vec<ConvictedWitness>),
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`ParsePolicyError`] names the line and what it should be.
    // SPEC tlog-policy/syntax
    pub fn parse(bytes: &[u8]) -> Result<Policy, ParsePolicyError> {
        let mut parser = Parser::default();
        let Some(lines) = bytes.strip_suffix(b"\n") else {
            return Err(ParsePolicyError::Unterminated);
        };
        for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            parser.line(at + 1, line)?;
        }
        let of = parser.quorum.ok_or(ParsePolicyError::Quorum)?;
        let quorum = Quorum { items: parser.items, of };
        let convicted = BTreeMap::new();
        Ok(Policy { logs: parser.logs, witnesses: parser.witnesses, quorum, convicted })
    }

    /// The logs in the file's order.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses in the file's order.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the policy asks for no cosignature at all.
    pub fn is_quorum_none(&self) -> bool {
        self.quorum.of.is_none()
    }

    /// The same policy for exactly these logs: for a policy whose logs are known from elsewhere.
    pub fn with_logs(&self, keys: impl IntoIterator<Item = VerifierKey>) -> Policy {
        let logs = keys.into_iter().map(|key| PolicyLog { key, url: None }).collect();
        Policy { logs, ..self.clone() }
    }

    /// A policy of one log and no witnesses.
    pub fn single_log(key: VerifierKey) -> Policy {
        let logs = vec![PolicyLog { key, url: None }];
        let quorum = Quorum { items: Vec::new(), of: None };
        Policy { logs, witnesses: Vec::new(), quorum, convicted: BTreeMap::new() }
    }

    /// Whether these witnesses, as places in [`Policy::witnesses`], are enough. Convicted ones do
    /// not count ([`Policy::without_convicted`]).
    pub fn is_satisfied_by(&self, cosigned: &BTreeSet<usize>) -> bool {
        if self.convicted.is_empty() {
            return self.quorum.holds(cosigned);
        }
        let counts = cosigned.iter().filter(|at| !self.convicted.contains_key(at));
        self.quorum.holds(&counts.copied().collect())
    }

    /// The largest time at which, or later, a quorum cosigned a checkpoint that this policy
    /// accepted; `None` under `quorum none`. One witness with a wrong clock does not move it.
    pub fn quorum_time(&self, accepted: &AcceptedCheckpoint) -> Option<u64> {
        self.quorum.of?;
        let mut times: Vec<u64> = accepted.cosigned.values().copied().collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let since = |time: u64| {
            let cosigned = accepted.cosigned.iter().filter(move |(_, own)| **own >= time);
            cosigned.map(|(at, _)| *at).collect()
        };
        times.into_iter().find(|time| self.is_satisfied_by(&since(*time)))
    }

    /// What the policy can do without; `None` for `quorum none`. Convictions change nothing here.
    pub fn tolerance(&self) -> Option<Tolerance> {
        self.quorum.tolerance()
    }

    /// Judges a checkpoint: a log of the policy signed it, its quorum cosigned it, and no line of a
    /// known key is false. Of several lines by one witness the newest counts. A convicted key
    /// ([`Policy::without_convicted`]) is an unknown one.
    ///
    /// # Errors
    /// [`PolicyError`] says why it is not accepted.
    pub fn verify(&self, claimed: &ClaimedCheckpoint) -> Result<AcceptedCheckpoint, PolicyError> {
        let keys: Vec<VerifierKey> = self.logs.iter().map(|log| log.key.clone()).collect();
        let checkpoint = claimed.verify(&keys)?;
        let mut cosigned = BTreeMap::new();
        let trusted = self.witnesses.iter().enumerate();
        for (at, witness) in trusted.filter(|(at, _)| !self.convicted.contains_key(at)) {
            let lines = claimed.note().signatures();
            for line in lines.iter().filter(|line| line.is_by(&witness.key)) {
                let time = cosignature::verify_line(claimed.note(), &witness.key, line);
                let bad = || PolicyError::BadCosignature(witness.key.name().to_string());
                let time = time.ok_or_else(bad)?;
                let newest = cosigned.entry(at).or_insert(time);
                *newest = time.max(*newest);
            }
        }
        let counted: BTreeSet<usize> = cosigned.keys().copied().collect();
        if !self.quorum.holds(&counted) {
            return Err(self.no_quorum(claimed, counted));
        }
        Ok(AcceptedCheckpoint { checkpoint, cosigned })
    }
}

impl Quorum {
    fn holds(&self, cosigned: &BTreeSet<usize>) -> bool {
        let Some(of) = self.of else { return true };
        let mut holds: Vec<bool> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            holds.push(match item {
                Item::Witness(at) => cosigned.contains(at),
                Item::Group { threshold, members } => {
                    members.iter().filter(|member| holds[**member]).count() >= *threshold
                }
            });
        }
        holds[of]
    }

    fn tolerance(&self) -> Option<Tolerance> {
        let of = self.of?;
        // No witness stands in two groups, so a group's cheapest members can be chosen one by one.
        let all = self.fewest(of, |_, members| members);
        let needed = self.fewest(of, |threshold, _| threshold);
        let blocking = self.fewest(of, |threshold, members| members + 1 - threshold);
        let shared = self.fewest(of, |threshold, members| (2 * threshold).saturating_sub(members));
        Some(Tolerance {
            witnesses: all,
            needed,
            may_be_down: blocking - 1,
            may_lie: shared.checked_sub(1),
        })
    }

    /// The fewest witnesses below an item, when a group with a threshold and a number of members
    /// takes as many of its cheapest members as `take` says.
    fn fewest(&self, of: usize, take: impl Fn(usize, usize) -> usize) -> usize {
        let mut costs: Vec<usize> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            costs.push(match item {
                Item::Witness(_) => 1,
                Item::Group { threshold, members } => {
                    let mut of_members: Vec<usize> = members.iter().map(|m| costs[*m]).collect();
                    of_members.sort_unstable();
                    of_members.iter().take(take(*threshold, members.len())).sum()
                }
            });
        }
        costs[of]
    }
}

#[derive(Default)]
struct Parser {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    items: Vec<Item>,
    names: BTreeMap<Vec<u8>, usize>,
    /// Items that are in a group.
    members: BTreeSet<usize>,
    quorum: Option<Option<usize>>,
}

impl Parser {
    fn line(&mut self, at: usize, line: &[u8]) -> Result<(), ParsePolicyError> {
        // SPEC tlog-policy/character-set: 0x09, 0x0A, 0x20-0x7E, 0x80-0xFF
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(ParsePolicyError::Control(at));
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let words = words.filter(|word| !word.is_empty());
        let words: Vec<&[u8]> = words.take(MAX_WORDS + 1).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            words if words.len() > MAX_WORDS => Err(ParsePolicyError::TooMany(at)),
            [b"log", key, url @ ..] if url.len() <= 1 => self.log(at, key, url.first()),
            [b"witness", name, key, url @ ..] if url.len() <= 1 => {
                self.witness(at, name, key, url.first())
            }
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(at, name, threshold, members)
            }
            [b"quorum", name] => self.quorum(at, name),
            _ => Err(ParsePolicyError::Syntax(at)),
        }
    }

    fn log(&mut self, at: usize, key: &[u8], url: Option<&&[u8]>) -> Result<(), ParsePolicyError> {
        let key = parse_key(at, key)?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(ParsePolicyError::KeyUse(at, "log"));
        }
        // SPEC tlog-policy/public-key-representation: duplicates wrap the same public key
        if self.logs.iter().any(|log| log.key.is_same_public(&key)) {
            return Err(ParsePolicyError::DuplicateKey(at));
        }
        self.check_key_id(at, &key)?;
        if self.logs.len() == MAX_ITEMS {
            return Err(ParsePolicyError::TooMany(at));
        }
        self.logs.push(PolicyLog { key, url: url.map(|url| url.to_vec()) });
        Ok(())
    }

    fn witness(
        &mut self,
        at: usize,
        name: &[u8],
        key: &[u8],
        url: Option<&&[u8]>,
    ) -> Result<(), ParsePolicyError> {
        let key = parse_key(at, key)?;
        // SPEC tlog-policy/public-key-representation: witnesses cosign
        if !key.algorithm().is_cosigner() {
            return Err(ParsePolicyError::KeyUse(at, "witness"));
        }
        if self.witnesses.iter().any(|witness| witness.key.is_same_public(&key)) {
            return Err(ParsePolicyError::DuplicateKey(at));
        }
        self.check_key_id(at, &key)?;
        self.define(at, name, Item::Witness(self.witnesses.len()))?;
        let url = url.map(|url| url.to_vec());
        self.witnesses.push(PolicyWitness { name: name.to_vec(), key, url });
        Ok(())
    }

    /// No two keys share name and key id. This is stricter than the specification, which refuses
    /// only equal public keys.
    fn check_key_id(&self, at: usize, key: &VerifierKey) -> Result<(), ParsePolicyError> {
        let logs = self.logs.iter().map(|log| &log.key);
        let mut all = logs.chain(self.witnesses.iter().map(|witness| &witness.key));
        match all.any(|own| own.id() == key.id() && own.name() == key.name()) {
            true => Err(ParsePolicyError::SharedKeyId(at)),
            false => Ok(()),
        }
    }

    fn group(
        &mut self,
        at: usize,
        name: &[u8],
        threshold: &[u8],
        names: &[&[u8]],
    ) -> Result<(), ParsePolicyError> {
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = self.names.get(*name).ok_or(ParsePolicyError::UndefinedName(at))?;
            // SPEC tlog-policy/group: each name is listed as a member at most once
            if !self.members.insert(*member) {
                return Err(ParsePolicyError::MemberTwice(at));
            }
            members.push(*member);
        }
        let threshold = match threshold {
            b"any" => 1,
            b"all" => members.len(),
            number => std::str::from_utf8(number)
                .ok()
                .and_then(|number| parse_decimal(number).ok())
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or(ParsePolicyError::Threshold(at))?,
        };
        self.define(at, name, Item::Group { threshold, members })
    }

    fn quorum(&mut self, at: usize, name: &[u8]) -> Result<(), ParsePolicyError> {
        if self.quorum.is_some() {
            return Err(ParsePolicyError::Quorum);
        }
        self.quorum = Some(match name {
            b"none" => None,
            _ => Some(*self.names.get(name).ok_or(ParsePolicyError::UndefinedName(at))?),
        });
        Ok(())
    }

    fn define(&mut self, at: usize, name: &[u8], item: Item) -> Result<(), ParsePolicyError> {
        if name == b"none" || self.names.contains_key(name) {
            return Err(ParsePolicyError::DuplicateName(at));
        }
        if self.items.len() == MAX_ITEMS {
            return Err(ParsePolicyError::TooMany(at));
        }
        self.names.insert(name.to_vec(), self.items.len());
        self.items.push(item);
        Ok(())
    }
}

fn parse_key(at: usize, key: &[u8]) -> Result<VerifierKey, ParsePolicyError> {
    let text = std::str::from_utf8(key).map_err(|_| ParseKeyError::Shape);
    text.and_then(str::parse).map_err(|error| ParsePolicyError::Key(at, error))
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, Origin};
    use crate::cosignature::cosign;
    use crate::merkle::TreeHead;
    use crate::note::{KeyName, SignerKey};

    fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
        let name = KeyName::new(name).expect("name");
        SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound")
    }

    fn log() -> SignerKey {
        key("log.example", Algorithm::Ed25519, 100)
    }

    fn witness(seed: u8) -> SignerKey {
        key(&format!("w{seed}.example"), Algorithm::CosignatureV1, seed)
    }

    /// The specification's example: two of three X, one of three Y.
    fn example() -> String {
        let mut text = format!("# example\n\nlog {} https://log.example/\n", log().verifier());
        for (at, name) in ["X1", "X2", "X3", "Y1", "Y2", "Y3"].iter().enumerate() {
            let key = witness(at as u8 + 1);
            text += &format!("\t witness  {name}\t{} \n", key.verifier());
        }
        text + "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n\
                group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
    }

    fn checkpoint(cosigners: &[(u8, u64)]) -> ClaimedCheckpoint {
        let origin = Origin::new("log.example").expect("origin");
        let checkpoint = Checkpoint::new(origin, TreeHead::EMPTY);
        let lines =
            cosigners.iter().map(|(seed, time)| cosign(&witness(*seed), &checkpoint, *time));
        checkpoint.sign(&log()).with_signatures(lines).expect("room")
    }

    #[test]
    fn nested_groups_decide_as_the_specification_says() {
        let policy = Policy::parse(example().as_bytes()).expect("example");
        for bits in 0..64u8 {
            let cosigners: Vec<_> =
                (0..6).filter(|at| bits >> at & 1 == 1).map(|at| (at + 1, 5)).collect();
            let enough = (bits & 0b111).count_ones() >= 2 && bits & 0b111_000 != 0;
            let verdict = policy.verify(&checkpoint(&cosigners));
            assert_eq!(verdict.is_ok(), enough, "{bits:06b}");
            if !enough {
                let present = cosigners.len();
                assert_eq!(verdict, Err(PolicyError::NoQuorum { present, witnesses: 6 }));
            }
        }
        let tolerance = policy.tolerance().expect("a quorum");
        let Tolerance { witnesses, needed, may_be_down, may_lie } = tolerance;
        // two silent X break it; two quorums share at least one X, so no liar is tolerated
        assert_eq!((witnesses, needed, may_be_down, may_lie), (6, 3, 1, Some(0)));
    }

    #[test]
    fn flat_groups_tolerate_what_the_formula_says() {
        for n in 1..=7usize {
            for k in 1..=n {
                let mut text = String::new();
                let mut names = String::new();
                for at in 0..n {
                    text += &format!("witness w{at} {}\n", witness(at as u8 + 1).verifier());
                    names += &format!(" w{at}");
                }
                text += &format!("group g {k}{names}\nquorum g\n");
                let policy = Policy::parse(text.as_bytes()).expect("flat");
                let tolerance = policy.tolerance().expect("a quorum");
                assert_eq!(tolerance.may_be_down, n - k);
                assert_eq!(tolerance.may_lie, (2 * k).checked_sub(n + 1));
            }
        }
    }

    #[test]
    fn the_newest_of_several_lines_counts_and_a_false_one_spoils_all() {
        let policy = Policy::parse(example().as_bytes()).expect("example");
        let accepted = policy.verify(&checkpoint(&[(1, 9), (2, 7), (1, 12), (4, 1), (1, 3)]));
        assert_eq!(accepted.expect("quorum").cosigned, BTreeMap::from([(0, 12), (1, 7), (3, 1)]));
        let good = checkpoint(&[(1, 9), (2, 7), (4, 1)]);
        let other = Checkpoint::new(
            Origin::new("log.example").expect("origin"),
            TreeHead { root: crate::Hash::leaf(b"other"), ..TreeHead::EMPTY },
        );
        let false_line = cosign(&witness(6), &other, 9);
        let spoiled = good.with_signatures([false_line]).expect("room");
        let bad = PolicyError::BadCosignature("w6.example".into());
        assert_eq!(policy.verify(&spoiled), Err(bad));
        let stranger = cosign(&witness(9), &other, 9);
        let ignored = good.with_signatures([stranger]).expect("room");
        assert!(policy.verify(&ignored).is_ok());
    }

    #[test]
    fn a_policy_without_quorum_still_wants_the_logs_signature() {
        let text = format!("log {}\nquorum none\n", log().verifier());
        let policy = Policy::parse(text.as_bytes()).expect("policy");
        assert_eq!(policy, Policy::single_log(log().verifier().clone()));
        assert!(policy.is_quorum_none());
        assert_eq!(policy.tolerance(), None);
        assert!(policy.verify(&checkpoint(&[])).is_ok());
        let empty = policy.with_logs([]);
        assert!(matches!(empty.verify(&checkpoint(&[])), Err(PolicyError::Checkpoint(_))));
    }

    #[test]
    fn malformed_policies_are_refused_with_their_line() {
        use ParsePolicyError::*;
        let (log, w1, w2) = (log(), witness(1), witness(2));
        let (log, w1, w2) = (log.verifier(), w1.verifier(), w2.verifier());
        let two = format!("witness a {w1}\nwitness b {w2}\n");
        let cases = [
            (String::new(), Unterminated),
            ("\n".into(), Quorum),
            ("quorum none".into(), Unterminated),
            ("quorum none\nquorum none\n".into(), Quorum),
            ("quorum x\n".into(), UndefinedName(1)),
            ("quorum none\r\n".into(), Control(1)),
            ("# \u{7f}\n".into(), Control(1)),
            ("Quorum none\n".into(), Syntax(1)),
            ("quorum none none\n".into(), Syntax(1)),
            (format!("log {log} url more\n"), Syntax(1)),
            (format!("log {w1}\n"), KeyUse(1, "log")),
            (format!("witness a {log}\n"), KeyUse(1, "witness")),
            (format!("log {log}\nlog {log} url\n"), DuplicateKey(2)),
            (format!("witness a {w1}\nwitness b {w1}\n"), DuplicateKey(2)),
            (format!("{two}group a any b\n"), DuplicateName(3)),
            (format!("witness none {w1}\n"), DuplicateName(1)),
            (format!("{two}group g\n"), Syntax(3)),
            (format!("{two}group g any\n"), Syntax(3)),
            (format!("{two}group g any c\n"), UndefinedName(3)),
            (format!("{two}group g any none\n"), UndefinedName(3)),
            (format!("{two}group g any a a\n"), MemberTwice(3)),
            (format!("{two}group g any a\ngroup h any a\n"), MemberTwice(4)),
            (format!("{two}group g 0 a b\n"), Threshold(3)),
            (format!("{two}group g 3 a b\n"), Threshold(3)),
            (format!("{two}group g 02 a b\n"), Threshold(3)),
            (format!("{two}group g 99999999999999999999 a b\n"), Threshold(3)),
            ("log nonsense\n".into(), Key(1, ParseKeyError::Shape)),
        ];
        for (text, error) in cases {
            assert_eq!(Policy::parse(text.as_bytes()), Err(error), "{text:?}");
        }
    }

    #[test]
    fn names_and_comments_are_opaque_octets() {
        let mut text = "witness \u{e9}".as_bytes().to_vec();
        text.push(0xff);
        text.extend(format!(" {}\n#", witness(1).verifier()).as_bytes());
        text.extend([0xfe, b'\n']);
        text.extend("quorum \u{e9}".as_bytes());
        text.extend([0xff, b'\n']);
        let policy = Policy::parse(&text).expect("octets");
        assert_eq!(policy.witnesses()[0].name, "\u{e9}".bytes().chain([0xff]).collect::<Vec<u8>>());
    }

    #[test]
    fn more_than_the_required_32_of_each_are_supported() {
        let mut text = String::new();
        for at in 0..100u8 {
            text += &format!("witness w{at} {}\n", witness(at + 1).verifier());
            let below = if at == 0 { String::new() } else { format!(" g{}", at - 1) };
            text += &format!("group g{at} all w{at}{below}\n");
        }
        text += "quorum g99\n";
        let policy = Policy::parse(text.as_bytes()).expect("deep");
        assert!(policy.is_satisfied_by(&(0..100).collect()));
        assert!(!policy.is_satisfied_by(&(1..100).collect()));
    }

    #[cfg(feature = "ml-dsa")]
    #[test]
    fn a_post_quantum_witness_counts_like_any_other() {
        let name = crate::note::KeyName::new("pq.example").expect("name");
        let pq = SignerKey::from_seed(name, Algorithm::MlDsa44, [9; 32]).expect("sound");
        let (log, w) = (log(), witness(1));
        let text = format!(
            "log {}\nwitness a {}\nwitness b {}\ngroup both all a b\nquorum both\n",
            log.verifier(),
            w.verifier(),
            pq.verifier()
        );
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        let origin = crate::checkpoint::Origin::new("log.example").expect("origin");
        let checkpoint = crate::checkpoint::Checkpoint::new(origin, crate::merkle::TreeHead::EMPTY);
        let lines =
            [cosignature::cosign(&w, &checkpoint, 3), cosignature::cosign(&pq, &checkpoint, 4)];
        let signed = checkpoint.sign(&log).with_signatures(lines).expect("room");
        let accepted = policy.verify(&signed).expect("both cosigned");
        assert_eq!(accepted.cosigned, BTreeMap::from([(0, 3), (1, 4)]));
        let twice = text.replace("group", &format!("witness c {}\ngroup", pq.verifier()));
        assert_eq!(Policy::parse(twice.as_bytes()), Err(ParsePolicyError::DuplicateKey(4)));
        let as_log = format!("log {}\nquorum none\n", pq.verifier());
        assert_eq!(Policy::parse(as_log.as_bytes()), Err(ParsePolicyError::KeyUse(1, "log")));
    }
}
