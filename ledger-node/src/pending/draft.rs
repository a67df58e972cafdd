//! One draft and its file: JSON with the notes as text, so that anybody can read what waits.

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, MissingSignature};
use ledger_core::decline::ClaimedDecline;
use ledger_core::record::{Record, StatementId, format_time, parse_time};
use serde::{Deserialize, Serialize};

/// What a draft's file says it is.
const FORMAT: &str = "ledger-pending/v1";

/// A record that gathers signatures, or did until lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDraft {
    /// The record as signed so far.
    pub record: Record,
    /// The member that proposed it.
    pub proposer: String,
    /// When, in POSIX seconds.
    pub proposed_at: u64,
    /// The second in which it waits no longer.
    pub expires_at: u64,
    /// What became of it.
    pub state: DraftState,
    /// When it came into this state.
    pub since: u64,
    /// Who declined, one note a member.
    pub declines: Vec<Declined>,
    /// Why the log did not take it although its rule was met.
    pub refusal: Option<String>,
}

/// What became of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftState {
    /// It waits for signatures.
    Waiting,
    /// It is in the log.
    Logged(LeafIndex),
    /// Those who are left cannot make up for those who declined.
    Declined,
    /// It was taken back.
    Withdrawn,
    /// Its time ran out.
    Expired,
}

/// A member's refusal to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The member.
    pub member: String,
    /// Its signed note.
    pub note: ClaimedDecline,
    /// When it came, in POSIX seconds.
    pub at: u64,
}

/// What a member is shown of a draft.
#[derive(Debug, Clone)]
pub struct View {
    /// The draft.
    pub draft: PendingDraft,
    /// What it lacks by the charter in force, while it waits.
    pub lacks: Vec<MissingSignature>,
    /// Whether a signature of the member would help.
    pub awaits: bool,
}

/// A draft's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    statement: String,
    proposer: String,
    proposed_at: String,
    expires_at: String,
    state: String,
    since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    record: String,
    declines: Vec<StoredDecline>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDecline {
    member: String,
    at: String,
    note: String,
}

impl PendingDraft {
    /// The statement id that the record will have.
    pub fn statement(&self) -> StatementId {
        self.record.statement()
    }

    /// Whether it waits for signatures.
    pub fn is_waiting(&self) -> bool {
        self.state == DraftState::Waiting
    }

    /// The members that declined.
    pub fn decliners(&self) -> Vec<&str> {
        self.declines.iter().map(|declined| declined.member.as_str()).collect()
    }

    /// What a member is shown at a time in POSIX seconds.
    pub fn view(&self, charter: &Charter, member: &str, time: u64) -> View {
        let mut view = View { draft: self.clone(), lacks: Vec::new(), awaits: false };
        if self.is_waiting() {
            view.lacks = charter.missing_signatures(&self.record, time);
            view.awaits = charter.can_still_sign(&self.record, member, time);
        }
        view
    }

    /// The bytes of the draft's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let index = match self.state {
            DraftState::Logged(index) => Some(index.get()),
            _ => None,
        };
        let declines = self.declines.iter().map(|declined| StoredDecline {
            member: declined.member.clone(),
            at: format_time(declined.at),
            note: declined.note.note().to_string(),
        });
        let stored = Stored {
            format: FORMAT.to_owned(),
            statement: self.statement().to_string(),
            proposer: self.proposer.clone(),
            proposed_at: format_time(self.proposed_at),
            expires_at: format_time(self.expires_at),
            state: self.state.as_str().to_owned(),
            since: format_time(self.since),
            index,
            refusal: self.refusal.clone(),
            record: String::from_utf8_lossy(self.record.as_bytes()).into_owned(),
            declines: declines.collect(),
        };
        serde_json::to_vec_pretty(&stored).expect("strings and numbers are JSON")
    }

    /// Reads a draft's file; says what is wrong with it otherwise.
    pub fn parse(bytes: &[u8]) -> Result<PendingDraft, String> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if stored.format != FORMAT {
            return Err(format!("its format is {:?}, not {FORMAT:?}", stored.format));
        }
        let time = |text: &str| parse_time(text).ok_or_else(|| format!("{text:?} is no time"));
        let record = Record::parse(stored.record.as_bytes()).map_err(|e| e.to_string())?;
        if record.statement().to_string() != stored.statement {
            return Err(format!("its record is {}, not {}", record.statement(), stored.statement));
        }
        let mut declines = Vec::with_capacity(stored.declines.len());
        for declined in stored.declines {
            let note = ClaimedDecline::parse(declined.note.as_bytes());
            let (note, at) = (note.map_err(|e| e.to_string())?, time(&declined.at)?);
            declines.push(Declined { member: declined.member, note, at });
        }
        Ok(PendingDraft {
            record,
            proposer: stored.proposer,
            proposed_at: time(&stored.proposed_at)?,
            expires_at: time(&stored.expires_at)?,
            state: DraftState::parse(&stored.state, stored.index)
                .ok_or_else(|| format!("its state is {:?}", stored.state))?,
            since: time(&stored.since)?,
            declines,
            refusal: stored.refusal,
        })
    }
}

impl DraftState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DraftState::Waiting => "waiting",
            DraftState::Logged(_) => "logged",
            DraftState::Declined => "declined",
            DraftState::Withdrawn => "withdrawn",
            DraftState::Expired => "expired",
        }
    }

    fn parse(word: &str, index: Option<u64>) -> Option<DraftState> {
        match (word, index) {
            ("waiting", None) => Some(DraftState::Waiting),
            ("logged", Some(index)) => LeafIndex::new(index).ok().map(DraftState::Logged),
            ("declined", None) => Some(DraftState::Declined),
            ("withdrawn", None) => Some(DraftState::Withdrawn),
            ("expired", None) => Some(DraftState::Expired),
            _ => None,
        }
    }
}
