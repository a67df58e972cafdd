//! The messages of a round: what a view says, and what it makes of what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::EvidenceId;
use crate::hash::Hash;
use crate::index::TreeSize;
use crate::merkle::{PrefixProof, TreeHead};
use crate::note::VerifierKey;

use super::PeerBudget;
use super::log_state::{LogState, push_bounded};
use super::message::{
    EvidenceRef, Exchange, LogLine, LogLineId, MAX_ANSWERS, MAX_HEAD_BYTES, MAX_HEADS, MAX_LINES,
    MAX_QUESTIONS, MAX_REFS, Message, QuestionAnswer, RoundSalt, RoundSummary, UnreadEvidence,
    can_carry, evidence_units,
};
use super::view::{View, by_rank, culprit_hash};
use super::vocabulary::{Event, FalseSignature, HeadSource, PeerFault, Question};
use super::{MAX_LEGS, MAX_TALK, Moment};

/// Evidence that was asked for and judged, remembered so that it is not asked for again: what
/// convicted nobody who is known, or somebody else than whom a peer named.
const MAX_JUDGED: usize = 256;

/// Evidence that one peer is asked for in answers: whoever answers has to remember it.
const MAX_WANTED: usize = 16;

/// What a head costs, in units of about one signature check, that has to be settled.
const OPEN_UNITS: usize = 16;

/// What a line of a known key costs that is false: it was checked, and should not have been sent.
const FAILED_UNITS: usize = 16;

/// False lines in one message after which its further heads are passed over.
const MAX_FAILED: usize = 64;

/// Work of one message after which its further heads are passed over, in signatures over a short
/// text: about a tenth of a second. They come again in a later round.
const MAX_WORK: usize = 2_048;

/// Seconds of a step in which a head's newest cosignature is counted: a quiet log's cosignatures
/// travel when they are newer by a step, long before anybody calls the log stale, and not in every
/// round.
const FRESH_S: u64 = 900;

/// The trees that a node holds itself: those of its own log and of its mirrors.
pub trait PrefixProver {
    /// What the tree of `larger` was at a smaller size; `None` if it is not held here.
    fn prove_prefix(
        &mut self,
        origin: &Origin,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<PrefixProof>;
}

/// A round that this node began, from its side.
#[derive(Debug)]
pub struct Round {
    salt: RoundSalt,
    legs: usize,
    /// The evidence that the peer was asked for and has not sent yet, as it named it.
    asked: Vec<EvidenceRef>,
    /// The evidence that the peer asked for and was not sent yet.
    owed: VecDeque<EvidenceId>,
}

/// What a message led to.
#[derive(Debug)]
pub struct RoundStep {
    /// What to send back; the asker's round is over when there is nothing.
    pub reply: Option<Message>,
    /// What followed. Evidence among it is to be kept before the reply is sent.
    pub events: Vec<Event>,
    /// What the peer did that no honest node does; what it said up to there was taken.
    pub fault: Option<PeerFault>,
    /// What it may have made up; nothing was taken of it.
    pub doubt: Option<FalseSignature>,
    /// How many lines are so.
    failed: usize,
    /// What checking lines took, in signatures over a short text.
    pub(super) work: usize,
}

impl Round {
    /// Begins a round with this salt, which must be fresh and random.
    pub fn begin(view: &View, salt: RoundSalt) -> (Round, Message) {
        let hello = Message::Hello { salt, summary: view.summary(salt) };
        (Round { salt, legs: 1, asked: Vec::new(), owed: VecDeque::new() }, hello)
    }

    /// Takes the peer's reply. Nothing to send means that the round is over.
    pub fn take(
        &mut self,
        view: &mut View,
        message: Message,
        trees: &mut dyn PrefixProver,
    ) -> RoundStep {
        self.legs += 1;
        let carried = message.evidence().is_some();
        let mut step = match message {
            Message::Same => RoundStep::nothing(),
            Message::Lists { salt, lines } if salt == self.salt && self.legs == 2 => {
                view.compare(salt, &lines)
            }
            Message::Exchange(exchange) if exchange.salt == self.salt && self.legs > 2 => {
                self.exchange(view, *exchange, trees)
            }
            _ => RoundStep::fault(PeerFault::OutOfTurn),
        };
        let carries = step.reply.as_ref().is_some_and(|reply| reply.evidence().is_some());
        // whoever only talks has said by now what there is to say
        if self.legs > if carried || carries { MAX_LEGS } else { MAX_TALK } {
            step.reply = None;
        }
        step
    }

