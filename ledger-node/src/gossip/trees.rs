//! The trees on this node's disk, out of which its own questions and those of peers are answered:
//! the own log's, and the mirror's copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::TreeSize;
use ledger_core::checkpoint::Origin;
use ledger_core::gossip::PrefixProver;
use ledger_core::merkle::{PrefixProof, TreeHead};

use crate::log::LogReader;

/// Proves what a copied log's tree was at a smaller size; `None` if the copy does not hold it.
pub type CopyProver = Arc<dyn Fn(TreeSize, &TreeHead) -> Option<PrefixProof> + Send + Sync>;

/// The trees on this node's disk.
pub(super) struct Trees {
    own: Option<Origin>,
    reader: Arc<LogReader>,
    copies: BTreeMap<Origin, CopyProver>,
}

impl Trees {
    /// The own log's tree alone.
    pub fn new(own: Option<Origin>, reader: Arc<LogReader>) -> Trees {
        Trees { own, reader, copies: BTreeMap::new() }
    }

    /// The name of the own log.
    pub fn own(&self) -> Option<&Origin> {
        self.own.as_ref()
    }

    /// Adds a copy. It stays until the node ends, also when the mirror stops following the log.
    pub fn hold(&mut self, origin: Origin, copy: CopyProver) {
        self.copies.insert(origin, copy);
    }
}

impl PrefixProver for Trees {
    fn prove_prefix(
        &mut self,
        origin: &Origin,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<PrefixProof> {
        if self.own.as_ref() == Some(origin) {
            return self.reader.tree(larger.size).prove_prefix(smaller, larger);
        }
        self.copies.get(origin)?(smaller, larger)
    }
}
