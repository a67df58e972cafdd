//! Whose node keys a node knows: from its charter, and from the peers of its configuration.

use std::time::Duration;

use ledger_core::charter::{Charter, KeyUse, Member, MemberKey, Term};
use ledger_core::note::VerifierKey;
use tokio::sync::watch;

use super::node_key::NodeKey;
use crate::clock::Clock;

/// A node of which something is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// What to call it: its member's name, or its URL.
    pub name: String,
    /// Where it listens for gRPC, as a URL.
    pub url: Option<String>,
    /// The keys that it may show, and when, if not always. None is left of a member whose keys were
    /// all revoked, and then nobody is that node.
    pub keys: Vec<(NodeKey, Option<Term>)>,
}

/// The nodes that are known now.
#[derive(Debug, Default)]
pub struct Nodes(watch::Sender<Vec<KnownNode>>);

impl Nodes {
    /// Knows these members' nodes and those of the configuration from now on. At an address that
    /// the configuration names with a key, that key alone counts. Where two members claim one
    /// address, nobody is believed there: one of them would pass for the other.
    pub fn set(&self, members: Vec<KnownNode>, pinned: Vec<KnownNode>) {
        let at = |nodes: &[KnownNode], url: &Option<String>| {
            nodes.iter().filter(|node| url.is_some() && node.url == *url).count()
        };
        let is_pinned = |url: &Option<String>| at(&pinned, url) > 0;
        let mut known = members.clone();
        for node in &mut known {
            if is_pinned(&node.url) {
                node.url = None;
            } else if at(&members, &node.url) > 1 {
                tracing::warn!(member = node.name, url = node.url, "two members claim one address");
                node.keys.clear();
            }
        }
        known.extend(pinned);
        self.0.send_replace(known);
    }

    /// The keys of which whoever listens at a URL must show one at this second; `None` where no key
    /// is known for it.
    pub fn expected(&self, url: &str, now: u64) -> Option<Vec<NodeKey>> {
        let known = self.0.borrow();
        let mut there = known.iter().filter(|node| node.url.as_deref() == Some(url)).peekable();
        there.peek()?;
        let keys = there.flat_map(|node| &node.keys).filter(|(_, term)| is_in(*term, now));
        Some(keys.map(|(key, _)| *key).collect())
    }

    /// Whether somebody at a URL is believed at this second, by the key that was shown there, or
    /// `None` where nobody had to show one.
    fn believes(&self, url: &str, shown: Option<NodeKey>, now: u64) -> bool {
        match (self.expected(url, now), shown) {
            (None, None) => true,
            (Some(keys), Some(shown)) => keys.contains(&shown),
            _ => false,
        }
    }

    /// Waits until that is so no more: at once where a key is revoked, or another is known for the
    /// address; `every` so often it is looked whether the key's term has ended.
    pub(super) async fn until_disbelieved(
        &self,
        url: &str,
        shown: Option<NodeKey>,
        clock: &dyn Clock,
        every: Duration,
    ) {
        let mut changes = self.0.subscribe();
        while self.believes(url, shown, clock.now()) {
            let _ = tokio::time::timeout(every, changes.changed()).await;
        }
    }

    /// Whose key it is at this second.
    pub fn name(&self, key: NodeKey, now: u64) -> Option<String> {
        let known = self.0.borrow();
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
            let known = KnownNode {
                name: member.name().to_owned(),
                url: member.node().and_then(&url),
                keys: keys.collect(),
            };
            (!own.is_empty()).then_some(known)
        })
    }

    /// A node that a configuration names, with the key that it must show.
    pub fn pinned(url: String, key: &VerifierKey) -> Option<KnownNode> {
        let keys = vec![(NodeKey::of(key)?, None)];
        Some(KnownNode { name: url.clone(), url: Some(url), keys })
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
    use std::sync::Arc;

    use ledger_core::note::{Algorithm, KeyName, SignerKey};

    use super::*;
    use crate::clock::ManualClock;

    const URL: &str = "https://lab.example:7780";
    const SOON: Duration = Duration::from_millis(5);

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
        let pinned = |seed| KnownNode::pinned(URL.to_owned(), &vkey(seed)).into_iter().collect();
        nodes.set(vec![], pinned(1));
        assert_eq!(nodes.expected(URL, 0), Some(vec![known]));
        assert_eq!(nodes.name(known, 0).as_deref(), Some(URL));
        assert_eq!((nodes.name(other, 0), nodes.expected("https://else", 0)), (None, None));
        // all of its keys were revoked: nobody is that node, and no certificate takes their place
        let revoked = KnownNode { name: "lab".into(), url: Some(URL.into()), keys: vec![] };
        nodes.set(vec![revoked.clone()], vec![]);
        assert_eq!((nodes.expected(URL, 0), nodes.name(known, 0)), (Some(vec![]), None));
        // a member that claims another's address passes for nobody, and is known by its key
        let claims = KnownNode { name: "evil".into(), keys: vec![(other, None)], ..revoked };
        let lab = KnownNode { name: "lab".into(), keys: vec![(known, None)], ..claims.clone() };
        nodes.set(vec![lab.clone()], vec![]);
        assert_eq!(nodes.expected(URL, 0), Some(vec![known]));
        nodes.set(vec![lab.clone(), claims], vec![]);
        assert_eq!(nodes.expected(URL, 0), Some(vec![]));
        // what the operator says goes before what the charter says
        nodes.set(vec![lab], pinned(2));
        assert_eq!(nodes.expected(URL, 0), Some(vec![other]));
        assert_eq!(nodes.name(known, 0).as_deref(), Some("lab"));
    }

    fn lab(key: NodeKey, term: Option<Term>) -> Vec<KnownNode> {
        vec![KnownNode { name: "lab".into(), url: Some(URL.into()), keys: vec![(key, term)] }]
    }

    #[test]
    fn keys_count_within_their_terms() {
        let nodes = Nodes::default();
        let key = NodeKey::of(&vkey(1)).expect("Ed25519");
        nodes.set(lab(key, Some(Term::new(10, Some(20)))), vec![]);
        assert_eq!(nodes.name(key, 19).as_deref(), Some("lab"));
        assert_eq!((nodes.name(key, 20), nodes.name(key, 9)), (None, None));
        assert_eq!(nodes.expected(URL, 20), Some(vec![]));
    }

    #[tokio::test]
    async fn whoever_is_connected_is_believed_until_the_key_counts_no_more() {
        let nodes = Arc::new(Nodes::default());
        let clock = ManualClock::at(15);
        let [old, new] = [1, 2].map(|seed| NodeKey::of(&vkey(seed)).expect("Ed25519"));
        let wait = |shown| {
            let (nodes, clock) = (Arc::clone(&nodes), clock.clone());
            tokio::spawn(async move { nodes.until_disbelieved(URL, shown, &clock, SOON).await })
        };
        let any = wait(None);
        tokio::task::yield_now().await;
        nodes.set(lab(old, Some(Term::new(10, Some(20)))), vec![]);
        any.await.expect("a key is known now, and none was shown");

        let mut shown = wait(Some(old));
        tokio::time::sleep(SOON * 3).await;
        assert!(!shown.is_finished());
        clock.set(20);
        (&mut shown).await.expect("its term has ended");

        clock.set(15);
        let shown = wait(Some(old));
        tokio::task::yield_now().await;
        nodes.set(lab(new, None), vec![]);
        shown.await.expect("another key is known");
        wait(Some(old)).await.expect("and it was not believed to begin with");
    }
}