    fn exchange(
        &mut self,
        view: &mut View,
        exchange: Exchange,
        trees: &mut dyn PrefixProver,
    ) -> RoundStep {
        let sent = exchange.evidence.as_ref().map(UnreadEvidence::id);
        if sent.is_some_and(|id| self.asked.iter().all(|own| own.id != id)) {
            return RoundStep::fault(PeerFault::Unasked);
        }
        let (held, wants) = (exchange.held.clone(), exchange.wants.clone());
        let mut step = view.exchange(exchange, (HeadSource::Fetched, &self.asked), trees);
        if step.fault.is_none() {
            self.owed.extend(wants);
            // whoever sends none of it has none
            self.asked.retain(|own| sent.is_some() && Some(own.id) != sent);
            self.asked.extend(held);
            step.reply = self.go_on(view, step.reply.take());
        }
        step
    }

    /// Adds what is still to be asked for and to be sent: a message holds one piece of evidence.
    fn go_on(&mut self, view: &View, reply: Option<Message>) -> Option<Message> {
        let mut reply = match reply {
            Some(Message::Exchange(reply)) => reply,
            _ => Box::new(Exchange::new(self.salt)),
        };
        reply.wants = view.wanted(&self.asked);
        self.asked.retain(|own| reply.wants.contains(&own.id));
        while reply.evidence.is_none()
            && let Some(id) = self.owed.pop_front()
        {
            reply.evidence = view.evidence_of(id);
        }
        Some(reply).filter(|reply| !reply.is_empty()).map(Message::Exchange)
    }
}

impl RoundStep {
    /// What it costs, in units of about one signature check, besides looking at the message: heads
    /// have to be settled, and evidence has to be carried.
    pub fn charge(&self) -> u32 {
        let opened = self.events.iter().filter(|event| matches!(event, Event::Opened(_))).count();
        let carried = self.reply.as_ref().and_then(Message::evidence).map_or(0, evidence_units);
        let units = opened * OPEN_UNITS + carried + self.failed * FAILED_UNITS;
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    fn nothing() -> RoundStep {
        RoundStep { reply: None, events: Vec::new(), fault: None, doubt: None, failed: 0, work: 0 }
    }

    fn fault(fault: PeerFault) -> RoundStep {
        RoundStep { fault: Some(fault), ..RoundStep::nothing() }
    }
}

impl Message {
    /// The evidence that it carries.
    fn evidence(&self) -> Option<&UnreadEvidence> {
        match self {
            Message::Exchange(exchange) => exchange.evidence.as_ref(),
            _ => None,
        }
    }

    /// Takes the units that looking at the message costs from the peer's.
    ///
    /// # Errors
    /// When the peer may try again.
    pub fn try_spend(&self, conduct: &mut PeerBudget, now: Moment) -> Result<(), Moment> {
        let units = match self {
            Message::Hello { .. } | Message::Same => 0,
            Message::Lists { lines, .. } => u32::try_from(lines.len() / 16).unwrap_or(u32::MAX),
            Message::Exchange(exchange) => exchange.cost(),
        };
        conduct.try_spend(now, units)
    }
}

impl View {
    /// Answers a message of a round that a peer began. `wanted` is the evidence that this peer was
    /// asked for in answers before: other evidence of it is not judged. The caller keeps it for
    /// each peer by itself, as far as it can tell them apart, so that nobody makes a node forget
    /// what it asked of another.
    pub fn answer(
        &mut self,
        message: Message,
        wanted: &mut Vec<EvidenceRef>,
        trees: &mut dyn PrefixProver,
    ) -> RoundStep {
        match message {
            Message::Hello { salt, summary } => {
                let same = summary == self.summary(salt);
                let lists = || Message::Lists { salt, lines: self.lines(salt) };
                let reply = if same { Message::Same } else { lists() };
                RoundStep { reply: Some(reply), ..RoundStep::nothing() }
            }
            Message::Exchange(exchange) => {
                let (salt, held, wants) =
                    (exchange.salt, exchange.held.clone(), exchange.wants.clone());
                let sent = exchange.evidence.as_ref().map(UnreadEvidence::id);
                let mut step = self.exchange(*exchange, (HeadSource::Pushed, wanted), trees);
                wanted.retain(|own| Some(own.id) != sent);
                let may_go_on = step.fault.is_none();
                // the asker waits for an answer, even where there is nothing to say
                let nothing = || Message::Exchange(Box::new(Exchange::new(salt)));
                if let Message::Exchange(reply) = step.reply.get_or_insert_with(nothing)
                    && may_go_on
                {
                    reply.wants = self.wanted(&held);
                    reply.wants.truncate(MAX_WANTED);
                    reply.evidence = wants.iter().find_map(|id| self.evidence_of(*id));
                    let asked = held.into_iter().filter(|own| reply.wants.contains(&own.id));
                    wanted.extend(asked);
                    keep_newest(wanted);
                }
                step
            }
            Message::Same | Message::Lists { .. } => RoundStep::fault(PeerFault::OutOfTurn),
        }
    }

