//! A reader that remembers a log's every entry and the root of its every size, so that any head and
//! any entry that a node ever shows can be held against it.

use std::collections::HashMap;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::{Frontier, TreeHead};
use ledger_core::note::VerifierKey;
use ledger_core::record::{Entry, StatementId};
use ledger_core::{Hash, LeafIndex, TreeSize};
use ledger_proto::v1 as wire;
use ledger_proto::v1::ledger_client::LedgerClient;
use tonic::transport::Channel;

use crate::{index, size};

/// What a reader knows about one log.
#[derive(Debug, Clone)]
pub struct Follower {
    log_key: VerifierKey,
    frontier: Frontier,
    /// Roots by size, from 0 on.
    roots: Vec<Hash>,
    leaves: Vec<Hash>,
    statements: HashMap<StatementId, LeafIndex>,
    ids: HashMap<Hash, LeafIndex>,
    last_time: u64,
}

impl Follower {
    /// A reader of the log that signs with this key, and has read nothing yet.
    pub fn new(log_key: VerifierKey) -> Follower {
        Follower {
            log_key,
            frontier: Frontier::new(),
            roots: vec![Hash::EMPTY_ROOT],
            leaves: Vec::new(),
            statements: HashMap::new(),
            ids: HashMap::new(),
            last_time: 0,
        }
    }

    /// How many entries were read.
    pub fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// The head of the entries read.
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// The head of the first entries.
    ///
    /// # Panics
    /// If so many were not read.
    pub fn head_at(&self, leaves: u64) -> TreeHead {
        TreeHead { size: size(leaves), root: self.roots[leaves as usize] }
    }

    /// The leaf hashes in order.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// Where a statement stands.
    pub fn place(&self, statement: &StatementId) -> Option<LeafIndex> {
        self.statements.get(statement).copied()
    }

    /// Takes the next entry.
    ///
    /// # Panics
    /// If it is none, if its time lies before the last one's, or if its statement or its issuer's
    /// id is in the log already.
    pub fn push(&mut self, bytes: &[u8]) {
        let at = self.size().next_index().expect("room");
        let entry = Entry::parse(bytes).unwrap_or_else(|error| panic!("entry {at}: {error}"));
        let time = entry.logged().time;
        assert!(time >= self.last_time, "time went back at {at}");
        self.last_time = time;
        let before = self.statements.insert(entry.record().statement(), at);
        assert_eq!(before, None, "the statement of {at} is there twice");
        let before = self.ids.insert(entry.record().envelope().unique_key(), at);
        assert_eq!(before, None, "the id of {at} is there twice");
        let leaf = Hash::leaf(bytes);
        self.leaves.push(leaf);
        self.frontier.push(leaf, |_, _| {}).expect("room");
        self.roots.push(self.head().root);
    }

    /// Reads all entries that the node has and this reader has not, and compares its head.
    ///
    /// # Panics
    /// If the node shows another tree than the one whose beginning was read.
    pub async fn catch_up(&mut self, client: &mut LedgerClient<Channel>) -> TreeHead {
        let head = self.current(client).await;
        assert!(head.size >= self.size(), "the log shrank to {} entries", head.size);
        let start = self.size().get();
        let request = wire::GetEntriesRequest { start, count: Some(head.size.get() - start) };
        let mut entries = client.get_entries(request).await.expect("entries").into_inner();
        while let Some(next) = entries.message().await.expect("an entry") {
            assert_eq!(next.index, self.size().get(), "entries come in order");
            self.push(&next.entry);
        }
        assert_eq!(self.head(), head, "the entries are those of the signed head");
        head
    }

    /// The head that the node shows, its signature verified.
    ///
    /// # Panics
    /// If there is none.
    pub async fn current(&self, client: &mut LedgerClient<Channel>) -> TreeHead {
        let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await;
        self.verify(&answer.expect("a checkpoint").into_inner().checkpoint)
    }

    /// The head of a checkpoint that the log signed.
    ///
    /// # Panics
    /// If it did not.
    pub fn verify(&self, checkpoint: &[u8]) -> TreeHead {
        let claimed = ClaimedCheckpoint::parse(checkpoint).expect("a checkpoint");
        let key = std::slice::from_ref(&self.log_key);
        *claimed.verify(key).expect("signed by the log").head()
    }

    /// Whether a head is one of this log's beginnings.
    ///
    /// # Panics
    /// If it contradicts them, or is of a size that was not read.
    pub fn check(&self, head: &TreeHead) {
        assert!(head.size <= self.size(), "a head of {} of {} entries", head.size, self.size());
        assert_eq!(*head, self.head_at(head.size.get()), "two trees of one size");
    }

    /// Whether the entry at an index has this leaf hash.
    pub fn has(&self, at: LeafIndex, leaf: &Hash) -> bool {
        usize::try_from(at.get()).ok().and_then(|at| self.leaves.get(at)) == Some(leaf)
    }

    /// The last entry's index.
    ///
    /// # Panics
    /// If nothing was read.
    pub fn last(&self) -> LeafIndex {
        index(self.size().get().checked_sub(1).expect("a log has a charter"))
    }
}
