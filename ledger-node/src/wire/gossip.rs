//! The messages of gossip on the wire: `ledger.v1` types from and to core types.

use super::bytes::hash_bytes;
use bytes::Bytes;
use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::evidence::{ClaimedEvidence, EvidenceId, MAX_EVIDENCE_BYTES};
use ledger_core::gossip::{
    EvidenceRef, Exchange, LogLine, LogLineId, MAX_ANSWERS, MAX_GOSSIP_EVIDENCE_BYTES, MAX_HEADS,
    MAX_LINES, MAX_QUESTIONS, MAX_REFS, Message, Question, QuestionAnswer, RoundSalt, RoundSummary,
    UnreadEvidence,
};
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, PrefixProof, TreeHead};
use ledger_proto::v1::{self as wire, gossip_message::Message as Wire};

/// Bytes of the largest message: one evidence file, and what else a message holds.
pub const MAX_MESSAGE: usize = MAX_GOSSIP_EVIDENCE_BYTES + (2 << 20);

/// Bytes of the largest answer: a whole evidence file, which the caller asked for by its name.
pub const MAX_ANSWER: usize = MAX_EVIDENCE_BYTES + 1024;

/// A message that breaks the format: only a liar or another protocol sends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its message is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// What a peer answered.
#[derive(Debug)]
pub enum PeerReply {
    /// A message of the round.
    Message(Message),
    /// It may be asked again after so many milliseconds.
    Busy(u64),
}

/// A message for the wire.
pub fn to_wire(message: &Message) -> wire::GossipMessage {
    let message = match message {
        Message::Hello { salt, summary } => Wire::Hello(wire::GossipHello {
            salt: Bytes::copy_from_slice(&salt.0),
            summary: Bytes::copy_from_slice(&summary.0),
        }),
        Message::Same => Wire::Same(wire::GossipSame {}),
        Message::Lists { salt, lines } => Wire::Lists(wire::GossipLists {
            salt: Bytes::copy_from_slice(&salt.0),
            lines: lines.iter().flat_map(|line| [line.log.0, line.state]).flatten().collect(),
        }),
        Message::Exchange(told) => Wire::Exchange(exchange_to_wire(told)),
    };
    wire::GossipMessage { message: Some(message) }
}

fn exchange_to_wire(told: &Exchange) -> wire::GossipExchange {
    wire::GossipExchange {
        salt: Bytes::copy_from_slice(&told.salt.0),
        about: told.about.iter().flat_map(|log| log.0).collect(),
        heads: told.heads.iter().map(|head| head.to_string().into_bytes().into()).collect(),
        held: told.held.iter().map(ref_to_wire).collect(),
        wants: told.wants.iter().map(id_bytes).collect(),
        evidence: told.evidence.as_ref().map(|file| Bytes::copy_from_slice(file.as_bytes())),
        questions: told.questions.iter().map(question_to_wire).collect(),
        answers: told.answers.iter().map(answer_to_wire).collect(),
    }
}

fn ref_to_wire(held: &EvidenceRef) -> wire::GossipEvidence {
    wire::GossipEvidence { id: id_bytes(&held.id), culprit: hash_bytes(&held.culprit) }
}

fn question_to_wire(question: &Question) -> wire::GossipQuestion {
    wire::GossipQuestion {
        origin: question.origin.to_string(),
        smaller_size: question.smaller.size.get(),
        smaller_root: hash_bytes(&question.smaller.root),
        larger_size: question.larger.size.get(),
        larger_root: hash_bytes(&question.larger.root),
    }
}

fn answer_to_wire(answer: &QuestionAnswer) -> wire::GossipAnswer {
    wire::GossipAnswer {
        question: Some(question_to_wire(&answer.question)),
        root: hash_bytes(&answer.proof.root),
        proof: answer.proof.proof.hashes().iter().map(hash_bytes).collect(),
    }
}

/// Reads a message.
///
/// # Errors
/// [`Malformed`].
pub fn from_wire(message: wire::GossipMessage) -> Result<PeerReply, Malformed> {
    let message = match message.message.ok_or(Malformed("it is empty"))? {
        Wire::Hello(hello) => Message::Hello {
            salt: RoundSalt(array(&hello.salt)?),
            summary: RoundSummary(array(&hello.summary)?),
        },
        Wire::Same(wire::GossipSame {}) => Message::Same,
        Wire::Lists(lists) => {
            let salt = RoundSalt(array(&lists.salt)?);
            Message::Lists { salt, lines: lines(&lists.lines)? }
        }
        Wire::Exchange(told) => Message::Exchange(Box::new(exchange(told)?)),
        Wire::Busy(busy) => return Ok(PeerReply::Busy(busy.retry_after)),
    };
    Ok(PeerReply::Message(message))
}

