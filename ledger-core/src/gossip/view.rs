//! Everything that one node knows of all logs.

use std::collections::{BTreeMap, VecDeque};

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{
    Case, ClaimedEvidence, Conflict, Conviction, EvidenceError, EvidenceId, Heads, ProvenKeys,
    Trust, Verdict,
};
use crate::hash::Hash;
use crate::merkle::{PrefixProof, TreeHead};
use crate::note::VerifierKey;
use crate::witness::LogKeys;

use super::log_state::{LogState, StateChange};
use super::message::can_carry;
use super::verified_head::{ReadHead, VerifiedHead};
use super::vocabulary::{
    Event, FalseSignature, HeadSource, KnownKeys, Lineage, LogStanding, LogStatus, Pairs,
    PeerFault, Question,
};

/// What a head led to.
#[derive(Debug, Default)]
pub(super) struct Observation {
    pub(super) events: Vec<Event>,
    /// A line that names a known key and does not verify by it.
    pub(super) doubt: Option<FalseSignature>,
    /// How many such lines were tried.
    pub(super) failed: usize,
    /// What checking its lines took, as [`ReadHead::work`] counts.
    pub(super) work: usize,
    /// Whether nothing was left of the head.
    refused: bool,
}

#[derive(Debug)]
pub(super) struct HeldEvidence {
    pub(super) evidence: ClaimedEvidence,
    pub(super) conviction: Conviction,
}

/// Everything that one node knows of all logs; see [the module](super).
#[derive(Debug, Default)]
pub struct View {
    pub(super) logs: BTreeMap<Origin, LogState>,
    pub(super) evidence: BTreeMap<EvidenceId, HeldEvidence>,
    /// Evidence against keys that are not known any more, for the day that they are again.
    dormant: Vec<ClaimedEvidence>,
    cosigners: Vec<VerifierKey>,
    lineages: BTreeMap<Origin, Lineage>,
    /// What the lineages prove, as far as anybody asked: to find out takes a replay of the
    /// governance.
    proven: BTreeMap<Origin, ProvenKeys>,
    pub(super) trust: Trust,
    /// Whether heads say nothing here.
    evidence_only: bool,
    /// Evidence that was asked for and judged, whomever it convicted: it is not asked for again.
    pub(super) judged: VecDeque<EvidenceId>,
    /// Keys of lists that were in force when a contradiction by two of them was looked into.
    pub(super) confirmed: Vec<VerifierKey>,
    /// Verdicts on evidence that is held or rests: judging it again each time that other keys become
    /// known would take too long.
    verdicts: BTreeMap<EvidenceId, Verdict>,
}

impl View {
    /// Compares no heads: it makes no evidence of its own, and judges, keeps and passes on what
    /// others made.
    pub fn of_evidence_only() -> View {
        View { evidence_only: true, ..View::default() }
    }

    /// Knows these logs, and the keys of these witnesses and mirrors.
    pub fn new(logs: Vec<KnownKeys>, cosigners: Vec<VerifierKey>) -> View {
        let mut view = View::default();
        view.set_logs(logs, cosigners);
        view
    }

    /// Knows these logs and cosigners from now on, and no others. Heads of logs that stay are kept
    /// as far as a key that is known signed them; evidence that convicts nobody any more rests.
    pub fn set_logs(&mut self, logs: Vec<KnownKeys>, cosigners: Vec<VerifierKey>) {
        self.set_logs_with(logs, cosigners, BTreeMap::new());
    }

