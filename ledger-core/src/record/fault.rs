//! What is wrong with a value, and where in the record it stands.

/// A value that is not what its member asks for.
#[derive(Debug)]
pub(super) struct Fault {
    /// Steps from the value outwards.
    pub(super) path: Vec<Step>,
    pub(super) problem: String,
    pub(super) hint: &'static str,
}

#[derive(Debug)]
pub(super) enum Step {
    Name(String),
    At(usize),
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>, hint: &'static str) -> Fault {
        Fault { path: Vec::new(), problem: problem.into(), hint }
    }

    pub(super) fn of(mut self, name: &str) -> Fault {
        self.path.push(Step::Name(name.to_owned()));
        self
    }

    pub(super) fn at(mut self, index: usize) -> Fault {
        self.path.push(Step::At(index));
        self
    }
}

/// Bytes of a member's path in a message.
pub(super) const MAX_PATH_SHOWN: usize = 256;

/// A text in quotes for a message, cut to a length that fits a line.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() == text.len() { format!("{text:?}") } else { format!("{cut:?}...") }
}
