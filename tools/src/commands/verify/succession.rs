//! A succession: whether enough members signed it, by its own rules and by the newest known ones.

use ledger_core::authority::AuthorityBundle;
use ledger_core::charter::{Governance, ReplayError};
use ledger_core::merkle::{TreeHead, prove_consistency};
use ledger_core::succession::{
    ClaimedSuccession, GovernanceRef, KnownLog, KnownLogError, SuccessionError, VerifiedSuccession,
};
use ledger_core::tile::TileReader;
use serde_json::json;

use super::{Args, MAX_FILE, Verdict, accept, forked};
use crate::commands::audit::chain::{self, NotShown};
use crate::commands::charter::succeed;
use crate::commands::prove::copy;
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::reach;
use crate::trust::Trust;

/// A succession, judged by the governance of the log that it leaves.
pub(super) fn judge(bytes: &[u8], args: &Args, trust: Option<&Trust>) -> Result<Verdict, Failure> {
    let refused = |e: SuccessionError| Failure::refused(e.to_string(), e.hint());
    let claimed = ClaimedSuccession::parse(bytes).map_err(refused)?;
    let known = trust.and_then(|trust| Some((trust, trust.governance.as_ref()?)));
    let Some((trust, governance)) = known else {
        return Err(Failure::usage(
            "a succession cannot be judged without the charter of the log that it leaves",
            "give --anchor STATEMENT with --charter FILE, both of the old log; best is an \
             authority bundle, which tells of later changes too",
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

/// The heads that the reader gave, as far as they are acceptable.
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

/// What a copy of the log shows: its head, its governance up to there, the tree that the succession
/// names as the beginning of it, and the last entries of both. Gives why governance entries behind
/// the last lawful one do not count.
fn in_source(
    known: &mut KnownLog,
    named: &TreeHead,
    trust: &Trust,
    source: &str,
) -> Result<Option<String>, Failure> {
    let of_source = |e: KnownLogError| failure(&e).of(source);
    let opened = reach::source(source)?;
    let bytes = opened.checkpoint().map_err(|e| {
        let hint = "the source must hold the old log's checkpoint, tiles and entries";
        Failure::environment(format!("the checkpoint of {source} {e}"), hint)
    })?;
    let accepted = accept(&bytes, trust)?;
    trust.is_charter_of(&accepted)?;
    let latest = *accepted.checkpoint.head();
    if latest.size < named.size {
        return Err(Failure::refused(
            format!("the source ends at size {}, the succession names {}", latest.size, named.size),
            "take a source that reaches it: the operator's, a mirror's, or a member's copy",
        ));
    }
    let claimed = accepted.checkpoint.claimed().clone();
    let policy = trust.policy_for(&claimed);
    let mut nodes = TileReader::new(&opened, latest.size);
    let proof = prove_consistency(&mut nodes, named.size, latest.size).map_err(|e| {
        let hint = "the source must hold the log's tiles up to its checkpoint";
        Failure::environment(format!("no consistency proof from {opened}: {e}"), hint)
    })?;
    known.accept(&accepted, &policy).map_err(of_source)?;
    known.link(*named, &latest, &proof).map_err(|e| match e {
        KnownLogError::NotProven { error, .. } => forked(&error),
        e => of_source(e),
    })?;
    let (bundle, unlawful) = lawful(copy::about_end(reach::source(source)?, claimed)?)?;
    known.add_bundle(&bundle, &policy).map_err(of_source)?;
    let not_shown = |e: NotShown| {
        let hint = "the source must hold the old log's entries up to its checkpoint";
        e.failure(e.to_string(), hint).of(source)
    };
    if unlawful.is_none() {
        let (entry, proof) = chain::end(&opened, &latest, latest.size).map_err(not_shown)?;
        known.add_end(&latest, &entry, &proof).map_err(of_source)?;
    }
    let (entry, proof) = chain::end(&opened, named, latest.size).map_err(not_shown)?;
    known.add_end(named, &entry, &proof).map_err(of_source)?;
    Ok(unlawful)
}

/// The bundle up to the first governance entry that breaks the rules, and why. That entry changes
/// nothing: else an operator could bar a succession by logging one.
fn lawful(bundle: AuthorityBundle) -> Result<(AuthorityBundle, Option<String>), Failure> {
    let refused = |e: &ReplayError| Failure::refused(e.to_string(), e.hint());
    let entries = bundle.governance();
    let all = entries.iter().map(|own| (own.index, &own.entry));
    let (governance, end) = Governance::replay_prefix(all).map_err(|e| refused(&e))?;
    match end {
        None => Ok((bundle, None)),
        Some(ReplayError::Unlawful { index, why }) => {
            let why = format!("entry {index} breaks the rules and changes none: {why}");
            let kept = entries[..governance.states().len()].to_vec();
            Ok((AuthorityBundle::new(kept, bundle.proof().clone()), Some(why)))
        }
        // what this version cannot judge may well change the rules
        Some(e) => Err(refused(&e)),
    }
}

fn verdict(verified: &VerifiedSuccession, unlawful: Option<String>) -> Verdict {
    let own = verified.succession();
    let members: Vec<String> = verified.members().to_vec();
    let abandoned = abandoned(verified);
    let unlawful = unlawful.map(|why| format!("; {why}")).unwrap_or_default();
    let text = format!(
        "the log {} ends at size {} for its members, {} follows with the charter {}; signed by \
         {}, enough by the charter as entry {} left it and by the newest rules known; rules known \
         up to entry {}{unlawful}; {abandoned}",
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
    Verdict { word: "proven", text, object }
}

/// What the members give up behind the named size, in words.
fn abandoned(verified: &VerifiedSuccession) -> String {
    let entries = match verified.abandoned() {
        0 => return "no known entry is abandoned".to_owned(),
        1 => "1 entry behind it is abandoned".to_owned(),
        n => format!("{n} entries behind it are abandoned"),
    };
    let norm = |own: &GovernanceRef| format!("{} (statement {})", own.index, own.statement);
    let norms: Vec<String> = verified.abandoned_governance().iter().map(norm).collect();
    let size = verified.succession().head().size.get() + verified.abandoned();
    let is_complete = verified.rules_to().size_through().get() >= size;
    match norms.len() {
        0 if is_complete => format!("{entries}, none of governance"),
        0 => format!("{entries}, none of them known to be a governance entry"),
        1 => format!("{entries}, of them governance entry {}", norms[0]),
        _ => format!("{entries}, of them governance entries {}", norms.join(", ")),
    }
}

fn failure(error: &KnownLogError) -> Failure {
    Failure::refused(error.to_string(), error.hint())
}
