//! An audit of all entries and the replay of the governance entries agree on each entry.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::Hint;
use crate::record::{Draft, Object};

use super::coalition_tests::{any_change, names_of};
use super::lawful::{CheckedEntry, DuplicatesInMemory, EntryVisitor, Finding, Unlawful};
use super::world::{World, key};
use super::*;
use crate::note::SignerKey;
use crate::record::{Entry, Logged};

/// One log, judged in both ways entry by entry.
struct Both {
    world: World,
    audit: EntryVisitor<DuplicatesInMemory>,
    replay: Governance,
    entries: Vec<Judged>,
    /// The indices that only an audit sees: entries that are none of governance, and such as are
    /// unlawful because of those.
    unseen: BTreeSet<u64>,
}

struct Judged {
    index: LeafIndex,
    entry: Entry,
    audit: Result<(), Unlawful>,
}

impl Both {
    fn new() -> Both {
        let world = World::new();
        let first = &world.entries[0].1;
        let replay = Governance::found(first).expect("sound");
        let mut audit =
            EntryVisitor::new(replay.charter().clone(), 0, DuplicatesInMemory::default());
        let look = CheckedEntry::at(replay.charter(), &first.to_bytes());
        let Ok(finding) = audit.judge(LeafIndex::ZERO, look);
        assert!(matches!(finding, Finding::Lawful(_)));
        let (entries, unseen) = (Vec::new(), BTreeSet::new());
        Both { world, audit, replay, entries, unseen }
    }

    /// The step that the numbers choose: some record, lawful or broken in one of many ways.
    fn step(&mut self, n: &[u8; 4], twist: u8, mask: u8) {
        self.world.time += 60;
        // the stewards sign mostly, so that many changes are lawful
        let mask = if mask.is_multiple_of(4) { mask } else { mask | 0b111 };
        let names = names_of(&self.world, mask);
        let Some(first) = names.first() else { return };
        let issuer = first.split('/').next().unwrap_or_default().to_owned();
        let mut object = match n[0] % 4 {
            0 => self.world.incident(&issuer),
            1 => self.world.norm(&issuer, vec![]),
            _ => {
                let change = any_change(&self.world, &[n[1], n[2], n[3], n[0]]);
                self.world.membership(&issuer, vec![change])
            }
        };
        let old = self.entries.get(usize::from(n[3]) % self.entries.len().max(1));
        let mut logged = self.world.logged();
        match (twist % 12, old) {
            (0 | 1, Some(old)) => {
                let id = old.entry.record().envelope().id().to_string();
                object =
                    object.with("id", id).with("issuer", old.entry.record().envelope().issuer());
            }
            (2, Some(old)) => logged.governance = old.index,
            (3, _) => logged.time -= 61 * u64::from(n[1] % 3),
            (4, _) => object = object.with("base", format!("{:064x}", n[2])),
            (5, Some(old)) => {
                let record = old.entry.record().clone();
                return self.judge(Entry::new(logged, record));
            }
            _ => {}
        }
        self.sign(&object, &names, logged);
    }

    fn sign(&mut self, object: &Object, names: &[String], logged: Logged) {
        let keys: Vec<SignerKey> = names.iter().map(|name| key(name)).collect();
        let keys: Vec<&SignerKey> = keys.iter().collect();
        // a record of another kind has no base
        let Ok(draft) = Draft::from_object(object) else { return };
        if let Ok(record) = draft.sign(&keys) {
            self.judge(Entry::new(logged, record));
        }
    }

