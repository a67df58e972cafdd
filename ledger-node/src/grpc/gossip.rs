//! Gossip over gRPC: messages to core types and back, and what the node shows of what it knows.

use bytes::Bytes;
use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::evidence::{ClaimedEvidence, EvidenceId, MAX_EVIDENCE_BYTES};
use ledger_core::gossip::{
    Answer, Conduct, EvidenceRef, Exchange, Line, LineId, MAX_ANSWERS, MAX_GOSSIP_EVIDENCE_BYTES,
    MAX_HEADS, MAX_LINES, MAX_QUESTIONS, MAX_REFS, Message, Question, Salt, Standing, Summary,
    UnreadEvidence,
};
use ledger_core::hash::Hash;
use ledger_core::merkle::{Beginning, ConsistencyProof, TreeHead};
use ledger_proto::v1::{self as wire, gossip_message::Message as Wire, gossip_server};
use prost::Message as _;
use tonic::{Code, Request, Response, Status};

use super::answers::{Answers, Waiting};
use super::weighed::Place;
use super::{Face, Failure, hash_bytes};
use crate::gossip::Told;
use crate::gossip::peers::Sender;
use crate::transport::Caller;

/// Bytes of the largest message: one evidence file, and what else a message holds.
pub const MAX_MESSAGE: usize = MAX_GOSSIP_EVIDENCE_BYTES + (2 << 20);

/// Bytes of the largest answer: a whole evidence file, which the caller asked for by its name.
pub const MAX_ANSWER: usize = MAX_EVIDENCE_BYTES + 1024;

/// Evidence of one listing that waits for a slow reader.
const LISTED_AHEAD: usize = 16;

