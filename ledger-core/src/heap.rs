//! How much of the heap values take, counted as an allocator counts.

/// What a block of so many bytes takes: glibc keeps 8 bytes beside it, rounds up to 16, and gives
/// none below 32. Other allocators take no more.
pub(crate) const fn block(bytes: usize) -> usize {
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
