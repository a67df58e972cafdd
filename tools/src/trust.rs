//! What a command trusts: a policy, or a charter whose statement id the user knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::Hint;
use ledger_core::RecordProofError;
use ledger_core::authority::{AuthorityBundle, HeadPolicy, MAX_BUNDLE_BYTES};
use ledger_core::charter::{Charter, Governance, ReplayError, RetiredLogKey};
use ledger_core::checkpoint::{CheckpointError, ClaimedCheckpoint};
use ledger_core::evidence::Exclusions;
use ledger_core::index::LeafIndex;
use ledger_core::note::VerifierKey;
use ledger_core::policy::{AcceptedCheckpoint, Policy, PolicyError};
use ledger_core::record::{Entry, Logged, Record, StatementId};

use crate::client::{LeafName, Node};
use crate::excluded;
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::files;
use crate::output::Output;

/// Limit on the bytes of a policy file: about a thousand lines of keys and addresses.
const MAX_POLICY_BYTES: usize = 1 << 20;

const NO_QUORUM: &str = "the log signed it, but too few witnesses of your policy did: fetch a \
                         newer one that they cosigned, or check the policy's quorum";

const CONVICTED_WITNESS: &str = "convicted witnesses do not count: fetch a newer checkpoint or proof that enough others \
                                 cosigned. If there is none, the log's members must replace the \
                                 witness with `set_policy`, see docs/governance.md";

const NOT_SIGNED: &str = "it was altered, or it is from another log, or the log's keys have changed since: give \
                          --charter a newer authority bundle, `ledger prove --index N --authority`";

const ALTERED: &str = "it was altered, or it is from a log that your policy does not list";

/// The options that say what to trust.
#[derive(Debug, Clone, clap::Args)]
pub struct TrustArgs {
    /// A C2SP tlog-policy with the log, its witnesses and the quorum
    #[arg(long, value_name = "FILE", env = "LEDGER_POLICY")]
    pub policy: Option<PathBuf>,
    /// The charter's statement id, from a source you trust: keys, members and policy follow from it
    #[arg(long, value_name = "STATEMENT")]
    pub anchor: Option<String>,
    /// The charter's record file, or an authority bundle of the log (`prove --authority`), which
    /// holds later changes too; --anchor must name its charter
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub charter: Option<PathBuf>,
    /// Evidence (`ledger-evidence/v1`) from a source you trust: a witness that it convicts counts
    /// for no quorum; may be given several times
    #[arg(long, value_name = "FILE")]
    pub evidence: Vec<PathBuf>,
}

/// The policy and the charter that verdicts use.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The policy that a checkpoint must satisfy. Convicted witnesses do not count in it.
    pub policy: Policy,
    /// The evidence that the user gave.
    pub exclusions: Exclusions,
    /// The charter and its known changes, which say who may sign. Without it signers are not
    /// judged.
    pub governance: Option<Governance>,
    /// Where this trust comes from.
    pub basis: Basis,
    /// The bundle that `--charter` gave; it has been verified by its own policy.
    pub bundle: Option<Arc<AuthorityBundle>>,
    /// Log keys that the charter has retired. Each still counts for heads that do not hold its
    /// retirement yet. Empty if the user gave the policy.
    retired: Vec<RetiredLogKey>,
}

/// Where trust comes from. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// From the user.
    User,
    /// From the log or node that is being checked.
    Claimed,
}

impl Trust {
    /// Trusts a policy that the user gave, and nothing else.
    ///
    /// # Errors
    /// [`Failure`] when the evidence convicts the policy's log.
    pub fn of_policy(
        policy: &Policy,
        exclusions: Exclusions,
        out: &Output,
    ) -> Result<Trust, Failure> {
        let policy = excluded::apply(&exclusions, policy, out)?;
        let (basis, retired) = (Basis::User, Vec::new());
        Ok(Trust { policy, exclusions, governance: None, basis, bundle: None, retired })
    }

