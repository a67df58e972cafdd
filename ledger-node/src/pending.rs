//! Co-signing: drafts that wait for members' signatures, apart from the log.
//!
//! A draft is no record of the log until it has gone the way of all records, through admission and
//! sequencer, which judge it as if somebody had submitted it. A crash between logging and noting
//! that it is logged is harmless: the draft is found in the log again.

mod book;
mod draft;
mod logging;
mod nonces;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use ledger_core::LeafIndex;
use ledger_core::decline::ClaimedDecline;
use ledger_core::record::{Record, StatementId};
use ledger_core::request::{Call, ClaimedRequest};

pub use book::{
    AskingMember, DraftBook, MAX_DRAFTS_PER_MEMBER, MAX_SETTLED_PER_MEMBER, MAX_WAITING_HEAP,
    TOLD_SECONDS,
};
pub use draft::{Declined, DraftState, PendingDraft, View};
pub use logging::{blocking, log_if_complete, run_maintenance};
pub use nonces::MAX_PER_MEMBER as MAX_REQUESTS_PER_MEMBER;

use crate::admission::{Admission, Admitted};
use crate::clock::Clock;
use crate::refusal::{PendingRefusal, Refusal};
use crate::sequencer::Outcome;
use crate::store::StoreError;

/// Where members lay drafts out and sign them.
pub struct DraftStore {
    book: Mutex<DraftBook>,
    clock: Arc<dyn Clock>,
}

impl DraftStore {
    /// Opens the folder of drafts; see [`DraftBook::open`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        folder: &Path,
        lifetime: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<DraftStore, StoreError> {
        Ok(DraftStore { book: Mutex::new(DraftBook::open(folder, lifetime)?), clock })
    }

    fn book(&self) -> MutexGuard<'_, DraftBook> {
        self.book.lock().expect("no panics under this lock")
    }

    /// The member that signed a request for this call; writes to the disk.
    ///
    /// # Errors
    /// [`PendingRefusal`].
    pub fn authenticate(
        &self,
        admission: &Admission,
        note: &[u8],
        call: &Call<'_>,
    ) -> Result<AskingMember, PendingRefusal> {
        // not under the lock: whoever is no member holds nobody up
        let time = self.book().time(self.clock.now());
        let request = ClaimedRequest::parse(note)?.verify(&admission.charter(), call, time)?;
        self.book().take(&request, time)
    }

    /// Takes a record in; reads and writes the disk.
    ///
    /// # Errors
    /// [`PendingRefusal`].
    pub fn propose(
        &self,
        admission: &Admission,
        asker: &AskingMember,
        record: &[u8],
    ) -> Result<StatementId, PendingRefusal> {
        let signed = match admission.check(record)? {
            Admitted::Duplicate(at) => return Err(PendingRefusal::AlreadyLogged(at.index)),
            Admitted::Verified(verified) => verified.record,
        };
        let statement = signed.record().statement();
        self.book().propose(&admission.charter(), asker, signed)?;
        Ok(statement)
    }

    /// Adds a signature; reads and writes the disk.
    ///
    /// # Errors
    /// [`PendingRefusal`].
    pub fn cosign(
        &self,
        admission: &Admission,
        asker: &AskingMember,
        statement: StatementId,
        line: &str,
    ) -> Result<(), PendingRefusal> {
        self.look_up(admission, statement)?;
        self.book().cosign(&admission.charter(), asker, statement, line)
    }

    /// Keeps a decline; reads and writes the disk.
    ///
    /// # Errors
    /// [`PendingRefusal`].
    pub fn decline(
        &self,
        admission: &Admission,
        asker: &AskingMember,
        note: &[u8],
    ) -> Result<StatementId, PendingRefusal> {
        let note = ClaimedDecline::parse(note)?;
        self.look_up(admission, note.decline().statement())?;
        self.book().decline(&admission.charter(), asker, note)
    }

    /// Takes a draft back; reads and writes the disk.
    ///
    /// # Errors
    /// [`PendingRefusal`].
    pub fn withdraw(
        &self,
        admission: &Admission,
        asker: &AskingMember,
        statement: StatementId,
    ) -> Result<(), PendingRefusal> {
        self.look_up(admission, statement)?;
        self.book().withdraw(asker, statement)
    }

    /// The statement ids of the drafts that a member is shown; reads and writes the disk.
    pub fn list(&self, admission: &Admission, asker: &AskingMember) -> Vec<StatementId> {
        self.find_logged(admission);
        self.book().list(&admission.charter(), asker)
    }

    /// Notes which drafts are in the log by now; gives those that wait on.
    fn find_logged(&self, admission: &Admission) -> Vec<StatementId> {
        let mut waiting = self.book().waiting_ones(self.clock.now());
        waiting.retain(|statement| match self.look_up(admission, *statement) {
            Ok(found) => found.is_none(),
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether a draft is logged");
                true
            }
        });
        waiting
    }

    /// What a member is shown of one draft.
    pub fn view(
        &self,
        admission: &Admission,
        asker: &AskingMember,
        statement: StatementId,
    ) -> Option<View> {
        self.book().view(&admission.charter(), asker, statement)
    }

    /// Notes that a draft is in the log, if it has come there by itself.
    fn look_up(
        &self,
        admission: &Admission,
        statement: StatementId,
    ) -> Result<Option<LeafIndex>, Refusal> {
        let found = admission.find(&statement)?;
        if let Some(index) = found {
            self.book().arrived(statement, index, self.clock.now());
        }
        Ok(found)
    }

    /// Takes a draft that lacks nothing for the way into the log; may write to the disk.
    fn take_complete(&self, admission: &Admission, statement: StatementId) -> Option<Record> {
        let charter = admission.charter();
        self.book().take_complete(&charter, statement, self.clock.now())
    }

    /// Notes what became of a draft on its way into the log; writes to the disk.
    fn note(&self, statement: StatementId, outcome: &Outcome) {
        let (mut book, now) = (self.book(), self.clock.now());
        match outcome {
            Outcome::Logged(place) => book.arrived(statement, place.index, now),
            Outcome::Duplicate(at) => book.arrived(statement, at.index, now),
            Outcome::Refused(refusal) => book.turned_back(statement, refusal),
        }
    }
}
