//! The drafts that wait, their rules and their files. Time and charter are arguments.
//!
//! What a method reports as done is on the disk. After a failed write the draft in memory is as it
//! was; the file may hold the old or the new one, and either is a state that members have brought
//! about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, KeyReach, Rejection, SignedRecord};
use ledger_core::decline::ClaimedDecline;
use ledger_core::note::Signature;
use ledger_core::record::{Logged, Record, StatementId};
use ledger_core::request::MemberRequest;

use super::draft::{Declined, DraftState, PendingDraft, View};
use super::nonces::{self, Nonces};
use crate::refusal::{PendingRefusal, Refusal};
use crate::small_files;
use crate::store::StoreError;

/// Drafts of one proposer that may wait at a time: more than a person can keep in view, and so few
/// that no member fills the others' inbox.
pub const MAX_DRAFTS_PER_MEMBER: usize = 32;

/// Settled drafts of one proposer that are kept to be told of; beyond it the oldest go first.
pub const MAX_SETTLED_PER_MEMBER: usize = 32;

/// Bytes of records that may wait at a time: they are held in memory.
pub const MAX_WAITING_HEAP: usize = 64 << 20;

/// How long a settled draft is told of: whoever looks once a week misses none.
pub const TOLD_SECONDS: u64 = 7 * 86_400;

/// The ending of drafts' files.
const EXTENSION: &str = "pending";

/// The ending of files that hold no draft any more.
const DAMAGED: &str = "damaged";

/// All drafts that wait or were settled lately.
#[derive(Debug)]
pub struct DraftBook {
    folder: PathBuf,
    lifetime: u64,
    drafts: BTreeMap<StatementId, PendingDraft>,
    /// Those that are on their way into the log.
    under_way: BTreeSet<StatementId>,
    nonces: Nonces,
}

/// A member that asks, and the time that its request was judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskingMember {
    /// The member.
    pub member: String,
    /// What the key that it asked with may sign: short of all, it is shown only what concerns it.
    pub reach: KeyReach,
    /// POSIX seconds.
    pub time: u64,
}

