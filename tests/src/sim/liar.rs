//! What nodes say that are silent, talk nonsense, say again what was said, or far too much.

use ledger_core::Hash;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Entries, Heads, Trust};
use ledger_core::gossip::{
    Event, EvidenceRef, Exchange, LogLine, LogLineId, MAX_LINES, Message, Question, QuestionAnswer,
    RoundSalt, UnreadEvidence,
};
use ledger_core::merkle::{ConsistencyProof, PrefixProof, TreeHead};
use ledger_core::note::Algorithm;

use super::net::{Leg, Parcel, Place};
use super::operator::Operator;
use super::plan::Role;
use super::world::World;
use crate::{key, size};

/// Messages that are remembered to be said again.
const REMEMBERED: usize = 32;

/// Messages that a flood has in one round: more than any peer has units for.
const FLOOD: usize = 40;

/// Rounds in which there are floods.
const FLOODED_ROUNDS: u64 = 6;

impl World {
    /// The round of a node that does not do what it should.
    pub(super) fn lie(&mut self, node: usize) {
        let peers = self.nodes.len() as u64;
        let peer = usize::try_from(self.random.below(peers)).expect("few");
        if peer == node {
            return;
        }
        let messages = match self.nodes[node].role {
            Role::Garbage => vec![self.garbage(node, None)],
            Role::Replay => self.said_before(node).into_iter().collect(),
            Role::Flood if self.now / super::ROUND_MS < FLOODED_ROUNDS => {
                vec![self.flood(node); FLOOD]
            }
            _ => Vec::new(),
        };
        for message in messages {
            let leg = Leg { round: 0, message: 0 };
            self.observer.count(name_of(self.nodes[node].role));
            self.send(Place::Node(node), Place::Node(peer), Parcel::Gossip(leg, message));
        }
    }

    /// The answer of such a node.
    pub(super) fn lie_to(&mut self, node: usize, peer: usize, leg: Leg, message: Message) {
        let reply = match self.nodes[node].role {
            Role::Garbage => Some(self.garbage(node, Some(&message))),
            Role::Replay => self.said_before(node),
            Role::Flood => Some(self.flood(node)),
            Role::Slander => self.slanders(&message),
            _ => None,
        };
        let heard = &mut self.nodes[node].heard;
        if heard.len() == REMEMBERED {
            heard.remove(0);
        }
        heard.push(message);
        if let Some(reply) = reply {
            self.observer.count(name_of(self.nodes[node].role));
            let parcel = Parcel::Reply(leg, Some(reply));
            self.send(Place::Node(node), Place::Node(peer), parcel);
        }
    }

    /// Leads a peer on until it asks for evidence against an honest log, and sends it.
    fn slanders(&self, to: &Message) -> Option<Message> {
        let (log, lie) = self.lie_about_a_log()?;
        let key = Hash::digest(log.key().public().as_bytes());
        let told = match to {
            Message::Hello { salt, .. } => {
                let id = Hash::digest(&[&salt.0, log.origin.as_str().as_bytes()].concat());
                let log = LogLineId(*id.as_bytes().first_chunk().expect("32 bytes"));
                let lines = vec![LogLine { log, state: [0; 8] }];
                return Some(Message::Lists { salt: *salt, lines });
            }
            Message::Exchange(told) if told.wants.contains(&lie.id()) => {
                Exchange { evidence: UnreadEvidence::of(&lie), ..Exchange::new(told.salt) }
            }
            Message::Exchange(told) => {
                let named = EvidenceRef { id: lie.id(), culprit: key };
                Exchange { held: vec![named], ..Exchange::new(told.salt) }
            }
            _ => return None,
        };
        Some(Message::Exchange(Box::new(told)))
    }

    fn said_before(&mut self, node: usize) -> Option<Message> {
        let heard = &self.nodes[node].heard;
        let at = self.random.below(heard.len().max(1) as u64);
        heard.get(usize::try_from(at).expect("few")).cloned()
    }

