//! Authority bundles: offline proof that a record's signers were allowed to sign it.
//!
//! A `ledger-authority/v1` file is a JSON object: a tlog-proof of the record, and the log's governance
//! entries from the charter on, each with its inclusion proof under the same checkpoint.
//!
//! ```text
//! {
//!   "format": "ledger-authority/v1",
//!   "governance": [
//!     {"index": 0, "entry": "logged 1795433000 0\nledger-record/v1\n...", "proof": ["<base64>", ...]},
//!     ...
//!   ],
//!   "proof": "c2sp.org/tlog-proof@v1\n..."
//! }
//! ```
//!
//! The record is judged by the state after entry g, which its `logged` line names. Entries behind g
//! may follow: they tell of log keys and policies that came later, and must all stand behind the
//! record, or the log named the wrong g. A bundle that leaves such an entry out cannot be told from
//! an honest one; whoever holds the whole log can.

mod work;

use std::fmt;
use std::sync::Arc;

use crate::Hint;
use crate::charter::{Charter, Governance, JudgeError, ReplayError};
use crate::index::LeafIndex;
use crate::merkle::{InclusionProof, ParseProofError, VerifyError, verify_inclusion};
use crate::policy::{AcceptedCheckpoint, Policy};
use crate::proof::{ParseTlogProofError, TlogProof, TlogProofError};
use crate::record::{Entry, EntryError, JsonError, Logged, Object, Record, StatementId, Value};

pub(crate) use work::Work;

/// What the member `format` says.
pub const FORMAT: &str = "ledger-authority/v1";

/// Bytes of the largest bundle: some hundreds of the largest governance entries.
pub const MAX_BUNDLE_BYTES: usize = 32 << 20;

/// Governance entries of the largest bundle: a change a day for ten years, and they are judged one by
/// one.
pub const MAX_GOVERNANCE_ENTRIES: usize = 4096;

/// Signature lines of all governance entries of a bundle: each costs a reader a verification, so
/// that the largest bundle takes about half a second.
pub const MAX_GOVERNANCE_LINES: usize = 8192;

/// Bytes of heap for each byte of governance, and beyond them. Changes of members and roles take
/// some seven; one record may be of values that take twenty, and all of a bundle may not.
const HEAP_A_BYTE: usize = 10;
const FREE_HEAP: usize = 4 << 20;

/// The work of judging all governance of an evidence file, in units of about one signature check:
/// half a second. One bundle may take its reader sixteen times as long.
pub const MAX_GOVERNANCE_WORK: usize = 8192;

/// A bundle, well formed; nothing in it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityBundle {
    governance: Arc<[GovernanceEntry]>,
    proof: TlogProof,
}

/// A governance entry and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceEntry {
    /// Where it stands.
    pub index: LeafIndex,
    /// The entry.
    pub entry: Entry,
    /// The way from its leaf to the root of the bundle's checkpoint.
    pub inclusion: InclusionProof,
}

/// A record that is in the log, and whose signers were allowed to sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorised {
    /// The checkpoint that was accepted.
    pub accepted: AcceptedCheckpoint,
    /// Where the record stands.
    pub index: LeafIndex,
    /// The log's line: its time, and the governance entry that decides.
    pub logged: Logged,
    /// The rules that judged the record.
    pub charter: Arc<Charter>,
    /// All governance entries of the bundle.
    pub governance: Governance,
}

/// Why bytes are not an authority bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBundleError {
    /// Longer than any bundle.
    #[error("longer than {MAX_BUNDLE_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("an authority bundle is UTF-8; the byte at offset {0} is not")]
    NotUtf8(usize),
    /// Not one JSON object of our rules.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another format.
    #[error("`format` is not \"{FORMAT}\"")]
    Format,
    /// A member is missing or of another shape.
    #[error("`{0}` is missing or not what an authority bundle has there")]
    Member(String),
    /// More governance entries, or more signatures on them, than a reader judges; or entries that
    /// take more of the memory than changes of a charter do.
    #[error(
        "`governance` has more than {MAX_GOVERNANCE_ENTRIES} entries, more than \
         {MAX_GOVERNANCE_LINES} signature lines, or too many small values"
    )]
    TooMuch,
    /// One of the governance entries is none.
    #[error("`governance[{at}].entry`: {error}")]
    Entry {
        /// Its place in the list.
        at: usize,
        /// What is wrong.
        error: EntryError,
    },
    /// One of the inclusion proofs is none.
    #[error("`governance[{at}].proof`: {error}")]
    Inclusion {
        /// Its place in the list.
        at: usize,
        /// What is wrong.
        error: ParseProofError,
    },
    /// The tlog-proof is none.
    #[error("`proof`: {0}")]
    Proof(#[from] ParseTlogProofError),
}