impl DraftBook {
    /// Opens the folder of drafts, which is made if there is none. A draft waits for `lifetime`
    /// seconds.
    ///
    /// A file that holds no draft is renamed and left to the operator: the log does not depend on
    /// it.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be read, or the list of used requests is damaged.
    pub fn open(folder: &Path, lifetime: u64) -> Result<DraftBook, StoreError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", folder)(e));
            }
            _ => {}
        }
        let mut drafts = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(StoreError::io("read", folder))? {
            let path = entry.map_err(StoreError::io("read", folder))?.path();
            let extension = path.extension().unwrap_or_default();
            if extension == small_files::UNFINISHED {
                small_files::remove(&path)?;
            } else if extension == EXTENSION {
                let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
                let draft = PendingDraft::parse(&bytes).and_then(|draft| {
                    let named = path.file_stem() == Some(draft.statement().to_string().as_ref());
                    if named { Ok(draft) } else { Err("it has another draft's name".to_owned()) }
                });
                match draft {
                    Ok(draft) => drop(drafts.insert(draft.statement(), draft)),
                    Err(problem) => {
                        let aside = path.with_extension(DAMAGED);
                        let path = path.as_path();
                        tracing::error!(path = %path.display(), problem, "a draft is set aside");
                        fs::rename(path, &aside).map_err(StoreError::io("rename", path))?;
                    }
                }
            }
        }
        let nonces = Nonces::open(nonces::path(folder))?;
        let (folder, under_way) = (folder.to_owned(), BTreeSet::new());
        Ok(DraftBook { folder, lifetime, drafts, under_way, nonces })
    }

    /// The time to judge by: the clock's, but never before one that was judged by.
    pub fn time(&self, clock: u64) -> u64 {
        self.nonces.time(clock)
    }

    /// Uses a member's request up, which was verified at a time that [`DraftBook::time`] gave.
    ///
    /// # Errors
    /// [`PendingRefusal::Replayed`], [`PendingRefusal::TooManyRequests`],
    /// [`PendingRefusal::Storage`]; [`PendingRefusal::Request`] if it has ended meanwhile.
    pub fn take(
        &mut self,
        request: &MemberRequest,
        time: u64,
    ) -> Result<AskingMember, PendingRefusal> {
        let time = self.nonces.take(request, time)?;
        Ok(AskingMember { member: request.member().to_owned(), reach: request.reach(), time })
    }

    /// Takes a record in that lacks signatures, or nothing. That the log has neither its statement
    /// nor its id has been looked up.
    ///
    /// # Errors
    /// [`PendingRefusal`]; nothing was stored.
    pub fn propose(
        &mut self,
        charter: &Charter,
        asker: &AskingMember,
        signed: SignedRecord,
    ) -> Result<(), PendingRefusal> {
        self.tidy(asker.time);
        let record = signed.record();
        judge(charter, &signed, asker.time)?;
        check_change(charter, record, asker.time)?;
        self.check_signed(charter, asker, record)?;
        if !charter.can_be_completed(record, &[], asker.time) {
            let lacks = charter.missing_signatures(record, asker.time);
            let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
            return Err(PendingRefusal::CannotBeCompleted(lacks.join(", ")));
        }
        self.check_new(record)?;
        self.check_room(asker, record)?;
        let envelope = record.envelope();
        let window = envelope.issued_at().saturating_add(charter.issued_at_limit());
        let draft = PendingDraft {
            proposer: asker.member.clone(),
            proposed_at: asker.time,
            // beyond its window the log takes the record no more
            expires_at: asker.time.saturating_add(self.lifetime).min(window.saturating_add(1)),
            state: DraftState::Waiting,
            since: asker.time,
            declines: Vec::new(),
            refusal: None,
            record: signed.into_record(),
        };
        self.keep(draft)
    }

    /// Adds a member's signature line to a draft.
    ///
    /// # Errors
    /// [`PendingRefusal`]; the draft is as it was.
    pub fn cosign(
        &mut self,
        charter: &Charter,
        asker: &AskingMember,
        statement: StatementId,
        line: &str,
    ) -> Result<(), PendingRefusal> {
        let draft = self.waiting(statement, asker.time)?.clone();
        let signature = match Signature::parse_lines(line) {
            Ok(lines) if lines.len() == 1 && lines[0].to_string() == line => lines[0].clone(),
            _ => return Err(PendingRefusal::SignatureLine),
        };
        let name = signature.name().to_string();
        if charter.signer(&signature).is_none_or(|(member, _)| member.name() != asker.member) {
            return Err(PendingRefusal::NotTheAskers { name, asker: asker.member.clone() });
        }
        if draft
            .record
            .note()
            .signatures()
            .iter()
            .any(|own| own.name() == signature.name() && own.id() == signature.id())
        {
            return Err(PendingRefusal::HasSigned(name));
        }
        let record = draft.record.with_signature(signature).map_err(Refusal::from)?;
        let signed = charter.verify(record).map_err(Refusal::from)?;
        // why a key may not sign is better told than that it is not needed
        judge(charter, &signed, asker.time)?;
        let lacked = charter.missing_signatures(&draft.record, asker.time);
        if charter.missing_signatures(signed.record(), asker.time) == lacked {
            return Err(PendingRefusal::NotNeeded(asker.member.clone()));
        }
        let mut declines = draft.declines;
        // whoever signs has changed its mind
        declines.retain(|declined| declined.member != asker.member);
        self.keep(PendingDraft { record: signed.into_record(), declines, refusal: None, ..draft })
    }

    /// Keeps a member's refusal to sign. A draft that cannot get what it lacks any more is settled.
    ///
    /// # Errors
    /// [`PendingRefusal`]; the draft is as it was.
    pub fn decline(
        &mut self,
        charter: &Charter,
        asker: &AskingMember,
        note: ClaimedDecline,
    ) -> Result<StatementId, PendingRefusal> {
        let member = note.verify(charter, asker.time)?;
        if member != asker.member {
            let (name, asker) = (member.to_owned(), asker.member.clone());
            return Err(PendingRefusal::NotTheAskers { name, asker });
        }
        let statement = note.decline().statement();
        let mut draft = self.waiting(statement, asker.time)?.clone();
        if !charter.can_still_sign(&draft.record, member, asker.time) {
            let lines = draft.record.note().signatures().iter();
            let mut signers = lines.filter_map(|line| charter.signer(line));
            let signed = signers.any(|(own, _)| own.name() == member);
            let member = asker.member.clone();
            return Err(match signed {
                true => PendingRefusal::HasSigned(member),
                false => PendingRefusal::NotNeeded(member),
            });
        }
        draft.declines.retain(|declined| declined.member != member);
        let at = asker.time;
        draft.declines.push(Declined { member: member.to_owned(), note, at });
        if !charter.can_be_completed(&draft.record, &draft.decliners(), at) {
            (draft.state, draft.since) = (DraftState::Declined, at);
        }
        self.keep(draft)?;
        Ok(statement)
    }

    /// Takes a draft back, for its proposer or its issuer.
    ///
    /// # Errors
    /// [`PendingRefusal`]; the draft is as it was.
    pub fn withdraw(
        &mut self,
        asker: &AskingMember,
        statement: StatementId,
    ) -> Result<(), PendingRefusal> {
        let draft = self.waiting(statement, asker.time)?.clone();
        if ![&draft.proposer, draft.record.envelope().issuer()].contains(&asker.member.as_str()) {
            return Err(PendingRefusal::NotTheProposer(asker.member.clone()));
        }
        self.keep(PendingDraft { state: DraftState::Withdrawn, since: asker.time, ..draft })
    }

    /// What a member is shown of one draft.
    pub fn view(
        &self,
        charter: &Charter,
        asker: &AskingMember,
        statement: StatementId,
    ) -> Option<View> {
        let draft = self.drafts.get(&statement)?;
        shows(charter, asker, draft).then(|| draft.view(charter, &asker.member, asker.time))
    }

    /// The statement ids of the drafts that a member is shown, those that have waited longest
    /// first.
    pub fn list(&mut self, charter: &Charter, asker: &AskingMember) -> Vec<StatementId> {
        self.tidy(asker.time);
        let drafts = self.drafts.values().filter(|draft| shows(charter, asker, draft));
        let mut drafts: Vec<&PendingDraft> = drafts.collect();
        drafts.sort_by_key(|draft| (draft.proposed_at, draft.statement()));
        drafts.into_iter().map(PendingDraft::statement).collect()
    }

    /// The drafts that wait.
    pub fn waiting_ones(&mut self, clock: u64) -> Vec<StatementId> {
        self.tidy(self.time(clock));
        let waiting = self.drafts.values().filter(|draft| draft.is_waiting());
        waiting.map(PendingDraft::statement).collect()
    }

    /// Takes a draft that lacks nothing for the way into the log; until [`DraftBook::arrived`] or
    /// [`DraftBook::turned_back`] nobody else may touch it.
    pub fn take_complete(
        &mut self,
        charter: &Charter,
        statement: StatementId,
        clock: u64,
    ) -> Option<Record> {
        let time = self.time(clock);
        let draft = self.waiting(statement, time).ok()?;
        let signed = charter.verify(draft.record.clone());
        let judged = signed.map_err(Refusal::from).and_then(|signed| judge(charter, &signed, time));
        match judged {
            Ok(Completeness::Complete) => {
                let record = draft.record.clone();
                self.under_way.insert(statement);
                Some(record)
            }
            Ok(Completeness::Lacking) => None,
            Err(refusal) => {
                // the charter has changed under it
                self.turned_back(statement, &refusal);
                None
            }
        }
    }

    /// The log has a draft's statement.
    pub fn arrived(&mut self, statement: StatementId, index: LeafIndex, clock: u64) {
        self.under_way.remove(&statement);
        let since = self.time(clock);
        if let Some(draft) = self.drafts.get(&statement).filter(|draft| draft.is_waiting()) {
            let state = DraftState::Logged(index);
            self.settle(PendingDraft { state, since, refusal: None, ..draft.clone() });
        }
    }

    /// The log did not take a draft; it goes on waiting, with the reason.
    pub fn turned_back(&mut self, statement: StatementId, refusal: &Refusal) {
        self.under_way.remove(&statement);
        let refusal = Some(refusal.to_string());
        let draft = self.drafts.get(&statement);
        if let Some(draft) = draft.filter(|draft| draft.is_waiting() && draft.refusal != refusal) {
            self.settle(PendingDraft { refusal, ..draft.clone() });
        }
    }

    /// A draft that waits and is not on its way into the log.
    fn waiting(
        &mut self,
        statement: StatementId,
        time: u64,
    ) -> Result<&PendingDraft, PendingRefusal> {
        self.tidy(time);
        let draft = self.drafts.get(&statement).ok_or(PendingRefusal::NoSuchDraft)?;
        match draft.state {
            DraftState::Waiting if self.under_way.contains(&statement) => {
                Err(PendingRefusal::BeingLogged)
            }
            DraftState::Waiting => Ok(draft),
            DraftState::Logged(index) => Err(PendingRefusal::AlreadyLogged(index)),
            state => Err(PendingRefusal::Settled(state.as_str())),
        }
    }

    /// The asker must have signed, and somebody for whom the record speaks.
    fn check_signed(
        &self,
        charter: &Charter,
        asker: &AskingMember,
        record: &Record,
    ) -> Result<(), PendingRefusal> {
        let lines = record.note().signatures();
        let mut members = lines.iter().filter_map(|line| charter.signer(line));
        if !members.any(|(member, _)| member.name() == asker.member) {
            return Err(PendingRefusal::AskerHasNotSigned(asker.member.clone()));
        }
        let envelope = record.envelope();
        let speaks = |line: &Signature| {
            let issuer = charter.signer(line).is_some_and(|(m, _)| m.name() == envelope.issuer());
            issuer || envelope.signers().iter().any(|name| name == line.name().as_str())
        };
        match lines.iter().any(speaks) {
            true => Ok(()),
            false => Err(PendingRefusal::NobodyItNames(envelope.issuer().to_owned())),
        }
    }

    fn check_new(&self, record: &Record) -> Result<(), PendingRefusal> {
        let unique = record.envelope().unique_key();
        for draft in self.drafts.values().filter(|draft| draft.is_waiting()) {
            if draft.statement() == record.statement() {
                return Err(PendingRefusal::AlreadyPending);
            }
            if draft.record.envelope().unique_key() == unique {
                return Err(PendingRefusal::IdPending(draft.statement()));
            }
        }
        Ok(())
    }

    fn check_room(&self, asker: &AskingMember, record: &Record) -> Result<(), PendingRefusal> {
        let waiting = || self.drafts.values().filter(|draft| draft.is_waiting());
        let own = waiting().filter(|draft| draft.proposer == asker.member).count();
        if own >= MAX_DRAFTS_PER_MEMBER {
            return Err(PendingRefusal::TooManyDrafts(asker.member.clone()));
        }
        let bytes: usize = waiting().map(|draft| draft.record.heap_bytes()).sum();
        if bytes.saturating_add(record.heap_bytes()) > MAX_WAITING_HEAP {
            return Err(PendingRefusal::NoRoom);
        }
        Ok(())
    }

    /// Ends what has expired, and forgets what was told for long enough.
    fn tidy(&mut self, time: u64) {
        let expired = |draft: &&PendingDraft| draft.is_waiting() && draft.expires_at <= time;
        let expired: Vec<PendingDraft> = self.drafts.values().filter(expired).cloned().collect();
        for draft in expired {
            if !self.under_way.contains(&draft.statement()) {
                // since the second in which it expired, whoever noticed when
                let since = draft.expires_at;
                self.settle(PendingDraft { state: DraftState::Expired, since, ..draft });
            }
        }
        let mut settled: Vec<(&str, u64, StatementId)> = self
            .drafts
            .values()
            .filter(|draft| !draft.is_waiting())
            .map(|draft| (draft.proposer.as_str(), draft.since, draft.statement()))
            .collect();
        settled.sort();
        let mut gone = Vec::new();
        for (at, (proposer, since, statement)) in settled.iter().enumerate() {
            let newer = settled.get(at + MAX_SETTLED_PER_MEMBER);
            let crowded = newer.is_some_and(|(other, _, _)| other == proposer);
            if crowded || since.saturating_add(TOLD_SECONDS) <= time {
                gone.push(*statement);
            }
        }
        for statement in gone {
            match small_files::remove(&self.path(statement)) {
                Ok(()) => drop(self.drafts.remove(&statement)),
                Err(error) => tracing::warn!(%error, "a settled draft stays"),
            }
        }
    }

    /// Keeps what is known of a draft, also if it cannot be written: it will be found out again.
    fn settle(&mut self, draft: PendingDraft) {
        if let Err(error) = small_files::replace(&self.path(draft.statement()), &draft.to_bytes()) {
            tracing::warn!(%error, "what became of a draft was not written");
        }
        self.drafts.insert(draft.statement(), draft);
    }

    fn keep(&mut self, draft: PendingDraft) -> Result<(), PendingRefusal> {
        small_files::replace(&self.path(draft.statement()), &draft.to_bytes())
            .map_err(|error| PendingRefusal::Storage(error.to_string()))?;
        self.drafts.insert(draft.statement(), draft);
        Ok(())
    }

    fn path(&self, statement: StatementId) -> PathBuf {
        self.folder.join(format!("{statement}.{EXTENSION}"))
    }
}

