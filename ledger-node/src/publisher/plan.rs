//! Under which policy heads are published, and how each of its witnesses is reached.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::Hint;
use ledger_core::charter::Charter;
use ledger_core::evidence::Exclusions;
use ledger_core::note::{PublicKey, VerifierKey};
use ledger_core::policy::{ConvictedWitness, Policy, PolicyWitness};

use crate::address::Contact;

/// What this node knows of witnesses beside the policy: its own keys, and addresses.
#[derive(Debug, Clone, Default)]
pub struct Contacts {
    own: BTreeSet<PublicKey>,
    urls: BTreeMap<String, String>,
    monitoring: BTreeMap<String, String>,
}

/// A policy that this node can publish under, and those before it whose witnesses have to see its
/// coming into force.
#[derive(Debug, Clone)]
pub struct Plan {
    policy: Policy,
    /// The policies that were in force at heads that readers have not seen yet, for each witness of
    /// theirs its place here.
    before: Vec<Before>,
    /// The witnesses of the policy in its order, then those of policies before it.
    witnesses: Vec<Planned>,
    /// Those of them that count for nothing, by their places.
    convicted: BTreeMap<usize, ConvictedWitness>,
}

#[derive(Debug, Clone)]
struct Planned {
    witness: PolicyWitness,
    contact: Option<Contact>,
    /// Where a witness over HTTP shows what it cosigned, if that is not where it is asked.
    monitoring: Option<String>,
}

#[derive(Debug, Clone)]
struct Before {
    policy: Policy,
    places: Vec<usize>,
}

/// Why no checkpoint can be published under a charter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// Too few witnesses have an address.
    #[error(
        "the policy's quorum cannot be reached: no address is known of {}",
        .unreachable.join(", ")
    )]
    NoQuorum {
        /// The policy's names of the witnesses without an address.
        unreachable: Vec<String>,
    },
    /// Evidence convicts witnesses, and the others are no quorum.
    #[error("the policy's quorum needs a witness that counts for nothing: {}", ConvictedWitness::list(.0))]
    Convicted(Vec<ConvictedWitness>),
    /// The charter does not let the node's key sign heads.
    #[error("the charter does not list the key that this node signs heads with as a log key")]
    KeyNotInCharter,
    /// The key in `previous_log_key` is none that the log has or had beside its present one.
    #[error("the key in previous_log_key, {0}, is no other key that this log has or had")]
    NotPrevious(String),
}

impl Hint for PublisherError {
    fn hint(&self) -> &'static str {
        match self {
            PublisherError::NoQuorum { .. } => {
                "write the addresses into the policy (`witness <name> <vkey> <url>`), or into \
                 config.toml below [witness_urls] (`<name> = \"<url>\"`)"
            }
            PublisherError::Convicted(_) => {
                "leave the witness out of the policy, or name one with another key in its place"
            }
            PublisherError::KeyNotInCharter => {
                "let the operator start the node with a key that stays in force, then retire this one"
            }
            PublisherError::NotPrevious(_) => {
                "name the key that log_key takes the place of, or leave previous_log_key out"
            }
        }
    }
}

impl Contacts {
    /// The witness keys that this node holds itself, and the addresses of others by their names in
    /// the policy; an address here goes before one in the policy.
    pub fn new<'a>(
        own: impl IntoIterator<Item = &'a VerifierKey>,
        urls: BTreeMap<String, String>,
    ) -> Contacts {
        let own = own.into_iter().map(VerifierKey::public).collect();
        Contacts { own, urls, monitoring: BTreeMap::new() }
    }

    /// The same, with monitoring prefixes of witnesses by their names in the policy: where they
    /// show what they cosigned, if that is not where they are asked.
    #[must_use]
    pub fn with_monitoring(self, monitoring: BTreeMap<String, String>) -> Contacts {
        Contacts { monitoring, ..self }
    }

    fn plan(&self, witness: &PolicyWitness) -> Planned {
        let name = std::str::from_utf8(&witness.name).ok();
        let monitoring = name.and_then(|name| self.monitoring.get(name));
        let monitoring = monitoring.map(|url| url.trim_end_matches('/').to_owned());
        Planned { witness: witness.clone(), contact: self.of(witness), monitoring }
    }

    fn of(&self, witness: &PolicyWitness) -> Option<Contact> {
        if self.own.contains(&witness.key.public()) {
            return Some(Contact::Own);
        }
        let given = std::str::from_utf8(&witness.name).ok().and_then(|name| self.urls.get(name));
        let listed = witness.url.as_deref().and_then(|url| std::str::from_utf8(url).ok());
        given.map(String::as_str).or(listed).and_then(Contact::parse)
    }
}

