//! Hints: what the user can do about an error.

/// An error that says what to do about it. Programs print it after the error, as a line that begins
/// with `hint: `.
pub trait Hint {
    /// The command to type or the setting to change, as one line without a full stop.
    fn hint(&self) -> &'static str;
}

impl<T: Hint + ?Sized> Hint for &T {
    fn hint(&self) -> &'static str {
        T::hint(self)
    }
}
