//! The verdict on a record: its signatures, and its place in the log.

use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::note::{Algorithm, Signature, VerifierKey};
use crate::record::{Envelope, Kind, Logged, Record};

use super::signers::{Purpose, Signers};
use super::{Change, Charter, EARLY_SECONDS, KeyUse, MemberKey, PUBLIC, Rejection, SignedRecord};

impl Charter {
    /// Verifies each signature line of a record: a known key of use `record`, a strict signature.
    ///
    /// Where the rule for the record's kind asks for the role `public`, a line may also be by the
    /// key that the record itself brings as `vkey`, named `public/` and SHA-256 of the public key
    /// in hex.
    ///
    /// # Errors
    /// [`Rejection::UnknownKey`], [`Rejection::WrongUse`] or [`Rejection::BadSignature`], for the
    /// first line that is refused. One line too many is as bad as one that is forged.
    pub fn verify(&self, record: Record) -> Result<SignedRecord, Rejection> {
        let text = record.text();
        let lines = record.note().signatures();
        let mut keys = Vec::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            let strangers = self.key_of_stranger(line, &record);
            let key = match &strangers {
                Some(key) => key,
                None => self.record_key(line, at + 1)?.key(),
            };
            if !key.verify(text.as_bytes(), line.bytes()) {
                let name = line.name().to_string();
                return Err(Rejection::BadSignature { line: at + 1, name });
            }
            keys.push(key.public());
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
        if envelope.kind().is_governance() {
            let next = self.change(record, logged, index)?;
            return Ok(Change::Governance(Box::new(next)));
        }
        let purpose = Purpose::Record(envelope.kind());
        self.check_signed(record, &purpose, logged.time)?;
        Ok(Change::Record)
    }

    /// Judges what needs no member and no key: the place of a record that any charter of this log
    /// would refuse.
    ///
    /// # Errors
    /// [`Rejection::IndexZero`], [`Rejection::NotBehind`], [`Rejection::WrongLog`],
    /// [`Rejection::CharterAgain`], [`Rejection::IssuedTooLate`] or [`Rejection::IssuedTooEarly`].
    fn check_place(
        &self,
        envelope: &Envelope,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<(), Rejection> {
        if index == LeafIndex::ZERO {
            return Err(Rejection::IndexZero);
        }
        if index <= self.governed_by {
            let governance = self.governed_by;
            return Err(Rejection::NotBehind { index, governance });
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

    pub(super) fn key_of(&self, line: &Signature) -> Option<&MemberKey> {
        let mut places = self.places.of_id(line.id()).map(|at| &self.keys[at]);
        places.find(|key| key.key().name() == line.name())
    }

    pub(super) fn record_key(
        &self,
        line: &Signature,
        number: usize,
    ) -> Result<&MemberKey, Rejection> {
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

    /// The key that the record brings along for a line, where the charter lets anybody sign.
    pub(super) fn key_of_stranger(&self, line: &Signature, record: &Record) -> Option<VerifierKey> {
        let digest = line.name().as_str().strip_prefix(PUBLIC)?.strip_prefix('/')?;
        let rule = self.rules.get(&record.kind()).map(Vec::as_slice).unwrap_or_default();
        if !rule.iter().any(|requirement| requirement.role() == PUBLIC) {
            return None;
        }
        let key: VerifierKey = record.body().text("vkey")?.parse().ok()?;
        let is_its = key.algorithm() == Algorithm::Ed25519
            && key.name() == line.name()
            && key.id() == line.id()
            && Hash::digest(key.public().as_bytes()).to_string() == digest;
        is_its.then_some(key)
    }

    fn check_governed_by(&self, logged: &Logged) -> Result<(), Rejection> {
        if logged.governance == self.governed_by {
            return Ok(());
        }
        let (expected, found) = (self.governed_by, logged.governance);
        Err(Rejection::WrongGovernance { expected, found })
    }

    pub(super) fn check_window(&self, envelope: &Envelope, logged: u64) -> Result<(), Rejection> {
        let (issued_at, limit) = (envelope.issued_at(), self.issued_at_limit);
        if logged.saturating_add(EARLY_SECONDS) < issued_at {
            return Err(Rejection::IssuedTooLate { issued_at, logged });
        }
        if logged > issued_at.saturating_add(limit) {
            return Err(Rejection::IssuedTooEarly { issued_at, logged, limit });
        }
        Ok(())
    }

    /// Issuer, named signers and rule are content with who signed; gives who that is.
    pub(super) fn check_signed(
        &self,
        record: &SignedRecord,
        purpose: &Purpose,
        at: u64,
    ) -> Result<Signers, Rejection> {
        let signers = self.signers(record, purpose, at)?;
        self.check_issuer(record, &signers)?;
        self.check_signers(record)?;
        let kind = record.record.kind();
        let rule = self.rule_of(purpose).ok_or(Rejection::NoRule(kind))?;
        match self.too_few(rule, purpose, &signers, at) {
            None => Ok(signers),
            Some((requirement, found)) => {
                let (role, needed) = (requirement.role, requirement.members);
                Err(Rejection::TooFew { kind, role, needed, found })
            }
        }
    }

    /// Who signed, each once, with keys that may sign this at the log's time.
    ///
    /// Keys are looked up again: this charter may be a later one than the one that verified.
    pub(super) fn signers(
        &self,
        record: &SignedRecord,
        purpose: &Purpose,
        at: u64,
    ) -> Result<Signers, Rejection> {
        let mut signers = Signers::default();
        for (n, line) in record.record.note().signatures().iter().enumerate() {
            if self.key_of_stranger(line, &record.record).is_some() {
                signers.stranger = Some(line.name().to_string());
                continue;
            }
            let key = self.same_key(record, n)?;
            self.check_key(key, purpose, at)?;
            signers.add(key, at);
        }
        Ok(signers)
    }

    /// The key of the signature line at `n`, which must be the one that verified.
    pub(super) fn same_key(
        &self,
        record: &SignedRecord,
        n: usize,
    ) -> Result<&MemberKey, Rejection> {
        let line = &record.record.note().signatures()[n];
        let key = self.record_key(line, n + 1)?;
        if key.key().public() != record.keys[n] {
            let (name, id) = (line.name().to_string(), line.id().to_string());
            return Err(Rejection::UnknownKey { line: n + 1, name, id });
        }
        Ok(key)
    }

    fn check_issuer(&self, record: &SignedRecord, signers: &Signers) -> Result<(), Rejection> {
        let issuer = record.record.envelope().issuer();
        // a stranger speaks under the name of its key
        if signers.stranger.as_deref() == Some(issuer) {
            return Ok(());
        }
        if signers.members.iter().any(|at| self.members[*at].name() == issuer) {
            return Ok(());
        }
        match self.member(issuer) {
            Some(_) => Err(Rejection::IssuerMissing(issuer.to_owned())),
            None => Err(Rejection::UnknownIssuer(issuer.to_owned())),
        }
    }

    pub(super) fn check_signers(&self, record: &SignedRecord) -> Result<(), Rejection> {
        let missing = |name: &&String| !record.key_names().any(|own| own == name.as_str());
        match record.record.envelope().signers().iter().find(missing) {
            Some(name) => Err(Rejection::SignerMissing(name.clone())),
            None => Ok(()),
        }
    }
}