    /// A message that no honest node sends, as an answer where there is something to answer.
    fn garbage(&mut self, node: usize, to: Option<&Message>) -> Message {
        let salt = match to {
            Some(Message::Hello { salt, .. }) => *salt,
            Some(Message::Exchange(told)) => told.salt,
            _ => RoundSalt([7; 16]),
        };
        let mut told = Exchange::new(salt);
        let asked = match to {
            Some(Message::Exchange(told)) => told.questions.first().cloned(),
            _ => None,
        };
        let head = self.a_head(node);
        match self.random.below(4) {
            0 => return Message::Lists { salt, lines: Vec::new() },
            1 => told.about = vec![LogLineId([0; 8]); MAX_LINES + 1],
            2 => told.heads.extend(head.as_ref().and_then(altered)),
            _ => told.answers.extend(asked.or_else(|| Some(made_up(&head?))).map(junk)),
        }
        Message::Exchange(Box::new(told))
    }

    fn flood(&mut self, node: usize) -> Message {
        let mut told = Exchange::new(RoundSalt([9; 16]));
        if let Some(head) = self.a_head(node) {
            told.questions = vec![made_up(&head); 64];
            told.heads = vec![head; 200];
        }
        Message::Exchange(Box::new(told))
    }

    /// Some head that the node was shown.
    fn a_head(&mut self, node: usize) -> Option<ClaimedCheckpoint> {
        let log = self.random.below(self.logs.len() as u64);
        let origin = &self.logs[usize::try_from(log).expect("few")].origin;
        self.nodes[node].view.log(origin).and_then(|status| status.adopted)
    }

    /// A node says that a log contradicted itself, with heads that the log never signed.
    pub(super) fn slander(&mut self, node: usize) {
        if let Some((_, made)) = self.lie_about_a_log() {
            self.note(node, vec![Event::Convicted(Box::new(made))]);
        }
    }

    /// An honest log, and heads that contradict each other, which it never signed.
    fn lie_about_a_log(&self) -> Option<(&Operator, ClaimedEvidence)> {
        let log = self.logs.iter().find(|log| log.is_honest())?;
        let impostor = key(log.origin.as_str(), Algorithm::Ed25519, 255);
        let head = |leaf: &[u8]| {
            let head = TreeHead { size: size(1), root: Hash::leaf(leaf) };
            Checkpoint::new(log.origin.clone(), head).sign(&impostor)
        };
        let (one, other) = (head(b"one"), head(b"other"));
        let trust = Trust::new().with_log(impostor.verifier().clone(), Entries::Opaque);
        let conflict = Conflict::of_heads(Heads { one: &one, other: &other });
        let case = Case { trust: &trust, authority: &[] };
        let made = conflict.and_then(|conflict| ClaimedEvidence::against_log(&conflict, case));
        made.map(|made| (log, made))
    }
}

/// A head with another size under the same signatures.
fn altered(head: &ClaimedCheckpoint) -> Option<ClaimedCheckpoint> {
    let size = head.checkpoint().head().size.get();
    let text = head.to_string().replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1);
    ClaimedCheckpoint::parse(text.as_bytes()).ok()
}

fn made_up(head: &ClaimedCheckpoint) -> Question {
    let larger = *head.checkpoint().head();
    let origin = head.checkpoint().origin().clone();
    Question { origin, smaller: TreeHead::EMPTY, larger }
}

fn junk(question: Question) -> QuestionAnswer {
    let root = Hash::leaf(b"junk");
    QuestionAnswer { question, proof: PrefixProof { root, proof: ConsistencyProof::default() } }
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Honest | Role::Yes => "spoke",
        Role::Silent => "was-silent",
        Role::Garbage => "talked-nonsense",
        Role::Replay => "said-again",
        Role::Flood => "flooded",
        Role::Slander => "slandered",
    }
}
