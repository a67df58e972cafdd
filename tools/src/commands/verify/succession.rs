//! Judges a succession: did enough members sign it, by the rules that it names and by the newest
//! known rules?

use ledger_core::index::LeafIndex;
use ledger_core::merkle::{BeginningError, PrefixProof, ProveError, TreeHead, prove_consistency};
use ledger_core::succession::{
    ClaimedSuccession, GovernanceRef, KnownLog, KnownLogError, SuccessionError, VerifiedSuccession,
};
use ledger_core::tile::TileReader;
use ledger_node::source::Source;
use serde_json::{Value, json};

use super::rules::{self, Unlawful};
use super::{Args, MAX_FILE, ProvenItem, accept, forked, not_grown};
use crate::commands::audit::chain::{self, NotShown};
use crate::commands::audit::read_checkpoint;
use crate::commands::charter::succeed;
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::reach;
use crate::trust::Trust;

/// Judges a succession by the governance of the log that it leaves.
pub(super) fn judge(
    bytes: &[u8],
    args: &Args,
    trust: Option<&Trust>,
) -> Result<ProvenItem, Failure> {
    let refused = |e: SuccessionError| Failure::refused_by(e);
    let claimed = ClaimedSuccession::parse(bytes).map_err(refused)?;
    let known = trust.and_then(|trust| Some((trust, trust.governance.as_ref()?)));
    let Some((trust, governance)) = known else {
        return Err(Failure::usage(
            "a succession cannot be judged without the charter of the log that it leaves",
            "give --anchor STATEMENT with --charter FILE, both of the old log; best is an \
             authority bundle, which holds later changes too",
        ));
    };
    let (origin, log) = (claimed.succession().origin(), governance.charter().origin());
    if origin.as_str() != log {
        let (expected, found) = (log.to_owned(), origin.to_string());
        return Err(refused(SuccessionError::OtherLog { expected, found }));
    }
    let mut known = KnownLog::new(governance.clone());
    given(&mut known, args, trust)?;
    let unlawful = match &args.source {
        Some(source) => in_source(&mut known, &claimed.succession().head(), trust, source)?,
        None => None,
    };
    let verified = claimed.verify(&known, environment::now()).map_err(refused)?;
    Ok(verdict(&verified, unlawful))
}

/// Adds the heads that the reader gave, if they are accepted.
fn given(known: &mut KnownLog, args: &Args, trust: &Trust) -> Result<(), Failure> {
    if let Some(bundle) = &trust.bundle {
        let checkpoint = &bundle.proof().checkpoint;
        let policy = trust.policy_for(checkpoint);
        // its governance is known already; its head counts if the reader's policy accepts it
        if let Ok(accepted) = policy.verify(checkpoint) {
            known.accept(&accepted, &policy).map_err(|e| failure(&e))?;
        }
    }
    if let Some(path) = &args.checkpoint {
        let of_file = |e: Failure| e.of(path.display());
        let accepted = accept(&files::read(path, MAX_FILE)?, trust).map_err(of_file)?;
        let policy = trust.policy_for(accepted.checkpoint.claimed());
        known.accept(&accepted, &policy).map_err(|e| of_file(failure(&e)))?;
    }
    Ok(())
}

/// Adds what a copy of the log shows: its head, its governance, its last entries, and proofs that
/// the known heads and the head of the succession are prefixes of its tree. Returns the unlawful
/// entries at its end, which do not count.
fn in_source(
    known: &mut KnownLog,
    named: &TreeHead,
    trust: &Trust,
    source: &str,
) -> Result<Option<Unlawful>, Failure> {
    let of_source = |e: KnownLogError| failure(&e).of(source);
    let opened = reach::source(source)?;
    let accepted = accept(&read_checkpoint(&opened)?, trust)?;
    trust.is_charter_of(&accepted)?;
    let latest = *accepted.checkpoint.head();
    if latest.size < named.size {
        return Err(Failure::refused(
            format!("the source ends at size {}, the succession names {}", latest.size, named.size),
            "use a source that reaches it: the operator's, a mirror's, or a member's copy",
        ));
    }
    let claimed = accepted.checkpoint.claimed().clone();
    let policy = trust.policy_for(&claimed);
    known.accept(&accepted, &policy).map_err(of_source)?;
    // a copy of another history contradicts the heads that the reader accepted before
    let older = known.heads().iter().filter(|own| !own.size.is_empty() && own.size < latest.size);
    for head in older.copied().chain([*named]).collect::<Vec<_>>() {
        link(known, head, &latest, &opened)?;
    }
    let rules = rules::find(&opened, &claimed)?;
    known.add_bundle(&rules.bundle, &policy).map_err(of_source)?;
    if let Some(unlawful) = rules.unlawful.as_ref().filter(|own| named.size.contains(own.index)) {
        return Err(Failure::refused(
            format!(
                "the tree of size {} ends with entries that do not count: {unlawful}",
                named.size
            ),
            "let the members sign again, with a checkpoint of the old log from before that entry",
        ));
    }
    let end = head_at(rules.end, &latest, &opened)?;
    link(known, end, &latest, &opened)?;
    for head in [end, *named] {
        let (entry, proof) = chain::end(&opened, &head, latest.size).map_err(|e| {
            let hint = "the source must hold the old log's entries up to its checkpoint";
            e.failure(e.to_string(), hint).of(source)
        })?;
        known.add_end(&head, &entry, &proof).map_err(of_source)?;
    }
    Ok(rules.unlawful)
}

