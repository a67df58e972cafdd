//! Founding: the charter at index 0.

use crate::index::LeafIndex;
use crate::record::{Draft, Entry, Envelope, Kind, Object, Record, StatementId};

use super::read::{self, refuse};
use super::signers::Purpose;
use super::{Charter, KeyUse, Rejection, Term};

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
        charter.check_changeable(|term| term.from() <= time)?;
        charter.check_window(record.envelope(), time)?;
        let signed = charter.verify(record.clone())?;
        let purpose = Purpose::Record(Kind::Charter);
        let signers = charter.signers(&signed, &purpose, time)?.members;
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
        charter.check_changeable(|_| true)?;
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

    fn read(
        envelope: &Envelope,
        statement: StatementId,
        body: &Object,
    ) -> Result<Charter, Rejection> {
        if envelope.kind() != Kind::Charter {
            return Err(Rejection::NotACharter(envelope.kind()));
        }
        let mut charter = read::read(envelope.log(), statement, body)?;
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
        charter.check_policy(None, "policy")?;
        Ok(charter)
    }

    /// The charter must stay changeable: enough members hold each role that changes need, in terms
    /// that count.
    fn check_changeable(&self, counts: impl Fn(Term) -> bool) -> Result<(), Rejection> {
        for (at, requirement) in self.governance.iter().enumerate() {
            let role = requirement.role();
            let holders = self.members.iter().filter(|member| {
                member.roles().iter().any(|own| own.role() == role && counts(own.term()))
            });
            let (holders, needed) = (holders.count() as u64, requirement.members());
            if holders < needed {
                let problem =
                    format!("asks for {needed} member(s) with role {role:?}; {holders} exist");
                return Err(refuse(&format!("governance[{at}]"), problem));
            }
        }
        Ok(())
    }
}