    /// Trusts a charter and its changes, as far as they are known.
    ///
    /// # Errors
    /// [`Failure`] when the evidence convicts its log.
    pub fn of_charter(
        governance: Governance,
        basis: Basis,
        exclusions: Exclusions,
        out: &Output,
    ) -> Result<Trust, Failure> {
        let policy = excluded::apply(&exclusions, &governance.charter().policy(), out)?;
        let retired = governance.charter().retired_log_keys().iter().cloned().collect();
        let governance = Some(governance);
        Ok(Trust { policy, exclusions, governance, basis, bundle: None, retired })
    }

    /// The policy for a checkpoint, which may be older than the log's current keys.
    pub fn policy_for(&self, claimed: &ClaimedCheckpoint) -> Policy {
        let size = claimed.checkpoint().head().size;
        let own = self.policy.logs().iter().map(|log| log.key.clone());
        let then = self.retired.iter().filter(|retired| !size.contains(retired.at()));
        self.policy.with_logs(own.chain(then.map(|retired| retired.key().clone())))
    }

    /// The retired key that signed this checkpoint, if no current key of the log signed it.
    pub fn retired_signer(&self, claimed: &ClaimedCheckpoint) -> Option<&RetiredLogKey> {
        let signed = |key: &VerifierKey| claimed.verify(std::slice::from_ref(key)).is_ok();
        if self.policy.logs().iter().any(|log| signed(&log.key)) {
            return None;
        }
        self.retired.iter().find(|retired| signed(retired.key()))
    }

    /// The hint for a checkpoint that is not accepted.
    pub fn hint(&self, claimed: &ClaimedCheckpoint, error: &PolicyError) -> String {
        match error {
            PolicyError::NoQuorum { .. } => NO_QUORUM.to_owned(),
            PolicyError::ConvictedWitness(_) => CONVICTED_WITNESS.to_owned(),
            PolicyError::Checkpoint(CheckpointError::NotSigned(_)) => {
                match self.retired_signer(claimed) {
                    Some(retired) => format!(
                        "it is signed by a key that entry {} retired, and its tree holds that \
                         entry: get one that the log's current key signed",
                        retired.at()
                    ),
                    None if self.governance.is_some() => NOT_SIGNED.to_owned(),
                    None => ALTERED.to_owned(),
                }
            }
            _ => ALTERED.to_owned(),
        }
    }

    /// The latest charter state that is known.
    pub fn charter(&self) -> Option<&Arc<Charter>> {
        self.governance.as_ref().map(Governance::charter)
    }

    /// Checks that the charter belongs to the log whose checkpoint was accepted.
    ///
    /// # Errors
    /// [`Failure`] names both logs.
    pub fn is_charter_of(&self, accepted: &AcceptedCheckpoint) -> Result<(), Failure> {
        let origin = accepted.checkpoint.origin().as_str();
        match self.charter().map(|charter| charter.origin()).filter(|own| *own != origin) {
            None => Ok(()),
            Some(own) => Err(Failure::refused(
                format!("the charter belongs to the log {}, but the checkpoint to {}", own, origin),
                "give the anchor and the policy of one log",
            )),
        }
    }
}

/// The failure for a node's proof that is refused. `hint` says what to do if the proof itself does
/// not verify.
pub fn unproven(error: &RecordProofError, hint: &str) -> Failure {
    match error {
        RecordProofError::Proof(error) => {
            Failure::refused(format!("the proof does not verify: {error}"), hint)
        }
        error => Failure::refused_by(error),
    }
}

impl Basis {
    /// The word that `--json` uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::User => "user",
            Basis::Claimed => "node",
        }
    }
}

impl TrustArgs {
    /// The anchor, if one was given.
    ///
    /// # Errors
    /// [`Failure`] when it is not a statement id.
    pub fn anchor(&self) -> Result<Option<StatementId>, Failure> {
        let Some(text) = &self.anchor else { return Ok(None) };
        let id = StatementId::from_hex(text).map_err(|e| {
            Failure::usage(
                format!("--anchor is {e}"),
                "give the charter's statement id, as `ledger record show CHARTER.record` prints it",
            )
        })?;
        Ok(Some(id))
    }