/// Proves that a copy's tree begins with the tree of an older head.
fn link(
    known: &mut KnownLog,
    older: TreeHead,
    latest: &TreeHead,
    source: &Source,
) -> Result<(), Failure> {
    let mut nodes = TileReader::new(source, latest.size);
    let proof = prove_consistency(&mut nodes, older.size, latest.size);
    let proof = proof.map_err(|e| not_grown(&NotShown::growth(&e), source))?;
    known.link(older, latest, &proof).map_err(|e| match e {
        KnownLogError::NotProven { error, .. } => forked(&error),
        e => failure(&e).of(source),
    })
}

/// The head of the tree whose last entry is at `end`, from a copy's tiles.
fn head_at(end: LeafIndex, latest: &TreeHead, source: &Source) -> Result<TreeHead, Failure> {
    let size = end.size_through();
    if size == latest.size {
        return Ok(*latest);
    }
    let mut nodes = TileReader::new(source, latest.size);
    let beginning = PrefixProof::read(&mut nodes, size, latest).map_err(|e| match e {
        BeginningError::Read(e) => not_grown(&NotShown::growth(&ProveError::Read(e)), source),
        e => not_grown(&e.to_string().into(), source),
    })?;
    Ok(TreeHead { size, root: beginning.root })
}

fn verdict(verified: &VerifiedSuccession, unlawful: Option<Unlawful>) -> ProvenItem {
    let own = verified.succession();
    let members: Vec<String> = verified.members().to_vec();
    let abandoned = abandoned(verified);
    let broken = unlawful.as_ref().map(|own| format!("; {own}")).unwrap_or_default();
    let text = format!(
        "the log {} ends at size {} for its members, {} follows with the charter {}; signed by \
         {}, enough by the charter in force at entry {} and by the newest known rules; rules known \
         up to entry {}{broken}; {abandoned}",
        own.origin().as_str(),
        own.head().size,
        own.successor().as_str(),
        own.charter(),
        members.join(", "),
        own.governed().index,
        verified.rules_to(),
    );
    let governance = verified.abandoned_governance().iter().map(succeed::governance);
    let mut object = succeed::object(own);
    object["type"] = json!("succession");
    object["members"] = json!(verified.members());
    object["rules_known_to"] = json!(verified.rules_to().get());
    object["abandoned"] = json!({
        "entries": verified.abandoned(),
        "governance": governance.collect::<Vec<_>>(),
    });
    object["unlawful"] = unlawful.map_or(
        Value::Null,
        |own| json!({ "index": own.index.get(), "message": own.why, "behind": own.more }),
    );
    ProvenItem { word: "proven", text, object }
}

/// Describes the entries after the named size, which the members abandon.
fn abandoned(verified: &VerifiedSuccession) -> String {
    let entries = match verified.abandoned() {
        0 => return "no known entry is abandoned".to_owned(),
        1 => "1 entry after it is abandoned".to_owned(),
        n => format!("{n} entries after it are abandoned"),
    };
    let norm = |own: &GovernanceRef| format!("{} (statement {})", own.index, own.statement);
    let norms: Vec<String> = verified.abandoned_governance().iter().map(norm).collect();
    let size = verified.succession().head().size.get() + verified.abandoned();
    let is_complete = verified.rules_to().size_through().get() >= size;
    match norms.len() {
        0 if is_complete => format!("{entries}, none of them a governance entry"),
        0 => format!("{entries}, none of them known to be a governance entry"),
        1 => format!("{entries}, of them governance entry {}", norms[0]),
        _ => format!("{entries}, of them governance entries {}", norms.join(", ")),
    }
}

fn failure(error: &KnownLogError) -> Failure {
    Failure::refused_by(error)
}
