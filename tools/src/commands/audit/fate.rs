//! The result of an audit for each index of the signed tree, and for the whole log.

use std::fmt;

use crate::failure::Exit;

/// The result for one index of the signed tree. Each index gets exactly one. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Every rule allows the entry.
    Lawful,
    /// A rule refuses the entry.
    Unlawful,
    /// The bytes are right, but this version or this copy does not show which rules apply.
    NotJudged,
    /// The bytes are right, and `--opaque` asks for no more.
    Opaque,
    /// The source holds other bytes in its place.
    Damaged,
    /// The source has no file for it.
    Missing,
    /// The file could not be read: the disk or the network failed.
    Unread,
    /// The source holds an empty entry in its place.
    Withheld,
}

/// What is known about the leaf behind a fate. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// A proof leads from it to the signed root.
    Proven,
    /// The same, but the rules that judged it may come from an entry that is not proven.
    Tainted,
    /// Damaged hash tiles hide whether it leads to the signed root. The rebuilt tree decides later.
    Unproven,
}

/// How the rebuilt tree compares with the signed root. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// It has the root that was signed.
    Signed,
    /// It has another root, or leaves that are damaged or missing.
    Other,
    /// Some leaves could not be read.
    Unread,
}

/// How an audit ends, the worst last. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Each entry is accounted for.
    Proven,
    /// The source's tree is smaller than a checkpoint that the user holds.
    Behind,
    /// The disk or the network failed.
    Unread,
    /// Entries are withheld, or cannot be judged.
    Partly,
    /// Bytes are missing or altered.
    Damaged,
    /// The source withholds an entry that may have changed the rules.
    Unconfirmed,
    /// A rule refuses an entry.
    Unlawful,
    /// What the log signed contradicts itself.
    Contradicted,
}

/// How many indices have which fate.
#[derive(Debug, Clone, Default)]
pub struct Fates {
    /// By footing, then by fate.
    counts: [[u64; Fate::ALL.len()]; 3],
}

impl Fate {
    /// All of them, in the order of the declaration.
    pub const ALL: [Fate; 8] = [
        Fate::Lawful,
        Fate::Unlawful,
        Fate::NotJudged,
        Fate::Opaque,
        Fate::Damaged,
        Fate::Missing,
        Fate::Unread,
        Fate::Withheld,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Lawful => "lawful",
            Fate::Unlawful => "unlawful",
            Fate::NotJudged => "not_judged",
            Fate::Withheld => "withheld",
            Fate::Damaged => "damaged",
            Fate::Missing => "missing",
            Fate::Unread => "unread",
            Fate::Opaque => "opaque",
        }
    }

    /// The verdict on a log that has an entry of this fate.
    fn verdict(self) -> Verdict {
        match self {
            Fate::Lawful | Fate::Opaque => Verdict::Proven,
            Fate::Unread => Verdict::Unread,
            Fate::NotJudged | Fate::Withheld => Verdict::Partly,
            Fate::Damaged | Fate::Missing => Verdict::Damaged,
            Fate::Unlawful => Verdict::Unlawful,
        }
    }
}

impl Verdict {
    /// The name in JSON, and after `NOT PROVEN`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Behind => "behind",
            Verdict::Unread => "unread",
            Verdict::Partly => "partly",
            Verdict::Damaged => "damaged",
            Verdict::Unconfirmed => "unconfirmed",
            Verdict::Unlawful => "unlawful",
            Verdict::Contradicted => "contradicted",
        }
    }

    /// The exit code.
    pub fn exit(self) -> Exit {
        match self {
            Verdict::Proven => Exit::Done,
            Verdict::Behind | Verdict::Unread => Exit::Environment,
            _ => Exit::Refused,
        }
    }
}

impl Fates {
    /// Counts `n` indices of one fate. A damaged, missing or unread entry needs no proof.
    pub fn add(&mut self, fate: Fate, footing: Footing, n: u64) {
        let footing = match fate {
            Fate::Damaged | Fate::Missing | Fate::Unread => Footing::Proven,
            _ => footing,
        };
        self.counts[footing as usize][fate as usize] += n;
    }