/// The names with an address that no witness of a policy has: a typo, or a witness that is yet to
/// come.
pub fn strangers(policy: &Policy, urls: &BTreeMap<String, String>) -> Vec<String> {
    let known: BTreeSet<String> = policy.witnesses().iter().map(name).collect();
    urls.keys().filter(|name| !known.contains(*name)).cloned().collect()
}

impl Plan {
    /// How heads signed by `log_key` are published under the charter's policy.
    ///
    /// # Errors
    /// [`PublisherError`] when that can never succeed.
    pub fn under(
        charter: &Charter,
        log_key: &VerifierKey,
        contacts: &Contacts,
    ) -> Result<Plan, PublisherError> {
        if !charter.log_keys().contains(log_key) {
            return Err(PublisherError::KeyNotInCharter);
        }
        Plan::new(charter.policy(), contacts)
    }

    pub(super) fn new(policy: Policy, contacts: &Contacts) -> Result<Plan, PublisherError> {
        let count = policy.witnesses().len();
        let witnesses = policy.witnesses().iter().map(|own| contacts.plan(own)).collect();
        let plan = Plan { policy, before: Vec::new(), witnesses, convicted: BTreeMap::new() };
        let reachable = (0..count).filter(|at| plan.witnesses[*at].contact.is_some());
        if !plan.policy.is_satisfied_by(&reachable.collect()) {
            return Err(PublisherError::NoQuorum { unreachable: plan.unreachable() });
        }
        Ok(plan)
    }

    /// The same plan, for heads that bring it into force: the witnesses of the policies before it
    /// have to cosign them too. Whoever restores a copy of the log from before the change asks
    /// those, and they will know better.
    #[must_use]
    pub fn after(mut self, before: impl IntoIterator<Item = Policy>, contacts: &Contacts) -> Plan {
        for policy in before {
            let places = policy.witnesses().iter().map(|old| {
                let same = |planned: &Planned| planned.witness.key == old.key;
                self.witnesses.iter().position(same).unwrap_or_else(|| {
                    self.witnesses.push(contacts.plan(old));
                    self.witnesses.len() - 1
                })
            });
            let places = places.collect();
            self.before.push(Before { policy, places });
        }
        self
    }

    /// The same plan, in which convicted witnesses count for nothing: neither for the policy nor
    /// for those before it.
    #[must_use]
    pub fn without_convicted(&self, exclusions: &Exclusions) -> Plan {
        let mut plan = self.clone();
        plan.policy = exclusions.apply(&plan.policy);
        let against = |planned: &Planned| {
            let evidence = *exclusions.against(&planned.witness.key)?.as_hash();
            Some(ConvictedWitness { name: name(&planned.witness), evidence })
        };
        let places = self.witnesses.iter().enumerate();
        plan.convicted = places.filter_map(|(at, own)| Some((at, against(own)?))).collect();
        plan
    }

    /// Why the witness at a place of [`Plan::witnesses`] counts for nothing, if it is convicted.
    pub fn convicted_at(&self, at: usize) -> Option<&ConvictedWitness> {
        self.convicted.get(&at)
    }

