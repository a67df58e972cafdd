//! Counts the signature checks of a thread, for tests that bound work. Only with the feature
//! `count-checks`.

use std::cell::Cell;

thread_local! {
    static CHECKS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count() {
    CHECKS.set(CHECKS.get() + 1);
}

/// Runs `something`, and returns how many signature checks it made with what it returned.
pub fn during<T>(something: impl FnOnce() -> T) -> (usize, T) {
    let before = CHECKS.get();
    let done = something();
    (CHECKS.get() - before, done)
}