fn exchange(told: wire::GossipExchange) -> Result<Exchange, Malformed> {
    let head = |bytes: &Bytes| {
        ClaimedCheckpoint::parse(bytes).map_err(|_| Malformed("a head is no checkpoint"))
    };
    check_counts(&told)?;
    // it is not read before its name says that it was asked for
    let evidence = |bytes: &Bytes| {
        UnreadEvidence::new(&bytes[..]).ok_or(Malformed("evidence over gossip has at most 4 MiB"))
    };
    Ok(Exchange {
        salt: RoundSalt(array(&told.salt)?),
        about: line_ids(&told.about)?,
        heads: told.heads.iter().map(head).collect::<Result<_, _>>()?,
        held: told.held.iter().map(reference).collect::<Result<_, _>>()?,
        wants: told.wants.iter().map(evidence_id).collect::<Result<_, _>>()?,
        evidence: told.evidence.as_ref().map(evidence).transpose()?,
        questions: told.questions.iter().map(question).collect::<Result<_, _>>()?,
        answers: told.answers.iter().map(answer).collect::<Result<_, _>>()?,
    })
}

/// Refuses lists that no node makes, before anything in them is read.
fn check_counts(told: &wire::GossipExchange) -> Result<(), Malformed> {
    let fits = told.about.len() <= MAX_LINES * 8
        && told.heads.len() <= MAX_HEADS
        && told.held.len() <= MAX_REFS
        && told.wants.len() <= MAX_REFS
        && told.questions.len() <= MAX_QUESTIONS
        && told.answers.len() <= MAX_ANSWERS;
    if fits { Ok(()) } else { Err(Malformed("it tells more than one message holds")) }
}

fn lines(bytes: &[u8]) -> Result<Vec<LogLine>, Malformed> {
    if bytes.len() > MAX_LINES * 16 {
        return Err(Malformed("it has lines of more logs than one message holds"));
    }
    let (lines, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Malformed("a line is cut off"));
    }
    let line = |line: &[u8; 16]| {
        let (log, state) = line.split_at(8);
        Ok(LogLine { log: LogLineId(array(log)?), state: array(state)? })
    };
    lines.iter().map(line).collect()
}

