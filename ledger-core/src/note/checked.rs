//! Signature checks that this thread has made: tests count them as work.

use std::cell::Cell;

thread_local! {
    static CHECKS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count() {
    CHECKS.set(CHECKS.get() + 1);
}

/// How many something makes.
pub(crate) fn during<T>(something: impl FnOnce() -> T) -> (usize, T) {
    let before = CHECKS.get();
    let done = something();
    (CHECKS.get() - before, done)
}
