//! Tracks the entries that a source does not show. Each may have changed the rules.
//!
//! The `logged` line of a later entry names the governance entry in force. If it names a gap, the
//! rules from there on are not known, and no further entry can be judged. If a lawful entry names
//! an earlier governance entry, the gaps before it changed nothing. Gaps that no lawful entry
//! follows stay open.

use super::fate::Fate;

/// The gaps since the last entry that was found lawful.
#[derive(Debug, Default)]
pub struct Gaps {
    open: Vec<Gap>,
    /// The first of them that the source withholds.
    withheld: Option<u64>,
    /// The gap that is known to have changed the rules, and its fate.
    norm: Option<(u64, Fate)>,
}

/// Consecutive indices with the same fate.
#[derive(Debug)]
struct Gap {
    start: u64,
    end: u64,
    fate: Fate,
}

impl Gaps {
    /// Adds the next index, at which there is no entry to judge.
    pub fn add(&mut self, index: u64, fate: Fate) {
        if fate == Fate::Withheld {
            self.withheld.get_or_insert(index);
        }
        match self.open.last_mut() {
            Some(gap) if gap.end == index && gap.fate == fate => gap.end += 1,
            _ => self.open.push(Gap { start: index, end: index + 1, fate }),
        }
    }

    /// The gap that changed the rules, if one did. `governance` is the governance entry that the
    /// line of the next entry names.
    pub fn norm(&mut self, governance: Option<u64>) -> Option<(u64, Fate)> {
        let named = governance.and_then(|named| {
            let before = self.open.partition_point(|gap| gap.start <= named);
            let gap = self.open.get(before.checked_sub(1)?)?;
            (named < gap.end).then_some((named, gap.fate))
        });
        self.norm = self.norm.or(named);
        self.norm
    }

    /// Closes all gaps: a lawful entry follows, so they changed nothing.
    pub fn close(&mut self) {
        self.open.clear();
        self.withheld = None;
    }

    /// Whether no gap is open, so that every change of the rules was seen.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first withheld entry, if no later entry shows whether it changed the rules.
    pub fn withheld(&self) -> Option<u64> {
        self.withheld.filter(|_| self.norm.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_norm_only_where_a_line_names_it() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.norm(Some(0)), None);
        gaps.add(3, Fate::Damaged);
        gaps.add(4, Fate::Withheld);
        gaps.add(7, Fate::Missing);
        for other in [None, Some(0), Some(2), Some(5), Some(6), Some(8)] {
            assert_eq!(gaps.norm(other), None, "{other:?}");
        }
        assert_eq!((gaps.withheld(), gaps.is_empty()), (Some(4), false));
        gaps.close();
        assert_eq!((gaps.withheld(), gaps.is_empty()), (None, true));
        gaps.add(9, Fate::Withheld);
        assert_eq!(gaps.norm(Some(9)), Some((9, Fate::Withheld)));
        // from there on no rules are known
        assert_eq!(gaps.norm(Some(0)), Some((9, Fate::Withheld)));
        assert_eq!(gaps.withheld(), None);
    }
}