fn line_ids(bytes: &[u8]) -> Result<Vec<LogLineId>, Malformed> {
    let (ids, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() {
        Ok(ids.iter().map(|id| LogLineId(*id)).collect())
    } else {
        Err(Malformed("the name of a log is cut off"))
    }
}

fn reference(held: &wire::GossipEvidence) -> Result<EvidenceRef, Malformed> {
    Ok(EvidenceRef { id: evidence_id(&held.id)?, culprit: hash(&held.culprit)? })
}

pub fn evidence_id(bytes: &Bytes) -> Result<EvidenceId, Malformed> {
    Ok(EvidenceId::from_hash(hash(bytes)?))
}

fn question(asked: &wire::GossipQuestion) -> Result<Question, Malformed> {
    let size = |size| TreeSize::new(size).map_err(|_| Malformed("no tree is as large"));
    Ok(Question {
        origin: Origin::new(&asked.origin).map_err(|_| Malformed("no log has such a name"))?,
        smaller: TreeHead { size: size(asked.smaller_size)?, root: hash(&asked.smaller_root)? },
        larger: TreeHead { size: size(asked.larger_size)?, root: hash(&asked.larger_root)? },
    })
}

fn answer(shown: &wire::GossipAnswer) -> Result<QuestionAnswer, Malformed> {
    let asked = shown.question.as_ref().ok_or(Malformed("an answer answers nothing"))?;
    let hashes: Result<Vec<Hash>, Malformed> =
        shown.proof.iter().map(|bytes| hash(bytes)).collect();
    let proof = ConsistencyProof::new(hashes?).map_err(|_| Malformed("a proof is too long"))?;
    let prefix = PrefixProof { root: hash(&shown.root)?, proof };
    Ok(QuestionAnswer { question: question(asked)?, proof: prefix })
}

fn hash(bytes: &[u8]) -> Result<Hash, Malformed> {
    array(bytes).map(Hash::from_bytes)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a field has the wrong length"))
}

pub fn id_bytes(id: &EvidenceId) -> Bytes {
    hash_bytes(id.as_hash())
}

pub fn busy(retry_after: u64) -> wire::GossipMessage {
    wire::GossipMessage { message: Some(Wire::Busy(wire::GossipBusy { retry_after })) }
}

pub fn summary(evidence: &ClaimedEvidence) -> wire::EvidenceSummary {
    wire::EvidenceSummary {
        id: id_bytes(&evidence.id()),
        kind: evidence.kind().to_owned(),
        origin: evidence.origin().to_owned(),
        size: evidence.as_str().len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn round_trip(message: Message) {
        match from_wire(to_wire(&message)) {
            Ok(PeerReply::Message(read)) => assert_eq!(read, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_survive_the_wire() {
        let salt = RoundSalt([7; 16]);
        round_trip(Message::Same);
        round_trip(Message::Hello { salt, summary: RoundSummary([8; 16]) });
        let line = |n: u8| LogLine { log: LogLineId([n; 8]), state: [n + 1; 8] };
        round_trip(Message::Lists { salt, lines: vec![line(1), line(3)] });
        let head = TreeHead { size: TreeSize::new(5).expect("small"), root: Hash::leaf(b"x") };
        let origin = Origin::new("log.example").expect("origin");
        let question = Question { origin, smaller: head, larger: head };
        let proof = ConsistencyProof::new(vec![Hash::leaf(b"y"); 3]).expect("short");
        let prefix = PrefixProof { root: Hash::leaf(b"z"), proof };
        round_trip(Message::Exchange(Box::new(Exchange {
            salt,
            about: vec![LogLineId([1; 8]), LogLineId([2; 8])],
            heads: vec![],
            held: vec![EvidenceRef {
                id: EvidenceId::from_hash(Hash::leaf(b"id")),
                culprit: Hash::leaf(b"key"),
            }],
            wants: vec![EvidenceId::from_hash(Hash::leaf(b"other"))],
            evidence: None,
            questions: vec![question.clone()],
            answers: vec![QuestionAnswer { question, proof: prefix }],
        })));
    }

    #[test]
    fn a_round_about_twenty_logs_with_nothing_new_costs_less_than_a_kibibyte() {
        let salt = RoundSalt([7; 16]);
        let lines = vec![LogLine { log: LogLineId([1; 8]), state: [2; 8] }; 20];
        let hello = to_wire(&Message::Hello { salt, summary: RoundSummary([8; 16]) });
        let lists = to_wire(&Message::Lists { salt, lines });
        let same = to_wire(&Message::Same);
        assert!(hello.encoded_len() + same.encoded_len() < 64);
        // also between nodes that know different logs
        assert!(hello.encoded_len() + lists.encoded_len() < 512);
    }

    #[test]
    fn malformed_messages_say_what_is_wrong() {
        let of = |message| from_wire(wire::GossipMessage { message }).map(|_| ()).expect_err("bad");
        of(None);
        of(Some(Wire::Hello(wire::GossipHello::default())));
        let salt = Bytes::from_static(&[1; 16]);
        let lines = Bytes::from_static(&[1; 17]);
        of(Some(Wire::Lists(wire::GossipLists { salt: salt.clone(), lines })));
        let told = wire::GossipExchange { salt, ..wire::GossipExchange::default() };
        assert!(exchange(told.clone()).is_ok());
        // whether it is evidence is seen when it is known to have been asked for
        let evidence = Some(Bytes::from_static(b"{}"));
        assert!(exchange(wire::GossipExchange { evidence, ..told.clone() }).is_ok());
        for bad in [
            wire::GossipExchange { about: Bytes::from_static(&[1; 9]), ..told.clone() },
            wire::GossipExchange { heads: vec![Bytes::from_static(b"x")], ..told.clone() },
            wire::GossipExchange { wants: vec![Bytes::from_static(b"x")], ..told.clone() },
            wire::GossipExchange { about: vec![1; 8 * (MAX_LINES + 1)].into(), ..told.clone() },
            wire::GossipExchange { wants: vec![Bytes::new(); MAX_REFS + 1], ..told.clone() },
            wire::GossipExchange {
                evidence: Some(vec![b' '; MAX_GOSSIP_EVIDENCE_BYTES + 1].into()),
                ..told.clone()
            },
            wire::GossipExchange { answers: vec![wire::GossipAnswer::default()], ..told },
        ] {
            of(Some(Wire::Exchange(bad)));
        }
    }
}