    /// Settles unproven entries by the rebuilt tree. If it has the signed root, they are right.
    /// Otherwise they are not what was signed, and the entries that were judged by their rules
    /// count as not judged.
    pub fn settle(&mut self, root: Root) {
        let [proven, tainted, unproven] = std::mem::take(&mut self.counts);
        self.counts[Footing::Proven as usize] = proven;
        for (fate, n) in Fate::ALL.into_iter().zip(tainted) {
            let fate = match (root, fate) {
                (Root::Signed, fate) | (_, fate @ (Fate::Withheld | Fate::Opaque)) => fate,
                _ => Fate::NotJudged,
            };
            self.add(fate, Footing::Proven, n);
        }
        for (fate, n) in Fate::ALL.into_iter().zip(unproven) {
            let fate = match root {
                Root::Signed => fate,
                Root::Other => Fate::Damaged,
                Root::Unread => Fate::Unread,
            };
            self.add(fate, Footing::Proven, n);
        }
    }

    /// How many indices have this fate.
    pub fn of(&self, fate: Fate) -> u64 {
        self.counts.iter().map(|counts| counts[fate as usize]).sum()
    }

    /// How many indices have no proof and wait for the rebuilt tree.
    pub fn unproven(&self) -> u64 {
        self.counts[Footing::Unproven as usize].iter().sum()
    }

    /// How many indices have a fate.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The verdict by the worst fate.
    pub fn verdict(&self) -> Verdict {
        let present = Fate::ALL.into_iter().filter(|fate| self.of(*fate) > 0);
        present.map(Fate::verdict).max().unwrap_or(Verdict::Proven)
    }
}

impl fmt::Display for Fates {
    /// The fates that occur: `1678 lawful, 2 withheld`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = Fate::ALL.into_iter().filter(|fate| self.of(*fate) > 0);
        let words: Vec<String> = present
            .map(|fate| format!("{} {}", self.of(fate), fate.name().replace('_', " ")))
            .collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates() -> Fates {
        let mut fates = Fates::default();
        fates.add(Fate::Lawful, Footing::Proven, 5);
        fates.add(Fate::Unlawful, Footing::Tainted, 2);
        fates.add(Fate::Lawful, Footing::Tainted, 3);
        fates.add(Fate::Withheld, Footing::Unproven, 1);
        fates.add(Fate::Unlawful, Footing::Unproven, 4);
        fates
    }

    #[test]
    fn settling_loses_no_index() {
        for root in [Root::Signed, Root::Other, Root::Unread] {
            let mut fates = fates();
            fates.settle(root);
            assert_eq!((fates.total(), fates.unproven()), (15, 0), "{root:?}");
        }
    }

    #[test]
    fn what_is_not_proven_to_be_signed_is_never_unlawful() {
        let mut signed = fates();
        signed.settle(Root::Signed);
        assert_eq!((signed.of(Fate::Unlawful), signed.of(Fate::Withheld)), (6, 1));
        assert_eq!(signed.verdict(), Verdict::Unlawful);
        let mut other = fates();
        other.settle(Root::Other);
        assert_eq!((other.of(Fate::Unlawful), other.of(Fate::Damaged)), (0, 5));
        assert_eq!((other.of(Fate::Lawful), other.of(Fate::NotJudged)), (5, 5));
        assert_eq!(other.verdict(), Verdict::Damaged);
        let mut unread = fates();
        unread.settle(Root::Unread);
        assert_eq!((unread.of(Fate::Unread), unread.of(Fate::NotJudged)), (5, 5));
        assert_eq!(unread.to_string(), "5 lawful, 5 not judged, 5 unread");
    }

    #[test]
    fn the_worst_finding_decides() {
        let order = [
            Verdict::Contradicted,
            Verdict::Unlawful,
            Verdict::Unconfirmed,
            Verdict::Damaged,
            Verdict::Partly,
            Verdict::Unread,
            Verdict::Behind,
            Verdict::Proven,
        ];
        assert!(order.is_sorted_by(|worse, better| worse > better));
        let codes: Vec<u8> = order.iter().map(|verdict| verdict.exit() as u8).collect();
        assert_eq!(codes, [1, 1, 1, 1, 1, 3, 3, 0]);
    }
}
