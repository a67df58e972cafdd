//! Whose signature makes a checkpoint count, and which of its lines are worth keeping.

use std::path::PathBuf;
use std::sync::Arc;

use ledger_core::charter::{Charter, MAX_POLICY_WITNESSES, RetiredLogKey};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature;
use ledger_core::gossip::LogStanding;
use ledger_core::note::{Algorithm, Note, Signature, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::record::Entry;
use ledger_core::witness::LogKeys;

use super::context::CopyContext;
use super::list::{ListedBasis, Quorum};
use super::trouble::Trouble;
use crate::governance;
use crate::store::StoreError;

/// Lines by keys of the log that are kept: two, while a key gives way to another.
const MAX_LOG_LINES: usize = 2;

/// Lines by known witnesses that are kept: all that a charter's policy may have. A mirror's own two
/// come on top, and a note has room for all.
const MAX_WITNESS_LINES: usize = MAX_POLICY_WITNESSES;

/// A checkpoint as a source shows it must be signed by a key of its log. For a log of ours this may
/// be a key that entries brought which are not copied yet, but never one that those here have
/// retired: a head that is pending keeps all others away.
pub fn check(
    copy: &CopyContext,
    charter: Option<&Arc<Charter>>,
    offered: &ClaimedCheckpoint,
) -> Result<(), Trouble> {
    match &copy.log.basis {
        ListedBasis::Keys { keys, policy } => {
            signed(copy, offered, keys)?;
            let Some(path) = policy else { return Ok(()) };
            let policy = read_policy(&copy.common.dir.join(path))?;
            satisfies(copy, &policy.with_logs(keys.iter().cloned()), offered)
        }
        ListedBasis::Charter { anchor, .. } => {
            if let Some(charter) = charter
                && offered.verify(charter.log_keys()).is_ok()
            {
                return signed(copy, offered, charter.log_keys());
            }
            let size = offered.checkpoint().head().size;
            let read = |at| {
                let bytes = copy.feed.entry(at, size).map_err(|e| e.to_string())?;
                Entry::parse(&bytes).map_err(|e| e.to_string())
            };
            let foreign = |why| Trouble::Foreign(format!("its log shows no charter: {why}"));
            let claimed = governance::claimed(size, read).map_err(foreign)?;
            // every change is signed by members of the charter before it, and that by its statement
            let found = claimed.charter().statement();
            if found != *anchor {
                let why = format!("its log's charter is {found}, not the anchor {anchor}");
                return Err(Trouble::Foreign(why));
            }
            // a retired key must not come back by leaving out what is known here
            let goes_on = charter.is_none_or(|charter| {
                let then = claimed.at(charter.governance_index());
                then.is_some_and(|then| then.base() == charter.base())
            });
            if !goes_on {
                let why = "its governance entries do not go on from those that are here";
                return Err(Trouble::Foreign(why.to_owned()));
            }
            signed(copy, offered, claimed.charter().log_keys())
        }
    }
}

/// A checkpoint that is about to be cosigned must be signed by a key in force at its end.
pub fn check_in_force(
    copy: &CopyContext,
    charter: Option<&Charter>,
    pending: &ClaimedCheckpoint,
) -> Result<(), Trouble> {
    match (&copy.log.basis, charter) {
        (ListedBasis::Keys { keys, .. }, _) => signed(copy, pending, keys),
        (ListedBasis::Charter { .. }, Some(charter)) => signed(copy, pending, charter.log_keys()),
        (ListedBasis::Charter { .. }, None) => {
            Err(Trouble::Foreign("it has no charter".to_owned()))
        }
    }
}

/// And it must have the quorum that the operator asks for.
pub fn check_quorum(
    copy: &CopyContext,
    charter: Option<&Charter>,
    pending: &ClaimedCheckpoint,
) -> Result<(), Trouble> {
    match (&copy.log.basis, charter) {
        (ListedBasis::Charter { quorum: Quorum::Needed, .. }, Some(charter)) => {
            satisfies(copy, &charter.policy(), pending)
        }
        (ListedBasis::Charter { .. }, _) => Ok(()),
        (ListedBasis::Keys { .. }, _) => check(copy, None, pending),
    }
}

/// And gossip must know nothing that speaks against the log, and have kept all that it found.
pub fn check_standing(copy: &CopyContext) -> Result<(), Trouble> {
    if copy.common.gossip.is_broken() {
        // what it found may convict this log, and a restart forgets it
        return Err(StoreError::Failed.into());
    }
    match copy.common.gossip.standing(&copy.log.origin) {
        LogStanding::Good => Ok(()),
        LogStanding::Convicted(id) => Err(Trouble::Convicted(id)),
        LogStanding::Unreconciled(question) => {
            let (smaller, larger) = (question.smaller.size, question.larger.size);
            Err(Trouble::Unreconciled { smaller, larger })
        }
        // what a later version says is nothing good
        _ => Err(Trouble::Foreign("gossip knows something against its log".to_owned())),
    }
}

/// The quorum must have cosigned, without witnesses that evidence convicts.
fn satisfies(
    copy: &CopyContext,
    policy: &Policy,
    offered: &ClaimedCheckpoint,
) -> Result<(), Trouble> {
    let policy = copy.common.gossip.evidence().exclusions().apply(policy);
    policy.verify(offered).map(|_| ()).map_err(|e| Trouble::Foreign(e.to_string()))
}

/// Signed by one of these keys that nothing convicts.
fn signed(
    copy: &CopyContext,
    offered: &ClaimedCheckpoint,
    keys: &[VerifierKey],
) -> Result<(), Trouble> {
    let evidence = copy.common.gossip.evidence();
    let (convicted, trusted): (Vec<VerifierKey>, Vec<VerifierKey>) =
        keys.iter().cloned().partition(|key| evidence.against(key).is_some());
    let verified = offered.verify(LogKeys::new(trusted).trusted());
    let Err(error) = verified else { return Ok(()) };
    let by = convicted.iter().find(|key| offered.verify(std::slice::from_ref(*key)).is_ok());
    Err(match by.and_then(|key| evidence.against(key)) {
        Some(id) => Trouble::Convicted(id),
        None => Trouble::Foreign(error.to_string()),
    })
}

fn keys_of(charter: &Charter) -> Vec<VerifierKey> {
    let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
    charter.log_keys().iter().chain(retired).cloned().collect()
}

fn read_policy(path: &std::path::Path) -> Result<Policy, Trouble> {
    let wrong = |e: String| Trouble::Foreign(format!("the policy {}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    Policy::parse(&bytes).map_err(|e| wrong(e.to_string()))
}

/// The lines that verify by keys that are known, the latest of each: the log's, and those of the
/// policy's witnesses. One false line of a known key would spoil the checkpoint for its readers.
// SPEC tlog-mirror/add-checkpoint: the log's signature is retained
pub fn worth_keeping(
    copy: &CopyContext,
    charter: Option<&Arc<Charter>>,
    checkpoint: &ClaimedCheckpoint,
) -> Vec<Signature> {
    let mut kept = Vec::new();
    keep_latest(&mut kept, checkpoint.note(), &known_keys(copy, charter));
    kept.into_iter().map(|(_, line)| line).collect()
}

/// Our checkpoint with what another over the same tree adds to it: lines of keys that ours lacks,
/// and later ones. `None` where it adds nothing; it never takes a line away.
pub fn gathered(
    copy: &CopyContext,
    charter: Option<&Arc<Charter>>,
    ours: &ClaimedCheckpoint,
    offered: &ClaimedCheckpoint,
) -> Option<ClaimedCheckpoint> {
    let (known, others) = (ours.note().signatures(), offered.note().signatures());
    let another_text = ours.note().text() != offered.note().text();
    if another_text || others.iter().all(|line| known.contains(line)) {
        return None;
    }
    let keys = known_keys(copy, charter);
    let mut kept = Vec::new();
    keep_latest(&mut kept, ours.note(), &keys);
    let before = kept.clone();
    keep_latest(&mut kept, offered.note(), &keys);
    let lines = (kept != before).then(|| kept.into_iter().map(|(_, line)| line).collect());
    lines.map(|lines| with_lines(ours, lines))
}

/// Adds the lines of a note that verify, with their times: one a key, the latest.
fn keep_latest(kept: &mut Vec<(u64, Signature)>, note: &Note, keys: &[VerifierKey]) {
    for line in note.signatures() {
        let Some(key) = keys.iter().find(|key| line.is_by(key)) else { continue };
        let Some(time) = time_of(note, key, line) else { continue };
        match kept.iter().position(|(_, own)| own.is_by(key)) {
            Some(at) if kept[at].0 < time => kept[at] = (time, line.clone()),
            Some(_) => {}
            None => {
                let cosigns = key.algorithm().is_cosigner();
                let same = kept.iter().filter(|(_, own)| {
                    keys.iter()
                        .any(|key| own.is_by(key) && key.algorithm().is_cosigner() == cosigns)
                });
                let room = if cosigns { MAX_WITNESS_LINES } else { MAX_LOG_LINES };
                if same.count() < room {
                    kept.push((time, line.clone()));
                }
            }
        }
    }
}

/// The time of a line that verifies; a log's own has none, which is 0.
fn time_of(note: &Note, key: &VerifierKey, line: &Signature) -> Option<u64> {
    match key.algorithm() {
        Algorithm::Ed25519 => key.verify(note.text().as_bytes(), line.bytes()).then_some(0),
        _ => cosignature::verify_line(note, key, line),
    }
}

fn known_keys(copy: &CopyContext, charter: Option<&Arc<Charter>>) -> Vec<VerifierKey> {
    let mut keys = match &copy.log.basis {
        ListedBasis::Keys { keys, .. } => keys.clone(),
        ListedBasis::Charter { .. } => charter.map(|own| keys_of(own)).unwrap_or_default(),
    };
    keys.extend(witnesses(copy, charter));
    keys
}

/// The witnesses of the log's policy, in the charter or in a file, as far as it can be read.
pub fn witnesses(copy: &CopyContext, charter: Option<&Arc<Charter>>) -> Vec<VerifierKey> {
    let policy = match &copy.log.basis {
        ListedBasis::Keys { policy, .. } => {
            let read = |path: &PathBuf| read_policy(&copy.common.dir.join(path)).ok();
            policy.as_ref().and_then(read)
        }
        ListedBasis::Charter { .. } => charter.map(|charter| charter.policy()),
    };
    policy.iter().flat_map(Policy::witnesses).map(|own| own.key.clone()).collect()
}

/// The same checkpoint with these of its lines.
pub fn with_lines(checkpoint: &ClaimedCheckpoint, lines: Vec<Signature>) -> ClaimedCheckpoint {
    let note = Note::new(checkpoint.note().text(), lines);
    let note = note.map(|note| ClaimedCheckpoint::parse(note.to_string().as_bytes()));
    // fewer lines than it had make a note again
    note.ok().and_then(Result::ok).unwrap_or_else(|| checkpoint.clone())
}

#[cfg(test)]
mod tests {
    use ledger_core::checkpoint::{Checkpoint, Origin};
    use ledger_core::merkle::TreeHead;
    use ledger_core::note::{KeyName, MAX_SIGNATURES, SignerKey};

    use super::*;

    #[test]
    fn a_copy_keeps_the_lines_of_all_witnesses_and_has_room_for_its_own() {
        let key = |name: &str, algorithm, seed| {
            let name = KeyName::new(name).expect("a name");
            SignerKey::from_seed(name, algorithm, [seed; 32]).expect("a seed")
        };
        let logs: Vec<SignerKey> =
            (200..204).map(|n| key("log.example", Algorithm::Ed25519, n)).collect();
        let witnesses: Vec<SignerKey> =
            (1..=60).map(|n| key(&format!("w{n}.example"), Algorithm::CosignatureV1, n)).collect();
        let bare = Checkpoint::new(Origin::new("log.example").expect("a name"), TreeHead::EMPTY);
        let more = logs[1..].iter().map(|key| key.sign_text(&bare.to_string()));
        let lines = witnesses.iter().map(|key| cosignature::cosign(key, &bare, 5));
        let full = bare.sign(&logs[0]).with_signatures(more.chain(lines)).expect("64 lines");
        assert_eq!(full.note().signatures().len(), MAX_SIGNATURES);
        let keys: Vec<VerifierKey> =
            logs.iter().chain(&witnesses).map(|key| key.verifier().clone()).collect();
        let mut kept = Vec::new();
        keep_latest(&mut kept, full.note(), &keys);
        assert_eq!(kept.len(), MAX_SIGNATURES - 2);
        for witness in &witnesses {
            assert!(kept.iter().any(|(_, line)| line.is_by(witness.verifier())));
        }
    }
}
