//! Implements `--evidence`: witnesses that these files convict count for no quorum.

use std::path::PathBuf;

use ledger_core::Hint;
use ledger_core::evidence::{
    ClaimedEvidence, Culprit, Exclusions, MAX_EVIDENCE_BYTES, Trust as Known,
};
use ledger_core::policy::Policy;

use crate::failure::Failure;
use crate::files;
use crate::output::Output;

/// Reads the files of `--evidence`.
///
/// # Errors
/// [`Failure`] names the file that cannot be read, or is not evidence.
pub fn read(paths: &[PathBuf]) -> Result<Exclusions, Failure> {
    let read = |path: &PathBuf| {
        let bytes = files::read(path, MAX_EVIDENCE_BYTES)?;
        ClaimedEvidence::parse(&bytes).map_err(|e| {
            Failure::refused(format!("this is not evidence: {e}"), e.hint()).of(path.display())
        })
    };
    let files: Vec<ClaimedEvidence> = paths.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Exclusions::of_files(files))
}

/// The policy in which the convicted witnesses count for no quorum. Warns about each file that
/// changes nothing.
///
/// # Errors
/// [`Failure`] if a file convicts the policy's log: its heads prove nothing.
pub fn apply(exclusions: &Exclusions, policy: &Policy, out: &Output) -> Result<Policy, Failure> {
    let judged = exclusions.apply(policy);
    for file in exclusions.files() {
        let id = file.id();
        if judged.convicted().iter().any(|own| own.evidence == *id.as_hash()) {
            continue;
        }
        // the policy's witness keys do not affect a file that is about a log
        match file.verify(&Known::new().with_policy(policy)) {
            Ok(conviction) => match conviction.culprit() {
                Culprit::Log { origin, .. } => {
                    return Err(Failure::refused(
                        format!("evidence {id} convicts the log {origin}: its heads prove nothing"),
                        "see `ledger verify EVIDENCE`; leave --evidence out to ignore it",
                    ));
                }
                // a second file against a witness that is convicted already
                Culprit::Cosigner { .. } => {}
                other => out.warn(format!("evidence {id} excludes no witness: it convicts {other}")),
            },
            Err(why) => out.warn(format!(
                "evidence {id} excludes no witness of this policy: it convicts none of the policy's \
                 keys ({why})"
            )),
        }
    }
    Ok(judged)
}
