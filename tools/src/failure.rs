//! How a command fails: an exit code, what is wrong, and what to do about it.

/// How the program ends. Closed: scripts depend on these four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, or not proven.
    Refused = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Something around the program: a file, the disk, the network.
    Environment = 3,
}

impl Exit {
    /// The code of a command over several things, of which one ended so and another `so`. What could
    /// not be read or reached hides nothing that was refused.
    #[must_use]
    pub fn and(self, so: Exit) -> Exit {
        let worst = [Exit::Refused, Exit::Usage, Exit::Environment].into_iter();
        let mut worst = worst.filter(|code| [self, so].contains(code));
        worst.next().unwrap_or(Exit::Done)
    }
}

/// Why a command ends early. Both parts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Failure {
    /// Something was refused or is not proven.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Refused, message: message.into(), hint: hint.into() }
    }

    /// The command line makes no sense.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into(), hint: hint.into() }
    }

    /// Something around the program hinders it.
    pub fn environment(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Environment, message: message.into(), hint: hint.into() }
    }

    /// The same failure of a named thing, such as a file.
    #[must_use]
    pub fn of(mut self, what: impl std::fmt::Display) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<ledger_node::source::NoSource> for Failure {
    fn from(error: ledger_node::source::NoSource) -> Failure {
        Failure::environment(error.to_string(), error.hint())
    }
}
