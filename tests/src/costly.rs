//! Governance that costs its readers as much as its bytes allow, founded by strangers.

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::CharterDraft;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::{InclusionProof, MemoryTree, prove_inclusion};
use ledger_core::note::{Algorithm, KeyName, MAX_SIGNATURES, SignerKey};
use ledger_core::proof::TlogProof;
use ledger_core::record::{
    Draft, Entry, Logged, MAX_RECORD_BYTES, Object, Record, RecordId, StatementId, format_time,
};
use ledger_core::{Hash, LeafIndex, TreeSize};

const NOW: u64 = 1_800_000_000;

/// Keys that one record adds: about as many as it has room for beside its signature lines.
const KEYS: usize = 620;

/// Keys of one member.
const KEYS_OF_MEMBER: usize = 124;

/// Roles that the costliest rule of governance asks for, a member for each.
const ROLES: usize = 64;

/// The governance entries of a log that strangers found, or that follow another charter.
#[derive(Debug)]
pub struct Costly {
    /// The entries, the charter first.
    pub entries: Vec<Entry>,
    /// Who signs each change; the first of them issues it.
    signers: Vec<SignerKey>,
    time: u64,
}

fn record_key(name: &str, n: usize) -> SignerKey {
    let name = KeyName::new(name).expect("a name");
    let seed = *Hash::digest(&n.to_be_bytes()).as_bytes();
    SignerKey::from_seed(name, Algorithm::Ed25519, seed).expect("sound")
}

impl Costly {
    /// Strangers found a log of this key, of which each change needs all their signatures.
    ///
    /// # Panics
    /// If a rule refuses their charter.
    pub fn found(log: &SignerKey) -> Costly {
        let founders: Vec<SignerKey> =
            (0..MAX_SIGNATURES).map(|n| record_key(&format!("f{n}"), n)).collect();
        let draft = CharterDraft::new("Strangers", log.verifier().clone());
        let draft = founders.iter().fold(draft, |draft, key| {
            draft.member(key.verifier().name().as_str(), key.verifier().clone(), ["steward"])
        });
        let draft = draft.threshold(founders.len() as u64);
        let draft = draft.draft(RecordId::from_parts(NOW * 1000, [0; 10]), NOW);
        let all: Vec<&SignerKey> = founders.iter().collect();
        let record = draft.expect("sound").sign(&all).expect("record keys");
        Costly::after(record, founders, NOW)
    }

    /// The governance goes on behind this charter, by those who may change it.
    pub fn after(charter: Record, signers: Vec<SignerKey>, time: u64) -> Costly {
        let first = Entry::new(Logged { time, governance: LeafIndex::ZERO }, charter);
        Costly { entries: vec![first], signers, time }
    }

    fn base(&self) -> StatementId {
        self.entries.last().expect("the charter").record().statement()
    }

