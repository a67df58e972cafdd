//! Heads that contradict each other, or themselves, whoever signed them.

use crate::checkpoint::ClaimedCheckpoint;
use crate::hash::Hash;
use crate::merkle::{
    BeginningError, ConsistencyProof, NodeReader, PrefixProof, TreeHead, VerifyError,
    verify_consistency,
};
use crate::note::{Note, Signature};

/// Heads that cannot all be of one tree that only grew. Nobody is known to have signed them.
///
/// A value is always a contradiction: what is not is refused when it is made or read. Whose it is
/// depends on the signatures; see
/// [`ClaimedEvidence::against_log`](super::ClaimedEvidence::against_log).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict(ConflictShape);

/// What contradicts what. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConflictShape {
    /// One size, two roots. The first has the smaller root, byte by byte, so that equal evidence
    /// has one form.
    SameSize { a: ClaimedCheckpoint, b: ClaimedCheckpoint },
    /// The larger tree has `root`, and not the root of `a`, at the size of `a`.
    SplitHistory { a: ClaimedCheckpoint, b: ClaimedCheckpoint, root: Hash, proof: ConsistencyProof },
    /// Size 0, and not the root of the empty tree.
    BadEmpty { head: ClaimedCheckpoint },
}

/// Two heads that somebody holds, in any order.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// One of them.
    pub one: &'a ClaimedCheckpoint,
    /// The other.
    pub other: &'a ClaimedCheckpoint,
}

/// Why heads do not contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoConflict {
    /// They are of different logs.
    #[error("the origin lines differ: the heads are of two logs")]
    Origins,
    /// Their sizes are not those that the type asks for.
    #[error("the sizes are not those of this type of evidence")]
    Sizes,
    /// They have the same root, or the root that they should have.
    #[error("the roots agree: nothing contradicts anything")]
    Roots,
    /// The sides stand in the other order.
    #[error("of two heads of one size, the one with the smaller root comes first")]
    Order,
    /// The larger tree is not shown to have the root.
    #[error("the larger tree is not shown to have another beginning: {0}")]
    Proof(#[from] VerifyError),
}

impl<'a> Heads<'a> {
    /// The smaller and the larger, if they are of one log, of two sizes, and neither is empty.
    fn by_size(self) -> Option<(&'a ClaimedCheckpoint, &'a ClaimedCheckpoint)> {
        let Heads { one, other } = self;
        let (a, b) = if size(one) <= size(other) { (one, other) } else { (other, one) };
        let one_log = a.checkpoint().origin() == b.checkpoint().origin();
        (one_log && 0 < size(a) && size(a) < size(b)).then_some((a, b))
    }
}

impl Conflict {
    /// What two heads show by themselves: one size with two roots, or an empty tree with a root
    /// that no empty tree has.
    pub fn of_heads(heads: Heads<'_>) -> Option<Conflict> {
        let Heads { one, other } = heads;
        let bad = [one, other].into_iter().find_map(Conflict::of_head);
        bad.or_else(|| {
            let first_is_smaller = root(one).as_bytes() <= root(other).as_bytes();
            let (a, b) = if first_is_smaller { (one, other) } else { (other, one) };
            Conflict::new(ConflictShape::SameSize { a: a.clone(), b: b.clone() }).ok()
        })
    }

    /// What one head shows by itself: a size of 0 with a root that no empty tree has.
    pub fn of_head(head: &ClaimedCheckpoint) -> Option<Conflict> {
        Conflict::new(ConflictShape::BadEmpty { head: head.clone() }).ok()
    }

    /// What two heads of different sizes show, given the tree of the larger one: of the other only
    /// its head is needed. `None` when the larger tree begins with the smaller one, when the heads
    /// are of two logs, or when the smaller is empty.
    ///
    /// Reads at most some 130 nodes of the tree; they need not be trusted.
    ///
    /// # Errors
    /// [`BeginningError`] when the tree cannot be read, or is not that of the larger head.
    pub fn of_trees<R: NodeReader>(
        heads: Heads<'_>,
        nodes: &mut R,
    ) -> Result<Option<Conflict>, BeginningError<R::Error>> {
        let Some((a, b)) = heads.by_size() else { return Ok(Conflict::of_heads(heads)) };
        let prefix = PrefixProof::read(nodes, a.checkpoint().head().size, b.checkpoint().head())?;
        Ok(Conflict::split(a, b, &prefix))
    }

    /// What two heads of different sizes show, given what the larger tree was at the smaller size,
    /// whoever says so. `None` as for [`Conflict::of_trees`].
    ///
    /// # Errors
    /// [`VerifyError`] when the proof does not lead to the larger head: it says nothing.
    pub fn of_prefix_proof(
        heads: Heads<'_>,
        prefix: &PrefixProof,
    ) -> Result<Option<Conflict>, VerifyError> {
        let Some((a, b)) = heads.by_size() else { return Ok(Conflict::of_heads(heads)) };
        prefix.of(a.checkpoint().head().size, b.checkpoint().head())?;
        Ok(Conflict::split(a, b, prefix))
    }

    fn split(
        a: &ClaimedCheckpoint,
        b: &ClaimedCheckpoint,
        prefix: &PrefixProof,
    ) -> Option<Conflict> {
        let PrefixProof { root, proof } = prefix.clone();
        Conflict::new(ConflictShape::SplitHistory { a: a.clone(), b: b.clone(), root, proof }).ok()
    }

