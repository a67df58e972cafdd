//! Entries that a source does not show, each of which may have changed the rules.
//!
//! A later entry's line names the rules in force. If it names a gap, the rules behind it are not
//! known, and no entry from there on can be judged. If a lawful entry names earlier rules, the gaps
//! before it changed nothing. Gaps behind which no such entry follows stay open.

use super::fate::Fate;

/// The gaps since the last entry that was found lawful.
#[derive(Debug, Default)]
pub struct Gaps {
    open: Vec<Gap>,
    /// The first of them that the source withholds.
    withheld: Option<u64>,
    /// The gap that is known to have changed the rules, and why it is one.
    norm: Option<(u64, Fate)>,
}

/// Indices in a row that share a fate.
#[derive(Debug)]
struct Gap {
    start: u64,
    end: u64,
    fate: Fate,
}

impl Gaps {
    /// There is no entry at this index, the next in order.
    pub fn add(&mut self, index: u64, fate: Fate) {
        if fate == Fate::Withheld {
            self.withheld.get_or_insert(index);
        }
        match self.open.last_mut() {
            Some(gap) if gap.end == index && gap.fate == fate => gap.end += 1,
            _ => self.open.push(Gap { start: index, end: index + 1, fate }),
        }
    }

    /// The gap that changed the rules, if one did, where the next entry names these rules.
    pub fn norm(&mut self, governance: Option<u64>) -> Option<(u64, Fate)> {
        let named = governance.and_then(|named| {
            let before = self.open.partition_point(|gap| gap.start <= named);
            let gap = self.open.get(before.checked_sub(1)?)?;
            (named < gap.end).then_some((named, gap.fate))
        });
        self.norm = self.norm.or(named);
        self.norm
    }

    /// A lawful entry follows: the gaps before it changed nothing.
    pub fn close(&mut self) {
        self.open.clear();
        self.withheld = None;
    }

    /// Whether each change of the rules was seen.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first withheld entry of which no later entry says whether it changed the rules.
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