    /// Settles what the trees held here can settle.
    pub fn resolve_with(&mut self, trees: &mut dyn PrefixProver) -> Vec<Event> {
        let mut events = Vec::new();
        for question in self.questions() {
            if let Some(QuestionAnswer { question, proof: prefix }) = self.prove(question, trees) {
                // a tree of our own that is not what it should be answers nothing
                events.extend(self.resolve(&question, &prefix).unwrap_or_default());
            }
        }
        events
    }

    fn summary(&self, salt: RoundSalt) -> RoundSummary {
        let lines = self.lines(salt).into_iter().flat_map(|line| [line.log.0, line.state]);
        let bytes: Vec<u8> = salt.0.into_iter().chain(lines.flatten()).collect();
        RoundSummary(*Hash::digest(&bytes).as_bytes().first_chunk().expect("32 bytes"))
    }

    fn lines(&self, salt: RoundSalt) -> Vec<LogLine> {
        let of = |(origin, known)| self.line(salt, origin, known);
        let mut lines: Vec<LogLine> = self.logs.iter().take(MAX_LINES).map(of).collect();
        lines.sort_unstable_by_key(|line| line.log);
        lines
    }

    fn line(&self, salt: RoundSalt, origin: &Origin, known: &LogState) -> LogLine {
        let mut heads: Vec<Vec<u8>> = known.shared_heads().map(head_bytes).collect();
        heads.sort_unstable();
        let mut fallen: Vec<Hash> =
            self.carried_convictions(origin).map(|(_, culprit)| culprit).collect();
        fallen.sort_unstable();
        fallen.dedup();
        let mut bytes = [salt.0.as_slice(), origin.as_str().as_bytes(), b"\n"].concat();
        bytes.extend((heads.len() as u64).to_be_bytes());
        bytes.extend(heads.concat());
        fallen.iter().for_each(|hash| bytes.extend(hash.as_bytes()));
        let state = *Hash::digest(&bytes).as_bytes().first_chunk().expect("32 bytes");
        LogLine { log: salt.line_id(origin), state }
    }

    /// The asker's first exchange: all that it knows of the logs whose lines differ.
    fn compare(&self, salt: RoundSalt, lines: &[LogLine]) -> RoundStep {
        if lines.len() > MAX_LINES {
            return RoundStep::fault(PeerFault::TooMuch);
        }
        let theirs: BTreeMap<LogLineId, [u8; 8]> =
            lines.iter().map(|line| (line.log, line.state)).collect();
        let differs = |line: &LogLine| theirs.get(&line.log).is_some_and(|own| *own != line.state);
        let about: Vec<LogLineId> =
            self.lines(salt).into_iter().filter(differs).map(|line| line.log).collect();
        if about.is_empty() {
            return RoundStep::nothing();
        }
        let mut exchange = Exchange::new(salt);
        self.describe(&mut exchange, &about, &[], &[]);
        exchange.about = about;
        RoundStep { reply: Some(Message::Exchange(Box::new(exchange))), ..RoundStep::nothing() }
    }

