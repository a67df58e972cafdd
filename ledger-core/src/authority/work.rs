//! The work of judging governance, counted before it is done.
//!
//! The author of a file chooses how many entries it has and what they change. A change looks through
//! all members and keys, so that the work grows with the square of the bytes.

use crate::charter::Governance;
use crate::record::StatementId;

use super::{
    AuthorityBundle, AuthorityError, GovernanceEntry, MAX_GOVERNANCE_ENTRIES, MAX_GOVERNANCE_WORK,
};

/// How much longer a reader takes for one bundle than for a file that strangers send: some seconds.
const READERS_PATIENCE: usize = 16;

/// What is left of the work that a judge does.
#[derive(Debug)]
pub(crate) struct Work {
    entries: usize,
    units: usize,
}

impl Work {
    /// For one bundle, which its reader chose to read.
    pub(crate) fn of_bundle() -> Work {
        Work::new(READERS_PATIENCE * MAX_GOVERNANCE_WORK)
    }

    /// For all bundles of a file that anyone may have sent.
    pub(crate) fn of_evidence() -> Work {
        Work::new(MAX_GOVERNANCE_WORK)
    }

    fn new(units: usize) -> Work {
        Work { entries: MAX_GOVERNANCE_ENTRIES, units }
    }

    /// Takes one entry's work from what is left.
    fn take(&mut self, units: usize) -> Result<(), AuthorityError> {
        let left = (self.entries.checked_sub(1), self.units.checked_sub(units));
        let (Some(entries), Some(units)) = left else { return Err(AuthorityError::TooMuch) };
        *self = Work { entries, units };
        Ok(())
    }

    /// The governance that a bundle's first entry founds.
    pub(crate) fn found(
        &mut self,
        bundle: &AuthorityBundle,
        anchor: StatementId,
    ) -> Result<Governance, AuthorityError> {
        self.take(bundle.governance().first().map_or(0, GovernanceEntry::lines))?;
        bundle.found(anchor)
    }

    /// Judges the next entry.
    pub(crate) fn push(
        &mut self,
        governance: &mut Governance,
        own: &GovernanceEntry,
    ) -> Result<(), AuthorityError> {
        self.take(governance.charter().cost_of(own.entry.record()))?;
        Ok(governance.push(own.index, &own.entry)?)
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::charter::world::{World, admit, change};
    use crate::hash::Hash;
    use crate::index::LeafIndex;
    use crate::merkle::InclusionProof;
    use crate::note::{Algorithm, KeyName, SignerKey};
    use crate::record::{Entry, Object};

    fn entry(at: u64, entry: &Entry) -> GovernanceEntry {
        let inclusion = InclusionProof::new(Vec::new()).expect("short");
        let index = LeafIndex::new(at).expect("small");
        GovernanceEntry { index, entry: entry.clone(), inclusion }
    }

    /// A change that adds `count` keys to a member.
    fn keys(member: &str, count: usize) -> Object {
        let key = |n: usize| {
            let seed = Hash::digest(format!("{member} {n}").as_bytes());
            let name = KeyName::new(member).expect("a name");
            let key = SignerKey::from_seed(name, Algorithm::Ed25519, *seed.as_bytes());
            let vkey = key.expect("sound").verifier().to_string();
            Object::new().with("use", "record").with("vkey", vkey)
        };
        let keys: Vec<Object> = (0..count).map(key).collect();
        admit(member, &["publisher"]).with("keys", keys)
    }

    /// What it costs to judge a membership record of these changes.
    fn membership(world: &mut World, changes: Vec<Object>) -> usize {
        let object = world.membership("a", changes);
        world.charter.cost_of(world.entry(&object, &["a", "b"]).record())
    }

    fn judged(world: &World, mut work: Work) -> (usize, Option<AuthorityError>) {
        let mut entries = (0..).zip(&world.entries).map(|(at, (_, own))| entry(at, own));
        let first = entries.next().expect("the charter");
        let mut governance = Governance::found(&first.entry).expect("sound");
        let mut judged = 1;
        for own in entries {
            if let Err(error) = work.push(&mut governance, &own) {
                return (judged, Some(error));
            }
            judged += 1;
        }
        (judged, None)
    }

    #[test]
    fn changes_cost_more_the_more_members_and_keys_there_are() {
        let mut world = World::new();
        let few = membership(&mut world, vec![admit("f", &[])]);
        for n in 0..24 {
            let member = format!("k{n}");
            world.change(vec![keys(&member, 120)], &["a", "b"]);
        }
        let more = membership(&mut world, vec![admit("f", &[])]);
        let suspend = |n: usize| change("suspend", &format!("k{}", n % 24));
        let most = membership(&mut world, (0..500).map(suspend).collect());
        assert!(few < more && 20 * more < most, "{few} {more} {most}");
        // all of it is within what any judge does
        assert_eq!(judged(&world, Work::of_evidence()), (25, None));
        // and a judge that has less to spend does not begin what it cannot finish
        let (done, error) = judged(&world, Work::new(30));
        assert!((2..24).contains(&done), "{done}");
        assert_eq!(error, Some(AuthorityError::TooMuch));
    }

    #[test]
    fn policies_cost_a_signature_check_a_line() {
        let mut world = World::new();
        let [few, many] = [1, 501].map(|lines| {
            let policy = "witness w x\n".repeat(lines);
            let change = Object::new().with("action", "set_policy").with("policy", policy);
            let norm = world.norm("a", vec![change]);
            world.charter.cost_of(world.entry(&norm, &["a", "b"]).record())
        });
        assert!((500..600).contains(&(many - few)), "{few} {many}");
    }
}