    /// The convicted witnesses, if all others that have an address are no quorum of the policy, or
    /// of one before it: nothing can be published. Witnesses that the operator leaves out count for
    /// policies before this one.
    pub fn stopped_by(&self, left_out: &BTreeSet<usize>) -> Vec<ConvictedWitness> {
        let reached = (0..self.len()).filter(|at| self.witnesses[*at].contact.is_some());
        if self.is_enough(&reached.collect(), left_out) {
            return Vec::new();
        }
        let is_asked = |at: &usize| {
            *at < self.policy.witnesses().len()
                || self.before.iter().any(|old| old.places.contains(at))
        };
        let convicted = self.convicted.iter().filter(|(at, _)| is_asked(at));
        convicted.map(|(_, own)| own.clone()).collect()
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same plan once readers have seen the policy in force.
    #[must_use]
    pub fn without_before(self) -> Plan {
        Plan { before: Vec::new(), ..self }
    }

    /// The policies that were in force before, as far as readers have not seen the change.
    pub fn before(&self) -> impl Iterator<Item = &Policy> {
        self.before.iter().map(|before| &before.policy)
    }

    /// The names of witnesses whose address nobody knows.
    pub fn unreachable(&self) -> Vec<String> {
        let silent = self.witnesses.iter().filter(|planned| planned.contact.is_none());
        silent.map(|planned| name(&planned.witness)).collect()
    }

    /// Whether cosignatures by the witnesses at these places of [`Plan::witnesses`] are enough. For
    /// policies before this one, witnesses that the operator leaves out count as if they had
    /// cosigned.
    pub fn is_enough(&self, cosigned: &BTreeSet<usize>, left_out: &BTreeSet<usize>) -> bool {
        let cosigns = |at: &usize| cosigned.contains(at) && !self.convicted.contains_key(at);
        let counts = |at: &usize| cosigns(at) || left_out.contains(at);
        let of_old = |old: &Before| {
            let own = old.places.iter().enumerate().filter(|(_, at)| counts(at));
            old.policy.is_satisfied_by(&own.map(|(own, _)| own).collect())
        };
        // places behind the policy's own witnesses mean nothing to it
        self.policy.is_satisfied_by(cosigned) && self.before.iter().all(of_old)
    }

    /// Whether readers can have seen no later head, if the witnesses at these places agree that one
    /// is the latest. While changes of the policy are pending, that is asked of each of the
    /// policies: readers may have seen a head under any of them.
    pub fn has_no_later_head(&self, agreed: &BTreeSet<usize>) -> bool {
        let of_old = |old: &Before| {
            let own = old.places.iter().enumerate().filter(|(_, at)| agreed.contains(at));
            old.policy.has_no_later_head(&own.map(|(own, _)| own).collect())
        };
        // places behind the policy's own witnesses mean nothing to it
        self.policy.has_no_later_head(agreed) && self.before.iter().all(of_old)
    }

    /// The places of the witnesses with these names.
    pub fn places(&self, names: &BTreeSet<String>) -> BTreeSet<usize> {
        (0..self.len()).filter(|at| names.contains(&self.name_at(*at))).collect()
    }

    /// Whether a head is a checkpoint without any cosignature.
    pub fn needs_no_witness(&self) -> bool {
        self.is_enough(&BTreeSet::new(), &BTreeSet::new())
    }

    /// How many witnesses are asked, or would be if their addresses were known.
    pub fn len(&self) -> usize {
        self.witnesses.len()
    }

    /// Whether there is no witness.
    pub fn is_empty(&self) -> bool {
        self.witnesses.is_empty()
    }

    /// The name of the witness at a place.
    pub fn name_at(&self, at: usize) -> String {
        self.witnesses.get(at).map(|planned| name(&planned.witness)).unwrap_or_default()
    }

    /// Where the witness at a place shows what it cosigned, if that is not where it is asked.
    pub fn monitoring_at(&self, at: usize) -> Option<&str> {
        self.witnesses.get(at)?.monitoring.as_deref()
    }

    /// The witnesses in the policy's order, then those of policies before it; each with the way to
    /// it if there is one.
    pub fn witnesses(&self) -> impl Iterator<Item = (&PolicyWitness, Option<&Contact>)> {
        self.witnesses.iter().map(|planned| (&planned.witness, planned.contact.as_ref()))
    }
}

/// A witness's name in the policy, for people.
pub fn name(witness: &PolicyWitness) -> String {
    String::from_utf8_lossy(&witness.name).into_owned()
}

#[cfg(test)]
mod tests {
    use ledger_core::note::{Algorithm, KeyName, SignerKey};

    use super::*;
    use crate::listed::is_address;

    fn key(name: &str, algorithm: Algorithm, seed: u8) -> VerifierKey {
        let name = KeyName::new(name).expect("name");
        SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound").verifier().clone()
    }

    fn policy(log: &VerifierKey, urls: [&str; 3]) -> Policy {
        let mut text = format!("log {log}\n");
        for (at, url) in urls.iter().enumerate() {
            let witness = key(&format!("w{at}"), Algorithm::CosignatureV1, at as u8 + 2);
            text += &format!("witness w{at} {witness} {url}\n");
        }
        text += "group g 2 w0 w1 w2\nquorum g\n";
        Policy::parse(text.as_bytes()).expect("policy")
    }