    /// Adds what is known of these logs and was not said by the other side.
    ///
    /// Where not all of it has room, each log has as much as the others, and which log comes first
    /// is another in each round: nobody's heads keep another's out.
    fn describe(
        &self,
        exchange: &mut Exchange,
        about: &[LogLineId],
        heads: &[ClaimedCheckpoint],
        held: &[EvidenceRef],
    ) {
        let salted = |(origin, known)| (exchange.salt.line_id(origin), (origin, known));
        let logs: BTreeMap<LogLineId, (&Origin, &LogState)> =
            self.logs.iter().map(salted).filter(|(id, _)| about.contains(id)).collect();
        let new = |known: &LogState| {
            let own = known.shared_heads().map(|seen| seen.checkpoint());
            own.filter(|own| !heads.contains(own)).cloned().collect()
        };
        let mut bytes = 0;
        for head in by_rank(logs.values().map(|(_, known)| new(known))) {
            if exchange.heads.len() < MAX_HEADS && bytes < MAX_HEAD_BYTES {
                bytes += head.note().text().len();
                exchange.heads.push(head);
            }
        }
        for (origin, _) in logs.values() {
            let of_log = self.carried_convictions(origin);
            let refs = of_log.map(|(id, culprit)| EvidenceRef { id, culprit });
            let new = refs.filter(|own| held.iter().all(|other| other.culprit != own.culprit));
            exchange.held.extend(new.take(MAX_REFS - exchange.held.len()));
        }
        let asked = by_rank(logs.values().map(|(origin, known)| known.questions(origin)));
        exchange.questions.extend(asked.into_iter().take(MAX_QUESTIONS - exchange.questions.len()));
    }

    /// Takes what the other side told, and says what it may want to know, evidence aside. `asked`
    /// is the evidence that it was asked for.
    fn exchange(
        &mut self,
        exchange: Exchange,
        (from, asked): (HeadSource, &[EvidenceRef]),
        trees: &mut dyn PrefixProver,
    ) -> RoundStep {
        if !exchange.fits() {
            return RoundStep::fault(PeerFault::TooMuch);
        }
        let step = self.take(&exchange, from, asked);
        if step.fault.is_some() {
            return step;
        }
        let mut reply = Exchange::new(exchange.salt);
        self.describe(&mut reply, &exchange.about, &exchange.heads, &exchange.held);
        let answers = exchange.questions.into_iter().filter_map(|asked| self.prove(asked, trees));
        reply.answers = answers.take(MAX_ANSWERS).collect();
        let reply = Some(Box::new(reply)).filter(|reply| !reply.is_empty()).map(Message::Exchange);
        RoundStep { reply, ..step }
    }

    /// Takes evidence, heads and answers, up to the first that no honest node sends. Replies
    /// nothing.
    fn take(&mut self, exchange: &Exchange, from: HeadSource, asked: &[EvidenceRef]) -> RoundStep {
        let mut step = RoundStep::nothing();
        if let Some(evidence) = &exchange.evidence {
            let (events, fault) = self.judge(evidence, asked);
            (step.events, step.fault) = (events, fault);
        }
        if step.fault.is_some() {
            return step;
        }
        for head in &exchange.heads {
            if step.failed >= MAX_FAILED || step.work >= MAX_WORK {
                break;
            }
            let listened = self.observe_head(head, from);
            step.work += listened.work;
            step.events.extend(listened.events);
            step.doubt = step.doubt.or(listened.doubt);
            step.failed += listened.failed;
        }
        for answer in &exchange.answers {
            match self.resolve(&answer.question, &answer.proof) {
                Ok(events) => step.events.extend(events),
                Err(fault) => return RoundStep { fault: Some(fault), ..step },
            }
        }
        step
    }