    /// Both judge the next entry, and agree.
    fn judge(&mut self, entry: Entry) {
        let index = LeafIndex::new(self.entries.len() as u64 + 1).expect("small");
        let alone = self.replay.judge(entry.record(), &entry.logged(), index);
        let look = CheckedEntry::at(self.audit.charter(), &entry.to_bytes());
        let Ok(finding) = self.audit.judge(index, look);
        let audit = match finding {
            Finding::Lawful(_) => Ok(()),
            Finding::Unlawful(why) => Err(why),
            Finding::NotJudged(why) => panic!("{why}"),
        };
        if matches!(audit, Err(Unlawful::TimeReversal { .. })) {
            // the log's time does not stay back: an audit counts from the earlier time on, and
            // a replay, which does not see this entry, from the governance entry before it
            self.world.time += 200;
        }
        if self.sees(&audit) {
            assert_agree(alone, &audit, index);
        }
        if entry.record().kind().is_governance() && self.sees(&audit) {
            let pushed = self.replay.push(index, &entry);
            let same = audit.clone().map_err(|why| ReplayError::Unlawful { index, why });
            assert_eq!(pushed, same);
        } else {
            self.unseen.insert(index.get());
        }
        assert_eq!(self.replay.charter(), self.audit.charter());
        self.world.charter = (**self.audit.charter()).clone();
        self.entries.push(Judged { index, entry, audit });
    }

    /// Whether what an audit says of an entry follows from governance entries alone.
    fn sees(&self, audit: &Result<(), Unlawful>) -> bool {
        match audit {
            Err(Unlawful::Statement { first } | Unlawful::Id { first }) => {
                !self.unseen.contains(first)
            }
            Err(Unlawful::TimeReversal { .. }) => false,
            _ => true,
        }
    }

    /// With all governance entries known, each entry is judged as it was at its place.
    fn judge_again(&self) -> [usize; 2] {
        let mut count = [0; 2];
        for Judged { index, entry, audit } in
            self.entries.iter().filter(|own| self.sees(&own.audit))
        {
            let again = self.replay.judge(entry.record(), &entry.logged(), *index);
            assert_agree(again, audit, *index);
            count[usize::from(audit.is_err())] += 1;
        }
        count
    }
}