    /// As [`View::set_logs`], and knows the charters of these logs.
    ///
    /// A key that the charter has retired is not the log's any more, also where the caller names it
    /// among the log's keys.
    pub fn set_logs_with(
        &mut self,
        mut logs: Vec<KnownKeys>,
        cosigners: Vec<VerifierKey>,
        lineages: BTreeMap<Origin, Lineage>,
    ) {
        for log in &mut logs {
            // the holder of a retired key could convict the log by two keys, if both were trusted
            if let Some(own) = lineages.get(&log.origin) {
                log.retired.extend(own.retired.iter().cloned());
            }
            log.keys.retain(|key| !log.retired.contains(key));
        }
        let anchors = lineages.values().map(|own| own.anchor);
        let mut trust = anchors.fold(Trust::new(), Trust::with_anchor);
        for log in &logs {
            let keys = log.keys.iter().cloned();
            trust = keys.fold(trust, |trust, key| match log.pairs {
                Pairs::Convict => trust.with_log(key, log.entries),
                Pairs::Ask => trust.with_listed_log(key, log.entries),
            });
        }
        trust = self.confirmed.iter().fold(trust, Trust::with_in_force);
        self.trust = cosigners.iter().cloned().fold(trust, Trust::with_cosigner);
        self.cosigners = cosigners;
        self.judged.clear();
        self.proven.clear();
        self.lineages = lineages;
        let mut before = std::mem::take(&mut self.logs);
        for log in logs {
            let keys = LogKeys::new(log.keys);
            let mut known = before
                .remove(&log.origin)
                .unwrap_or_else(|| LogState::new(LogKeys::default(), log.reach));
            known.reach = log.reach;
            known.set_keys(keys, log.retired);
            known.pairs.set(log.pairs, known.keys.trusted());
            self.logs.insert(log.origin, known);
        }
        let held = std::mem::take(&mut self.evidence).into_values().map(|held| held.evidence);
        let all: Vec<_> = std::mem::take(&mut self.dormant).into_iter().chain(held).collect();
        for evidence in all {
            if self.recall(&evidence).is_err() {
                self.dormant.push(evidence);
            }
        }
        let rests = |id: &EvidenceId| self.dormant.iter().any(|own| own.id() == *id);
        self.verdicts.retain(|id, _| self.evidence.contains_key(id) || rests(id));
    }

    /// Knows a verdict on evidence that is recalled next.
    pub fn remember(&mut self, evidence: &ClaimedEvidence, verdict: Verdict) {
        self.verdicts.insert(evidence.id(), verdict);
    }

    /// The verdict on evidence that is held or rests.
    pub fn verdict(&self, id: EvidenceId) -> Option<&Verdict> {
        self.verdicts.get(&id)
    }

    /// What a judge of evidence knows here.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Observes a head. A head of an unknown log, or signed by no trusted key, says nothing. Lines
    /// that name a known key and do not verify are left out.
    ///
    /// # Errors
    /// [`FalseSignature`] if no line of the log is left; then the head was not taken.
    pub fn observe(
        &mut self,
        head: &ClaimedCheckpoint,
        source: HeadSource,
    ) -> Result<Vec<Event>, FalseSignature> {
        match self.observe_head(head, source) {
            Observation { refused: true, doubt: Some(doubt), .. } => Err(doubt),
            observation => Ok(observation.events),
        }
    }

    /// Takes a head, and says what is doubtful about it.
    pub(super) fn observe_head(
        &mut self,
        observed: &ClaimedCheckpoint,
        from: HeadSource,
    ) -> Observation {
        let origin = observed.checkpoint().origin();
        let Some(known) = self.logs.get_mut(origin) else { return Observation::default() };
        // of a log with several keys, a head that stays of one that fell may count by another
        let lacks = known.convicting.lacks(observed);
        if self.evidence_only || (known.has_observed(observed) && !lacks) {
            return Observation::default();
        }
        let ReadHead { seen, doubt, failed, work } =
            VerifiedHead::read(observed, &known.signers(), &self.cosigners);
        let Some(seen) = seen else {
            if doubt.is_some() {
                return Observation {
                    doubt,
                    failed,
                    work,
                    refused: true,
                    ..Observation::default()
                };
            }
            return self.observe_convicted(observed);
        };
        let richer = lacks && known.convicting.take(seen.clone());
        let change = known.observe(seen.clone(), from);
        let (is_told, convicts) =
            (change == StateChange::CosignaturesAdded, matches!(change, StateChange::Conflict(_)));
        let mut events = self.events(origin, change, observed);
        if convicts
            && let Some(known) = self.logs.get_mut(origin)
            && !known.convicting.is_empty()
            && known.convicting.take(seen)
        {
            // whoever cosigned what convicts the log may have cosigned the other side too
            events.extend(self.convict_cosigners(origin));
        }
        if richer {
            events.extend((!is_told).then(|| Event::CosignaturesAdded(origin.clone())));
            events.extend(self.convict_cosigners(origin));
        }
        Observation { events, doubt, failed, work, refused: false }
    }

