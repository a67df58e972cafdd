//! Whom a command trusts: a policy, or a charter whose statement id the user knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Bytes a policy file may have: a thousand lines of keys and addresses.
const MAX_POLICY_BYTES: usize = 1 << 20;

const NO_QUORUM: &str = "the log signed it, but your policy asks for more witnesses: fetch a \
                         newer one that they cosigned, or look at the policy's quorum";

const CONVICTED_WITNESS: &str = "convicted witnesses count for nothing: fetch a newer checkpoint or proof that enough others \
                                 cosigned. If there is none, the log's members must replace the \
                                 witness: `set_policy`, see docs/governance.md";

const NOT_SIGNED: &str = "it was altered, or is of another log; or the log's keys have changed since: give \
                          --charter a newer authority bundle, `ledger prove --index N --authority`";

const ALTERED: &str = "it was altered, or it is of a log that your policy does not trust";

/// What the command line says about trust.
#[derive(Debug, Clone, clap::Args)]
pub struct TrustArgs {
    /// A C2SP tlog-policy: the log, its witnesses and the quorum
    #[arg(long, value_name = "FILE", env = "LEDGER_POLICY")]
    pub policy: Option<PathBuf>,
    /// The charter's statement id, from a source you trust: keys, members and policy follow from it
    #[arg(long, value_name = "STATEMENT")]
    pub anchor: Option<String>,
    /// The charter's record file, or an authority bundle of the log (`prove --authority`), which
    /// tells of later changes too; must begin with the statement of --anchor
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub charter: Option<PathBuf>,
    /// Evidence (`ledger-evidence/v1`) from a source you trust: a witness that it convicts counts
    /// for no quorum; may be given several times
    #[arg(long, value_name = "FILE")]
    pub evidence: Vec<PathBuf>,
}

/// What verdicts rest on.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What makes a checkpoint acceptable. Convicted witnesses count for nothing in it.
    pub policy: Policy,
    /// What the user holds against witnesses.
    pub exclusions: Exclusions,
    /// Who may sign, from the charter on as far as is known; without it signers are not judged.
    pub governance: Option<Governance>,
    /// Where it comes from.
    pub basis: Basis,
    /// The bundle that `--charter` gave; it has been verified by its own policy.
    pub bundle: Option<Arc<AuthorityBundle>>,
    /// Log keys that the charter behind the policy has retired: each counts for heads that do not
    /// yet hold its retirement. Empty under a policy of the user's own.
    retired: Vec<RetiredLogKey>,
}

/// Where trust comes from. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// From the user.
    User,
    /// From the very log or node that is to be checked.
    Claimed,
}

impl Trust {
    /// What a policy of the user's own says, and nothing else.
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

    /// What a charter says, as far as it is known.
    ///
    /// # Errors
    /// [`Failure`] when its policy cannot be read, or the evidence convicts its log.
    pub fn of_charter(
        governance: Governance,
        basis: Basis,
        exclusions: Exclusions,
        out: &Output,
    ) -> Result<Trust, Failure> {
        let policy = excluded::apply(&exclusions, &charter_policy(governance.charter())?, out)?;
        let retired = governance.charter().retired_log_keys().iter().cloned().collect();
        let governance = Some(governance);
        Ok(Trust { policy, exclusions, governance, basis, bundle: None, retired })
    }

    /// The policy for a checkpoint, which may be older than the log's present keys.
    pub fn policy_for(&self, claimed: &ClaimedCheckpoint) -> Policy {
        let size = claimed.checkpoint().head().size;
        let own = self.policy.logs().iter().map(|log| log.key.clone());
        let then = self.retired.iter().filter(|retired| !size.contains(retired.at()));
        self.policy.with_logs(own.chain(then.map(|retired| retired.key().clone())))
    }

    /// The retired key that signed a checkpoint which no other key of the log signed.
    pub fn retired_signer(&self, claimed: &ClaimedCheckpoint) -> Option<&RetiredLogKey> {
        let signed = |key: &VerifierKey| claimed.verify(std::slice::from_ref(key)).is_ok();
        if self.policy.logs().iter().any(|log| signed(&log.key)) {
            return None;
        }
        self.retired.iter().find(|retired| signed(retired.key()))
    }