/// A message that breaks the format: only a liar or another protocol sends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its message is malformed: {0}")]
pub struct Malformed(&'static str);

/// What a peer answered.
#[derive(Debug)]
pub enum Reply {
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

fn answer_to_wire(answer: &Answer) -> wire::GossipAnswer {
    wire::GossipAnswer {
        question: Some(question_to_wire(&answer.question)),
        root: hash_bytes(&answer.beginning.root),
        proof: answer.beginning.proof.hashes().iter().map(hash_bytes).collect(),
    }
}

/// Reads a message.
///
/// # Errors
/// [`Malformed`].
pub fn from_wire(message: wire::GossipMessage) -> Result<Reply, Malformed> {
    let message = match message.message.ok_or(Malformed("it is empty"))? {
        Wire::Hello(hello) => Message::Hello {
            salt: Salt(array(&hello.salt)?),
            summary: Summary(array(&hello.summary)?),
        },
        Wire::Same(wire::GossipSame {}) => Message::Same,
        Wire::Lists(lists) => {
            let salt = Salt(array(&lists.salt)?);
            Message::Lists { salt, lines: lines(&lists.lines)? }
        }
        Wire::Exchange(told) => Message::Exchange(Box::new(exchange(told)?)),
        Wire::Busy(busy) => return Ok(Reply::Busy(busy.retry_after)),
    };
    Ok(Reply::Message(message))
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
        salt: Salt(array(&told.salt)?),
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

fn lines(bytes: &[u8]) -> Result<Vec<Line>, Malformed> {
    if bytes.len() > MAX_LINES * 16 {
        return Err(Malformed("it has lines of more logs than one message holds"));
    }
    let (lines, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Malformed("a line is cut off"));
    }
    let line = |line: &[u8; 16]| {
        let (log, state) = line.split_at(8);
        Ok(Line { log: LineId(array(log)?), state: array(state)? })
    };
    lines.iter().map(line).collect()
}

fn line_ids(bytes: &[u8]) -> Result<Vec<LineId>, Malformed> {
    let (ids, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() {
        Ok(ids.iter().map(|id| LineId(*id)).collect())
    } else {
        Err(Malformed("the name of a log is cut off"))
    }
}

fn reference(held: &wire::GossipEvidence) -> Result<EvidenceRef, Malformed> {
    Ok(EvidenceRef { id: evidence_id(&held.id)?, culprit: hash(&held.culprit)? })
}

fn evidence_id(bytes: &Bytes) -> Result<EvidenceId, Malformed> {
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

fn answer(shown: &wire::GossipAnswer) -> Result<Answer, Malformed> {
    let asked = shown.question.as_ref().ok_or(Malformed("an answer answers nothing"))?;
    let hashes: Result<Vec<Hash>, Malformed> =
        shown.proof.iter().map(|bytes| hash(bytes)).collect();
    let proof = ConsistencyProof::new(hashes?).map_err(|_| Malformed("a proof is too long"))?;
    let beginning = Beginning { root: hash(&shown.root)?, proof };
    Ok(Answer { question: question(asked)?, beginning })
}

fn hash(bytes: &[u8]) -> Result<Hash, Malformed> {
    array(bytes).map(Hash::from_bytes)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a field has the wrong length"))
}

fn id_bytes(id: &EvidenceId) -> Bytes {
    hash_bytes(id.as_hash())
}

fn busy(retry_after: u64) -> wire::GossipMessage {
    wire::GossipMessage { message: Some(Wire::Busy(wire::GossipBusy { retry_after })) }
}

fn summary(evidence: &ClaimedEvidence) -> wire::EvidenceSummary {
    wire::EvidenceSummary {
        id: id_bytes(&evidence.id()),
        kind: evidence.kind().to_owned(),
        origin: evidence.origin().to_owned(),
        size: evidence.as_str().len() as u64,
    }
}

#[tonic::async_trait]
impl gossip_server::Gossip for Face {
    async fn tell(
        &self,
        request: Request<wire::GossipMessage>,
    ) -> Result<Response<wire::GossipMessage>, Status> {
        let from = self.service.gossip.sender(request.extensions().get::<Caller>().copied());
        if self.service.known_nodes_only && !matches!(from, Sender::Node(_)) {
            let why = "this node answers only nodes that show a key which its charter names";
            let hint = "name your node_key below [tls], and have a membership record add it, or its operator put it into `peers`";
            return Err(Failure::new(Code::PermissionDenied, why, hint).into());
        }
        let gossip = std::sync::Arc::clone(&self.service.gossip);
        let place = request.extensions().get::<Place>().cloned();
        let message = request.into_inner();
        #[cfg(feature = "misbehave")]
        if let Some(answer) = crate::misbehave::answer(&message) {
            return Ok(Response::new(answer));
        }
        let received = message.encoded_len();
        // nothing in it is looked at before
        if let Err(after) = gossip.listens(&from, received) {
            let answer = busy(after);
            gossip.count_bytes(received, answer.encoded_len());
            return Ok(Response::new(answer));
        }
        let turn = gossip.turn().await;
        // signatures are checked and evidence is kept: nothing for the runtime's threads
        let told = tokio::task::spawn_blocking(move || {
            // it counts as long as it is there, also when whoever sent it has gone
            let _held = (place, turn);
            match from_wire(message) {
                Ok(Reply::Message(message)) => gossip.answer(&from, message),
                Ok(Reply::Busy(_)) => gossip.turn_away(&from, &Malformed("askers are never busy")),
                Err(malformed) => gossip.turn_away(&from, &malformed),
            }
        });
        let told = told.await;
        let told = told.map_err(|e| Failure::new(Code::Internal, e, "tell the operator"))?;
        let answer = match told {
            Told::Answer(message) => to_wire(&message),
            Told::Busy(after) => busy(after),
        };
        self.service.gossip.count_bytes(received, answer.encoded_len());
        Ok(Response::new(answer))
    }

    async fn get_gossip(
        &self,
        _: Request<wire::GetGossipRequest>,
    ) -> Result<Response<wire::GetGossipResponse>, Status> {
        let status = self.service.gossip.status();
        let after = |conduct: &Conduct| conduct.due_at().0.saturating_sub(status.now.0);
        let peers = status.peers.iter().map(|peer| wire::GossipPeer {
            url: peer.url.clone(),
            met_at: peer.met.map(|(at, _)| at),
            took_us: peer.met.map(|(_, took)| took),
            failures: peer.conduct.failures(),
            faults: peer.conduct.faults(),
            trouble: peer.trouble.clone().or(peer.doubt.clone()).unwrap_or_default(),
            retry_after: after(&peer.conduct),
            limited: peer.conduct.is_limited(status.now),
        });
        let limited = status.limited.iter().map(|(caller, asker)| wire::GossipLimited {
            caller: caller.clone(),
            faults: asker.conduct.faults(),
            trouble: asker.why(status.now),
            retry_after: after(&asker.conduct),
        });
        let logs = status.logs.iter().map(|log| {
            let evidence = match &log.standing {
                Standing::Convicted(id) => id.to_string(),
                _ => String::new(),
            };
            let note = |head: &ClaimedCheckpoint| Bytes::from(head.to_string().into_bytes());
            let open = log.open.iter();
            wire::GossipLog {
                origin: log.origin.to_string(),
                adopted: log.adopted.as_ref().map(note),
                cosigned_at: log.cosigned_at,
                open: open
                    .map(|(h, alarm)| wire::GossipOpen { head: note(h), alarm: *alarm })
                    .collect(),
                standing: self.service.gossip.state(log).word().to_owned(),
                evidence,
            }
        });
        let convictions = status.convictions.iter().map(|(id, conviction)| {
            let culprit = conviction.culprit();
            wire::GossipConviction {
                evidence: id_bytes(id),
                kind: conviction.kind().to_owned(),
                origin: culprit.origin().to_owned(),
                role: culprit.role().to_owned(),
                vkeys: culprit.keys().iter().map(ToString::to_string).collect(),
            }
        });
        Ok(Response::new(wire::GetGossipResponse {
            peers: peers.collect(),
            logs: logs.collect(),
            limited: limited.collect(),
            rounds: status.figures.met,
            idle_rounds: status.figures.idle,
            failed_rounds: status.figures.failed,
            convictions: convictions.collect(),
            evidence: status.evidence as u64,
        }))
    }

    type ListEvidenceStream = Waiting<wire::EvidenceSummary>;

    async fn list_evidence(
        &self,
        request: Request<wire::ListEvidenceRequest>,
    ) -> Result<Response<Self::ListEvidenceStream>, Status> {
        let turn = self.turn(&self.entry_streams, request.extensions())?;
        let store = std::sync::Arc::clone(self.service.gossip.evidence());
        let (mut answers, waiting) = Answers::new(LISTED_AHEAD, self.idle());
        tokio::spawn(async move {
            for id in store.ids() {
                // one at a time, and none while its caller is waited for: they may be large
                let Some(summary) = store.get(id).map(|evidence| summary(&evidence)) else {
                    continue;
                };
                if answers.send(Ok(summary)).await.is_err() {
                    break;
                }
            }
            drop(turn);
        });
        Ok(Response::new(waiting))
    }

    async fn get_evidence(
        &self,
        request: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceResponse>, Status> {
        let id = evidence_id(&request.into_inner().id).map_err(|_| {
            let hint = "an id is the SHA-256 of the file: 32 bytes";
            Failure::new(Code::InvalidArgument, "this is no id of evidence", hint)
        })?;
        let evidence = self.service.gossip.evidence().get(id).ok_or_else(|| {
            let hint = "`ledger evidence list` shows what there is";
            Failure::new(Code::NotFound, format!("there is no evidence {id} here"), hint)
        })?;
        let file = Bytes::copy_from_slice(evidence.as_str().as_bytes());
        Ok(Response::new(wire::GetEvidenceResponse { file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(message: Message) {
        match from_wire(to_wire(&message)) {
            Ok(Reply::Message(read)) => assert_eq!(read, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_survive_the_wire() {
        let salt = Salt([7; 16]);
        round_trip(Message::Same);
        round_trip(Message::Hello { salt, summary: Summary([8; 16]) });
        let line = |n: u8| Line { log: LineId([n; 8]), state: [n + 1; 8] };
        round_trip(Message::Lists { salt, lines: vec![line(1), line(3)] });
        let head = TreeHead { size: TreeSize::new(5).expect("small"), root: Hash::leaf(b"x") };
        let origin = Origin::new("log.example").expect("origin");
        let question = Question { origin, smaller: head, larger: head };
        let proof = ConsistencyProof::new(vec![Hash::leaf(b"y"); 3]).expect("short");
        let beginning = Beginning { root: Hash::leaf(b"z"), proof };
        round_trip(Message::Exchange(Box::new(Exchange {
            salt,
            about: vec![LineId([1; 8]), LineId([2; 8])],
            heads: vec![],
            held: vec![EvidenceRef {
                id: EvidenceId::from_hash(Hash::leaf(b"id")),
                culprit: Hash::leaf(b"key"),
            }],
            wants: vec![EvidenceId::from_hash(Hash::leaf(b"other"))],
            evidence: None,
            questions: vec![question.clone()],
            answers: vec![Answer { question, beginning }],
        })));
    }

    #[test]
    fn a_round_about_twenty_logs_with_nothing_new_costs_less_than_a_kibibyte() {
        let salt = Salt([7; 16]);
        let lines = vec![Line { log: LineId([1; 8]), state: [2; 8] }; 20];
        let hello = to_wire(&Message::Hello { salt, summary: Summary([8; 16]) });
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
