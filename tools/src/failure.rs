//! How a command fails: an exit code, what is wrong, and what to do about it.

use ledger_core::Hint;

/// How the program ends. Closed: scripts depend on these four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, or not proven.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file, the disk or the network failed.
    Environment = 3,
}

impl Exit {
    /// Combines the exit codes of two items of one command. A refusal outranks a file or network
    /// failure, so an unreadable file cannot hide it.
    #[must_use]
    pub fn and(self, so: Exit) -> Exit {
        let worst = [Exit::Refused, Exit::Usage, Exit::Environment].into_iter();
        let mut worst = worst.filter(|code| [self, so].contains(code));
        worst.next().unwrap_or(Exit::Done)
    }
}

/// Why a command ends early. The message and the hint are for people.
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
    /// A refusal with the text and the hint of an error.
    pub fn refused_by(error: impl std::fmt::Display + Hint) -> Failure {
        Failure::refused(error.to_string(), error.hint())
    }

    /// A failure of a file, the disk or the network, with the text and the hint of an error.
    pub fn failed_by(error: impl std::fmt::Display + Hint) -> Failure {
        Failure::environment(error.to_string(), error.hint())
    }

    /// Something was refused or is not proven.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Refused, message: message.into(), hint: hint.into() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into(), hint: hint.into() }
    }

    /// A file, the disk or the network failed.
    pub fn environment(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Environment, message: message.into(), hint: hint.into() }
    }

    /// The same failure, with the name of the file or thing that it is about.
    #[must_use]
    pub fn of(mut self, what: impl std::fmt::Display) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<ledger_node::source::NoSource> for Failure {
    fn from(error: ledger_node::source::NoSource) -> Failure {
        Failure::failed_by(error)
    }
}
