//! Writing a new charter: sensible rules and deadlines around a list of members.

use crate::Hint;
use crate::note::{Algorithm, MAX_SIGNATURES, VerifierKey};
use crate::record::{Basics, Draft, Kind, Object, RecordError, RecordId, Value, template};

use super::{Charter, KeyUse, Rejection};

/// A charter in the making: what `ledger charter new` is told, and defaults for the rest.
///
/// Rules by default: one publisher signs a decision or an incident (a steward, if nobody is a
/// publisher), one reviewer signs a review; a majority of the stewards changes the charter. The
/// deadlines are the format's; the policy trusts the log key without witnesses.
#[derive(Debug, Clone)]
pub struct CharterDraft {
    consortium: String,
    log: VerifierKey,
    issuer: String,
    members: Vec<DraftMember>,
    policy: Option<String>,
    threshold: Option<u64>,
    strangers: Vec<String>,
}

#[derive(Debug, Clone)]
struct DraftMember {
    name: String,
    roles: Vec<String>,
    keys: Vec<VerifierKey>,
    node: Option<(String, Option<VerifierKey>)>,
}

/// Why no charter can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CharterDraftError {
    /// Nobody could ever change the charter.
    #[error("no member has the role steward, so nobody could ever change the charter")]
    NoSteward,
    /// A node was named of somebody who is no member.
    #[error("{0} is given a node, and is no member")]
    NobodysNode(String),
    /// The record's own rules refuse it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The charter's rules refuse it.
    #[error(transparent)]
    Charter(#[from] Rejection),
}

impl Hint for CharterDraftError {
    fn hint(&self) -> &'static str {
        match self {
            CharterDraftError::NoSteward => "give at least one --member the role steward",
            CharterDraftError::NobodysNode(_) => "give a --member of this name too",
            CharterDraftError::Record(error) => error.hint(),
            CharterDraftError::Charter(error) => error.hint(),
        }
    }
}

impl CharterDraft {
    /// Begins with the consortium's name and the log's key, whose name is the origin.
    pub fn new(consortium: &str, log: VerifierKey) -> CharterDraft {
        CharterDraft {
            consortium: consortium.to_owned(),
            log,
            issuer: String::new(),
            members: Vec::new(),
            policy: None,
            threshold: None,
            strangers: Vec::new(),
        }
    }

    /// The founding member that speaks for all; without this the first one.
    #[must_use]
    pub fn issuer(mut self, name: &str) -> CharterDraft {
        name.clone_into(&mut self.issuer);
        self
    }

    /// Adds a member with a key and roles; a name that is there already gets them too.
    ///
    /// A key of type `0x01` signs records, one of type `0x04` is a witness's.
    #[must_use]
    pub fn member<'a>(
        mut self,
        name: &str,
        key: VerifierKey,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> CharterDraft {
        let at = self.members.iter().position(|own| own.name == name).unwrap_or_else(|| {
            let (roles, keys) = (Vec::new(), Vec::new());
            self.members.push(DraftMember { name: name.to_owned(), roles, keys, node: None });
            self.members.len() - 1
        });
        let member = &mut self.members[at];
        member.keys.push(key);
        for role in roles {
            if !member.roles.iter().any(|own| own == role) {
                member.roles.push(role.to_owned());
            }
        }
        self
    }

    /// Where a member's node listens for gRPC, and the key that it shows there; the member comes
    /// first.
    #[must_use]
    pub fn node(mut self, name: &str, address: &str, key: Option<VerifierKey>) -> CharterDraft {
        match self.members.iter_mut().find(|own| own.name == name) {
            Some(member) => member.node = Some((address.to_owned(), key)),
            None => self.strangers.push(name.to_owned()),
        }
        self
    }

    /// The text of a C2SP tlog-policy; without this the log key alone and `quorum none`.
    #[must_use]
    pub fn policy(mut self, text: &str) -> CharterDraft {
        self.policy = Some(text.to_owned());
        self
    }

    /// How many stewards change the charter; without this more than half of them.
    #[must_use]
    pub fn threshold(mut self, stewards: u64) -> CharterDraft {
        self.threshold = Some(stewards);
        self
    }

    /// The draft that every founder is to sign, checked by every rule that needs no signature.
    ///
    /// # Errors
    /// [`CharterDraftError`] says what is missing or refused.
    pub fn draft(&self, id: RecordId, issued_at: u64) -> Result<Draft, CharterDraftError> {
        let draft = Draft::from_object(&self.object(id, issued_at)?)?;
        Charter::check_draft(&draft)?;
        Ok(draft)
    }

