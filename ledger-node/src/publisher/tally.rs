//! Which witnesses agree that a head is the latest, and whether that lets a log sign.

use std::collections::BTreeSet;

use super::plan::Plan;

/// What the witnesses of a [`Plan`], by their places there, have said about a head at a start.
#[derive(Debug, Clone)]
pub struct Tally {
    /// This node's own witnesses. They were restored with the log, and know no more than it.
    own: BTreeSet<usize>,
    others: BTreeSet<usize>,
    left_out: BTreeSet<usize>,
    agreed: BTreeSet<usize>,
    claims: BTreeSet<usize>,
}

impl Tally {
    /// No witness has answered yet. Those that the operator leaves out count as if they agreed.
    pub fn new(plan: &Plan, is_own: impl Fn(usize) -> bool, left_out: BTreeSet<usize>) -> Tally {
        let (own, others) = (0..plan.len()).partition(|at| is_own(*at));
        let (agreed, claims) = (BTreeSet::new(), BTreeSet::new());
        Tally { own, others, left_out, agreed, claims }
    }

    /// Whether the operator leaves a witness out.
    pub fn is_left_out(&self, at: usize) -> bool {
        self.left_out.contains(&at)
    }

    /// A witness agrees that the head is the latest, which ends what it claimed. Says whether it
    /// does so for the first time.
    pub fn agrees(&mut self, at: usize) -> bool {
        self.claims.remove(&at);
        self.agreed.insert(at)
    }

    /// A witness claims that there is another head.
    pub fn claims(&mut self, at: usize) {
        self.claims.insert(at);
    }

    /// What a witness claimed turned out to count for nothing. It agrees to nothing by that.
    pub fn claims_no_more(&mut self, at: usize) {
        self.claims.remove(&at);
    }

    /// The witnesses that count. This node's own do once all others agree or are left out.
    fn counted(&self) -> BTreeSet<usize> {
        let mut counted: BTreeSet<usize> = self.agreed.union(&self.left_out).copied().collect();
        if !self.others.is_subset(&counted) {
            counted.retain(|at| self.others.contains(at) || self.left_out.contains(at));
        }
        counted
    }

    /// The witnesses for which the log waits; it may sign when there is none. Readers can have seen
    /// no later head then, as [`Plan::has_no_later_head`] says, and no claim is open.
    pub fn missing(&self, plan: &Plan) -> BTreeSet<usize> {
        let counted = self.counted();
        if plan.has_no_later_head(&counted) {
            return self.claims.difference(&self.left_out).copied().collect();
        }
        let others: BTreeSet<usize> = self.others.difference(&counted).copied().collect();
        if others.is_empty() { self.own.difference(&counted).copied().collect() } else { others }
    }