    /// What to do about a checkpoint that is not accepted.
    pub fn hint(&self, claimed: &ClaimedCheckpoint, error: &PolicyError) -> String {
        match error {
            PolicyError::NoQuorum { .. } => NO_QUORUM.to_owned(),
            PolicyError::ConvictedWitness(_) => CONVICTED_WITNESS.to_owned(),
            PolicyError::Checkpoint(CheckpointError::NotSigned(_)) => {
                match self.retired_signer(claimed) {
                    Some(retired) => format!(
                        "a key signed it that entry {} of the log retired, and it holds that entry: get \
                         one that the log's present key signed",
                        retired.at()
                    ),
                    None if self.governance.is_some() => NOT_SIGNED.to_owned(),
                    None => ALTERED.to_owned(),
                }
            }
            _ => ALTERED.to_owned(),
        }
    }

    /// The latest rules that are known.
    pub fn charter(&self) -> Option<&Arc<Charter>> {
        self.governance.as_ref().map(Governance::charter)
    }

    /// The charter must be that of the log whose checkpoint was accepted.
    ///
    /// # Errors
    /// [`Failure`] names both logs.
    pub fn is_charter_of(&self, accepted: &AcceptedCheckpoint) -> Result<(), Failure> {
        let origin = accepted.checkpoint.origin().as_str();
        match self.charter().map(|charter| charter.origin()).filter(|own| *own != origin) {
            None => Ok(()),
            Some(own) => Err(Failure::refused(
                format!(
                    "the charter is that of the log {}, but the checkpoint is of {}",
                    own, origin
                ),
                "give the anchor and the policy of one log",
            )),
        }
    }
}

/// Why the proof that a node sent for a record is refused; `hint` says what to do if the proof itself
/// does not hold.
pub fn unproven(error: &RecordProofError, hint: &str) -> Failure {
    match error {
        RecordProofError::Proof(error) => {
            Failure::refused(format!("the proof does not hold: {error}"), hint)
        }
        error => Failure::refused(error.to_string(), error.hint()),
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

    /// Whether nothing was given.
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
            // a policy, which may come from LEDGER_POLICY, does not stand in for the charter
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

    /// Trust for a command that speaks with a node: from the user, else from the node itself.
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

    /// Trust for a command that reads a log's files: from the user, else from the log itself, whose
    /// governance `read` gives. Changes in it are signed by members of the charter before them.
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
    /// [`Failure`] when one cannot be read, or is no evidence.
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

/// The policy that a charter carries, for the charter's own log keys.
///
/// # Errors
/// [`Failure`] when it carries none that can be read.
fn charter_policy(charter: &Charter) -> Result<Policy, Failure> {
    charter.read_policy().map_err(|e| {
        Failure::refused(
            format!("the charter's policy: {e}"),
            "give a policy of your own: --policy",
        )
    })
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = files::read(path, MAX_POLICY_BYTES)?;
    Policy::parse(&bytes).map_err(|e| {
        let hint = "a policy has lines `log VKEY`, `witness NAME VKEY`, `group ...`, `quorum NAME`";
        Failure::refused(e.to_string(), hint).of(path.display())
    })
}

/// Reads a charter's record file or an authority bundle, which must have the anchor's statement id;
/// gives the bundle too.
///
/// # Errors
/// [`Failure`] when it is another record, no sound charter, or a bundle that does not hold.
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
    // a charter in a file has no time of the log: its own stands in
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
        refused("the node shows no charter".into(), "the node does not serve one of our logs")
    })?;
    if anchor.is_some_and(|anchor| anchor != own) {
        return Err(refused(
            format!("the node's charter is {own}, not the anchor"),
            "this is another log, or one that pretends: check --node and --anchor",
        ));
    }
    let exclude = |policy: &Policy| exclusions.apply(policy);
    let judged = bundle.verify_governance(own, HeadPolicy::Charter(&exclude));
    judged
        .map(|(_, governance)| governance)
        .map_err(|e| refused(format!("the node's charter: {e}"), e.hint()))
}
