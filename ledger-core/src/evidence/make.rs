//! Building evidence from what an honest party holds. Nothing is returned that would not convict.

use crate::authority::AuthorityBundle;
use crate::checkpoint::ClaimedCheckpoint;
use crate::note::VerifierKey;
use crate::record::Record;

use super::chain::pinned;
use super::conflict::alone;
use super::judge::{Bench, bare, line_of_cosigner, line_of_log};
use super::{ClaimShape, ClaimedEvidence, Conflict, LeafPair, MAX_AUTHORITY, Trust};

/// What the evidence is to convict by.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What its judges know.
    pub trust: &'a Trust,
    /// What it may carry for judges who know an anchor alone: at most [`MAX_AUTHORITY`] bundles of
    /// one charter. What such a judge does not need is left out, and all of it where it would not
    /// do.
    pub authority: &'a [AuthorityBundle],
}

impl ClaimedEvidence {
    /// Evidence against the log: by one key that signed all heads where there is one.
    pub fn against_log(conflict: &Conflict, case: Case<'_>) -> Option<ClaimedEvidence> {
        let authority = authority_of(case)?;
        let bench = Bench::new(case.trust, &authority).ok()?;
        let keys = bench.log_keys(conflict.origin());
        let heads = conflict.heads();
        let by = |head: &ClaimedCheckpoint, key| alone(head, line_of_log(head, key)?);
        for first in &keys {
            let one = conflict.with_lines(|head| by(head, first));
            let made = one.and_then(|own| convicting(ClaimShape::Log(own), &authority, case.trust));
            if made.is_some() {
                return made;
            }
        }
        for first in keys.iter().filter(|key| line_of_log(heads[0], key).is_some()) {
            for second in keys.iter().filter(|key| *key != first) {
                let two = conflict
                    .with_lines(|head| by(head, if head == heads[0] { first } else { second }));
                let made =
                    two.and_then(|own| convicting(ClaimShape::Log(own), &authority, case.trust));
                if made.is_some() {
                    return made;
                }
            }
        }
        None
    }

    /// Evidence against a cosigner that cosigned all heads.
    pub fn against_cosigner(
        conflict: &Conflict,
        key: &VerifierKey,
        case: Case<'_>,
    ) -> Option<ClaimedEvidence> {
        let by = |head: &ClaimedCheckpoint| {
            let line = line_of_cosigner(head, key)?;
            let whole = alone(head, line)?;
            let bare = bare(&whole)?;
            // a signature type may leave extension lines out: then evidence does too
            Some(if line_of_cosigner(&bare, key).is_some() { bare } else { whole })
        };
        let conflict = conflict.with_lines(by)?;
        convicting(ClaimShape::Cosigner(conflict), &authority_of(case)?, case.trust)
    }

    /// Evidence that the log took what its rules refuse. The bundle is that of the record, as for
    /// any proof of authority.
    pub fn unlawful_leaf(
        record: &Record,
        bundle: &AuthorityBundle,
        case: Case<'_>,
    ) -> Option<ClaimedEvidence> {
        let authority = authority_of(case)?;
        let bench = Bench::new(case.trust, &authority).ok()?;
        let origin = bundle.proof().checkpoint.checkpoint().origin().as_str();
        let governance = bundle.replay(bundle.charter()?).ok()?;
        let charter = governance.charter();
        let own = charter.log_keys().iter();
        let retired = charter.retired_log_keys().iter().map(|own| own.key());
        for key in bench.log_keys(origin).into_iter().chain(own).chain(retired) {
            let mut proof = bundle.proof().clone();
            let Some(line) = line_of_log(&proof.checkpoint, key) else { continue };
            proof.checkpoint = alone(&proof.checkpoint, line)?;
            let bundle = AuthorityBundle::new(bundle.governance().to_vec(), proof);
            let claim = ClaimShape::UnlawfulLeaf { record: Box::new(record.clone()), bundle };
            let made = convicting(claim, &authority, case.trust);
            if made.is_some() {
                return made;
            }
        }
        None
    }

    /// Evidence that the log's time went back, or that it logged a statement twice.
    pub fn leaves(pair: &LeafPair, case: Case<'_>) -> Option<ClaimedEvidence> {
        let authority = authority_of(case)?;
        for line in pair.head().note().signatures() {
            let Some(head) = alone(pair.head(), line) else { continue };
            let made = convicting(
                ClaimShape::Leaves(Box::new(pair.with_head(head))),
                &authority,
                case.trust,
            );
            if made.is_some() {
                return made;
            }
        }
        None
    }

    /// The same evidence with these bundles in place of its own, as far as a judge who knows an
    /// anchor alone needs them; `None` where it would convict nobody by `case`.
    pub fn with_authority(&self, case: Case<'_>) -> Option<ClaimedEvidence> {
        convicting(self.claim.clone(), &authority_of(case)?, case.trust)
    }
}

/// The file of a claim, if it can be read again and convicts.
fn convicting(
    claim: ClaimShape,
    authority: &[AuthorityBundle],
    trust: &Trust,
) -> Option<ClaimedEvidence> {
    let made = ClaimedEvidence::assemble(claim.clone(), needed(&claim, authority));
    // bundles that are too large for a file must not keep it from convicting by keys
    let read = ClaimedEvidence::parse(made.as_str().as_bytes()).or_else(|_| {
        let bare = ClaimedEvidence::assemble(claim, Vec::new());
        ClaimedEvidence::parse(bare.as_str().as_bytes())
    });
    let read = read.ok()?;
    read.verify(trust).is_ok().then_some(read)
}

/// Those bundles without which somebody who knows the anchor alone would come to another verdict.
fn needed(claim: &ClaimShape, authority: &[AuthorityBundle]) -> Vec<AuthorityBundle> {
    let Some(anchor) = authority.first().and_then(AuthorityBundle::charter) else {
        return Vec::new();
    };
    let judge = Trust::new().with_anchor(anchor);
    let verdict = |bundles: &[AuthorityBundle]| {
        let made = ClaimedEvidence::assemble(claim.clone(), bundles.to_vec());
        made.verify(&judge).ok().map(|conviction| conviction.culprit().clone())
    };
    let Some(whole) = verdict(authority) else { return Vec::new() };
    let mut kept = authority.to_vec();
    for bundle in authority {
        let less: Vec<_> = kept.iter().filter(|own| *own != bundle).cloned().collect();
        if verdict(&less).as_ref() == Some(&whole) {
            kept = less;
        }
    }
    kept
}

fn authority_of(case: Case<'_>) -> Option<Vec<AuthorityBundle>> {
    if case.authority.len() > MAX_AUTHORITY {
        return None;
    }
    case.authority.iter().map(pinned).collect()
}