    /// Takes what contradicts itself.
    pub(super) fn new(shape: ConflictShape) -> Result<Conflict, NoConflict> {
        match &shape {
            ConflictShape::SameSize { a, b } => check_same_size(a, b)?,
            ConflictShape::SplitHistory { a, b, root, proof } => check_split(a, b, root, proof)?,
            ConflictShape::BadEmpty { head } => check_bad_empty(head)?,
        }
        Ok(Conflict(shape))
    }

    pub(super) fn shape(&self) -> &ConflictShape {
        &self.0
    }

    /// The heads, in the order of the file.
    pub fn heads(&self) -> Vec<&ClaimedCheckpoint> {
        match &self.0 {
            ConflictShape::SameSize { a, b } | ConflictShape::SplitHistory { a, b, .. } => {
                vec![a, b]
            }
            ConflictShape::BadEmpty { head } => vec![head],
        }
    }

    /// The log's name, the same in all heads.
    pub fn origin(&self) -> &str {
        let (ConflictShape::SameSize { a: head, .. }
        | ConflictShape::SplitHistory { a: head, .. }
        | ConflictShape::BadEmpty { head }) = &self.0;
        head.checkpoint().origin().as_str()
    }

    /// The same contradiction with one signature line a head; `None` where a head has no such line
    /// or cannot hold it.
    pub(crate) fn with_lines(
        &self,
        mut line: impl FnMut(&ClaimedCheckpoint) -> Option<ClaimedCheckpoint>,
    ) -> Option<Conflict> {
        let shape = match &self.0 {
            ConflictShape::SameSize { a, b } => {
                ConflictShape::SameSize { a: line(a)?, b: line(b)? }
            }
            ConflictShape::SplitHistory { a, b, root, proof } => ConflictShape::SplitHistory {
                a: line(a)?,
                b: line(b)?,
                root: *root,
                proof: proof.clone(),
            },
            ConflictShape::BadEmpty { head } => ConflictShape::BadEmpty { head: line(head)? },
        };
        Conflict::new(shape).ok()
    }

    /// What is claimed, in a sentence.
    pub(super) fn claim(&self) -> String {
        match &self.0 {
            ConflictShape::SameSize { a, b } => format!(
                "two heads of size {} with the roots {} and {}: a tree has one root, so there \
                 are two trees of that size",
                size(a),
                root(a).to_base64(),
                root(b).to_base64()
            ),
            ConflictShape::SplitHistory { a, b, root: shown, .. } => format!(
                "a head of size {} with the root {}, and a head of size {} whose tree has \
                 the root {} at size {}, as its consistency proof shows: the second \
                 did not grow out of the first",
                size(a),
                root(a).to_base64(),
                size(b),
                shown.to_base64(),
                size(a),
            ),
            ConflictShape::BadEmpty { head } => format!(
                "a head of size 0 with the root {}: the tree without leaves has another root, \
                 and no other tree has this size",
                root(head).to_base64()
            ),
        }
    }
}

fn size(head: &ClaimedCheckpoint) -> u64 {
    head.checkpoint().head().size.get()
}

fn root(head: &ClaimedCheckpoint) -> &Hash {
    &head.checkpoint().head().root
}

/// The checkpoint with this signature line alone.
pub(super) fn alone(head: &ClaimedCheckpoint, line: &Signature) -> Option<ClaimedCheckpoint> {
    let note = Note::new(head.note().text(), vec![line.clone()]).ok()?;
    ClaimedCheckpoint::parse(note.to_string().as_bytes()).ok()
}

fn check_origins(a: &ClaimedCheckpoint, b: &ClaimedCheckpoint) -> Result<(), NoConflict> {
    let same = a.checkpoint().origin() == b.checkpoint().origin();
    if same { Ok(()) } else { Err(NoConflict::Origins) }
}

fn check_same_size(a: &ClaimedCheckpoint, b: &ClaimedCheckpoint) -> Result<(), NoConflict> {
    check_origins(a, b)?;
    if size(a) != size(b) {
        return Err(NoConflict::Sizes);
    }
    match root(a).as_bytes().cmp(root(b).as_bytes()) {
        std::cmp::Ordering::Less => Ok(()),
        std::cmp::Ordering::Equal => Err(NoConflict::Roots),
        std::cmp::Ordering::Greater => Err(NoConflict::Order),
    }
}

fn check_split(
    a: &ClaimedCheckpoint,
    b: &ClaimedCheckpoint,
    shown: &Hash,
    proof: &ConsistencyProof,
) -> Result<(), NoConflict> {
    check_origins(a, b)?;
    // the empty tree is the beginning of every tree, and a tree of one size has no two beginnings
    if size(a) == 0 || size(a) >= size(b) {
        return Err(NoConflict::Sizes);
    }
    if root(a) == shown {
        return Err(NoConflict::Roots);
    }
    let (old, new) = (a.checkpoint().head(), b.checkpoint().head());
    // the proof fixes every subtree that makes up the first leaves of b's tree: whatever a tree
    // with that root is, this is its beginning
    Ok(verify_consistency(proof, &TreeHead { root: *shown, ..*old }, new)?)
}

fn check_bad_empty(head: &ClaimedCheckpoint) -> Result<(), NoConflict> {
    if size(head) != 0 {
        return Err(NoConflict::Sizes);
    }
    if *root(head) == Hash::EMPTY_ROOT { Err(NoConflict::Roots) } else { Ok(()) }
}
