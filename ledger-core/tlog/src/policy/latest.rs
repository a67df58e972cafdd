//! Whether a published head may be missing: what a log asks itself before it signs after a start.

use std::collections::BTreeSet;

use super::Policy;

impl Policy {
    /// Whether no head that this policy let readers see can be missing, if the witnesses at these
    /// places of [`Policy::witnesses`] agree that a head is the latest: they are a quorum, and the
    /// others cannot form one among themselves.
    ///
    /// A published head has a quorum of cosignatures. If the witnesses that have not agreed are
    /// none, each later head that readers saw was cosigned by a witness that has agreed, which
    /// contradicts it. Of a flat group of `k` in `n` this takes `max(k, n - k + 1)` answers. Under
    /// `quorum none` no witness knows what was published, so that none is needed.
    ///
    /// Convictions ([`Policy::without_convicted`]) change nothing here: a convicted witness may have
    /// cosigned a head that readers saw, and it still can say so.
    ///
    /// It is monotone: another witness that agrees turns no `true` into `false`.
    pub fn has_no_later_head(&self, agreed: &BTreeSet<usize>) -> bool {
        if self.is_quorum_none() {
            return true;
        }
        let others = (0..self.witnesses.len()).filter(|at| !agreed.contains(at)).collect();
        self.quorum.holds(agreed) && !self.quorum.holds(&others)
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::note::{Algorithm, KeyName, SignerKey};

    fn witness(n: u8) -> String {
        let name = KeyName::new(&format!("w{n}.example")).expect("a name");
        let key = SignerKey::from_seed(name, Algorithm::CosignatureV1, [n; 32]).expect("sound");
        format!("witness w{n} {}\n", key.verifier())
    }

    #[test]
    fn of_a_flat_group_the_larger_of_a_quorum_and_a_blocking_set_must_agree() {
        let mut judged = 0;
        for n in 1..=5_u8 {
            let lines: String = (1..=n).map(witness).collect();
            let names: String = (1..=n).map(|n| format!(" w{n}")).collect();
            for k in 1..=n {
                let text = format!("{lines}group g {k}{names}\nquorum g\n");
                let policy = Policy::parse(text.as_bytes()).expect("a policy");
                let needed = usize::from(k.max(n - k + 1));
                for bits in 0..1_u32 << n {
                    let agreed: BTreeSet<usize> =
                        (0..usize::from(n)).filter(|at| bits >> at & 1 == 1).collect();
                    let enough = policy.has_no_later_head(&agreed);
                    assert_eq!(enough, agreed.len() >= needed, "{k} of {n}: {agreed:?}");
                    judged += 1;
                }
            }
        }
        assert_eq!(judged, 2 + 2 * 4 + 3 * 8 + 4 * 16 + 5 * 32);
    }

    #[test]
    fn without_a_quorum_no_witness_is_needed() {
        let text = format!("{}quorum none\n", witness(1));
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        assert!(policy.has_no_later_head(&BTreeSet::new()));
    }
}
