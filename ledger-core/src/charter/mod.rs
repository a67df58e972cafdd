//! Authority: who may do what, decided by the log's own entries and nothing else.
//!
//! A [`Charter`] is a pure fold over the governance entries. Judging a record has two halves:
//! [`Charter::verify`] checks its signatures, which is dear and depends on no order;
//! [`Charter::admit`] checks the rules at its place in the log, which is cheap and is done again by
//! the sequencer, by auditors and in browsers.

mod draft;
mod lacking;
mod rejection;
mod state;

use std::collections::BTreeMap;

use crate::index::LeafIndex;
use crate::note::{PublicKey, Signature, VerifierKey};
use crate::record::{Draft, Entry, Envelope, Kind, Logged, Object, Outline, Record, StatementId};

pub use draft::{CharterDraft, CharterDraftError};
pub use lacking::Lack;
pub use rejection::Rejection;
pub use state::{
    Charter, DEFAULT_ISSUED_AT_LIMIT, DEFAULT_MAX_GAP, Deadline, KeyUse, MAX_LOG_KEYS, Member,
    MemberKey, PUBLIC, Requirement, RoleTerm, Term,
};

use state::refuse;

/// How far `issued_at` may lie after the log's time: clocks differ.
pub const EARLY_SECONDS: u64 = 600;

/// A record whose every signature is a known record key's and verifies.
///
/// Only [`Charter::verify`] makes it. It says who signed, not whether that was enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: Record,
    /// The keys that verified, in the order of the signature lines.
    keys: Vec<PublicKey>,
}

/// What an admitted record does to the charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Nothing: it is an ordinary record.
    Record,
}

impl SignedRecord {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record, no longer known to be signed.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// The key names that signed, in the order of the lines.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.record.note().signatures().iter().map(|line| line.name().as_str())
    }
}

impl Charter {
    /// Founds a log: reads and verifies the entry at index 0.
    ///
    /// # Errors
    /// [`Rejection`] names the rule that the charter breaks: its kind, its own members, its
    /// signatures (every founder's, and none that is unknown), the `logged` line, the time window.
    pub fn found(entry: &Entry) -> Result<Charter, Rejection> {
        let logged = entry.logged();
        if logged.governance != LeafIndex::ZERO {
            let (expected, found) = (LeafIndex::ZERO, logged.governance);
            return Err(Rejection::WrongGovernance { expected, found });
        }
        Charter::check_record(entry.record(), logged.time)
    }

    /// Checks a signed charter before it is logged, as if it were logged at `time` (POSIX seconds).
    ///
    /// # Errors
    /// As [`Charter::found`].
    pub fn check_record(record: &Record, time: u64) -> Result<Charter, Rejection> {
        let charter = Charter::read(record.envelope(), record.statement(), record.body())?;
        charter.check_governance(|member| {
            member.roles().iter().filter(|r| r.term().from() <= time).map(RoleTerm::role).collect()
        })?;
        charter.check_window(record.envelope(), time)?;
        let signed = charter.verify(record.clone())?;
        let signers = charter.signing_members(&signed, time)?;
        charter.check_signers(&signed)?;
        let missing = |at: &usize| !signers.contains(at);
        match (0..charter.members.len()).find(missing) {
            Some(at) => Err(Rejection::FounderMissing(charter.members[at].name().to_owned())),
            None => Ok(charter),
        }
    }

    /// Checks a charter's members before anybody has signed it.
    ///
    /// # Errors
    /// As [`Charter::found`], without times and signatures.
    pub fn check_draft(draft: &Draft) -> Result<Charter, Rejection> {
        let charter = Charter::read(draft.envelope(), draft.statement(), draft.body())?;
        charter.check_governance(|m| m.roles().iter().map(RoleTerm::role).collect())?;
        Ok(charter)
    }

    /// The founding members without a signature line on a charter record; lines are not verified.
    pub fn founders_missing(&self, record: &Record) -> Vec<&str> {
        let lines = record.note().signatures();
        let signed = |at: usize| {
            lines.iter().any(|line| self.key_of(line).is_some_and(|key| key.member() == at))
        };
        let missing = (0..self.members.len()).filter(|at| !signed(*at));
        missing.map(|at| self.members[at].name()).collect()
    }

