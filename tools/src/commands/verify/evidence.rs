//! Judges evidence: whom it convicts, by the keys or the charter that the user knows.

use ledger_core::Hint;
use ledger_core::evidence::{ClaimedEvidence, Conviction, Trust as Known};
use serde_json::{Value, json};

use super::{Args, ProvenItem};
use crate::commands::evidence::known as known_by;
use crate::failure::Failure;
use crate::trust::Trust;

/// Judges one file.
pub(super) fn judge(
    bytes: &[u8],
    args: &Args,
    trust: Option<&Trust>,
) -> Result<ProvenItem, Failure> {
    let known = known(args, trust)?;
    let evidence = ClaimedEvidence::parse(bytes)
        .map_err(|e| Failure::refused(format!("this is not evidence: {e}"), e.hint()))?;
    let conviction = evidence.verify(&known).map_err(|e| {
        Failure::refused(format!("it convicts no key that you know: {e}"), e.hint())
    })?;
    let culprit = conviction.culprit().to_string();
    let why = conviction.explanation();
    let text = format!("{culprit}: {} ({why})", conviction.kind());
    let object = object(&evidence, &conviction);
    Ok(ProvenItem { word: "convicted", text, object })
}

/// What `--json` says of a conviction.
fn object(evidence: &ClaimedEvidence, conviction: &Conviction) -> Value {
    let culprit = conviction.culprit();
    let keys: Vec<String> = culprit.keys().iter().map(ToString::to_string).collect();
    json!({
        "type": "evidence",
        "evidence": conviction.kind(),
        "id": evidence.id().to_string(),
        "convicted": { "role": culprit.role(), "origin": culprit.origin(), "keys": keys },
        "explanation": conviction.explanation(),
    })
}

/// What the user knows: keys, a policy, a charter.
fn known(args: &Args, trust: Option<&Trust>) -> Result<Known, Failure> {
    let mut known = known_by(&args.vkey, &args.trust)?;
    if let Some(trust) = trust {
        known = known.with_policy(&trust.policy);
    }
    if known.is_empty() {
        return Err(Failure::usage(
            "evidence cannot be judged without knowing whose keys are whose",
            "give the log's or the cosigner's key with --vkey, a policy with --policy FILE, or the \
             charter's statement id with --anchor STATEMENT",
        ));
    }
    Ok(known)
}
