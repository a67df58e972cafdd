//! A succession: whether those who may decide it did, and what is known of the tree that it names.

use ledger_core::index::LeafIndex;
use ledger_core::merkle::{TreeHead, prove_inclusion, verify_inclusion};
use ledger_core::succession::{ClaimedSuccession, VerifiedSuccession};
use ledger_core::tile::TileReader;
use ledger_node::source::Source;
use serde_json::json;

use super::{Args, Verdict, accept, grown_in_source};
use crate::commands::audit::chain;
use crate::commands::charter::succeed;
use crate::environment;
use crate::failure::Failure;
use crate::reach;
use crate::trust::Trust;

/// How far a succession may lie ahead of this machine's clock: clocks differ.
const AHEAD_SECONDS: u64 = ledger_core::charter::EARLY_SECONDS;

/// A succession, judged by the governance of the log that it leaves.
pub(super) fn judge(bytes: &[u8], args: &Args, trust: Option<&Trust>) -> Result<Verdict, Failure> {
    let claimed =
        ClaimedSuccession::parse(bytes).map_err(|e| Failure::refused(e.to_string(), e.hint()))?;
    let known = trust.and_then(|trust| Some((trust, trust.governance.as_ref()?)));
    let Some((trust, governance)) = known else {
        return Err(Failure::usage(
            "a succession cannot be judged without the charter of the log that it leaves",
            "give --anchor STATEMENT with --charter FILE, both of the old log; best is an \
             authority bundle, which tells of later changes too",
        ));
    };
    let own = claimed.succession();
    if own.issued() > environment::now().saturating_add(AHEAD_SECONDS) {
        let hint = "compare the clocks, this machine's and that of whoever wrote it";
        return Err(Failure::refused("the succession was issued in the future", hint));
    }
    let verified =
        claimed.verify_by(governance).map_err(|e| Failure::refused(e.to_string(), e.hint()))?;
    let mut object = succeed::object(own);
    let tree = match &args.source {
        None => {
            "; not shown: that the tree is the old log's own, and that no later change of its \
             charter stands in it (add --source)"
        }
        Some(source) => {
            in_source(&verified, trust, source)?;
            "; the tree is the old log's own"
        }
    };
    let members: Vec<String> = verified.members().to_vec();
    let text = format!(
        "the log {} ends at size {} for its members, {} follows with the charter {}; signed by \
         {}, enough by the charter as entry {} left it{tree}",
        own.origin().as_str(),
        own.head().size,
        own.successor().as_str(),
        own.charter(),
        members.join(", "),
        verified.decided_by(),
    );
    object["type"] = json!("succession");
    object["members"] = json!(verified.members());
    object["decided_by"] = json!(verified.decided_by().get());
    object["tree_shown"] = json!(args.source.is_some());
    Ok(Verdict { word: "proven", text, object })
}

/// The tree is one that the log signed or grew on, and the rules that judged are the last in it.
fn in_source(verified: &VerifiedSuccession, trust: &Trust, source: &str) -> Result<(), Failure> {
    let head = verified.succession().head();
    let opened = reach::source(source)?;
    let bytes = opened.checkpoint().map_err(|e| {
        let hint = "the source must hold the old log's checkpoint, tiles and entries";
        Failure::environment(format!("the checkpoint of {source} {e}"), hint)
    })?;
    let accepted = accept(&bytes, trust)?;
    trust.is_charter_of(&accepted)?;
    let latest = *accepted.checkpoint.head();
    if latest.size < head.size {
        return Err(Failure::refused(
            format!("the source ends at size {}, the succession names {}", latest.size, head.size),
            "take a source that reaches it: the operator's, a mirror's, or a member's copy",
        ));
    }
    grown_in_source(&head, &latest, source)?;
    let decides = governed_by(&opened, &head, &latest).map_err(|e| e.of(source))?;
    if decides != verified.decided_by() {
        return Err(Failure::refused(
            format!(
                "entry {decides} governs the end of that tree, and is not known here; entry {} is \
                 the last that is",
                verified.decided_by()
            ),
            "give a newer authority bundle of the old log with --charter",
        ));
    }
    Ok(())
}

/// The latest governance entry of a tree, by its last entry, which is proven to be in it.
fn governed_by(source: &Source, head: &TreeHead, latest: &TreeHead) -> Result<LeafIndex, Failure> {
    let hint = "the source must hold the old log's entries up to the succession's size";
    let refused = |e: &dyn std::fmt::Display| Failure::refused(e.to_string(), hint);
    let last = head.size.last().ok_or_else(|| refused(&"the tree is empty"))?;
    let entry = chain::entry(source, last, latest.size).map_err(|e| refused(&e))?;
    let mut nodes = TileReader::new(source, latest.size);
    let proof = prove_inclusion(&mut nodes, last, head.size).map_err(|e| refused(&e))?;
    verify_inclusion(&proof, &entry.leaf_hash(), last, head).map_err(|e| refused(&e))?;
    Ok(if entry.record().kind().is_governance() { last } else { entry.logged().governance })
}