    /// Whether neither a policy nor an anchor was given.
    pub fn is_empty(&self) -> bool {
        self.policy.is_none() && self.anchor.is_none()
    }

    /// Trust from files alone; `None` when neither policy nor anchor was given.
    ///
    /// # Errors
    /// [`Failure`] when a file is missing, malformed, or not the anchor's.
    pub fn offline(&self, out: &Output) -> Result<Option<Trust>, Failure> {
        let charter = match (self.anchor()?, &self.charter) {
            (None, _) => None,
            (Some(anchor), Some(path)) => Some((anchor, path)),
            // a policy, which may come from LEDGER_POLICY, does not replace the charter
            (Some(_), None) => {
                return Err(Failure::usage(
                    "--anchor alone is not enough without a node",
                    "add --charter FILE, the charter's record",
                ));
            }
        };
        if self.is_empty() {
            return Ok(None);
        }
        let exclusions = self.exclusions()?;
        let read = |(anchor, path): (_, &PathBuf)| read_governance(path, anchor, &exclusions);
        let (governance, bundle) = match charter.map(read).transpose()? {
            Some((governance, bundle)) => (Some(governance), bundle),
            None => (None, None),
        };
        let trust = self.combine(governance, exclusions, out)?;
        Ok(trust.map(|trust| Trust { bundle: bundle.map(Arc::new), ..trust }))
    }

    /// Trust for a command that calls a node: what the user gave, else what the node claims.
    ///
    /// # Errors
    /// [`Failure`] when what was given is malformed, or the node's charter is not the anchor's.
    pub async fn with_node(&self, node: &mut Node, out: &Output) -> Result<Trust, Failure> {
        let trust = match (self.anchor()?, &self.charter) {
            (Some(anchor), None) => {
                let exclusions = self.exclusions()?;
                let governance = governance_of_node(node, Some(anchor), &exclusions).await?;
                self.combine(Some(governance), exclusions, out)?
            }
            _ => self.offline(out)?,
        };
        if let Some(trust) = trust {
            return Ok(trust);
        }
        let exclusions = self.exclusions()?;
        let governance = governance_of_node(node, None, &exclusions).await?;
        let charter = governance.charter();
        out.warn(format!(
            "no --policy and no --anchor: this trusts what the node itself claims, \
             the charter {}",
            charter.statement()
        ));
        Trust::of_charter(governance, Basis::Claimed, exclusions, out)
    }

    /// Trust for a command that reads a log's files: what the user gave, else the log's own
    /// governance, which `read` returns. Each change in it is signed by members of the charter
    /// state before it.
    ///
    /// # Errors
    /// [`Failure`] when what was given is malformed, or the log's charter is not the anchor's.
    pub fn with_files(
        &self,
        read: impl Fn() -> Result<Governance, Failure>,
        out: &Output,
    ) -> Result<Trust, Failure> {
        let trust = match (self.anchor()?, &self.charter) {
            (Some(anchor), None) => {
                let governance = read()?;
                let own = governance.charter().statement();
                if own != anchor {
                    return Err(Failure::refused(
                        format!("the log's charter is {own}, not the anchor"),
                        "this is another log, or one that pretends to be yours",
                    ));
                }
                self.combine(Some(governance), self.exclusions()?, out)?
            }
            _ => self.offline(out)?,
        };
        if let Some(trust) = trust {
            return Ok(trust);
        }
        let governance = read()?;
        let charter = governance.charter();
        out.warn(format!(
            "no --policy and no --anchor: this trusts the log itself, its charter {}",
            charter.statement()
        ));
        Trust::of_charter(governance, Basis::Claimed, self.exclusions()?, out)
    }

    /// The policy file alone, for a command that reads the charter from the log itself.
    ///
    /// # Errors
    /// [`Failure`] when it is missing or malformed.
    pub fn policy_file(&self) -> Result<Option<Policy>, Failure> {
        self.policy.as_deref().map(read_policy).transpose()
    }

    /// The files of `--evidence`.
    ///
    /// # Errors
    /// [`Failure`] when one cannot be read, or is not evidence.
    pub fn exclusions(&self) -> Result<Exclusions, Failure> {
        excluded::read(&self.evidence)
    }