    /// Takes what cosigners say of a log that was convicted by its heads.
    fn observe_convicted(&mut self, observed: &ClaimedCheckpoint) -> Observation {
        let origin = observed.checkpoint().origin();
        let Some(known) = self.logs.get_mut(origin) else { return Observation::default() };
        if known.convicting.is_empty() || known.convicting.has_observed(observed) {
            return Observation::default();
        }
        let convicted: Vec<VerifierKey> =
            known.keys.convicted().iter().map(|(key, _)| key.clone()).collect();
        let ReadHead { seen, doubt, failed, work } =
            VerifiedHead::read_convicted(observed, &convicted, &self.cosigners);
        let mut events = Vec::new();
        if seen.is_some_and(|seen| known.convicting.take(seen)) {
            events.push(Event::CosignaturesAdded(origin.clone()));
            events.extend(self.convict_cosigners(origin));
        }
        Observation { events, doubt, failed, work, refused: false }
    }

    /// Takes a head that this node itself has verified to have grown out of another, as its witness
    /// does before it cosigns.
    ///
    /// # Errors
    /// [`FalseSignature`].
    pub fn observe_growth(
        &mut self,
        before: &TreeHead,
        observed: &ClaimedCheckpoint,
    ) -> Result<Vec<Event>, FalseSignature> {
        let origin = observed.checkpoint().origin();
        let mut events = self.observe(observed, HeadSource::OwnWitness)?;
        if events.iter().any(|event| matches!(event, Event::Convicted(_))) {
            return Ok(events);
        }
        let Some(known) = self.logs.get_mut(origin) else { return Ok(events) };
        let read = |keys: &[VerifierKey]| VerifiedHead::read(observed, keys, &self.cosigners).seen;
        let change = known.observe_growth(before, *observed.checkpoint().head(), read);
        if change != StateChange::Nothing {
            events = self.events(origin, change, observed);
        }
        Ok(events)
    }

    /// Takes what somebody showed about a question. Questions that are not asked here any more say
    /// nothing.
    ///
    /// # Errors
    /// [`PeerFault::JunkProof`].
    pub fn resolve(
        &mut self,
        question: &Question,
        prefix: &PrefixProof,
    ) -> Result<Vec<Event>, PeerFault> {
        let Some(known) = self.logs.get_mut(&question.origin) else { return Ok(Vec::new()) };
        let change = known
            .resolve(question, prefix)
            .map_err(|_| PeerFault::JunkProof(question.origin.clone()))?;
        let adopted = known.adopted().map(|own| own.checkpoint().clone());
        let Some(adopted) = adopted else { return Ok(Vec::new()) };
        Ok(self.events(&question.origin, change, &adopted))
    }

    /// Takes two heads with what shows how they stand to each other. Neither need have a place
    /// among those that are held.
    pub fn contradict(&mut self, heads: Heads<'_>, prefix: &PrefixProof) -> Vec<Event> {
        let of = self.logs.get(heads.one.checkpoint().origin());
        let Some(known) = of.filter(|_| !self.evidence_only) else { return Vec::new() };
        let counts = |head: &ClaimedCheckpoint| {
            let seen = VerifiedHead::read(head, &known.signers(), &self.cosigners).seen;
            seen.filter(|seen| seen.counts(known.keys.trusted()))
        };
        let (Some(one), Some(other)) = (counts(heads.one), counts(heads.other)) else {
            return Vec::new();
        };
        let heads = Heads { one: one.checkpoint(), other: other.checkpoint() };
        match Conflict::of_prefix_proof(heads, prefix) {
            Ok(Some(conflict)) => self.convict_all_of(&conflict),
            _ => Vec::new(),
        }
    }

    /// Judges evidence and keeps it if it convicts a key that nothing was held against. What proves
    /// the keys in it to those who know an anchor alone is added, where it lacks that and it is
    /// known here.
    ///
    /// # Errors
    /// [`EvidenceError`] if it convicts nobody who is known here.
    pub fn convict(&mut self, evidence: &ClaimedEvidence) -> Result<Vec<Event>, EvidenceError> {
        let conviction = self.verify(evidence)?;
        Ok(self.convicted(evidence, conviction))
    }