    /// Whether all witnesses agree or are left out.
    pub fn is_complete(&self) -> bool {
        self.own.union(&self.others).all(|at| self.agreed.contains(at) || self.is_left_out(*at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ledger_core::note::{Algorithm, KeyName, SignerKey};
    use ledger_core::policy::Policy;

    use super::super::plan::Contacts;
    use super::*;

    const WITNESSES: usize = 8;
    const POLICIES: usize = 10_000;

    /// A policy as the test understands it, by no code of the policy's.
    enum Node {
        Witness(usize),
        Group { threshold: usize, members: Vec<Node> },
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((mixed ^ mixed >> 31) % limit as u64).expect("below the limit")
        }

        fn set(&mut self) -> u32 {
            u32::try_from(self.below(1 << WITNESSES)).expect("small")
        }

        /// A policy over these witnesses, each at most once.
        fn policy(&mut self, mut names: Vec<usize>, depth: usize) -> Node {
            if names.len() == 1 || depth == 0 {
                let members: Vec<Node> = names.into_iter().map(Node::Witness).collect();
                let threshold = 1 + self.below(members.len());
                return Node::Group { threshold, members };
            }
            let mut members = Vec::new();
            while !names.is_empty() {
                let rest = names.split_off(1 + self.below(names.len()));
                let part = std::mem::replace(&mut names, rest);
                members.push(match part.as_slice() {
                    [one] if self.below(2) == 0 => Node::Witness(*one),
                    _ => self.policy(part, depth - 1),
                });
            }
            let threshold = 1 + self.below(members.len());
            Node::Group { threshold, members }
        }

        fn some_witnesses(&mut self) -> Vec<usize> {
            let mut names: Vec<usize> = (0..WITNESSES).collect();
            for at in (1..WITNESSES).rev() {
                names.swap(at, self.below(at + 1));
            }
            names.truncate(1 + self.below(WITNESSES));
            names
        }
    }

    impl Node {
        fn holds(&self, cosigned: u32) -> bool {
            match self {
                Node::Witness(at) => cosigned >> at & 1 == 1,
                Node::Group { threshold, members } => {
                    members.iter().filter(|own| own.holds(cosigned)).count() >= *threshold
                }
            }
        }

        fn names(&self) -> BTreeSet<usize> {
            match self {
                Node::Witness(at) => BTreeSet::from([*at]),
                Node::Group { members, .. } => members.iter().flat_map(Node::names).collect(),
            }
        }

        /// Writes the groups, and gives the name of this node.
        fn write(&self, text: &mut String, groups: &mut usize) -> String {
            match self {
                Node::Witness(at) => format!("w{at}"),
                Node::Group { threshold, members } => {
                    let names: Vec<String> =
                        members.iter().map(|own| own.write(text, groups)).collect();
                    *groups += 1;
                    *text += &format!("group g{groups} {threshold} {}\n", names.join(" "));
                    format!("g{groups}")
                }
            }
        }

        fn parse(&self, log: &str, lines: &[String]) -> Policy {
            let witnesses: String = self.names().iter().map(|at| lines[*at].as_str()).collect();
            let mut text = format!("log {log}\n{witnesses}");
            let name = self.write(&mut text, &mut 0);
            text += &format!("quorum {name}\n");
            Policy::parse(text.as_bytes()).expect("a policy")
        }
    }

    fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
        let name = KeyName::new(name).expect("a name");
        SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound")
    }

    /// Feeds answers in a random order, and gives whether the log would have signed at any moment.
    fn signs(
        plan: &Plan,
        mut tally: Tally,
        mut answers: Vec<(usize, bool)>,
        r: &mut Random,
    ) -> bool {
        let mut signs = tally.missing(plan).is_empty();
        while !answers.is_empty() {
            let (at, agrees) = answers.swap_remove(r.below(answers.len()));
            if agrees {
                tally.agrees(at);
            } else {
                tally.claims(at);
            }
            signs |= tally.missing(plan).is_empty();
        }
        signs
    }

    /// A log is restored; some witnesses have cosigned more of it, and some do not answer. The
    /// policies are nested, and in every second case one is about to replace another.
    #[test]
    fn no_start_signs_while_a_published_head_may_be_missing() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let log_key = log.verifier();
        let keys: Vec<SignerKey> = (0..WITNESSES)
            .map(|at| key(&format!("w{at}"), Algorithm::CosignatureV1, 2 + at as u8))
            .collect();
        let line =
            |at: usize| format!("witness w{at} {} https://w{at}.example\n", keys[at].verifier());
        let lines: Vec<String> = (0..WITNESSES).map(line).collect();
        let (mut missing, mut signed, mut complete) = (0, 0, 0);
        for seed in 0..POLICIES {
            let r = &mut Random(seed as u64);
            let names = r.some_witnesses();
            let now = r.policy(names, 3);
            let before = (seed % 2 == 1).then(|| {
                let names = r.some_witnesses();
                r.policy(names, 3)
            });
            let contacts = Contacts::new([], BTreeMap::new());
            let plan = Plan::new(now.parse(&log_key.to_string(), &lines), &contacts);
            let plan = plan.expect("all have addresses");
            let plan =
                plan.after(before.iter().map(|b| b.parse(&log_key.to_string(), &lines)), &contacts);
            // places of the plan, and numbers of the test's witnesses
            let number = |at: usize| -> usize {
                plan.name_at(at).trim_start_matches('w').parse().expect("a number")
            };
            let own = (r.below(2) == 0).then(|| r.below(WITNESSES));
            let is_own = |at: usize| own == Some(number(at));
            let tally = Tally::new(&plan, is_own, BTreeSet::new());
            let (newer, silent) = (r.set(), r.set());
            let has = |set: u32, at: usize| set >> number(at) & 1 == 1;
            let answers: Vec<(usize, bool)> = (0..plan.len())
                // what was restored with the log agrees with it
                .filter(|at| is_own(*at) || !has(silent, *at))
                .map(|at| (at, is_own(at) || !has(newer, at)))
                .collect();
            let own_bit = own.map_or(0, |own| 1_u32 << own);
            let may = |policy: &Node| policy.holds(newer) && newer & !own_bit != 0;
            let in_plan = (0..plan.len()).fold(0, |set, at| set | 1_u32 << number(at));
            // a quorum in which the own witness needs the others is no exception
            let published = may(&now) && !now.holds(newer & own_bit)
                || before.as_ref().is_some_and(|b| may(b) && !b.holds(newer & own_bit));
            let has_signed = signs(&plan, tally.clone(), answers, r);
            assert!(!(published && has_signed), "seed {seed}: a published head was missed");
            missing += usize::from(published);
            signed += usize::from(has_signed);
            // and once all agree the log signs
            let all: Vec<(usize, bool)> = (0..plan.len()).map(|at| (at, true)).collect();
            assert!(signs(&plan, tally, all, r), "seed {seed}: it never starts");
            complete += 1;
            assert!(in_plan != 0);
        }
        assert_eq!(complete, POLICIES);
        assert!(missing > POLICIES / 4 && signed > POLICIES / 50, "{missing} {signed}");
    }

    #[test]
    fn the_own_witness_counts_last_and_those_left_out_count_at_once() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let keys: Vec<SignerKey> =
            (0..3).map(|n| key(&format!("w{n}"), Algorithm::CosignatureV1, 2 + n)).collect();
        let line = |n: usize| format!("witness w{n} {} https://w.example\n", keys[n].verifier());
        let lines: String = (0..3).map(line).collect();
        let text = format!("log {}\n{lines}group g 2 w0 w1 w2\nquorum g\n", log.verifier());
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        let plan = Plan::new(policy, &Contacts::default()).expect("reachable");
        let mut tally = Tally::new(&plan, |at| at == 0, BTreeSet::new());
        assert!(tally.agrees(0) && tally.agrees(1) && !tally.agrees(1));
        assert_eq!(tally.missing(&plan), BTreeSet::from([2]), "two of three, one of them its own");
        tally.agrees(2);
        assert!(tally.missing(&plan).is_empty() && tally.is_complete());
        tally.claims(2);
        assert_eq!(tally.missing(&plan), BTreeSet::from([2]), "a claim is open");
        tally.claims_no_more(2);
        assert!(tally.missing(&plan).is_empty());

        let mut tally = Tally::new(&plan, |at| at == 0, BTreeSet::from([2]));
        tally.agrees(1);
        assert!(tally.missing(&plan).is_empty() && !tally.is_complete());
    }
}
