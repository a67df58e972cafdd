//! The file: reading it in its one spelling, and printing it.

use crate::authority::{AuthorityBundle, GovernanceEntry};
use crate::checkpoint::ClaimedCheckpoint;
use crate::hash::Hash;
use crate::merkle::ConsistencyProof;
use crate::record::{Object, Record, Value};

use super::conflict::ConflictShape;
use super::{
    ClaimShape, ClaimedEvidence, Conflict, EvidenceId, FORMAT, LeafPair, LeafRule, Leaves,
    MAX_AUTHORITY, MAX_EVIDENCE_BYTES, ParseEvidenceError,
};

const SAME_SIZE: &str = "same-size";
const SPLIT_HISTORY: &str = "split-history";
const BAD_EMPTY: &str = "bad-empty";
pub(super) const UNLAWFUL_LEAF: &str = "unlawful-leaf";
const TIME_REVERSAL: &str = "time-reversal";
const DUPLICATE_LEAF: &str = "duplicate-leaf";
pub(super) const COSIGNER: &str = "cosigner";

/// The word for a contradiction.
pub(super) fn name_of(conflict: &Conflict) -> &'static str {
    match conflict.shape() {
        ConflictShape::SameSize { .. } => SAME_SIZE,
        ConflictShape::SplitHistory { .. } => SPLIT_HISTORY,
        ConflictShape::BadEmpty { .. } => BAD_EMPTY,
    }
}

/// The word for a rule about leaves.
pub(super) fn name_of_rule(rule: LeafRule) -> &'static str {
    match rule {
        LeafRule::TimeReversal => TIME_REVERSAL,
        LeafRule::DuplicateLeaf => DUPLICATE_LEAF,
    }
}

impl ClaimedEvidence {
    /// Reads a file and checks everything that needs no key.
    ///
    /// # Errors
    /// [`ParseEvidenceError`] says what is wrong; a byte that differs from the one spelling is.
    pub fn parse(bytes: &[u8]) -> Result<ClaimedEvidence, ParseEvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(ParseEvidenceError::TooLong);
        }
        let text =
            std::str::from_utf8(bytes).map_err(|e| ParseEvidenceError::NotUtf8(e.valid_up_to()))?;
        let object = Object::parse(text)?;
        let mut reader = EvidenceReader { object: &object, read: Vec::new() };
        if reader.text("format") != Ok(FORMAT) {
            return Err(ParseEvidenceError::Format);
        }
        let claim = reader.claim()?;
        let authority = reader.authority()?;
        reader.check_all_read()?;
        let evidence = ClaimedEvidence::assemble(claim, authority);
        if evidence.text != text {
            let pairs = evidence.text.bytes().zip(text.bytes());
            let same = pairs.take_while(|(own, read)| own == read).count();
            return Err(ParseEvidenceError::Spelling(same));
        }
        Ok(evidence)
    }

    /// Prints a claim.
    pub(super) fn assemble(claim: ClaimShape, authority: Vec<AuthorityBundle>) -> ClaimedEvidence {
        let mut object = print(&claim);
        if !authority.is_empty() {
            let bundles: Vec<Object> = authority.iter().map(AuthorityBundle::to_object).collect();
            object.set("authority", bundles);
        }
        let text = format!("{}\n", object.to_pretty_json());
        let id = EvidenceId(Hash::digest(text.as_bytes()));
        ClaimedEvidence { claim, authority, text, id }
    }
}

fn print(claim: &ClaimShape) -> Object {
    let begin = |name: &str| Object::new().with("format", FORMAT).with("type", name);
    match claim {
        ClaimShape::Log(conflict) => print_conflict(begin(name_of(conflict)), conflict),
        ClaimShape::Cosigner(conflict) => {
            print_conflict(begin(COSIGNER).with("of", name_of(conflict)), conflict)
        }
        ClaimShape::UnlawfulLeaf { record, bundle } => {
            let record = String::from_utf8_lossy(record.as_bytes());
            begin(UNLAWFUL_LEAF).with("record", record.as_ref()).with("bundle", bundle.to_object())
        }
        ClaimShape::Leaves(pair) => begin(name_of_rule(pair.rule()))
            .with("head", pair.head().to_string())
            .with("charter", pair.charter().to_object())
            .with("first", pair.first().to_object())
            .with("second", pair.second().to_object()),
    }
}

fn print_conflict(object: Object, conflict: &Conflict) -> Object {
    match conflict.shape() {
        ConflictShape::SameSize { a, b } => {
            object.with("a", a.to_string()).with("b", b.to_string())
        }
        ConflictShape::SplitHistory { a, b, root, proof } => object
            .with("a", a.to_string())
            .with("b", b.to_string())
            .with("root", root.to_base64())
            .with("proof", proof.hashes().iter().map(Hash::to_base64).collect::<Vec<_>>()),
        ConflictShape::BadEmpty { head } => object.with("head", head.to_string()),
    }
}

/// Reads members, and remembers which.
struct EvidenceReader<'a> {
    object: &'a Object,
    read: Vec<&'static str>,
}