/// Why a bundle does not show that a record's signers were allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The governance entries do not follow from one another.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Another charter.
    #[error("the bundle begins with the charter {found}, not with the anchor {anchor}")]
    OtherAnchor {
        /// What is trusted.
        anchor: StatementId,
        /// What the bundle begins with.
        found: StatementId,
    },
    /// The record is not proven to be in the log.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// A governance entry is not proven to be in the log.
    #[error("governance entry {index} is not proven to be in the tree: {error}")]
    NotIncluded {
        /// The entry.
        index: LeafIndex,
        /// What is wrong.
        error: VerifyError,
    },
    /// Its governance has more than a judge goes through.
    #[error(
        "its governance takes more work than is done for a file: more than {MAX_GOVERNANCE_ENTRIES} \
         entries, or too many signatures, keys and policies"
    )]
    TooMuch,
    /// The log is another than the charter's.
    #[error("the checkpoint is of the log {found:?}, the charter of {expected:?}")]
    OtherLog {
        /// The charter's origin.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
    /// The tlog-proof carries no `logged` line.
    #[error("the proof carries no line `logged <time> <g>`")]
    NoLoggedLine,
    /// The signers were not allowed, or the bundle does not hold what decides it.
    #[error(transparent)]
    Judged(#[from] JudgeError),
}

impl Hint for ParseBundleError {
    fn hint(&self) -> &'static str {
        "make the bundle again: ledger prove --authority"
    }
}

impl AuthorityError {
    /// Whether the log is shown to have taken what its rules refuse, or to have named the wrong
    /// governance entry. Everything else only fails to prove.
    pub fn is_unlawful(&self) -> bool {
        match self {
            AuthorityError::Judged(error) => error.is_unlawful(),
            _ => false,
        }
    }
}

impl Hint for AuthorityError {
    fn hint(&self) -> &'static str {
        match self {
            AuthorityError::Replay(error) => error.hint(),
            AuthorityError::OtherAnchor { .. } | AuthorityError::OtherLog { .. } => {
                "it is of another log, or of one that pretends: check the anchor"
            }
            AuthorityError::TooMuch => {
                "judge it by a key or a policy of your own: --vkey, --policy"
            }
            AuthorityError::Judged(error) => error.hint(),
            _ => "make the bundle again: ledger prove --authority",
        }
    }
}

