//! How many bytes of the heap values take, counted as an allocator counts them.
//!
//! A program that bounds the memory of what it reads counts these bytes, not those received.
//!
//! ```
//! use tlog::heap::block;
//!
//! assert_eq!([0, 1, 40, 41].map(block), [0, 32, 48, 64]);
//! ```

/// The bytes that an allocated block of this length takes: glibc adds 8 bytes, rounds up to 16, and
/// allocates at least 32. Other common allocators take no more. An empty block takes nothing.
pub const fn block(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let whole = (bytes + 8).next_multiple_of(16);
    if whole < 32 { 32 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn blocks_are_rounded_up_and_nothing_takes_nothing() {
        assert_eq!([0, 1, 24, 25, 40, 41].map(block), [0, 32, 32, 48, 48, 64]);
    }
}