    fn change(&mut self, changes: &[String]) {
        self.govern(r#""kind":"membership""#, changes);
    }

    fn govern(&mut self, kind: &str, changes: &[String]) {
        let at = self.entries.len() as u64;
        let mut random = [1; 10];
        random[..8].copy_from_slice(&at.to_be_bytes());
        let id = RecordId::from_parts(self.time * 1000, random);
        let (now, base, changes) = (format_time(self.time), self.base(), changes.join(","));
        let (origin, issuer) = (self.entries[0].record().envelope().log(), self.issuer());
        let json = format!(
            r#"{{"log":"{origin}",{kind},"id":"{id}","issuer":"{issuer}","issued_at":"{now}",
            "title":{{"en":"N"}},"summary":{{"en":"N"}},"base":"{base}","changes":[{changes}]}}"#
        );
        let all: Vec<&SignerKey> = self.signers.iter().collect();
        let draft = Draft::parse(&json).unwrap_or_else(|error| panic!("{error}"));
        let record = draft.sign(&all).expect("record keys");
        assert!(record.as_bytes().len() <= MAX_RECORD_BYTES);
        let governance = LeafIndex::new(at - 1).expect("small");
        self.entries.push(Entry::new(Logged { time: self.time, governance }, record));
    }

    fn issuer(&self) -> &str {
        self.signers[0].verifier().name().as_str()
    }

    /// From now on each change needs a member in each of many roles, and the first signer has them
    /// all, so that its signature is enough.
    pub fn many_roles(&mut self) {
        let issuer = self.issuer().to_owned();
        let role =
            |n: usize| format!(r#"{{"action":"assign_role","member":"{issuer}","role":"r{n}"}}"#);
        self.change(&(0..ROLES).map(role).collect::<Vec<_>>());
        let requirement = |n: usize| format!(r#"{{"role":"r{n}","members":1}}"#);
        let requirements: Vec<String> = (0..ROLES).map(requirement).collect();
        let requirements = requirements.join(",");
        let rule = format!(r#"{{"action":"set_governance","requirements":[{requirements}]}}"#);
        let now = format_time(self.time);
        let norm =
            format!(r#""kind":"norm","version":"2","effective_from":"{now}","text":"Roles.""#);
        self.govern(&norm, &[rule]);
        self.signers.truncate(1);
    }

    /// So many changes, each of one address.
    pub fn changes(&mut self, count: usize) {
        let issuer = self.issuer().to_owned();
        for _ in 0..count {
            let node = format!("https://n{}.example", self.entries.len());
            let change = format!(r#"{{"action":"set_node","member":"{issuer}","node":"{node}"}}"#);
            self.change(&[change]);
        }
    }

    /// So many changes, each of which adds members with as many keys as it has room for.
    pub fn keys(&mut self, count: usize) {
        for _ in 0..count {
            let at = self.entries.len();
            let admit = |n: usize| {
                let member = format!("m{at}-{n}");
                let key = |own: usize| {
                    let seed = 1_000_000 + (at * KEYS + n * KEYS_OF_MEMBER) + own;
                    let vkey = record_key(&member, seed).verifier().to_string();
                    format!(r#"{{"use":"record","vkey":"{vkey}"}}"#)
                };
                let keys: Vec<String> = (0..KEYS_OF_MEMBER).map(key).collect();
                let keys = keys.join(",");
                format!(
                    r#"{{"action":"admit","member":"{member}","keys":[{keys}],
                    "roles":[{{"role":"publisher"}}]}}"#
                )
            };
            let changes: Vec<String> = (0..KEYS / KEYS_OF_MEMBER).map(admit).collect();
            self.change(&changes);
        }
    }

    /// The bundle of the governance under a head, which has nothing of it.
    ///
    /// # Panics
    /// Never: there is an entry.
    pub fn bundle_under(&self, head: ClaimedCheckpoint) -> AuthorityBundle {
        let nothing = || InclusionProof::new(Vec::new()).expect("short");
        self.bundle(head, |_| nothing())
    }

    /// The bundle of the governance under the head of the governance's tree, which `sign` signs.
    ///
    /// # Panics
    /// If the tree has no room.
    pub fn bundle_of_tree(
        &self,
        sign: impl FnOnce(ledger_core::merkle::TreeHead) -> ClaimedCheckpoint,
    ) -> AuthorityBundle {
        let mut tree = MemoryTree::new();
        for entry in &self.entries {
            tree.push(entry.leaf_hash()).expect("room");
        }
        let head = tree.frontier().head();
        let size = TreeSize::new(self.entries.len() as u64).expect("small");
        self.bundle(sign(head), |at| prove_inclusion(&mut tree, at, size).expect("inside"))
    }

    fn bundle(
        &self,
        checkpoint: ClaimedCheckpoint,
        mut prove: impl FnMut(LeafIndex) -> InclusionProof,
    ) -> AuthorityBundle {
        let index = |at: usize| LeafIndex::new(at as u64).expect("small");
        let governance: Vec<GovernanceEntry> = (0..)
            .zip(&self.entries)
            .map(|(at, entry)| {
                let inclusion = prove(index(at));
                GovernanceEntry { index: index(at), entry: entry.clone(), inclusion }
            })
            .collect();
        let last = governance.last().expect("the charter");
        let proof = TlogProof {
            extra: Some(last.entry.logged().to_string().into_bytes()),
            index: last.index,
            inclusion: last.inclusion.clone(),
            checkpoint,
        };
        AuthorityBundle::new(governance, proof)
    }
}

/// Evidence, to which a bundle is added that proves whose keys are whose.
///
/// # Panics
/// If it is none.
pub fn with_authority(evidence: &str, bundle: &AuthorityBundle) -> String {
    let evidence = Object::parse(evidence.trim_end()).expect("evidence");
    format!("{}\n", evidence.with("authority", vec![as_object(bundle)]).to_pretty_json())
}

fn as_object(bundle: &AuthorityBundle) -> Object {
    Object::parse(bundle.to_string().trim_end()).expect("own text")
}

/// Evidence that the log took this record, which its governance refuses.
pub fn unlawful_leaf(record: &Record, bundle: &AuthorityBundle) -> String {
    let bundle = as_object(bundle);
    let record = String::from_utf8_lossy(record.as_bytes()).into_owned();
    let object = Object::new()
        .with("format", "ledger-evidence/v1")
        .with("type", "unlawful-leaf")
        .with("record", record)
        .with("bundle", bundle);
    format!("{}\n", object.to_pretty_json())
}