/// Which policy judges the checkpoint of a bundle.
#[derive(Clone, Copy)]
pub enum HeadPolicy<'a> {
    /// This one, as it is.
    Given(&'a Policy),
    /// The charter's, as the last governance entry of the bundle leaves it, after this function has
    /// taken convicted witnesses out of it ([`Exclusions::apply`](crate::evidence::Exclusions)).
    Charter(&'a dyn Fn(&Policy) -> Policy),
}

impl AuthorityBundle {
    /// Puts a bundle together; it is judged by [`AuthorityBundle::verify`] only.
    ///
    /// Bundles under one checkpoint can share the governance entries.
    pub fn new(governance: impl Into<Arc<[GovernanceEntry]>>, proof: TlogProof) -> AuthorityBundle {
        AuthorityBundle { governance: governance.into(), proof }
    }

    /// The governance entries, the charter first.
    pub fn governance(&self) -> &[GovernanceEntry] {
        &self.governance
    }

    /// The statement id of the charter that the bundle begins with.
    pub fn charter(&self) -> Option<StatementId> {
        self.governance.first().map(|first| first.entry.record().statement())
    }

    /// The proof of the record itself.
    pub fn proof(&self) -> &TlogProof {
        &self.proof
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`ParseBundleError`] names the member that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<AuthorityBundle, ParseBundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLong);
        }
        let text =
            std::str::from_utf8(bytes).map_err(|e| ParseBundleError::NotUtf8(e.valid_up_to()))?;
        AuthorityBundle::read(&Object::parse(text.trim_end_matches('\n'))?)
    }

    /// Reads a bundle's members; others are ignored.
    pub(crate) fn read(object: &Object) -> Result<AuthorityBundle, ParseBundleError> {
        if object.text("format") != Some(FORMAT) {
            return Err(ParseBundleError::Format);
        }
        let member = |name: &str| ParseBundleError::Member(name.to_owned());
        let list = object.get("governance").and_then(Value::as_list);
        let list = list.ok_or_else(|| member("governance"))?;
        if list.len() > MAX_GOVERNANCE_ENTRIES {
            return Err(ParseBundleError::TooMuch);
        }
        let mut governance = Vec::with_capacity(list.len());
        let (mut bytes, mut heap) = (0, 0);
        for (at, value) in list.iter().enumerate() {
            let own = GovernanceEntry::read(value, at)?;
            bytes += own.entry.record().as_bytes().len();
            heap += own.entry.record().heap_bytes();
            if heap > HEAP_A_BYTE * bytes + FREE_HEAP {
                return Err(ParseBundleError::TooMuch);
            }
            governance.push(own);
        }
        if governance.iter().map(GovernanceEntry::lines).sum::<usize>() > MAX_GOVERNANCE_LINES {
            return Err(ParseBundleError::TooMuch);
        }
        let governance = governance.into();
        let proof = object.text("proof").ok_or_else(|| member("proof"))?;
        Ok(AuthorityBundle { governance, proof: TlogProof::parse(proof.as_bytes())? })
    }

    /// Judges the bundle for a record: everything is in the tree of one accepted checkpoint, the
    /// governance entries follow from the anchor, and the state that the record names admits it.
    ///
    /// `policy` says which checkpoints to accept.
    ///
    /// # Errors
    /// [`AuthorityError`]; see [`AuthorityError::is_unlawful`].
    pub fn verify(
        &self,
        record: &Record,
        anchor: StatementId,
        policy: HeadPolicy<'_>,
    ) -> Result<Authorised, AuthorityError> {
        self.logged()?;
        let (accepted, governance) = self.verify_governance(anchor, policy)?;
        let (logged, index) = (self.check_record(record)?, self.proof.index);
        let charter = governance.judge(record, &logged, index)?;
        Ok(Authorised { accepted, index, logged, charter, governance })
    }

    /// Judges the governance entries alone: they follow from the anchor, and all of them are in the
    /// tree of one accepted checkpoint.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn verify_governance(
        &self,
        anchor: StatementId,
        policy: HeadPolicy<'_>,
    ) -> Result<(AcceptedCheckpoint, Governance), AuthorityError> {
        self.check_anchor(anchor)?;
        let accept =
            |policy: &Policy| policy.verify(&self.proof.checkpoint).map_err(TlogProofError::Policy);
        // judging governance is what costs most: not for a head that the given policy refuses
        let (accepted, governance) = match policy {
            HeadPolicy::Given(policy) => (accept(policy)?, self.replay(anchor)?),
            HeadPolicy::Charter(exclude) => {
                let governance = self.replay(anchor)?;
                let policy = exclude(&governance.charter().policy());
                (accept(&policy)?, governance)
            }
        };
        check_origin(&governance, &accepted)?;
        self.check_included()?;
        Ok((accepted, governance))
    }

    /// Judges the record by the bundle's governance, which was replayed before. The caller has seen
    /// that the tree holds both: [`AuthorityBundle::check_record`], which gave the log's line, and
    /// [`AuthorityBundle::check_included`].
    pub(crate) fn judge_replayed(
        &self,
        record: &Record,
        logged: &Logged,
        governance: &Governance,
        policy: &Policy,
    ) -> Result<(), AuthorityError> {
        let accepted = policy.verify(&self.proof.checkpoint).map_err(TlogProofError::Policy)?;
        check_origin(governance, &accepted)?;
        governance.judge(record, logged, self.proof.index)?;
        Ok(())
    }

    /// Whether the bundle begins with this charter.
    pub(crate) fn check_anchor(&self, anchor: StatementId) -> Result<(), AuthorityError> {
        let found = self.charter().ok_or(ReplayError::NoCharter)?;
        if found == anchor { Ok(()) } else { Err(AuthorityError::OtherAnchor { anchor, found }) }
    }

    /// Replays the governance entries from the anchor, without asking whether a log has them.
    pub(crate) fn replay(&self, anchor: StatementId) -> Result<Governance, AuthorityError> {
        self.replay_within(anchor, &mut Work::of_bundle())
    }

    /// The same, as far as there is work left.
    pub(crate) fn replay_within(
        &self,
        anchor: StatementId,
        work: &mut Work,
    ) -> Result<Governance, AuthorityError> {
        let mut governance = work.found(self, anchor)?;
        for own in self.governance.iter().skip(1) {
            work.push(&mut governance, own)?;
        }
        Ok(governance)
    }

    /// The governance that the first entry founds.
    pub(crate) fn found(&self, anchor: StatementId) -> Result<Governance, AuthorityError> {
        self.check_anchor(anchor)?;
        let first = self.governance.first().filter(|own| own.index == LeafIndex::ZERO);
        let first = first.ok_or(ReplayError::NoCharter)?;
        Ok(Governance::found(&first.entry)?)
    }

    /// Whether the record is in the tree of the bundle's checkpoint; gives the log's line about it.
    pub(crate) fn check_record(&self, record: &Record) -> Result<Logged, AuthorityError> {
        let logged = self.logged()?;
        let leaf = Entry::new(logged, record.clone()).leaf_hash();
        let head = self.proof.checkpoint.checkpoint().head();
        verify_inclusion(&self.proof.inclusion, &leaf, self.proof.index, head)
            .map_err(TlogProofError::Inclusion)?;
        Ok(logged)
    }

    /// Whether all governance entries are in the tree of the bundle's checkpoint.
    pub(crate) fn check_included(&self) -> Result<(), AuthorityError> {
        let head = self.proof.checkpoint.checkpoint().head();
        for GovernanceEntry { index, entry, inclusion } in self.governance.iter() {
            verify_inclusion(inclusion, &entry.leaf_hash(), *index, head)
                .map_err(|error| AuthorityError::NotIncluded { index: *index, error })?;
        }
        Ok(())
    }

    pub(crate) fn to_object(&self) -> Object {
        let governance: Vec<Object> =
            self.governance.iter().map(GovernanceEntry::to_object).collect();
        Object::new()
            .with("format", FORMAT)
            .with("governance", governance)
            .with("proof", self.proof.to_string())
    }

    fn logged(&self) -> Result<Logged, AuthorityError> {
        let extra = self.proof.extra.as_deref().unwrap_or_default();
        let line = std::str::from_utf8(extra).ok();
        line.and_then(|line| Logged::parse(line).ok()).ok_or(AuthorityError::NoLoggedLine)
    }
}