    /// Reads and judges evidence, if it was asked for, in this round or in an answer: that is what
    /// costs a node most. By its bytes alone it is known whether it was.
    ///
    /// What convicts nobody here may convict somebody for a judge who knows more keys. It is a
    /// fault where no judge could take it for evidence, or where whom the peer named has signed
    /// nothing of it.
    fn judge(
        &mut self,
        evidence: &UnreadEvidence,
        asked: &[EvidenceRef],
    ) -> (Vec<Event>, Option<PeerFault>) {
        let id = evidence.id();
        if asked.iter().all(|own| own.id != id) {
            return (Vec::new(), None);
        }
        push_bounded(&mut self.judged, id, MAX_JUDGED);
        let Ok(evidence) = &evidence.read() else {
            return (Vec::new(), Some(PeerFault::FalseEvidence(id)));
        };
        let named: Vec<Hash> =
            asked.iter().filter(|own| own.id == id).map(|own| own.culprit).collect();
        match self.verify(evidence) {
            Ok(conviction) => {
                let mut keys = conviction.culprit().keys().iter();
                let is_true = keys.any(|key| named.contains(&culprit_hash(key)));
                let events = self.convicted(evidence, conviction);
                (events, (!is_true).then_some(PeerFault::FalseEvidence(id)))
            }
            Err(error) => {
                let framed = |(culprit, key): (Hash, &VerifierKey)| {
                    named.contains(&culprit).then(|| !evidence.is_signed_with(&key.public()))
                };
                let mut framed = self.known_keys().filter_map(framed).peekable();
                let is_false = !error.depends_on_judge()
                    || framed.peek().is_some() && framed.all(|framed| framed);
                drop(framed);
                (Vec::new(), is_false.then_some(PeerFault::FalseEvidence(id)))
            }
        }
    }

    /// Which of the evidence that the other side holds convicts somebody new, of those who are
    /// known here; what convicts logs comes first.
    fn wanted(&self, held: &[EvidenceRef]) -> Vec<EvidenceId> {
        let fallen: BTreeSet<Hash> = self.convictions().map(|(_, _, culprit)| culprit).collect();
        // logs come first, so that their places are the smaller ones
        let mut known: BTreeMap<Hash, usize> = BTreeMap::new();
        for (place, (culprit, _)) in self.known_keys().enumerate() {
            known.entry(culprit).or_insert(place);
        }
        let new = held.iter().filter(|other| !fallen.contains(&other.culprit));
        let new = new.filter(|other| !self.judged.contains(&other.id));
        let placed = |other: &EvidenceRef| Some((*known.get(&other.culprit)?, other.id));
        let wanted: BTreeSet<(usize, EvidenceId)> = new.filter_map(placed).collect();
        let mut once = BTreeSet::new();
        wanted.into_iter().map(|(_, id)| id).filter(|id| once.insert(*id)).collect()
    }

    fn evidence_of(&self, id: EvidenceId) -> Option<UnreadEvidence> {
        UnreadEvidence::of(&self.evidence.get(&id)?.evidence)
    }

    /// The evidence of a log that messages can carry, with the key that each convicts.
    fn carried_convictions(&self, origin: &Origin) -> impl Iterator<Item = (EvidenceId, Hash)> {
        let of_log = self.convictions().filter(move |of| of.1 == origin.as_str());
        of_log
            .filter(|(id, _, _)| {
                self.evidence.get(id).is_some_and(|held| can_carry(&held.evidence))
            })
            .map(|(id, _, culprit)| (id, culprit))
    }

    /// What is known here about another's question.
    fn prove(&self, question: Question, trees: &mut dyn PrefixProver) -> Option<QuestionAnswer> {
        let known = self.logs.get(&question.origin)?;
        let Question { origin, smaller, larger } = &question;
        let remembered = known.remembered(&question).cloned();
        let prefix = remembered.or_else(|| trees.prove_prefix(origin, smaller.size, larger))?;
        Some(QuestionAnswer { question, proof: prefix })
    }
}

/// Keeps what names the evidence that was asked for last.
fn keep_newest(wanted: &mut Vec<EvidenceRef>) {
    let mut ids: Vec<EvidenceId> = Vec::new();
    for own in wanted.iter().rev() {
        if !ids.contains(&own.id) && ids.len() < MAX_WANTED {
            ids.push(own.id);
        }
    }
    wanted.retain(|own| ids.contains(&own.id));
    wanted.truncate(MAX_REFS);
}

fn head_bytes(seen: &super::verified_head::VerifiedHead) -> Vec<u8> {
    let head = seen.head();
    let mut bytes = [head.size.get().to_be_bytes().as_slice(), head.root.as_bytes()].concat();
    let ids = seen.cosigner_ids();
    bytes.extend((ids.len() as u64).to_be_bytes());
    ids.iter().for_each(|id| bytes.extend(id.as_bytes()));
    bytes.extend((seen.newest().unwrap_or(0) / FRESH_S).to_be_bytes());
    bytes
}