    /// Keeps evidence that convicts somebody new, with what proves it to whoever knows an anchor
    /// alone, and looks who else falls with it.
    pub(super) fn convicted(
        &mut self,
        evidence: &ClaimedEvidence,
        conviction: Conviction,
    ) -> Vec<Event> {
        if self.is_held_against(&conviction) {
            return Vec::new();
        }
        let made = self.with_authority(evidence);
        let made = made.and_then(|made| Some((made.verify(&self.trust).ok()?, made)));
        let (conviction, evidence) = made.unwrap_or_else(|| (conviction, evidence.clone()));
        // of two keys the bundles may show one to be retired: then it is convicted alone
        if self.is_held_against(&conviction) {
            return Vec::new();
        }
        // the store that keeps the file need not judge it again
        let verdict = Verdict::convicting(&evidence, &self.trust, conviction.clone());
        self.verdicts.insert(evidence.id(), verdict);
        self.hold(&evidence, conviction);
        let accused = Origin::new(evidence.origin()).map(|origin| self.convict_cosigners(&origin));
        let mut events = vec![Event::Convicted(Box::new(evidence))];
        events.extend(accused.unwrap_or_default());
        events
    }

    /// Takes evidence that is kept already, as it is: nothing new follows from it.
    ///
    /// # Errors
    /// As [`View::convict`].
    pub fn recall(&mut self, evidence: &ClaimedEvidence) -> Result<(), EvidenceError> {
        let known = self.verdicts.get(&evidence.id());
        let conviction = match known.filter(|own| own.holds_for(evidence, &self.trust)) {
            Some(verdict) => verdict.conviction().cloned().ok_or_else(|| {
                EvidenceError::UnknownKey { origin: evidence.origin().to_owned() }
            })?,
            None => {
                let verdict = Verdict::of(evidence, &self.trust);
                self.verdicts.insert(evidence.id(), verdict.clone());
                match verdict.conviction() {
                    Some(conviction) => conviction.clone(),
                    // says why, and holds what two keys contradict
                    None => self.verify(evidence)?,
                }
            }
        };
        if !self.is_held_against(&conviction) {
            self.hold(evidence, conviction);
        }
        Ok(())
    }

    fn is_held_against(&self, conviction: &Conviction) -> bool {
        conviction.culprit().keys().iter().all(|key| self.against(key).is_some())
    }

    /// Trusts the convicted keys no longer.
    fn hold(&mut self, evidence: &ClaimedEvidence, conviction: Conviction) {
        let culprit = conviction.culprit();
        let reason = format!("evidence {}", evidence.id());
        for (origin, known) in &mut self.logs {
            if let Some(conflict) =
                evidence.conflict_of_log().filter(|own| own.origin() == origin.as_str())
            {
                known.keep_convicting(conflict, culprit.keys());
            }
            let of_log = culprit.keys().iter();
            let keys = of_log.fold(known.keys.clone(), |keys, key| keys.convict(key, &reason));
            let convicted = |own: &VerifierKey| culprit.keys().iter().any(|key| key == own);
            let retired: Vec<_> =
                known.retired.iter().filter(|own| !convicted(own)).cloned().collect();
            if keys != known.keys || retired != known.retired {
                known.set_keys(keys, retired);
            }
        }
        self.evidence
            .insert(evidence.id(), HeldEvidence { evidence: evidence.clone(), conviction });
    }

    /// The evidence with what proves its keys to whoever knows an anchor alone: that of its log,
    /// or, against a cosigner, that of any log which names the cosigner. One file a culprit is held
    /// and passed on, so that files do not multiply though nodes add other bundles.
    /// `None` where nothing is added.
    fn with_authority(&self, evidence: &ClaimedEvidence) -> Option<ClaimedEvidence> {
        if !evidence.authority().is_empty() {
            return None;
        }
        let is_its = |origin: &Origin| origin.as_str() == evidence.origin();
        let (own, others): (Vec<_>, Vec<_>) =
            self.lineages.iter().partition(|(origin, _)| is_its(origin));
        let proven = |(_, lineage): (&Origin, &Lineage)| {
            let case = Case { trust: &self.trust, authority: &lineage.authority };
            let made = evidence.with_authority(case);
            // what its peers could not be sent is of less use than what knows no anchor
            made.filter(|made| !made.authority().is_empty() && can_carry(made))
        };
        let mut lineages = own.into_iter().chain(others);
        lineages.find_map(proven)
    }

