//! Positions and sizes: two types that never mix, and the one strict way to read decimals.
//!
//! ```
//! use tlog::{LeafIndex, TreeSize};
//!
//! let size: TreeSize = "8".parse().expect("a decimal");
//! let last: LeafIndex = "7".parse().expect("a decimal");
//! assert!(size.contains(last));
//! assert!("08".parse::<TreeSize>().is_err(), "no leading zero: each number has one spelling");
//! ```

use std::fmt;

/// The largest tree size: 2^63 - 1, so that sizes fit a signed 64-bit integer anywhere.
const MAX_SIZE: u64 = i64::MAX as u64;

/// How many leaves a tree has: 0 to 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreeSize(u64);

/// Where a leaf stands, counted from zero: 0 to 2^63 - 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeafIndex(u64);

/// A number that is not a tree size or leaf index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// The text is not a decimal without sign, blanks or leading zeroes.
    #[error("not a decimal number without sign, blanks or leading zeroes")]
    NotDecimal,
    /// The number is larger than a tree of 2^63 - 1 leaves allows.
    #[error("larger than a tree of 2^63 - 1 leaves allows")]
    TooLarge,
}

impl TreeSize {
    /// The size of the tree without leaves.
    pub const ZERO: TreeSize = TreeSize(0);
    /// The largest size, 2^63 - 1.
    pub const MAX: TreeSize = TreeSize(MAX_SIZE);

    /// Takes a number of leaves.
    ///
    /// # Errors
    /// [`NumberError::TooLarge`] above 2^63 - 1.
    pub const fn new(size: u64) -> Result<TreeSize, NumberError> {
        if size > MAX_SIZE { Err(NumberError::TooLarge) } else { Ok(TreeSize(size)) }
    }

    /// Reads a strict ASCII decimal: no sign, no blanks, no leading zeroes.
    ///
    /// # Errors
    /// [`NumberError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<TreeSize, NumberError> {
        TreeSize::new(parse_decimal(text)?)
    }

    /// The number of leaves.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether the tree has no leaves.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a tree of this size has a leaf at `index`.
    pub const fn contains(self, index: LeafIndex) -> bool {
        index.0 < self.0
    }

    /// The last leaf's place, unless the tree is empty.
    pub const fn last(self) -> Option<LeafIndex> {
        match self.0.checked_sub(1) {
            Some(index) => Some(LeafIndex(index)),
            None => None,
        }
    }

    /// Where the next leaf will stand, unless the tree is full.
    pub const fn next_index(self) -> Option<LeafIndex> {
        if self.0 < MAX_SIZE { Some(LeafIndex(self.0)) } else { None }
    }

    /// This size and `more` leaves, unless that is too many.
    pub fn checked_add(self, more: u64) -> Option<TreeSize> {
        self.0.checked_add(more).and_then(|size| TreeSize::new(size).ok())
    }
}

impl LeafIndex {
    /// The first leaf's place.
    pub const ZERO: LeafIndex = LeafIndex(0);

    /// Takes a position counted from zero.
    ///
    /// # Errors
    /// [`NumberError::TooLarge`] above 2^63 - 2.
    pub const fn new(index: u64) -> Result<LeafIndex, NumberError> {
        if index >= MAX_SIZE { Err(NumberError::TooLarge) } else { Ok(LeafIndex(index)) }
    }

    /// Reads a strict ASCII decimal: no sign, no blanks, no leading zeroes.
    ///
    /// # Errors
    /// [`NumberError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<LeafIndex, NumberError> {
        LeafIndex::new(parse_decimal(text)?)
    }

    /// The position counted from zero.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The size of the smallest tree that has this leaf.
    pub const fn size_through(self) -> TreeSize {
        TreeSize(self.0 + 1)
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a `u64` written as every C2SP text wants it: ASCII digits, no leading zeroes.
///
/// # Errors
/// [`NumberError::NotDecimal`] for another spelling, [`NumberError::TooLarge`] above 2^64 - 1.
pub fn parse_decimal(text: &str) -> Result<u64, NumberError> {
    let digits = text.as_bytes();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !plain || (digits[0] == b'0' && digits.len() > 1) {
        return Err(NumberError::NotDecimal);
    }
    text.parse().map_err(|_| NumberError::TooLarge)
}

impl std::str::FromStr for TreeSize {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<TreeSize, NumberError> {
        TreeSize::parse(text)
    }
}

impl std::str::FromStr for LeafIndex {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<LeafIndex, NumberError> {
        LeafIndex::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_strict() {
        for (text, value) in [("0", 0), ("7", 7), ("10", 10), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_decimal(text), Ok(value));
        }
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "0x1", "1.0", "\u{0661}"] {
            assert_eq!(parse_decimal(bad), Err(NumberError::NotDecimal), "{bad:?}");
        }
        assert_eq!(parse_decimal("18446744073709551616"), Err(NumberError::TooLarge));
    }

    #[test]
    fn bounds_hold_at_the_top() {
        assert_eq!(TreeSize::new(1 << 63), Err(NumberError::TooLarge));
        assert_eq!(TreeSize::MAX.checked_add(1), None);
        assert_eq!(TreeSize::MAX.next_index(), None);
        assert_eq!(LeafIndex::new(i64::MAX as u64), Err(NumberError::TooLarge));
        let last = TreeSize::MAX.last().expect("a full tree has leaves");
        assert_eq!(last.size_through(), TreeSize::MAX);
        assert!(TreeSize::MAX.contains(last));
        assert!(!TreeSize::ZERO.contains(LeafIndex::ZERO));
    }
}