    #[test]
    fn an_address_that_callers_are_told_holds_no_password() {
        for scheme in ["http", "https", "grpc", "grpcs"] {
            let parse = |rest: &str| Contact::parse(&format!("{scheme}://{rest}"));
            assert!(parse("w.example:1").is_some() && parse("").is_none());
            for secret in ["user:secret@w.example:1", "user@w.example", "secret@w.example:1/"] {
                assert_eq!(parse(secret), None, "{scheme}://{secret}");
                let (beginning, url) = (format!("{scheme}://"), format!("{scheme}://{secret}"));
                assert!(!is_address(&url, &[&beginning]), "{url}");
            }
        }
        // no user name comes after the host
        assert!(Contact::parse("https://w.example/log@2026").is_some());
    }

    #[test]
    fn a_plan_needs_addresses_of_a_quorum() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let none = Contacts::default();
        let plan = |urls, contacts: &Contacts| Plan::new(policy(&log, urls), contacts);
        let reached = plan(["https://w0.example/", "grpc://w1.example:1", ""], &none);
        let reached = reached.expect("two of three");
        assert_eq!(reached.unreachable(), ["w2"]);
        assert!(!reached.needs_no_witness());
        let ways: Vec<_> = reached.witnesses().map(|(_, contact)| contact.cloned()).collect();
        let http = Contact::Http("https://w0.example".into());
        let grpc = Contact::Grpc("http://w1.example:1".into());
        assert_eq!(ways, [Some(http), Some(grpc), None]);

        let refused = plan(["ftp://w0.example", "grpc://w1.example:1", ""], &none);
        let unreachable = vec!["w0".to_owned(), "w2".to_owned()];
        assert_eq!(refused.expect_err("one of three"), PublisherError::NoQuorum { unreachable });
        // what the node itself knows fills in, and goes first
        let own = key("w0", Algorithm::CosignatureV1, 2);
        let urls = BTreeMap::from([("w1".to_owned(), "http://127.0.0.1:5".to_owned())]);
        let knows = Contacts::new([&own], urls);
        let reached = plan(["", "grpc://w1.example:1", ""], &knows).expect("two of three");
        let ways: Vec<_> = reached.witnesses().map(|(_, contact)| contact.cloned()).collect();
        let http = Contact::Http("http://127.0.0.1:5".into());
        assert_eq!(ways, [Some(Contact::Own), Some(http), None]);
    }

    #[test]
    fn a_new_policy_needs_the_quorum_of_the_one_before_until_it_was_seen() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let urls = ["https://w0.example", "https://w1.example", "https://w2.example"];
        let old = policy(&log, urls);
        let (w2, w9) =
            (key("w2", Algorithm::CosignatureV1, 4), key("w9", Algorithm::CosignatureV1, 9));
        let text =
            format!("log {log}\nwitness x {w9} https://x.example\nwitness w2 {w2}\nquorum x\n");
        let new = Policy::parse(text.as_bytes()).expect("policy");
        let plan = Plan::new(new, &Contacts::default()).expect("reachable");
        let enough = |plan: &Plan, places: &[usize]| {
            plan.is_enough(&places.iter().copied().collect(), &BTreeSet::new())
        };
        assert!(enough(&plan, &[0]));
        let plan = plan.after([old], &Contacts::default());
        let names: Vec<String> = (0..plan.len()).map(|at| plan.name_at(at)).collect();
        assert_eq!(names, ["x", "w2", "w0", "w1"]);
        assert!(!enough(&plan, &[0]), "none of the old");
        assert!(!enough(&plan, &[0, 1]), "one of the old");
        assert!(!enough(&plan, &[1, 2, 3]), "none of the new");
        assert!(enough(&plan, &[0, 1, 3]), "w2 counts for both");
        let gone = plan.places(&["w0", "w1"].map(str::to_owned).into());
        assert!(plan.is_enough(&BTreeSet::from([0]), &gone), "the operator says they are gone");
        let gone = plan.places(&["x".to_owned()].into());
        assert!(!plan.is_enough(&BTreeSet::from([1, 2, 3]), &gone), "the policy in force is whole");
    }
}