    /// The evidence that convicts a key, if there is any.
    pub fn against(&self, key: &VerifierKey) -> Option<EvidenceId> {
        self.evidence.iter().find(|(_, held)| held.conviction.convicts(key)).map(|(id, _)| *id)
    }

    /// What has to be shown, of all logs: the oldest question of each first, then the second of
    /// each and so on, so that a log that leaves many open takes no other's turn.
    pub fn questions(&self) -> Vec<Question> {
        by_rank(self.logs.iter().map(|(origin, known)| known.questions(origin)))
    }

    /// A round has passed: gives the alarms that it raised.
    pub fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (origin, known) in &mut self.logs {
            if known.tick() {
                events.extend(known.oldest(origin).map(Event::Unreconciled));
            }
        }
        events
    }

    /// Raises the alarm that this open head had raised before a restart.
    pub fn recall_alarm(&mut self, origin: &Origin, head: &TreeHead) {
        if let Some(known) = self.logs.get_mut(origin) {
            known.recall_alarm(head);
        }
    }

    /// Whether a log may be cosigned. One that is not known has nothing against it.
    pub fn standing(&self, origin: &Origin) -> LogStanding {
        let Some(known) = self.logs.get(origin) else { return LogStanding::Good };
        if known.keys.trusted().is_empty() {
            let convicted = known.keys.convicted().iter().find_map(|(key, _)| self.against(key));
            if let Some(id) = convicted {
                return LogStanding::Convicted(id);
            }
        }
        if known.alarm() {
            return known.oldest(origin).map_or(LogStanding::Good, LogStanding::Unreconciled);
        }
        LogStanding::Good
    }

    /// How all logs stand, in the order of their names.
    pub fn status(&self) -> Vec<LogStatus> {
        self.logs.iter().map(|(origin, known)| self.status_of(origin, known)).collect()
    }

    /// How one log stands; `None` if it is not known.
    pub fn log(&self, origin: &Origin) -> Option<LogStatus> {
        self.logs.get(origin).map(|known| self.status_of(origin, known))
    }

    fn status_of(&self, origin: &Origin, known: &LogState) -> LogStatus {
        LogStatus {
            origin: origin.clone(),
            adopted: known.adopted().map(|own| own.checkpoint().clone()),
            cosigned_at: known.adopted().and_then(VerifiedHead::newest),
            convicting: known.convicting.heads().map(|seen| seen.checkpoint().clone()).collect(),
            open: known.open().map(|(head, alarm)| (head.clone(), alarm)).collect(),
            standing: self.standing(origin),
        }
    }

    fn events(
        &mut self,
        origin: &Origin,
        change: StateChange,
        observed: &ClaimedCheckpoint,
    ) -> Vec<Event> {
        match change {
            StateChange::Nothing => Vec::new(),
            StateChange::CosignaturesAdded => vec![Event::CosignaturesAdded(origin.clone())],
            StateChange::Adopted => {
                let known = self.logs.get(origin).and_then(LogState::adopted);
                let adopted = known.map_or(observed, VerifiedHead::checkpoint).clone();
                vec![Event::Adopted(adopted), Event::Settled(origin.clone())]
            }
            StateChange::Opened => vec![Event::Opened(observed.clone())],
            StateChange::Settled => vec![Event::Settled(origin.clone())],
            StateChange::Conflict(conflict) => self.convict_all_of(&conflict),
        }
    }

    /// Makes all the evidence that a conflict gives.
    fn convict_all_of(&mut self, conflict: &Conflict) -> Vec<Event> {
        let may_convict = self.may_convict_log(conflict);
        let lineage = self.lineages.iter().find(|(own, _)| own.as_str() == conflict.origin());
        let authority = lineage.map_or(&[][..], |(_, own)| own.authority.as_slice());
        let proven = Case { trust: &self.trust, authority };
        // bundles that do not hold must not keep anything from convicting by keys
        let bare = Case { authority: &[], ..proven };
        let of_log = || {
            let made = ClaimedEvidence::against_log(conflict, proven);
            made.or_else(|| ClaimedEvidence::against_log(conflict, bare))
        };
        let of_log = may_convict.then(of_log).flatten();
        if of_log.is_none() {
            self.hold_pair(conflict);
        }
        let of_cosigners = self.against_cosigners(std::slice::from_ref(conflict));
        self.convict_all(of_log.into_iter().chain(of_cosigners))
    }

    /// The evidence that contradictions give against cosigners that nothing is held against yet. It
    /// gets its bundles where it is kept.
    fn against_cosigners(&self, conflicts: &[Conflict]) -> Vec<ClaimedEvidence> {
        let case = Case { trust: &self.trust, authority: &[] };
        let fresh = self.cosigners.iter().filter(|key| self.against(key).is_none());
        let against = |key| {
            let mut conflicts = conflicts.iter();
            conflicts.find_map(|conflict| ClaimedEvidence::against_cosigner(conflict, key, case))
        };
        fresh.filter_map(against).collect()
    }

    fn convict_all(&mut self, made: impl IntoIterator<Item = ClaimedEvidence>) -> Vec<Event> {
        let convict = |evidence| self.convict(&evidence).unwrap_or_default();
        made.into_iter().flat_map(convict).collect()
    }

    /// Whether there is any use in making evidence against the log. Whoever has a retired key can
    /// sign any number of heads, and making evidence replays the governance: it must not be done
    /// for heads by a retired key and another, unless the retired key is known to have signed its
    /// own end.
    pub(crate) fn may_convict_log(&mut self, conflict: &Conflict) -> bool {
        let is_its = |own: &Origin| own.as_str() == conflict.origin();
        let Some((origin, known)) = self.logs.iter().find(|(own, _)| is_its(own)) else {
            return false;
        };
        let heads = conflict.heads();
        let has_line = |head: &ClaimedCheckpoint, key: &VerifierKey| {
            head.note().signatures().iter().any(|line| line.is_by(key))
        };
        let in_force =
            |head: &&ClaimedCheckpoint| known.keys.trusted().iter().any(|key| has_line(head, key));
        if heads.iter().all(in_force) {
            return true;
        }
        let lineage = self.lineages.get(origin);
        let Some(lineage) = lineage.filter(|own| !own.authority.is_empty()) else { return false };
        let proven = self.proven.entry(origin.clone());
        let proven = proven.or_insert_with(|| ProvenKeys::of(&lineage.authority));
        let falls = |key: &VerifierKey| {
            let signed: Vec<_> = heads.iter().filter(|head| has_line(head, key)).collect();
            let by_one = proven.holds(key) && signed.len() == heads.len();
            by_one || signed.iter().any(|head| proven.is_gone(key, head.checkpoint().head()))
        };
        known.retired.iter().any(falls)
    }

    /// Makes the evidence that the heads of a convicted log give against its cosigners.
    fn convict_cosigners(&mut self, origin: &Origin) -> Vec<Event> {
        let Some(known) = self.logs.get(origin) else { return Vec::new() };
        let made = self.against_cosigners(&known.convicting.conflicts());
        self.convict_all(made)
    }

    /// All keys of logs and cosigners, as messages name them.
    pub(super) fn known_keys(&self) -> impl Iterator<Item = (Hash, &VerifierKey)> {
        let of_logs = self.logs.values().flat_map(|known| {
            let convicted = known.keys.convicted().iter().map(|(key, _)| key);
            known.keys.trusted().iter().chain(convicted).chain(&known.retired)
        });
        of_logs.chain(&self.cosigners).map(|key| (culprit_hash(key), key))
    }

    /// One piece of evidence for each convicted key, with the key.
    pub(super) fn convictions(&self) -> impl Iterator<Item = (EvidenceId, &str, Hash)> {
        self.evidence.iter().flat_map(|(id, held)| {
            let culprit = held.conviction.culprit();
            culprit.keys().iter().map(|key| (*id, culprit.origin(), culprit_hash(key)))
        })
    }
}

/// The first of each list, then the second of each, and so on.
pub(super) fn by_rank<T>(lists: impl Iterator<Item = Vec<T>>) -> Vec<T> {
    let ranked = lists.flat_map(|list| list.into_iter().enumerate());
    let mut ranked: Vec<(usize, T)> = ranked.collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, item)| item).collect()
}

/// How messages name a convicted key.
pub(super) fn culprit_hash(key: &VerifierKey) -> Hash {
    Hash::digest(key.public().as_bytes())
}
