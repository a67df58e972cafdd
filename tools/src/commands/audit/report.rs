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
    ahead: Option<Ahead>,
    remarks: Vec<String>,
}

/// Entries whose time lies after this machine's clock.
#[derive(Debug)]
struct Ahead {
    first: u64,
    count: u64,
    most: u64,
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
        Report { out: *out, problems: Vec::new(), ahead: None, remarks: Vec::new() }
    }

    /// Whether so many problems were found that more would tell nothing.
    pub fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// The problems that say that the log is not what was signed, and the entries that are
    /// unlawful.
    pub fn counts(&self) -> (usize, usize) {
        let unlawful = self.problems.iter().filter(|own| own["problem"] == "unlawful").count();
        (self.problems.len() - unlawful, unlawful)
    }

    /// A file of the log is damaged or missing.
    pub fn damaged(&mut self, what: &str, why: &str) {
        self.push("damaged", json!({ "file": what }), &format!("{what}: {why}"));
    }

    /// Whether a problem with this file was told of.
    pub fn speaks_of(&self, file: &str) -> bool {
        let names = |word: &str| word.trim_end_matches([',', ':', ';']) == file;
        let texts = self.problems.iter().flat_map(|problem| problem.as_object());
        let texts = texts.flat_map(|problem| problem.values().filter_map(Value::as_str));
        texts.flat_map(str::split_whitespace).any(names)
    }

    /// An entry is not what the tree commits to.
    pub fn altered(&mut self, index: u64, why: &str) {
        self.push("altered", json!({ "index": index }), &format!("entry {index}: {why}"));
    }

    /// An entry breaks a rule.
    pub fn unlawful(&mut self, index: u64, why: &str) {
        self.push("unlawful", json!({ "index": index }), &format!("entry {index}: {why}"));
    }

    /// The log is not the charter's.
    pub fn foreign(&mut self, why: &str) {
        self.push("charter", json!({}), why);
    }

    /// Something that is no problem of the log, but worth knowing.
    pub fn remark(&mut self, text: &str) {
        if self.remarks.len() < MAX_PROBLEMS {
            let text = escape::line(text);
            self.out.warn(&text);
            self.remarks.push(text);
        }
    }

    /// An entry's time lies so many seconds after this machine's clock: one of the two is wrong.
    pub fn ahead(&mut self, index: u64, seconds: u64) {
        let ahead = self.ahead.get_or_insert(Ahead { first: index, count: 0, most: 0 });
        ahead.count += 1;
        ahead.most = ahead.most.max(seconds);
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
        let Tally { signatures, lawful, not_judged, reasons, .. } = &summary.judged;
        let (well, all) = (self.problems.is_empty(), *not_judged == 0);
        let tiles = summary.tiles;
        let leads = format!("{size} entries and {tiles} hash tiles lead to the signed root {root}");
        if !well {
            let n = self.problems.len();
            out.line(format!("{} {n} problem(s) in a log of {size}", out.bad("NOT PROVEN")));
        } else if all {
            out.line(format!("{} {leads}", out.good("proven")));
        } else {
            let partly = out.bad("PARTLY JUDGED");
            out.line(format!("{partly} cannot judge {not_judged} entries; {leads}"));
        }
        if let Some(since) = summary.since.filter(|_| well) {
            out.line(format!("       the log only grew since size {since}"));
        }
        if summary.opaque {
            out.line("       entries are opaque: nothing was said about what they hold");
        } else {
            out.line(format!(
                "       {lawful} entries lawful, {signatures} signatures valid, {not_judged} cannot be judged"
            ));
        }
        for (why, count) in reasons {
            out.line(format!("       cannot judge {count}: {}", escape::line(why)));
        }
        if let Some(Ahead { first, count, most }) = self.ahead {
            out.line(format!(
                "       entry {first} and {} more lie up to {most} s after this machine's clock: \
                 one of the two clocks is wrong",
                count - 1
            ));
        }
        if summary.basis == Basis::Claimed {
            out.line("       the key was the log's own claim");
        }
        let judged = match (summary.opaque, all) {
            (true, _) => "none",
            (false, true) => "all",
            (false, false) => "partly",
        };
        let reasons: Vec<Value> =
            reasons.iter().map(|(why, count)| json!({ "reason": why, "entries": count })).collect();
        let ahead = self.ahead.map(|Ahead { first, count, most }| {
            json!({ "first": first, "entries": count, "seconds": most })
        });
        let object = json!({
            "origin": summary.origin,
            "size": size.get(),
            "root": root,
            "cosignatures": summary.cosigned,
            "tiles": tiles,
            "opaque": summary.opaque,
            "lawful": lawful,
            "signatures": signatures,
            "cannot_judge": not_judged,
            "reasons": reasons,
            "ahead_of_clock": ahead,
            "grown_from": summary.since.filter(|_| well),
            "trust": summary.basis.as_str(),
            "warnings": self.remarks,
            "problems": self.problems,
            "judged": judged,
            "proven": well && all,
        });
        Outcome::judged(well, object)
    }
}