    fn combine(
        &self,
        governance: Option<Governance>,
        exclusions: Exclusions,
        out: &Output,
    ) -> Result<Option<Trust>, Failure> {
        match (&self.policy, governance) {
            (Some(path), governance) => {
                let trust = Trust::of_policy(&read_policy(path)?, exclusions, out)?;
                Ok(Some(Trust { governance, ..trust }))
            }
            (None, Some(governance)) => {
                Trust::of_charter(governance, Basis::User, exclusions, out).map(Some)
            }
            (None, None) => Ok(None),
        }
    }
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = files::read(path, MAX_POLICY_BYTES)?;
    Policy::parse(&bytes).map_err(|e| {
        let hint = "a policy has lines `log VKEY`, `witness NAME VKEY`, `group ...`, `quorum NAME`";
        Failure::refused(e.to_string(), hint).of(path.display())
    })
}

/// Reads a charter's record file or an authority bundle. The anchor must be the statement id of its
/// charter. Returns the bundle too.
///
/// # Errors
/// [`Failure`] when the file holds another charter, an invalid charter, or a bundle that does not
/// verify.
fn read_governance(
    path: &Path,
    anchor: StatementId,
    exclusions: &Exclusions,
) -> Result<(Governance, Option<AuthorityBundle>), Failure> {
    let bytes = files::read(path, MAX_BUNDLE_BYTES)?;
    let refused = |message: String, hint: &str| Failure::refused(message, hint).of(path.display());
    if matches!(FileKind::of(&bytes), FileKind::Bundle | FileKind::Evidence | FileKind::Object) {
        let bundle =
            AuthorityBundle::parse(&bytes).map_err(|e| refused(e.to_string(), e.hint()))?;
        let exclude = |policy: &Policy| exclusions.apply(policy);
        let judged = bundle.verify_governance(anchor, HeadPolicy::Charter(&exclude));
        let (_, governance) = judged.map_err(|e| refused(e.to_string(), e.hint()))?;
        return Ok((governance, Some(bundle)));
    }
    let record = Record::parse(&bytes).map_err(|e| refused(e.to_string(), e.hint()))?;
    if record.statement() != anchor {
        let message = format!("its statement id is {}, not the anchor's", record.statement());
        return Err(refused(message, "it is another charter, or it was altered: ask your source"));
    }
    // a charter in a file has no log time, so its own `issued_at` is used
    let logged = Logged { time: record.envelope().issued_at(), governance: LeafIndex::ZERO };
    let founded = Governance::found(&Entry::new(logged, record)).map_err(|e| {
        let message = match &e {
            ReplayError::Unlawful { why, .. } => why.to_string(),
            ReplayError::NotJudged { why, .. } => why.clone(),
            other => other.to_string(),
        };
        refused(message, e.hint())
    })?;
    Ok((founded, None))
}

async fn governance_of_node(
    node: &mut Node,
    anchor: Option<StatementId>,
    exclusions: &Exclusions,
) -> Result<Governance, Failure> {
    let bytes = node.authority(LeafName::Index(0)).await?;
    let refused = |message: String, hint: &str| Failure::refused(message, hint);
    let bundle = AuthorityBundle::parse(&bytes)
        .map_err(|e| refused(format!("the node's charter: {e}"), e.hint()))?;
    let own = bundle.charter().ok_or_else(|| {
        refused("the node sent no charter".into(), "the node serves a log without a charter")
    })?;
    if anchor.is_some_and(|anchor| anchor != own) {
        return Err(refused(
            format!("the node's charter is {own}, not the anchor"),
            "this is another log, or one that pretends to be yours: check --node and --anchor",
        ));
    }
    let exclude = |policy: &Policy| exclusions.apply(policy);
    let judged = bundle.verify_governance(own, HeadPolicy::Charter(&exclude));
    judged
        .map(|(_, governance)| governance)
        .map_err(|e| refused(format!("the node's charter: {e}"), e.hint()))
}
