//! The virtual network and the order of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::gossip::{Message, Question};
use ledger_core::merkle::PrefixProof;
use ledger_core::note::Signature;
use ledger_core::witness::AddCheckpoint;

use super::branch::Branch;

/// Who sends or receives. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node.
    Node(usize),
    /// Whoever runs a log.
    Log(usize),
}

/// Which message of which round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// The asker's count of its rounds.
    pub round: u64,
    /// The asker's count of its messages in it.
    pub message: u32,
}

/// What a witness says to a log.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It cosigned.
    Cosigned(Signature),
    /// It is at this size.
    At(TreeSize),
    /// It will not.
    Refused,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// A message of a round by its asker.
    Gossip(Leg, Message),
    /// The answer; none where the peer refuses to listen.
    Reply(Leg, Option<Message>),
    /// A head to cosign, of one of the log's trees.
    Cosign(usize, Box<AddCheckpoint>),
    /// What the witness says to the head of that tree and size.
    Verdict(usize, TreeSize, Verdict),
    /// What is published?
    Poll,
    /// A published head, and its tree where the log shows it.
    Polled(Box<ClaimedCheckpoint>, Option<Rc<Branch>>),
    /// Asks for a proof.
    Fetch(Question),
    /// A proof.
    Fetched(Question, PrefixProof),
}

/// What happens. Closed.
#[derive(Debug, Clone)]
pub enum Happening {
    /// Something arrives.
    Arrives {
        /// By whom.
        from: Place,
        /// Where.
        to: Place,
        /// What.
        parcel: Parcel,
    },
    /// A node's round begins.
    Round(usize),
    /// A node waits no longer for an answer.
    Timeout(usize, Leg),
    /// A log's time to publish has come.
    Publish(usize),
    /// A node falls; whether what it did not sync is lost.
    Falls(usize, bool),
    /// It is back.
    Rises(usize),
    /// The observer looks.
    Calm,
    /// The observer judges what was due of a log.
    Due(usize),
    /// The time in which cheats sign nothing new is over.
    Deadline,
}

/// What is to happen, in order of time and then of planning.
#[derive(Debug, Default)]
pub struct Agenda {
    order: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, Happening>,
    count: u64,
}

impl Agenda {
    /// Plans something.
    pub fn plan(&mut self, at: u64, what: Happening) {
        self.order.push(Reverse((at, self.count)));
        self.what.insert(self.count, what);
        self.count += 1;
    }

    /// What comes next, and when.
    ///
    /// # Panics
    /// Never: whatever is in the order is planned.
    pub fn take_next(&mut self) -> Option<(u64, Happening)> {
        let Reverse((at, count)) = self.order.pop()?;
        Some((at, self.what.remove(&count).expect("planned with its order")))
    }
}