/// Whether a member is shown a draft. Members in good standing with a key in force see all; whoever
/// may only take part in an emergency sees what it has proposed, signed, or could help with.
fn shows(charter: &Charter, asker: &AskingMember, draft: &PendingDraft) -> bool {
    let member = asker.member.as_str();
    let signed =
        |line: &Signature| charter.signer(line).is_some_and(|(own, _)| own.name() == member);
    asker.reach == KeyReach::Full
        || draft.proposer == member
        || draft.record.note().signatures().iter().any(signed)
        || draft.is_waiting() && charter.can_still_sign(&draft.record, member, asker.time)
}

/// Whether a lawful record has all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Complete,
    Lacking,
}

/// Judges a record as if it were logged now: all that is wrong with it, but missing signatures.
fn judge(charter: &Charter, record: &SignedRecord, time: u64) -> Result<Completeness, Refusal> {
    let (logged, index) = place(charter, time)?;
    match charter.admit(record, &logged, index) {
        Ok(_) => Ok(Completeness::Complete),
        Err(rejection) if Rejection::lacks_signatures(&rejection) => Ok(Completeness::Lacking),
        Err(rejection) => Err(rejection.into()),
    }
}

/// Nobody is asked to sign a change of the charter that could never be made.
fn check_change(charter: &Charter, record: &Record, time: u64) -> Result<(), Refusal> {
    let (logged, index) = place(charter, time)?;
    match charter.after(record, &logged, index) {
        // its time may come while it waits
        Err(Rejection::NotYetEffective { .. }) => Ok(()),
        judged => Ok(judged.map(drop)?),
    }
}

/// Any place behind the rules in force.
fn place(charter: &Charter, time: u64) -> Result<(Logged, LeafIndex), Refusal> {
    let logged = Logged { time, governance: charter.governance_index() };
    let index = charter.governance_index().size_through().next_index();
    Ok((logged, index.ok_or(Refusal::LogFull)?))
}