    /// Verifies each signature line of a record: a known key of use `record`, a strict signature.
    ///
    /// # Errors
    /// [`Rejection::UnknownKey`], [`Rejection::WrongUse`] or [`Rejection::BadSignature`], for the
    /// first line that is refused. One line too many is as bad as one that is forged.
    pub fn verify(&self, record: Record) -> Result<SignedRecord, Rejection> {
        let text = record.text();
        let lines = record.note().signatures();
        let mut keys = Vec::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            keys.push(self.signing_key(line, at + 1, text)?.key().public());
        }
        Ok(SignedRecord { record, keys })
    }

    /// Judges a verified record at its place in the log.
    ///
    /// The order of times and duplicates are judged by whoever holds the log: neither is known
    /// here.
    ///
    /// # Errors
    /// [`Rejection`] names the rule; see [`Rejection::is_not_supported`].
    pub fn admit(
        &self,
        record: &SignedRecord,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Change, Rejection> {
        let envelope = record.record().envelope();
        self.check_place(envelope, logged, index)?;
        self.check_governed_by(logged)?;
        if !envelope.kind().is_supported() {
            return Err(Rejection::NotSupported(envelope.kind()));
        }
        let members = self.signing_members(record, logged.time)?;
        self.check_issuer(envelope, &members)?;
        self.check_signers(record)?;
        self.check_rule(envelope.kind(), &members, logged.time)?;
        Ok(Change::Record)
    }

    /// Judges what needs no member and no key: the place of a record that any charter of this log
    /// would refuse.
    ///
    /// # Errors
    /// [`Rejection::IndexZero`], [`Rejection::WrongLog`], [`Rejection::CharterAgain`],
    /// [`Rejection::IssuedTooLate`] or [`Rejection::IssuedTooEarly`].
    pub fn check_place(
        &self,
        envelope: &Envelope,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<(), Rejection> {
        if index == LeafIndex::ZERO {
            return Err(Rejection::IndexZero);
        }
        if envelope.log() != self.origin {
            let (expected, found) = (self.origin.clone(), envelope.log().to_owned());
            return Err(Rejection::WrongLog { expected, found });
        }
        if envelope.kind() == Kind::Charter {
            return Err(Rejection::CharterAgain(index));
        }
        self.check_window(envelope, logged.time)
    }

    /// Judges a record of which this version knows the outline only: a kind of later versions, or
    /// one with sealed members.
    ///
    /// Its place, its signatures and its issuer are judged like any record's. So is the rule, where
    /// the charter has one for the kind, and for a `norm` the threshold that changes the charter. A
    /// pass is no admission: what the record says was not looked at. In governance, terms that
    /// ended are not held against a signer, because stewards may be held over.
    ///
    /// # Errors
    /// [`Rejection`] names the rule; [`Rejection::NotSupported`] where the charter lets anybody
    /// sign the kind, with keys that it does not list.
    pub fn verify_outline(
        &self,
        outline: &Outline,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<(), Rejection> {
        let envelope = outline.envelope();
        let (kind, time) = (envelope.kind(), logged.time);
        self.check_place(envelope, logged, index)?;
        self.check_governed_by(logged)?;
        let lines = outline.note().signatures();
        let mut members = Vec::with_capacity(lines.len());
        let mut anybody = false;
        for (at, line) in lines.iter().enumerate() {
            if self.is_public(line) && self.asks_the_public(kind) {
                anybody = true;
                continue;
            }
            let key = self.signing_key(line, at + 1, outline.note().text())?;
            if !kind.is_governance() && !key.term().contains(time) {
                return Err(Rejection::KeyNotValid { name: line.name().to_string(), at: time });
            }
            if !members.contains(&key.member()) {
                members.push(key.member());
            }
        }
        let missing = |name: &&String| !lines.iter().any(|line| line.name().as_str() == *name);
        if let Some(name) = envelope.signers().iter().find(missing) {
            return Err(Rejection::SignerMissing(name.clone()));
        }
        if anybody {
            return Err(Rejection::NotSupported(kind));
        }
        self.check_issuer(envelope, &members)?;
        match kind {
            Kind::Norm => self.check_threshold(kind, &members, time),
            // a member may revoke its own key alone: not for this version to tell apart
            Kind::Membership => Ok(()),
            _ if self.rules.contains_key(&kind) => self.check_rule(kind, &members, time),
            _ => Ok(()),
        }
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The consortium's name.
    pub fn consortium(&self) -> &str {
        &self.consortium
    }

    /// The statement id of the charter: the trust anchor.
    pub fn statement(&self) -> StatementId {
        self.statement
    }

    /// The index of the latest governance entry: what the next `logged` line must name.
    pub fn governance_index(&self) -> LeafIndex {
        self.governed_by
    }

    /// The keys that sign the log's heads.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.log_keys
    }

    /// The members, in the order of the charter.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// A member by name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name() == name)
    }

    /// All members' keys, in the order of the charter.
    pub fn keys(&self) -> &[MemberKey] {
        &self.keys
    }

    /// The key that a signature line names, and its member.
    pub fn signer(&self, line: &Signature) -> Option<(&Member, &MemberKey)> {
        let key = self.key_of(line)?;
        Some((&self.members[key.member()], key))
    }

    /// Who must sign which kind.
    pub fn rules(&self) -> &BTreeMap<Kind, Vec<Requirement>> {
        &self.rules
    }

    /// Who must sign a change of the charter.
    pub fn governance(&self) -> &[Requirement] {
        &self.governance
    }

    /// What is due when.
    pub fn deadlines(&self) -> &[Deadline] {
        &self.deadlines
    }

    /// How long after `issued_at` an entry's time may be, in seconds.
    pub fn issued_at_limit(&self) -> u64 {
        self.issued_at_limit
    }

    /// How far an entry's time and its first witnessed publication may differ, in seconds.
    pub fn max_gap(&self) -> u64 {
        self.max_gap
    }

    /// The text of the C2SP tlog-policy, not yet parsed.
    pub fn policy_text(&self) -> Option<&str> {
        Some(&self.policy)
    }

    fn read(
        envelope: &Envelope,
        statement: StatementId,
        body: &Object,
    ) -> Result<Charter, Rejection> {
        if envelope.kind() != Kind::Charter {
            return Err(Rejection::NotACharter(envelope.kind()));
        }
        let charter = state::read(envelope.log(), statement, body)?;
        if charter.member(envelope.issuer()).is_none() {
            return Err(Rejection::UnknownIssuer(envelope.issuer().to_owned()));
        }
        let keyless = |at: usize| {
            !charter.keys.iter().any(|key| key.member() == at && key.usage() == KeyUse::Record)
        };
        if let Some(at) = (0..charter.members.len()).find(|at| keyless(*at)) {
            let problem = "hold none of use record, so that the member could not sign";
            return Err(refuse(&format!("members[{at}].keys"), problem));
        }
        Ok(charter)
    }

    /// The charter must stay changeable: enough members hold each role that changes need.
    fn check_governance<'a>(
        &'a self,
        roles: impl Fn(&'a Member) -> Vec<&'a str>,
    ) -> Result<(), Rejection> {
        for (at, requirement) in self.governance.iter().enumerate() {
            let holders =
                self.members.iter().filter(|m| roles(m).contains(&requirement.role())).count();
            if (holders as u64) < requirement.members() {
                let (needed, role) = (requirement.members(), requirement.role());
                let problem =
                    format!("asks for {needed} member(s) with role {role:?}; {holders} exist");
                return Err(refuse(&format!("governance[{at}]"), problem));
            }
        }
        Ok(())
    }

    fn key_of(&self, line: &Signature) -> Option<&MemberKey> {
        let places = self.by_id.get(&line.id())?;
        places.iter().map(|at| &self.keys[*at]).find(|key| key.key().name() == line.name())
    }

    fn record_key(&self, line: &Signature, number: usize) -> Result<&MemberKey, Rejection> {
        let name = || line.name().to_string();
        let Some(key) = self.key_of(line) else {
            let id = line.id().to_string();
            return Err(Rejection::UnknownKey { line: number, name: name(), id });
        };
        if key.usage() != KeyUse::Record {
            let usage = key.usage().as_str();
            return Err(Rejection::WrongUse { line: number, name: name(), usage });
        }
        Ok(key)
    }

    /// The record key of a line whose signature verifies.
    fn signing_key(
        &self,
        line: &Signature,
        number: usize,
        text: &str,
    ) -> Result<&MemberKey, Rejection> {
        let key = self.record_key(line, number)?;
        if key.key().verify(text.as_bytes(), line.bytes()) {
            return Ok(key);
        }
        Err(Rejection::BadSignature { line: number, name: line.name().to_string() })
    }

    /// Whether a line is by a key that anybody may have.
    fn is_public(&self, line: &Signature) -> bool {
        let label = line.name().as_str().strip_prefix(PUBLIC);
        label.is_some_and(|label| label.starts_with('/')) && self.key_of(line).is_none()
    }

    fn asks_the_public(&self, kind: Kind) -> bool {
        let rule = self.rules.get(&kind).map(Vec::as_slice).unwrap_or_default();
        rule.iter().any(|requirement| requirement.role() == PUBLIC)
    }

    fn check_governed_by(&self, logged: &Logged) -> Result<(), Rejection> {
        if logged.governance == self.governed_by {
            return Ok(());
        }
        let (expected, found) = (self.governed_by, logged.governance);
        Err(Rejection::WrongGovernance { expected, found })
    }

    /// Whether so many sign as change the charter; who held a role once may be held over.
    fn check_threshold(&self, kind: Kind, members: &[usize], at: u64) -> Result<(), Rejection> {
        for requirement in &self.governance {
            let role = requirement.role();
            let began = |term: &RoleTerm| term.role() == role && term.term().from() <= at;
            let holds = |member: &&usize| self.members[**member].roles().iter().any(began);
            let found = members.iter().filter(holds).count() as u64;
            if found < requirement.members() {
                let (role, needed) = (role.to_owned(), requirement.members());
                return Err(Rejection::TooFew { kind, role, needed, found });
            }
        }
        Ok(())
    }

    fn check_window(&self, envelope: &Envelope, logged: u64) -> Result<(), Rejection> {
        let (issued_at, limit) = (envelope.issued_at(), self.issued_at_limit);
        if logged.saturating_add(EARLY_SECONDS) < issued_at {
            return Err(Rejection::IssuedTooLate { issued_at, logged });
        }
        if logged > issued_at.saturating_add(limit) {
            return Err(Rejection::IssuedTooEarly { issued_at, logged, limit });
        }
        Ok(())
    }

    /// The places of the members that signed, each once; every key is valid at the log's time.
    ///
    /// Keys are looked up again: this charter may be a later one than the one that verified.
    fn signing_members(&self, record: &SignedRecord, at: u64) -> Result<Vec<usize>, Rejection> {
        let lines = record.record.note().signatures();
        let mut members = Vec::with_capacity(lines.len());
        for (n, (line, public)) in lines.iter().zip(&record.keys).enumerate() {
            let key = self.record_key(line, n + 1)?;
            if key.key().public() != *public {
                let (name, id) = (line.name().to_string(), line.id().to_string());
                return Err(Rejection::UnknownKey { line: n + 1, name, id });
            }
            if !key.term().contains(at) {
                return Err(Rejection::KeyNotValid { name: line.name().to_string(), at });
            }
            if !members.contains(&key.member()) {
                members.push(key.member());
            }
        }
        Ok(members)
    }

    fn check_issuer(&self, envelope: &Envelope, members: &[usize]) -> Result<(), Rejection> {
        let issuer = envelope.issuer();
        if members.iter().any(|at| self.members[*at].name() == issuer) {
            return Ok(());
        }
        match self.member(issuer) {
            Some(_) => Err(Rejection::IssuerMissing(issuer.to_owned())),
            None => Err(Rejection::UnknownIssuer(issuer.to_owned())),
        }
    }

    fn check_signers(&self, record: &SignedRecord) -> Result<(), Rejection> {
        let missing = |name: &&String| !record.key_names().any(|own| own == name.as_str());
        match record.record.envelope().signers().iter().find(missing) {
            Some(name) => Err(Rejection::SignerMissing(name.clone())),
            None => Ok(()),
        }
    }

    fn check_rule(&self, kind: Kind, members: &[usize], at: u64) -> Result<(), Rejection> {
        let rule = self.rules.get(&kind).ok_or(Rejection::NoRule(kind))?;
        for requirement in rule {
            let holds = |member: &&usize| self.members[**member].holds(requirement.role(), at);
            let found = members.iter().filter(holds).count() as u64;
            if found < requirement.members() {
                let (role, needed) = (requirement.role().to_owned(), requirement.members());
                return Err(Rejection::TooFew { kind, role, needed, found });
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests;