/// Whether the checkpoint is of the charter's log.
fn check_origin(
    governance: &Governance,
    accepted: &AcceptedCheckpoint,
) -> Result<(), AuthorityError> {
    let (expected, found) = (governance.charter().origin(), accepted.checkpoint.origin().as_str());
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_owned(), found.to_owned());
    Err(AuthorityError::OtherLog { expected, found })
}

impl GovernanceEntry {
    /// Its signature lines.
    pub(crate) fn lines(&self) -> usize {
        self.entry.record().note().signatures().len()
    }

    pub(crate) fn read(value: &Value, at: usize) -> Result<GovernanceEntry, ParseBundleError> {
        let member = |name: &str| ParseBundleError::Member(format!("governance[{at}]{name}"));
        let object = value.as_object().ok_or_else(|| member(""))?;
        let index = object.get("index").and_then(Value::as_integer);
        let index = index.and_then(|index| LeafIndex::new(u64::try_from(index).ok()?).ok());
        let index = index.ok_or_else(|| member(".index"))?;
        let entry = object.text("entry").ok_or_else(|| member(".entry"))?;
        let entry = Entry::parse(entry.as_bytes())
            .map_err(|error| ParseBundleError::Entry { at, error })?;
        let hashes = object.get("proof").and_then(Value::as_list);
        let hashes: Option<Vec<&str>> =
            hashes.and_then(|list| list.iter().map(Value::as_text).collect());
        let hashes = hashes.ok_or_else(|| member(".proof"))?;
        let inclusion = InclusionProof::parse(hashes)
            .map_err(|error| ParseBundleError::Inclusion { at, error })?;
        Ok(GovernanceEntry { index, entry, inclusion })
    }

