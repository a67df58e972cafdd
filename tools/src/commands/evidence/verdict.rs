//! What a file of evidence proves to the user.

use ledger_core::Hint;
use ledger_core::evidence::{ClaimedEvidence, Trust};
use ledger_core::note::VerifierKey;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::trust::TrustArgs;

/// What a file proves under the user's trust.
pub(super) struct EvidenceVerdict {
    pub(super) text: String,
    pub(super) why: Option<String>,
    pub(super) convicts: Vec<String>,
}

pub(super) fn verdict(evidence: &ClaimedEvidence, trust: &Trust) -> EvidenceVerdict {
    if trust.is_empty() {
        let text = "not judged: give --vkey, --policy or --anchor".to_owned();
        return EvidenceVerdict { text, why: None, convicts: Vec::new() };
    }
    match evidence.verify(trust) {
        Ok(conviction) => EvidenceVerdict {
            text: format!("convicts {}", conviction.culprit()),
            why: Some(conviction.explanation().to_owned()),
            convicts: conviction.culprit().keys().iter().map(ToString::to_string).collect(),
        },
        Err(error) => {
            let text = format!("convicts no key that you know: {error}");
            EvidenceVerdict { text, why: Some(error.hint().to_owned()), convicts: Vec::new() }
        }
    }
}

pub(super) fn object(evidence: &ClaimedEvidence, shown: &EvidenceVerdict) -> Value {
    json!({
        "id": evidence.id().to_string(),
        "type": evidence.kind(),
        "origin": evidence.origin(),
        "convicts": shown.convicts,
        "verdict": shown.text,
    })
}

/// What the user knows: keys, a policy, a charter's statement id.
///
/// # Errors
/// [`Failure`] when a key, the policy or the anchor is malformed.
pub fn known(vkeys: &[String], trust: &TrustArgs) -> Result<Trust, Failure> {
    let mut known = Trust::new();
    for vkey in vkeys {
        let key: VerifierKey = vkey.parse().map_err(|e| {
            Failure::usage(format!("--vkey: {e}"), "give a key as <name>+<8 hex digits>+<base64>")
        })?;
        known = known.with_key(key);
    }
    if let Some(policy) = trust.policy_file()? {
        known = known.with_policy(&policy);
    }
    Ok(match trust.anchor()? {
        Some(anchor) => known.with_anchor(anchor),
        None => known,
    })
}
