//! Whose node keys a node knows: from its charter, and from the peers of its configuration.

use std::sync::{PoisonError, RwLock};

use ledger_core::charter::{Charter, KeyUse, Member, MemberKey, Term};
use ledger_core::note::VerifierKey;

use super::node_key::NodeKey;

/// A node of which something is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// What to call it: its member's name, or its key's.
    pub name: String,
    /// Where it listens for gRPC, as a URL.
    pub url: Option<String>,
    /// The keys that it may show, and when, if not always. None is left of a member whose keys were all
    /// revoked, and then nobody is that node.
    pub keys: Vec<(NodeKey, Option<Term>)>,
}

/// The nodes that are known now.
#[derive(Debug, Default)]
pub struct Nodes(RwLock<Vec<KnownNode>>);

impl Nodes {
    /// Knows these from now on.
    pub fn set(&self, nodes: Vec<KnownNode>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// The keys of which whoever listens at a URL must show one at this second; `None` where no key is
    /// known for it.
    pub fn expected(&self, url: &str, now: u64) -> Option<Vec<NodeKey>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut there = known.iter().filter(|node| node.url.as_deref() == Some(url)).peekable();
        there.peek()?;
        let keys = there.flat_map(|node| &node.keys).filter(|(_, term)| is_in(*term, now));
        Some(keys.map(|(key, _)| *key).collect())
    }

    /// Whose key it is at this second.
    pub fn name(&self, key: NodeKey, now: u64) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let holds = |node: &&KnownNode| {
            node.keys.iter().any(|(own, term)| *own == key && is_in(*term, now))
        };
        known.iter().find(holds).map(|node| node.name.clone())
    }
}

impl KnownNode {
    /// The nodes of a charter's members, of those that ever had a node key. `url` makes a URL of an
    /// address.
    pub fn of_charter<'a>(
        charter: &'a Charter,
        url: impl Fn(&str) -> Option<String> + 'a,
    ) -> impl Iterator<Item = KnownNode> + 'a {
        charter.members().iter().filter_map(move |member| {
            let own = charter.keys().iter().filter(|key| is_of(member, key)).collect::<Vec<_>>();
            let counts = |key: &&&MemberKey| key.revoked().is_none();
            let keys = own.iter().filter(counts);
            let keys = keys.filter_map(|key| Some((NodeKey::of(key.key())?, Some(key.term()))));
            let stays = !member.standing().has_left();
            let known = KnownNode {
                name: member.name().to_owned(),
                url: member.node().and_then(&url),
                keys: keys.filter(|_| stays).collect(),
            };
            (!own.is_empty()).then_some(known)
        })
    }

    /// A node that a configuration names, with the key that it must show.
    pub fn pinned(url: String, key: &VerifierKey) -> Option<KnownNode> {
        let keys = vec![(NodeKey::of(key)?, None)];
        Some(KnownNode { name: key.name().to_string(), url: Some(url), keys })
    }
}

fn is_in(term: Option<Term>, now: u64) -> bool {
    term.is_none_or(|term| term.contains(now))
}

/// Whether it is a node key of this member.
fn is_of(member: &Member, key: &MemberKey) -> bool {
    // a key's name is its member's, or that and a label
    let named = key.key().name().as_str().split('/').next() == Some(member.name());
    key.usage() == KeyUse::Node && named
}

#[cfg(test)]
mod tests {
    use ledger_core::note::{Algorithm, KeyName, SignerKey};

    use super::*;

    const URL: &str = "https://lab.example:7780";

    fn vkey(seed: u8) -> VerifierKey {
        let name = KeyName::new("lab.example/node").expect("a name");
        let key = SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound");
        key.verifier().clone()
    }

    #[test]
    fn whoever_must_show_a_key_is_not_believed_without_one() {
        let nodes = Nodes::default();
        let (known, other) = (NodeKey::of(&vkey(1)), NodeKey::of(&vkey(2)));
        let (known, other) = (known.expect("Ed25519"), other.expect("Ed25519"));
        assert_eq!(nodes.expected(URL, 0), None);
        nodes.set(KnownNode::pinned(URL.to_owned(), &vkey(1)).into_iter().collect());
        assert_eq!(nodes.expected(URL, 0), Some(vec![known]));
        assert_eq!(nodes.name(known, 0).as_deref(), Some("lab.example/node"));
        assert_eq!((nodes.name(other, 0), nodes.expected("https://else", 0)), (None, None));
        // all of its keys were revoked: nobody is that node, and no certificate takes their place
        let revoked = KnownNode { name: "lab".into(), url: Some(URL.into()), keys: vec![] };
        nodes.set(vec![revoked]);
        assert_eq!((nodes.expected(URL, 0), nodes.name(known, 0)), (Some(vec![]), None));
    }
}
