//! The RFC 6962 tree: growing it, proving things about it, and checking those proofs.
//!
//! Generators ([`prove_inclusion`], [`prove_consistency`]) walk the tree from the top as the RFC
//! defines it; verifiers walk proofs from the bottom and share no code with them.
//!
//! ```
//! use tlog::Hash;
//! use tlog::merkle::{MemoryTree, prove_inclusion, verify_inclusion};
//!
//! let mut tree = MemoryTree::new();
//! let leaves = [b"a", b"b", b"c"].map(|entry| Hash::leaf(entry));
//! let indices = leaves.map(|leaf| tree.push(leaf).expect("room"));
//! let head = tree.frontier().head();
//! let proof = prove_inclusion(&mut tree, indices[1], head.size).expect("inside the tree");
//! assert!(verify_inclusion(&proof, &leaves[1], indices[1], &head).is_ok());
//! assert!(verify_inclusion(&proof, &leaves[0], indices[1], &head).is_err());
//! ```

mod consistency;
mod frontier;
mod inclusion;
mod memory;
mod prefix;

use crate::hash::{Hash, ParseHashError};
use crate::index::TreeSize;

pub use consistency::{prove_consistency, verify_consistency};
pub use frontier::{Frontier, TreeFull};
pub use inclusion::{prove_inclusion, verify_inclusion};
pub use memory::MemoryTree;
pub use prefix::{BeginningError, PrefixProof};

/// Hashes an inclusion or consistency proof may have. A tree of 2^63 - 1 leaves needs no more.
pub const MAX_PROOF_HASHES: usize = 63;

/// What a log commits to: a size and the root hash of the tree of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves.
    pub size: TreeSize,
    /// The Merkle Tree Hash of these leaves.
    pub root: Hash,
}

impl TreeHead {
    /// The head of the tree without leaves.
    pub const EMPTY: TreeHead = TreeHead { size: TreeSize::ZERO, root: Hash::EMPTY_ROOT };
}

/// A complete subtree: the `index`-th, counted from zero, of those with 2^`level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The subtree's height: 0 for a leaf, at most 62.
    pub level: u8,
    /// Its place among the subtrees of that height.
    pub index: u64,
}

/// Where generators read complete subtrees' hashes from.
pub trait NodeReader {
    /// Why a hash could not be read.
    type Error;

    /// The hash of a complete subtree inside the tree that the proof is for.
    ///
    /// # Errors
    /// Whatever hinders reading it.
    fn read_node(&mut self, node: Node) -> Result<Hash, Self::Error>;
}

/// An inclusion proof's hashes, from the leaf's sibling up to the root's child.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InclusionProof(Vec<Hash>);

/// A consistency proof's hashes in the order of RFC 6962.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsistencyProof(Vec<Hash>);

/// Why lines are not a proof's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseProofError {
    /// A line is not a hash.
    #[error("line {0} of the proof is {1}")]
    Line(usize, ParseHashError),
    /// More hashes than any tree needs.
    #[error("a proof has at most {MAX_PROOF_HASHES} hashes")]
    TooLong,
}

/// Why a proof could not be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The caller asked about a leaf or an older size that the tree does not have.
    #[error("the tree of size {0} has no such leaf or older size")]
    OutOfRange(TreeSize),
    /// A subtree's hash could not be read.
    #[error(transparent)]
    Read(#[from] E),
}

/// Why a proof does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The leaf lies outside the tree.
    #[error("the leaf lies outside the tree")]
    IndexOutsideTree,
    /// The first tree is larger than the second.
    #[error("the older tree is larger than the newer one")]
    SizesReversed,
    /// The number of hashes does not fit the sizes.
    #[error("the proof has the wrong number of hashes for these sizes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to a different root")]
    RootMismatch,
}

macro_rules! proof_hashes {
    ($proof:ident) => {
        impl $proof {
            /// Takes hashes in the proof's order.
            ///
            /// # Errors
            /// [`ParseProofError::TooLong`] above [`MAX_PROOF_HASHES`].
            pub fn new(hashes: Vec<Hash>) -> Result<$proof, ParseProofError> {
                if hashes.len() > MAX_PROOF_HASHES {
                    return Err(ParseProofError::TooLong);
                }
                Ok($proof(hashes))
            }

            /// Reads one base64 hash a line, without newlines.
            ///
            /// # Errors
            /// [`ParseProofError`] names the line.
            pub fn parse<'a>(
                lines: impl IntoIterator<Item = &'a str>,
            ) -> Result<$proof, ParseProofError> {
                parse_hashes(lines).map($proof)
            }

            /// The hashes in the proof's order.
            pub fn hashes(&self) -> &[Hash] {
                &self.0
            }
        }

        impl std::fmt::Display for $proof {
            /// Prints one base64 hash a line, each with its newline.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))
            }
        }
    };
}

proof_hashes!(InclusionProof);
proof_hashes!(ConsistencyProof);

fn parse_hashes<'a>(
    lines: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Hash>, ParseProofError> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == MAX_PROOF_HASHES {
            return Err(ParseProofError::TooLong);
        }
        let hash = Hash::from_base64(line);
        hashes.push(hash.map_err(|e| ParseProofError::Line(hashes.len() + 1, e))?);
    }
    Ok(hashes)
}

/// A run of leaves whose Merkle Tree Hash some proof needs. The start is aligned as RFC 6962 splits
/// trees, so the run is a row of complete subtrees of falling size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LeafHashes {
    start: u64,
    end: u64,
}

impl LeafHashes {
    /// Splits a run of at least two leaves as RFC 6962 does: the left part is the largest power of
    /// two that is smaller than the whole.
    fn split(self) -> (LeafHashes, LeafHashes) {
        let middle = self.start + (1 << (self.end - self.start - 1).ilog2());
        (LeafHashes { end: middle, ..self }, LeafHashes { start: middle, ..self })
    }

    /// The Merkle Tree Hash of the run, read from complete subtrees.
    fn hash<R: NodeReader>(self, nodes: &mut R) -> Result<Hash, R::Error> {
        let mut row = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let level = (self.end - start).ilog2() as u8;
            row.push(nodes.read_node(Node { level, index: start >> level })?);
            start += 1 << level;
        }
        Ok(fold_row(&row))
    }
}

/// The hash over complete subtrees of falling size that stand side by side.
fn fold_row(row: &[Hash]) -> Hash {
    let mut right_first = row.iter().rev();
    let Some(last) = right_first.next() else { return Hash::EMPTY_ROOT };
    right_first.fold(*last, |right, left| left.join(&right))
}

/// The root of the tree of `size` leaves, read from complete subtrees.
///
/// # Errors
/// Whatever hinders reading a subtree.
pub fn root<R: NodeReader>(nodes: &mut R, size: TreeSize) -> Result<Hash, R::Error> {
    LeafHashes { start: 0, end: size.get() }.hash(nodes)
}

/// The complete subtrees, largest first, that make up the tree of `size` leaves: a [`Frontier`]'s
/// hashes stand for these.
pub fn complete_subtrees(size: TreeSize) -> impl Iterator<Item = Node> {
    let size = size.get();
    (0..63u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| Node {
        level,
        // what stands to the left of this subtree is everything above this bit
        index: (size >> level) - 1,
    })
}
