//! `ledger checkpoint`: prints the log's latest checkpoint, verified.

use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_core::hash::Hash;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::merkle::{
    ConsistencyProof, InclusionProof, TreeHead, verify_consistency, verify_inclusion,
};
use serde_json::json;

use crate::client::{self, LeafName, Node, NodeArgs};
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::trust::TrustArgs;

const EXAMPLE: &str = "\
Example: keep today's checkpoint; next month, check that the log has only grown since
  ledger checkpoint --node http://127.0.0.1:7780 --policy consortium.policy > today.checkpoint
  ledger verify today.checkpoint --old last-month.checkpoint --node http://127.0.0.1:7780";

/// Print the latest published checkpoint, verified
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Print the size and root of the tree of N entries, proven to be a prefix of the latest tree
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached, or its checkpoint is not accepted.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    client::runtime()?.block_on(checkpoint(args, out))
}

async fn checkpoint(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let mut node = args.node.connect().await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let bytes = node.checkpoint().await?;
    let claimed = ClaimedCheckpoint::parse(&bytes).map_err(client::wrong_answer)?;
    let accepted = trust.policy.verify(&claimed).map_err(|e| {
        Failure::refused(
            e.to_string(),
            "check --node and what you trust: another log may answer at this address",
        )
    })?;
    trust.is_charter_of(&accepted)?;
    let latest = *accepted.checkpoint.head();
    let (text, head) = match args.size {
        None => (String::from_utf8_lossy(&bytes).into_owned(), latest),
        Some(size) => {
            let size = TreeSize::new(size)
                .map_err(|e| Failure::usage(format!("--size: {e}"), "give a size the log had"))?;
            let head = head_at(&mut node, size, &latest).await?;
            let text = Checkpoint::new(accepted.checkpoint.origin().clone(), head).to_string();
            out.note(format!(
                "this head is unsigned; it is proven to be a prefix of the signed tree of size {}",
                latest.size
            ));
            (text, head)
        }
    };
    out.data(text.as_bytes())?;
    Ok(Outcome::done(json!({
        "checkpoint": text,
        "origin": accepted.checkpoint.origin().as_str(),
        "size": head.size.get(),
        "root": head.root.to_base64(),
        "cosignatures": accepted.cosigned.len(),
        "latest_size": latest.size.get(),
        "trust": trust.basis.as_str(),
    })))
}

/// The head at an older size, from proofs that lead to the latest head.
async fn head_at(node: &mut Node, size: TreeSize, latest: &TreeHead) -> Result<TreeHead, Failure> {
    if size > latest.size {
        return Err(Failure::refused(
            format!("the log has {} entries, fewer than {size}", latest.size),
            "give a smaller --size",
        ));
    }
    let Some(last) = size.last() else { return Ok(TreeHead::EMPTY) };
    let head = if size == latest.size { *latest } else { derive_head(node, last, size).await? };
    prove_growth(node, &head, latest).await?;
    Ok(head)
}

/// Computes the head from the inclusion proof of its last leaf, whose siblings are all on the left.
async fn derive_head(
    node: &mut Node,
    last: LeafIndex,
    size: TreeSize,
) -> Result<TreeHead, Failure> {
    let answer = node.inclusion(LeafName::Index(last.get()), Some(size.get())).await?;
    let hashes = hashes(&answer.hashes)?;
    let leaf = hash(&answer.leaf_hash)?;
    let root = hashes.iter().fold(leaf, |right, left| left.join(&right));
    let head = TreeHead { size, root };
    let proof = InclusionProof::new(hashes).map_err(client::wrong_answer)?;
    verify_inclusion(&proof, &leaf, last, &head).map_err(client::wrong_answer)?;
    Ok(head)
}

/// Asks the node for a consistency proof from `old` to `new`, and verifies it.
///
/// # Errors
/// [`Failure`] when the node sends no proof, or a wrong one.
pub async fn prove_growth(node: &mut Node, old: &TreeHead, new: &TreeHead) -> Result<(), Failure> {
    let trivial = old.size.is_empty() || old.size == new.size;
    let list = if trivial {
        Vec::new()
    } else {
        hashes(&node.consistency(old.size.get(), Some(new.size.get())).await?.hashes)?
    };
    let proof = ConsistencyProof::new(list).map_err(client::wrong_answer)?;
    verify_consistency(&proof, old, new).map_err(|e| {
        let message =
            format!("size {} is not proven to begin with size {}: {e}", new.size, old.size);
        Failure::refused(message, "keep both checkpoints: if both are signed, the log has forked")
    })
}

fn hashes<T: AsRef<[u8]>>(list: &[T]) -> Result<Vec<Hash>, Failure> {
    list.iter().map(|bytes| hash(bytes.as_ref())).collect()
}

fn hash(bytes: &[u8]) -> Result<Hash, Failure> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| client::wrong_answer("a hash is not 32 bytes long"))?;
    Ok(Hash::from_bytes(bytes))
}