    pub(crate) fn to_object(&self) -> Object {
        let index = i64::try_from(self.index.get()).unwrap_or(i64::MAX);
        let bytes = self.entry.to_bytes();
        let entry = String::from_utf8_lossy(&bytes);
        let hashes: Vec<String> =
            self.inclusion.hashes().iter().map(crate::hash::Hash::to_base64).collect();
        Object::new()
            .with("index", Value::Integer(index))
            .with("entry", entry.as_ref())
            .with("proof", hashes)
    }
}

impl fmt::Display for AuthorityBundle {
    /// Prints the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.to_object().to_pretty_json())
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::charter::world::{World, admit};
    use crate::checkpoint::{Checkpoint, Origin};
    use crate::merkle::{MemoryTree, prove_inclusion};
    use crate::note::SignerKey;
    use crate::record::Record;
    use crate::record::tests::signer;

    fn log() -> SignerKey {
        signer("ledger.example/2026", 100)
    }

    /// A log in which f is admitted at 1, publishes at 2, and g is admitted at 3.
    fn world() -> World {
        let mut world = World::new();
        world.change(vec![admit("f", &["publisher"])], &["a", "b"]);
        let object = world.incident("f");
        world.log(&object, &["f"]);
        world.change(vec![admit("g", &[])], &["b", "c"]);
        world
    }

    fn tree(entries: &[Entry]) -> MemoryTree {
        let mut tree = MemoryTree::new();
        for entry in entries {
            tree.push(entry.leaf_hash()).expect("room");
        }
        tree
    }

    /// The bundle for the entry at `at`, with these governance entries.
    fn bundle(entries: &[Entry], at: usize, governance: &[usize]) -> AuthorityBundle {
        let mut tree = tree(entries);
        let head = tree.frontier().head();
        let index = |at: usize| LeafIndex::new(at as u64).expect("small");
        let mut prove = |at| prove_inclusion(&mut tree, index(at), head.size).expect("inside");
        let governance = governance.iter().map(|at| GovernanceEntry {
            index: index(*at),
            entry: entries[*at].clone(),
            inclusion: prove(*at),
        });
        let governance: Vec<GovernanceEntry> = governance.collect();
        let origin = Origin::new("ledger.example/2026").expect("origin");
        let checkpoint = Checkpoint::new(origin, head).sign(&log());
        let extra = Some(entries[at].logged().to_string().into_bytes());
        let inclusion = prove(at);
        let proof = TlogProof { extra, index: index(at), inclusion, checkpoint };
        AuthorityBundle::new(governance, proof)
    }

    fn entries(world: &World) -> Vec<Entry> {
        world.entries.iter().map(|(_, entry)| entry.clone()).collect()
    }

    fn verify(
        world: &World,
        bundle: &AuthorityBundle,
        record: &Record,
    ) -> Result<Authorised, AuthorityError> {
        let again = AuthorityBundle::parse(bundle.to_string().as_bytes()).expect("own file");
        assert_eq!(again, *bundle);
        bundle.verify(record, world.charter.statement(), HeadPolicy::Charter(&Policy::clone))
    }

