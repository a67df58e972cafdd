//! What a judge found, kept so that nobody need judge the same file again.

use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::note::VerifierKey;
use crate::record::{Object, StatementId, Value};

use super::judge::line_of_cosigner;
use super::{ClaimShape, ClaimedEvidence, Conviction, Culprit, Trust};

/// What the member `format` says.
const FORMAT: &str = "ledger-verdict/v1";

/// Which version of the judgement came to a verdict. It changes with every rule of the judgement:
/// a verdict by another version is not used.
pub const JUDGE: i64 = 2;

/// The verdict on one file by what one judge knew, as far as the file is about it.
///
/// Another judge comes to the same verdict wherever [`ClaimedEvidence::relevant`] is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    trust: Hash,
    conviction: Option<Conviction>,
}

impl ClaimedEvidence {
    /// A digest of what the verdict depends on, out of all that a judge knows: the keys of the log
    /// that the file is about, the cosigners that have a line in it, and the anchors of its
    /// charters.
    pub fn relevant(&self, trust: &Trust) -> Hash {
        let mut lines = Vec::new();
        for log in trust.logs.iter().filter(|own| own.key.name().as_str() == self.origin()) {
            lines.push(format!("log {} {:?} {}\n", log.key, log.entries, log.in_force));
        }
        if let ClaimShape::Cosigner(conflict) = &self.claim {
            let heads = conflict.heads();
            let signs =
                |key: &&VerifierKey| heads.iter().any(|head| line_of_cosigner(head, key).is_some());
            let cosigners = trust.cosigners.iter().filter(signs);
            lines.extend(cosigners.map(|key| format!("cosigner {key}\n")));
        }
        let charters = self.charters();
        let anchors = trust.anchors.iter().filter(|own| charters.contains(own));
        lines.extend(anchors.map(|anchor| format!("anchor {anchor}\n")));
        lines.sort_unstable();
        lines.dedup();
        Hash::digest(lines.concat().as_bytes())
    }

    fn charters(&self) -> Vec<StatementId> {
        let mut charters: Vec<StatementId> =
            self.authority.iter().filter_map(|bundle| bundle.charter()).collect();
        match &self.claim {
            ClaimShape::UnlawfulLeaf { record, bundle } => {
                charters.push(bundle.charter().unwrap_or(record.statement()));
            }
            ClaimShape::Leaves(pair) => charters.push(pair.charter().entry.record().statement()),
            ClaimShape::Log(_) | ClaimShape::Cosigner(_) => {}
        }
        charters
    }
}

impl Verdict {
    /// Judges a file.
    pub fn of(evidence: &ClaimedEvidence, trust: &Trust) -> Verdict {
        let conviction = evidence.verify(trust).ok();
        Verdict { trust: evidence.relevant(trust), conviction }
    }

    /// The verdict of a judge who has found this.
    pub(crate) fn convicting(
        evidence: &ClaimedEvidence,
        trust: &Trust,
        conviction: Conviction,
    ) -> Verdict {
        Verdict { trust: evidence.relevant(trust), conviction: Some(conviction) }
    }

    /// What was found; `None` where the file convicts no key that the judge knew.
    pub fn conviction(&self) -> Option<&Conviction> {
        self.conviction.as_ref()
    }

    /// Whether a judge who knows this comes to it too.
    pub fn holds_for(&self, evidence: &ClaimedEvidence, trust: &Trust) -> bool {
        self.trust == evidence.relevant(trust)
    }

    /// The verdict as a file: JSON, one line.
    pub fn to_text(&self, evidence: &ClaimedEvidence) -> String {
        let object = Object::new()
            .with("format", FORMAT)
            .with("judge", Value::Integer(JUDGE))
            .with("evidence", evidence.id().to_string())
            .with("trust", self.trust.to_string());
        let object = match &self.conviction {
            None => object,
            Some(own) => object
                .with("role", own.culprit.role())
                .with(
                    "keys",
                    own.culprit.keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
                )
                .with("entry", Value::Integer(entry_of(&own.culprit)))
                .with("explanation", own.explanation.as_str()),
        };
        format!("{}\n", object.to_pretty_json())
    }

    /// Reads a verdict on this file; `None` where it is none, of another file, or by another
    /// version of the judgement.
    pub fn parse(text: &str, evidence: &ClaimedEvidence) -> Option<Verdict> {
        let object = Object::parse(text.trim_end_matches('\n')).ok()?;
        let is_it = object.text("format") == Some(FORMAT)
            && object.get("judge").and_then(Value::as_integer) == Some(JUDGE)
            && object.text("evidence") == Some(evidence.id().to_string().as_str());
        let trust = Hash::from_hex(object.text("trust").filter(|_| is_it)?).ok()?;
        let Some(role) = object.text("role") else {
            return Some(Verdict { trust, conviction: None });
        };
        let keys = object.get("keys").and_then(Value::as_list)?.iter();
        let keys: Option<Vec<VerifierKey>> = keys.map(|key| key.as_text()?.parse().ok()).collect();
        let at = object.get("entry").and_then(Value::as_integer);
        let at = LeafIndex::new(u64::try_from(at?).ok()?).ok()?;
        let culprit = culprit(role, evidence.origin().to_owned(), keys?, at)?;
        let explanation = object.text("explanation")?.to_owned();
        let conviction = Conviction { kind: evidence.kind(), culprit, explanation };
        Some(Verdict { trust, conviction: Some(conviction) })
    }
}

fn entry_of(culprit: &Culprit) -> i64 {
    let at = match culprit {
        Culprit::RetiredKey { at, .. } | Culprit::UnconfirmedKey { since: at, .. } => at.get(),
        Culprit::Log { .. } | Culprit::Cosigner { .. } => 0,
    };
    i64::try_from(at).unwrap_or(i64::MAX)
}

fn culprit(role: &str, origin: String, keys: Vec<VerifierKey>, at: LeafIndex) -> Option<Culprit> {
    if role == "log" {
        return Some(Culprit::Log { origin, keys }).filter(|own| !own.keys().is_empty());
    }
    let [key] = <[VerifierKey; 1]>::try_from(keys).ok()?;
    match role {
        "retired-key" => Some(Culprit::RetiredKey { origin, key, at }),
        "unconfirmed-key" => Some(Culprit::UnconfirmedKey { origin, key, since: at }),
        "cosigner" => Some(Culprit::Cosigner { origin, key }),
        _ => None,
    }
}