impl<'a> EvidenceReader<'a> {
    fn claim(&mut self) -> Result<ClaimShape, ParseEvidenceError> {
        let name = self.text("type")?;
        match name {
            SAME_SIZE | SPLIT_HISTORY | BAD_EMPTY => Ok(ClaimShape::Log(self.conflict(name)?)),
            COSIGNER => {
                let of = self.text("of")?;
                Ok(ClaimShape::Cosigner(self.conflict(of)?))
            }
            UNLAWFUL_LEAF => {
                let record = Record::parse(self.text("record")?.as_bytes());
                let record = Box::new(record.map_err(ParseEvidenceError::Record)?);
                let bundle = self.bundle(self.object.get("bundle"), "bundle")?;
                check_one_line(&bundle.proof().checkpoint, "bundle")?;
                Ok(ClaimShape::UnlawfulLeaf { record, bundle })
            }
            TIME_REVERSAL => self.leaves(LeafRule::TimeReversal),
            DUPLICATE_LEAF => self.leaves(LeafRule::DuplicateLeaf),
            other => Err(ParseEvidenceError::Type(other.to_owned())),
        }
    }

    fn conflict(&mut self, name: &str) -> Result<Conflict, ParseEvidenceError> {
        let shape = match name {
            SAME_SIZE => ConflictShape::SameSize { a: self.head("a")?, b: self.head("b")? },
            SPLIT_HISTORY => {
                let (a, b) = (self.head("a")?, self.head("b")?);
                let root = Hash::from_base64(self.text("root")?);
                let root = root.map_err(|_| ParseEvidenceError::Member("root"))?;
                ConflictShape::SplitHistory { a, b, root, proof: self.proof()? }
            }
            BAD_EMPTY => ConflictShape::BadEmpty { head: self.head("head")? },
            // a cosigner answers for heads and nothing else
            _ => return Err(ParseEvidenceError::Member("of")),
        };
        Ok(Conflict::new(shape)?)
    }

    fn leaves(&mut self, rule: LeafRule) -> Result<ClaimShape, ParseEvidenceError> {
        let leaves = Leaves {
            head: self.head("head")?,
            charter: self.entry("charter")?,
            first: self.entry("first")?,
            second: self.entry("second")?,
        };
        Ok(ClaimShape::Leaves(Box::new(LeafPair::new(rule, leaves)?)))
    }

    fn authority(&mut self) -> Result<Vec<AuthorityBundle>, ParseEvidenceError> {
        let Some(value) = self.object.get("authority") else { return Ok(Vec::new()) };
        self.read.push("authority");
        let list = value.as_list().ok_or(ParseEvidenceError::Authority)?;
        if list.is_empty() || list.len() > MAX_AUTHORITY {
            return Err(ParseEvidenceError::Authority);
        }
        list.iter().map(|bundle| self.bundle(Some(bundle), "authority")).collect()
    }

    fn head(&mut self, member: &'static str) -> Result<ClaimedCheckpoint, ParseEvidenceError> {
        let head = ClaimedCheckpoint::parse(self.text(member)?.as_bytes())
            .map_err(|error| ParseEvidenceError::Checkpoint { member, error })?;
        check_one_line(&head, member)?;
        Ok(head)
    }

    fn entry(&mut self, member: &'static str) -> Result<GovernanceEntry, ParseEvidenceError> {
        self.read.push(member);
        let value = self.object.get(member).ok_or(ParseEvidenceError::Member(member))?;
        GovernanceEntry::read(value, 0)
            .map_err(|error| ParseEvidenceError::Bundle { member, error })
    }

    fn bundle(
        &mut self,
        value: Option<&Value>,
        member: &'static str,
    ) -> Result<AuthorityBundle, ParseEvidenceError> {
        self.read.push(member);
        let object = value.and_then(Value::as_object).ok_or(ParseEvidenceError::Member(member))?;
        AuthorityBundle::read(object).map_err(|error| ParseEvidenceError::Bundle { member, error })
    }

    fn proof(&mut self) -> Result<ConsistencyProof, ParseEvidenceError> {
        self.read.push("proof");
        let list = self.object.get("proof").and_then(Value::as_list);
        let hashes: Option<Vec<&str>> =
            list.and_then(|list| list.iter().map(Value::as_text).collect());
        let hashes = hashes.ok_or(ParseEvidenceError::Member("proof"))?;
        ConsistencyProof::parse(hashes).map_err(ParseEvidenceError::Proof)
    }

    fn text(&mut self, member: &'static str) -> Result<&'a str, ParseEvidenceError> {
        self.read.push(member);
        self.object.text(member).ok_or(ParseEvidenceError::Member(member))
    }

    fn check_all_read(&self) -> Result<(), ParseEvidenceError> {
        match self.object.iter().find(|(name, _)| !self.read.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(ParseEvidenceError::UnknownMember(name.to_owned())),
        }
    }
}

/// Lines that nobody verifies could say anything.
fn check_one_line(
    head: &ClaimedCheckpoint,
    member: &'static str,
) -> Result<(), ParseEvidenceError> {
    let one = head.note().signatures().len() == 1;
    if one { Ok(()) } else { Err(ParseEvidenceError::Lines(member)) }
}