    #[test]
    fn a_bundle_shows_that_a_signer_was_allowed_and_by_which_entry() {
        let world = world();
        let entries = entries(&world);
        let record = entries[2].record();
        for governance in [&[0, 1][..], &[0, 1, 3]] {
            let shown = verify(&world, &bundle(&entries, 2, governance), record).expect("allowed");
            assert_eq!((shown.index.get(), shown.logged.governance.get()), (2, 1));
            assert_eq!(shown.governance.states().len(), governance.len());
            let (member, key) =
                shown.charter.signer(&record.note().signatures()[0]).expect("a member");
            assert_eq!((member.name(), key.since().get()), ("f", 1));
            assert_eq!(member.roles()[0].since().get(), 1);
        }
        // governance entries and the charter itself are judged by what came before them
        for (at, governance) in [(3, &[0, 1][..]), (1, &[0]), (0, &[0])] {
            let record = entries[at].record();
            verify(&world, &bundle(&entries, at, governance), record).expect("allowed");
        }
    }

    #[test]
    fn governance_without_end_is_no_bundle() {
        let entries = entries(&world());
        let lines = |at: usize| entries[at].record().note().signatures().len();
        // the charter has so many signature lines that its copies reach the limit of lines first
        assert_eq!((lines(2), lines(0)), (1, 5));
        for (at, most) in [(2, MAX_GOVERNANCE_ENTRIES), (0, MAX_GOVERNANCE_LINES / lines(0))] {
            let one = bundle(&entries, 3, &[at]).to_object();
            let governance = one.get("governance").and_then(Value::as_list).expect("a list");
            for (count, is_bundle) in [(most, true), (most + 1, false)] {
                let list: Vec<Value> = governance.iter().cycle().take(count).cloned().collect();
                let many = one.clone().with("governance", Value::List(list.into()));
                let read = AuthorityBundle::read(&many);
                assert_eq!(
                    read.err(),
                    (!is_bundle).then_some(ParseBundleError::TooMuch),
                    "{count}"
                );
            }
        }
    }

    #[test]
    fn what_a_bundle_leaves_out_or_alters_is_named() {
        let world = world();
        let entries = entries(&world);
        let record = entries[2].record();
        let refused = |bundle: &AuthorityBundle| {
            let error = verify(&world, bundle, record).expect_err("no proof");
            assert!(!error.hint().is_empty() && !error.is_unlawful());
            error.to_string()
        };
        assert_eq!(
            refused(&bundle(&entries, 2, &[0])),
            "the logged line names governance entry 1, which is not known here"
        );
        assert_eq!(
            refused(&AuthorityBundle::new(Vec::new(), bundle(&entries, 2, &[0]).proof)),
            "there is no entry at index 0, so no charter"
        );
        assert_eq!(
            refused(&bundle(&entries, 2, &[0, 3])),
            "governance entry 3: the logged line names governance entry 1, but the latest is 0"
        );
        let mut other = bundle(&entries, 2, &[0, 1]);
        let mut governance = other.governance.to_vec();
        governance[1].inclusion = governance[0].inclusion.clone();
        other.governance = governance.into();
        assert!(refused(&other).starts_with("governance entry 1 is not proven to be in the tree"));
        let mut other = bundle(&entries, 2, &[0, 1]);
        other.proof.extra = None;
        assert_eq!(refused(&other), "the proof carries no line `logged <time> <g>`");
        let fine = bundle(&entries, 2, &[0, 1]);
        let anchor = record.statement();
        let error = fine
            .verify(record, anchor, HeadPolicy::Charter(&Policy::clone))
            .expect_err("another charter");
        assert!(matches!(error, AuthorityError::OtherAnchor { .. }));
        let error = verify(&world, &fine, entries[3].record()).expect_err("another record");
        assert!(matches!(error, AuthorityError::Proof(TlogProofError::Inclusion(_))));
    }