    fn object(&self, id: RecordId, issued_at: u64) -> Result<Object, CharterDraftError> {
        let holders = |role: &str| self.members.iter().filter(|m| has(m, role)).count() as u64;
        let stewards = holders("steward");
        if stewards == 0 {
            return Err(CharterDraftError::NoSteward);
        }
        if let Some(stranger) = self.strangers.first() {
            return Err(CharterDraftError::NobodysNode(stranger.clone()));
        }
        let threshold = self.threshold.unwrap_or(stewards / 2 + 1).min(MAX_SIGNATURES as u64 + 1);
        let writer = if holders("publisher") > 0 { "publisher" } else { "steward" };
        let log = self.log.name().to_string();
        let first = self.members.first().map_or("", |member| member.name.as_str());
        let issuer = if self.issuer.is_empty() { first } else { &self.issuer };
        let policy = format!("log {}\nquorum none\n", self.log);
        let rules = Object::new()
            .with("decision", vec![requirement(writer, 1)])
            .with("incident", vec![requirement(writer, 1)])
            .with("review", vec![requirement("reviewer", 1)]);
        let in_english = |text: String| Object::new().with("en", text);
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        let (name, members) = (&self.consortium, names.join(", "));
        let basics = Basics { log: &log, issuer, id, issued_at };
        let limits = Object::new().with("issued_at", "P30D").with("max_gap", "PT1H");
        Ok(template(Kind::Charter, &basics)
            .with("title", in_english(format!("Charter of {name}")))
            .with("summary", in_english(format!("{members} found the ledger {log}.")))
            .with("consortium", name.as_str())
            .with("log_vkeys", vec![self.log.to_string()])
            .with("members", self.members.iter().map(member_object).collect::<Vec<_>>())
            .with("rules", rules)
            .with("governance", vec![requirement("steward", threshold)])
            .with("deadlines", default_deadlines())
            .with("limits", limits)
            .with("policy", self.policy.clone().unwrap_or(policy)))
    }
}

fn has(member: &DraftMember, role: &str) -> bool {
    member.roles.iter().any(|own| own == role)
}

fn member_object(member: &DraftMember) -> Object {
    let role = |role: &String| Object::new().with("role", role.as_str());
    let used = |key: &VerifierKey, usage: KeyUse| {
        Object::new().with("vkey", key.to_string()).with("use", usage.as_str())
    };
    let keys = member.keys.iter().map(|key| match key.algorithm() {
        Algorithm::Ed25519 => used(key, KeyUse::Record),
        Algorithm::CosignatureV1 | Algorithm::MlDsa44 => used(key, KeyUse::Witness),
    });
    let shown = member.node.as_ref().and_then(|(_, key)| key.as_ref());
    let keys = keys.chain(shown.map(|key| used(key, KeyUse::Node)));
    let object = Object::new()
        .with("name", member.name.as_str())
        .with("roles", member.roles.iter().map(role).collect::<Vec<_>>())
        .with("keys", keys.collect::<Vec<_>>());
    match &member.node {
        Some((address, _)) => object.with("node", address.as_str()),
        None => object,
    }
}

fn requirement(role: &str, members: u64) -> Object {
    let members = i64::try_from(members).unwrap_or(i64::MAX);
    Object::new().with("role", role).with("members", Value::Integer(members))
}

/// The deadlines that charters have unless they say otherwise.
fn default_deadlines() -> Vec<Object> {
    let any = |name: &str, words: &[&str]| Object::new().with(name, words.to_vec());
    let first = |words: &[&str]| any("severity", words);
    let report = any("kind", &["incident"]);
    let later = report.clone().with("stage", vec!["interim", "final"]);
    let last = report.clone().with("stage", vec!["final"]);
    let answer = any("kind", &["response"]);
    let step = any("kind", &["dispute", "response"]);
    let fixed = any("kind", &["remediation"]).with("state", vec!["implemented", "verified"]);
    let aware = "incident.aware_at";
    let open = any("stage", &["initial", "interim"]);
    let all = Object::new;
    vec![
        deadline("first report of a disaster", aware, first(&["disaster"]), "P2D", &report),
        deadline(
            "first report of a serious incident",
            aware,
            first(&["serious_incident"]),
            "P10D",
            &report,
        ),
        deadline("first report", aware, first(&["incident", "serious_hazard"]), "P15D", &report),
        deadline("interim report while unresolved", "incident.logged", open, "P28D", &later),
        deadline("final report", "incident.resolved_at", all(), "P60D", &last),
        deadline("concern acknowledged", "concern.logged", all(), "P7D", &answer),
        deadline("step of a dispute", "dispute.logged", all(), "P30D", &step),
        deadline("review condition met", "review.conditions.due", all(), "P0D", &fixed),
        deadline("remediation done", "remediation.due_by", all(), "P0D", &fixed),
    ]
}

fn deadline(name: &str, clock: &str, when: Object, within: &str, by: &Object) -> Object {
    Object::new()
        .with("name", name)
        .with("clock", clock)
        .with("when", when)
        .with("within", within)
        .with("satisfied_by", by.clone())
}
