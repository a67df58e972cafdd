//! What an audit found, in words and as JSON.

use ledger_core::merkle::TreeHead;
use serde_json::{Value, json};

use super::judge::Tally;
use crate::escape;
use crate::output::{Outcome, Output};
use crate::trust::Basis;

/// Problems that are listed before the audit gives up: more of them tell nothing new.
pub const MAX_PROBLEMS: usize = 100;

/// The problems, told as they are found.
#[derive(Debug)]
pub struct Report {
    out: Output,
    problems: Vec<Value>,
}

/// What was audited.
#[derive(Debug)]
pub struct Summary {
    /// The log's name.
    pub origin: String,
    /// Its signed head.
    pub head: TreeHead,
    /// Witnesses of the policy that cosigned.
    pub cosigned: usize,
    /// Whose word the key was.
    pub basis: Basis,
    /// The size of the older checkpoint that the log grew out of.
    pub since: Option<u64>,
    /// Hash tiles compared byte for byte.
    pub tiles: u64,
    /// Whether entries were not looked into.
    pub opaque: bool,
    /// What the judges saw.
    pub judged: Tally,
}

impl Report {
    /// Begins without problems.
    pub fn new(out: &Output) -> Report {
        Report { out: *out, problems: Vec::new() }
    }

    /// Whether so many problems were found that more would tell nothing.
    pub fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// A file of the log is damaged or missing.
    pub fn damaged(&mut self, what: &str, why: &str) {
        self.push("damaged", json!({ "file": what }), &format!("{what}: {why}"));
    }

    /// An entry is not what the tree commits to.
    pub fn altered(&mut self, index: u64, why: &str) {
        self.push("altered", json!({ "index": index }), &format!("entry {index}: {why}"));
    }

    /// An entry breaks a rule.
    pub fn unlawful(&mut self, index: u64, why: &str) {
        self.push("unlawful", json!({ "index": index }), &format!("entry {index}: {why}"));
    }

    /// The tree is not the one that was signed.
    pub fn wrong_tree(&mut self, why: &str) {
        self.push("tree", json!({}), why);
    }

    fn push(&mut self, kind: &str, mut object: Value, text: &str) {
        if self.is_full() {
            return;
        }
        let text = escape::line(text);
        self.out.line(format!("{} {text}", self.out.bad(kind)));
        object["problem"] = json!(kind);
        object["message"] = json!(text);
        self.problems.push(object);
        if self.is_full() {
            self.out.line(format!("{MAX_PROBLEMS} problems found; there may be more"));
        }
    }

    /// Says how it ended.
    pub fn finish(self, summary: &Summary, out: &Output) -> Outcome {
        let (size, root) = (summary.head.size, summary.head.root.to_base64());
        let Tally { signatures, lawful, not_judged, .. } = summary.judged;
        let well = self.problems.is_empty();
        if well {
            let tiles = summary.tiles;
            out.line(format!(
                "{} {size} entries and {tiles} hash tiles lead to the signed root {root}",
                out.good("proven")
            ));
            if let Some(since) = summary.since {
                out.line(format!("       the log only grew since size {since}"));
            }
        } else {
            let n = self.problems.len();
            out.line(format!("{} {n} problem(s) in a log of {size}", out.bad("NOT PROVEN")));
        }
        if summary.opaque {
            out.line("       entries are opaque: nothing was said about what they hold");
        } else {
            out.line(format!(
                "       {lawful} entries lawful, {signatures} signatures valid, {not_judged} cannot be judged"
            ));
        }
        for (why, count) in &summary.judged.reasons {
            out.line(format!("       cannot judge {count}: {}", escape::line(why)));
        }
        if summary.basis == Basis::Claimed {
            out.line("       the key was the log's own claim");
        }
        let object = json!({
            "origin": summary.origin,
            "size": size.get(),
            "root": root,
            "cosignatures": summary.cosigned,
            "tiles": summary.tiles,
            "opaque": summary.opaque,
            "lawful": lawful,
            "signatures": signatures,
            "cannot_judge": not_judged,
            "grown_from": summary.since,
            "key_from": if summary.basis == Basis::User { "user" } else { "log" },
            "problems": self.problems,
            "proven": well,
        });
        Outcome::judged(well, object)
    }
}
