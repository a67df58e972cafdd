//! Under which policy heads are published, and how each of its witnesses is reached.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::charter::Charter;
use ledger_core::note::{PublicKey, VerifierKey};
use ledger_core::policy::{ParsePolicyError, Policy, PolicyWitness};

/// What this node knows of witnesses beside the policy: its own keys, and addresses.
#[derive(Debug, Clone, Default)]
pub struct Contacts {
    own: BTreeSet<PublicKey>,
    urls: BTreeMap<String, String>,
}

/// How a witness is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contact {
    /// It is this node's own.
    Own,
    /// C2SP `tlog-witness` over HTTP; the submission prefix, without a slash at its end.
    Http(String),
    /// The same over gRPC; an `http://` URL of the other node's gRPC address.
    Grpc(String),
}

/// A policy that this node can publish under.
#[derive(Debug)]
pub struct Plan {
    policy: Policy,
    /// For each witness of the policy.
    contacts: Vec<Option<Contact>>,
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
    /// The charter does not let the node's key sign heads.
    #[error("the charter does not list the key that this node signs heads with as a log key")]
    KeyNotInCharter,
    /// The policy cannot be read.
    #[error("the policy: {0}")]
    Policy(#[from] ParsePolicyError),
    /// The policy does not name this log.
    #[error("the charter's policy does not list this log's key")]
    LogNotListed,
}

impl PublisherError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            PublisherError::NoQuorum { .. } => {
                "write the addresses into the policy (`witness <name> <vkey> <url>`), or into \
                 config.toml below [witness_urls] (`<name> = \"<url>\"`)"
            }
            PublisherError::KeyNotInCharter => {
                "let the operator start the node with a key that stays in force, then retire this one"
            }
            PublisherError::Policy(_) => {
                "see the C2SP tlog-policy format; `quorum none` is the simplest"
            }
            PublisherError::LogNotListed => {
                "the policy in the charter needs the line `log <vkey>` with this log's key"
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
        Contacts { own: own.into_iter().map(VerifierKey::public).collect(), urls }
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

impl Contact {
    /// Reads an address: `http://` or `https://` and the submission prefix of any C2SP witness, or
    /// `grpc://HOST:PORT` of a node of ours.
    pub fn parse(url: &str) -> Option<Contact> {
        let url = url.trim_end_matches('/');
        if let Some(address) = url.strip_prefix("grpc://") {
            return (!address.is_empty()).then(|| Contact::Grpc(format!("http://{address}")));
        }
        let address = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
        (!address.is_empty()).then(|| Contact::Http(url.to_owned()))
    }
}

impl std::fmt::Display for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Contact::Own => f.write_str("this node"),
            Contact::Http(url) => f.write_str(url),
            Contact::Grpc(url) => f.write_str(&url.replacen("http://", "grpc://", 1)),
        }
    }
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
        let policy = Policy::parse(charter.policy_text().unwrap_or_default().as_bytes())?;
        Plan::new(policy, log_key, contacts)
    }

    fn new(
        policy: Policy,
        log_key: &VerifierKey,
        contacts: &Contacts,
    ) -> Result<Plan, PublisherError> {
        if !policy.logs().iter().any(|log| log.key == *log_key) {
            return Err(PublisherError::LogNotListed);
        }
        let contacts: Vec<_> =
            policy.witnesses().iter().map(|witness| contacts.of(witness)).collect();
        let plan = Plan { policy, contacts };
        let reachable = (0..plan.contacts.len()).filter(|at| plan.contacts[*at].is_some());
        if !plan.policy.is_satisfied_by(&reachable.collect()) {
            return Err(PublisherError::NoQuorum { unreachable: plan.unreachable() });
        }
        Ok(plan)
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy's names of witnesses whose address nobody knows.
    pub fn unreachable(&self) -> Vec<String> {
        let witnesses = self.policy.witnesses().iter().zip(&self.contacts);
        let silent = witnesses.filter(|(_, contact)| contact.is_none());
        silent.map(|(witness, _)| name(witness)).collect()
    }

    /// Whether a head is a checkpoint without any cosignature.
    pub fn needs_nobody(&self) -> bool {
        self.policy.is_satisfied_by(&BTreeSet::new())
    }

    /// The witnesses in the policy's order, each with the way to it if there is one.
    pub fn witnesses(&self) -> impl Iterator<Item = (&PolicyWitness, Option<&Contact>)> {
        self.policy.witnesses().iter().zip(self.contacts.iter().map(Option::as_ref))
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
    fn a_plan_needs_addresses_of_a_quorum() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let none = Contacts::default();
        let plan = |urls, contacts: &Contacts| Plan::new(policy(&log, urls), &log, contacts);
        let reached = plan(["https://w0.example/", "grpc://w1.example:1", ""], &none);
        let reached = reached.expect("two of three");
        assert_eq!(reached.unreachable(), ["w2"]);
        assert!(!reached.needs_nobody());
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

        let other = key("log.example", Algorithm::Ed25519, 8);
        let refused = Plan::new(policy(&log, ["", "", ""]), &other, &none);
        assert_eq!(refused.expect_err("another key"), PublisherError::LogNotListed);
    }
}
