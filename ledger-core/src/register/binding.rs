//! Whose references bind: the one place that says so.

use crate::charter::Charter;

/// Whether a reference binds the record it names: `relation` is its word, `by_issuer` the member
/// that issued it at `at`, `target_issuer` the issuer of the record that is named.
///
/// Issuers bind their own records, and nobody else's.
pub(super) fn binds(
    _charter: &Charter,
    _relation: &str,
    by_issuer: &str,
    target_issuer: &str,
    _at: u64,
) -> bool {
    by_issuer == target_issuer
}