    #[test]
    fn a_bundle_refuses_a_second_governance_entry_of_one_issuer_and_id() {
        let mut world = World::new();
        let first = world.membership("a", vec![admit("f", &["publisher"])]);
        world.log(&first, &["a", "b"]);
        let id = first.text("id").expect("an id").to_owned();
        // a change, and an ordinary record, under the id of the change before
        let second = world.membership("a", vec![admit("g", &["publisher"])]).with("id", &*id);
        let incident = world.incident("a").with("id", &*id);
        let twice = world.entry(&incident, &["a"]);
        world.log(&second, &["a", "b"]);
        let object = world.incident("g");
        world.log(&object, &["g"]);
        let mut entries = entries(&world);
        let message = "its issuer used its id already for entry 1";

        let error = verify(&world, &bundle(&entries, 3, &[0, 1, 2]), entries[3].record());
        let error = error.expect_err("auditors refuse entry 2, and so the key of g");
        assert_eq!(error.to_string(), format!("governance entry 2: {message}"));
        let error = verify(&world, &bundle(&entries, 2, &[0, 1]), entries[2].record());
        let error = error.expect_err("the second change");
        assert_eq!((error.to_string().as_str(), error.is_unlawful()), (message, true));
        entries[2] = twice;
        let error = verify(&world, &bundle(&entries, 2, &[0, 1]), entries[2].record());
        let error = error.expect_err("an ordinary record");
        assert_eq!((error.to_string().as_str(), error.is_unlawful()), (message, true));
    }

    #[test]
    fn an_unlawful_leaf_is_shown_by_its_bundle_with_the_rule() {
        let mut world = world();
        // the log takes a record by d, who is no publisher, and one that names the wrong entry
        let object = world.incident("d");
        let forged = world.entry(&object, &["d"]);
        let mut entries = entries(&world);
        entries.push(forged.clone());
        let shown = verify(&world, &bundle(&entries, 4, &[0, 1, 3]), forged.record());
        let error = shown.expect_err("unlawful");
        let message = "records of kind incident need 1 member(s) with role \"publisher\"; 0 signed";
        assert_eq!((error.to_string().as_str(), error.is_unlawful()), (message, true));

        let object = world.incident("f");
        let record = world.entry(&object, &["f"]).record().clone();
        let stale = Logged { governance: LeafIndex::new(1).expect("small"), ..forged.logged() };
        entries.push(Entry::new(stale, record.clone()));
        let shown = verify(&world, &bundle(&entries, 5, &[0, 1, 3]), &record);
        let error = shown.expect_err("unlawful");
        let message = "the logged line names governance entry 1, but the latest is 3";
        assert_eq!((error.to_string().as_str(), error.is_unlawful()), (message, true));
        // without entry 3 nobody can tell
        verify(&world, &bundle(&entries, 5, &[0, 1]), &record).expect("not shown");
    }

    #[test]
    fn malformed_bundles_are_refused_by_member() {
        let world = world();
        let text = bundle(&entries(&world), 2, &[0, 1]).to_string();
        let refused = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            let error = AuthorityBundle::parse(text.replacen(from, to, 1).as_bytes());
            error.expect_err("malformed").to_string()
        };
        assert_eq!(
            refused("authority/v1", "authority/v2"),
            "`format` is not \"ledger-authority/v1\""
        );
        let missing = "is missing or not what an authority bundle has there";
        assert_eq!(refused("\"governance\"", "\"g\""), format!("`governance` {missing}"));
        assert_eq!(
            refused("\"index\": 1", "\"index\": -1"),
            format!("`governance[1].index` {missing}")
        );
        assert_eq!(refused("\"entry\"", "\"e\""), format!("`governance[0].entry` {missing}"));
        assert_eq!(refused("\"proof\"", "\"p\""), format!("`governance[0].proof` {missing}"));
        assert!(
            refused("logged 1795433000 0", "logged 01795433000 0")
                .starts_with("`governance[0].entry`: ")
        );
        assert!(refused("tlog-proof@v1", "tlog-proof@v2").starts_with("`proof`: the first line"));
        let cut = AuthorityBundle::parse(&text.as_bytes()[..text.len() / 2]);
        assert!(matches!(cut, Err(ParseBundleError::Json(_))));
        let long = vec![b' '; MAX_BUNDLE_BYTES + 1];
        assert_eq!(AuthorityBundle::parse(&long), Err(ParseBundleError::TooLong));
    }
}
