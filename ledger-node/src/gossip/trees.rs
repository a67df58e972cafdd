//! The trees on this node's disk, out of which its own questions and those of peers are answered:
//! the own log's, and the mirror's copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::TreeSize;
use ledger_core::checkpoint::Origin;
use ledger_core::gossip::Beginnings;
use ledger_core::merkle::{Beginning, TreeHead};

use crate::log::LogReader;
use crate::mirror::Served;

/// The trees on this node's disk.
pub(super) struct Trees {
    own: Option<Origin>,
    reader: Arc<LogReader>,
    copies: BTreeMap<Origin, Arc<Served>>,
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

    /// Adds a copy, which stays until the node ends: of a log that is mirrored no more, too.
    pub fn hold(&mut self, copy: &Arc<Served>) {
        self.copies.insert(copy.origin().clone(), Arc::clone(copy));
    }
}

impl Beginnings for Trees {
    fn beginning(
        &mut self,
        origin: &Origin,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<Beginning> {
        if self.own.as_ref() == Some(origin) {
            return self.reader.tree(larger.size).beginning(smaller, larger);
        }
        self.copies.get(origin)?.beginning(smaller, larger)
    }
}