fn assert_agree<T>(alone: Result<T, JudgeError>, audit: &Result<(), Unlawful>, index: LeafIndex) {
    match alone {
        // an audit has all entries, and knows that no governance entry is there
        Err(JudgeError::Unknown(_)) => assert!(audit.is_err(), "entry {index}"),
        alone => assert_eq!(
            alone.map(drop).map_err(|error| error.to_string()),
            audit.clone().map_err(|why| why.to_string()),
            "entry {index}"
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Histories of any entries, many of them unlawful: what an audit says of an entry, the replay
    /// of the governance entries says too, when the entry comes and when all are known.
    #[test]
    fn replay_and_audit_agree_on_each_entry(
        steps in prop::collection::vec((any::<[u8; 4]>(), any::<u8>(), any::<u8>()), 1..40)
    ) {
        let mut both = Both::new();
        for (n, twist, mask) in steps {
            both.step(&n, twist, mask);
        }
        both.judge_again();
    }
}

#[test]
fn random_histories_break_and_keep_the_rules_often() {
    let (mut lawful, mut broken) = (0, BTreeSet::new());
    for history in 0..16u32 {
        let mut both = Both::new();
        for n in 0..24 {
            let [a, b, c, d] = (24 * history + n).wrapping_mul(2_654_435_761).to_be_bytes();
            both.step(&[a, b, c, d], b ^ d, c ^ a);
        }
        lawful += both.judge_again()[0];
        broken.extend(both.entries.iter().filter_map(|own| match own.audit.as_ref().err()? {
            Unlawful::Id { .. } => Some("id"),
            Unlawful::Statement { .. } => Some("statement"),
            Unlawful::TimeReversal { .. } => Some("time"),
            Unlawful::Refused(Rejection::WrongGovernance { .. }) => Some("governance"),
            Unlawful::Refused(Rejection::WrongBase { .. }) => Some("base"),
            Unlawful::Refused(Rejection::TooFew { .. }) => Some("too few"),
            _ => None,
        }));
    }
    assert!(lawful >= 40, "{lawful} lawful");
    assert_eq!(broken.len(), 6, "{broken:?}");
}

#[test]
fn a_record_that_makes_a_known_governance_entry_unlawful_is_not_judged_lawful() {
    let mut world = World::new();
    let early = world.membership("a", vec![world::admit("f", &["publisher"])]);
    let early = world.entry(&early, &["a", "b"]);
    let copied = world.incident("a");
    let late = world.incident("a");
    world.entries.push((world.next_index(), world.entries[0].1.clone()));
    let id = copied.text("id").expect("an id").to_owned();
    let change = world.membership("a", vec![world::admit("g", &[])]).with("id", id);
    world.log(&change, &["a", "b"]);
    let chain = [0, 2].map(|at| (world.entries[at].0, &world.entries[at].1));
    let governance = Governance::replay(chain).expect("lawful without entry 1");
    let place = LeafIndex::new(1).expect("small");
    let judge = |entry: &Entry, later: u64| {
        let logged = Logged { time: entry.logged().time + later, governance: LeafIndex::ZERO };
        let error = governance.judge(entry.record(), &logged, place).expect_err("it spoils 2");
        assert!(error.is_unlawful() && !error.hint().is_empty());
        error.to_string()
    };
    let base = World::new();
    let (copied, late) = (base.entry(&copied, &["a"]), base.entry(&late, &["a"]));
    let start = "with this record at its place, governance entry 2: ";
    let skipped = "the logged line names governance entry 0, but the latest is 1";
    assert_eq!(judge(&early, 0), format!("{start}{skipped}"));
    let twice = "its issuer used its id already for entry 1";
    assert_eq!(judge(&copied, 0), format!("{start}{twice}"));
    assert!(judge(&late, 60).starts_with(&format!("{start}its time ")), "{}", judge(&late, 60));
    governance.judge(late.record(), &late.logged(), place).expect("nothing is wrong with it");
}

/// All ways in which five entries behind the charter can have four times.
#[test]
fn a_bundle_refuses_for_its_time_no_entry_of_a_log_that_an_audit_proves() {
    let mut world = World::new();
    for member in ["f", "g"] {
        let incident = world.incident("a");
        world.log(&incident, &["a"]);
        world.change(vec![world::admit(member, &[])], &["a", "b"]);
    }
    let incident = world.incident("a");
    world.log(&incident, &["a"]);
    let founded = Governance::found(&world.entries[0].1).expect("sound");
    let (mut proven, mut differ) = (0, 0);
    for times in 0..4u64.pow(5) {
        let at_time = |(index, entry): &(LeafIndex, Entry)| {
            let step = index.get().checked_sub(1).map_or(0, |n| times / 4u64.pow(n as u32) % 4);
            let logged = Logged { time: world.time + 60 * step, ..entry.logged() };
            (*index, Entry::new(logged, entry.record().clone()))
        };
        let entries: Vec<_> = world.entries.iter().map(at_time).collect();
        let mut audit =
            EntryVisitor::new(founded.charter().clone(), 0, DuplicatesInMemory::default());
        let lawful: Vec<bool> = entries
            .iter()
            .map(|(index, entry)| {
                let look = CheckedEntry::of(audit.charter(), entry.logged(), entry.record());
                let Ok(finding) = audit.judge(*index, look);
                matches!(finding, Finding::Lawful(_))
            })
            .collect();
        let norms = entries.iter().filter(|(_, own)| own.record().kind().is_governance());
        let bundle = Governance::replay(norms.map(|(index, own)| (*index, own)));
        let shown: Vec<bool> = entries
            .iter()
            .map(|(index, own)| {
                let judged = bundle.as_ref().map(|b| b.judge(own.record(), &own.logged(), *index));
                judged.is_ok_and(|judged| judged.is_ok())
            })
            .collect();
        if lawful.iter().all(|own| *own) {
            proven += 1;
            assert!(shown.iter().all(|own| *own), "times {times}: {shown:?}");
        }
        differ += u32::from(lawful.iter().zip(&shown).any(|(audit, bundle)| *audit && !bundle));
    }
    // 56 rows of five times never go back; elsewhere a bundle may refuse more than an audit
    assert_eq!(proven, 56);
    assert!(differ > 100, "{differ}");
}
