//! What an audit found, in words and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::merkle::TreeHead;
use ledger_core::tile::TileCoord;
use ledger_node::source::SourceError;
use serde_json::{Value, json};

use super::fate::{Fate, Fates, Footing, Root, Verdict};
use crate::failure::Exit;
use crate::output::{Line, Outcome, Output};
use crate::trust::Basis;

/// Limit on the problems that are listed. Further problems are only counted.
pub const MAX_PROBLEMS: usize = 100;

/// Prints problems as they are found, and counts the fate of each index.
#[derive(Debug)]
pub struct Report {
    out: Output,
    /// Where the log is read from.
    source: String,
    problems: Vec<Value>,
    left_out: u64,
    worst: Verdict,
    /// Whether there is any problem other than unlawful entries.
    is_broken: bool,
    fates: Fates,
    /// Unlawful entries without a proof. They are reported only if the rebuilt tree has the signed
    /// root.
    deferred: Vec<(u64, String)>,
    deferred_more: u64,
    /// Entries that cannot be judged only because the rules could not be read.
    rules_unread: u64,
    /// Withheld entries, as far as they are listed.
    withheld: Vec<u64>,
    /// The indices that `--allow-withheld` names.
    allowed: BTreeSet<u64>,
    /// Indices of `--allow-withheld` that were not found withheld.
    not_met: BTreeSet<u64>,
    withheld_not_allowed: u64,
    /// Files with a problem.
    blamed: BTreeSet<TileCoord>,
    /// Why entries cannot be judged, and how many.
    reasons: BTreeMap<String, u64>,
    ahead: Option<Ahead>,
    remarks: Vec<String>,
}

/// Entries whose time is ahead of this machine's clock.
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
    /// The count of the policy's witnesses that cosigned.
    pub cosigned: usize,
    /// Where the log's key came from.
    pub basis: Basis,
    /// The size of the older checkpoint, if the log is proven to have only grown since.
    pub since: Option<u64>,
    /// Hash tiles compared byte for byte.
    pub tiles: u64,
    /// Whether the entries are opaque.
    pub opaque: bool,
    /// Signatures that verified.
    pub signatures: u64,
}

impl Report {
    /// Starts without problems. Withheld entries in `allowed` are accepted.
    pub fn new(out: &Output, source: String, allowed: BTreeSet<u64>) -> Report {
        Report {
            out: *out,
            source,
            problems: Vec::new(),
            left_out: 0,
            worst: Verdict::Proven,
            is_broken: false,
            fates: Fates::default(),
            deferred: Vec::new(),
            deferred_more: 0,
            rules_unread: 0,
            withheld: Vec::new(),
            not_met: allowed.clone(),
            allowed,
            withheld_not_allowed: 0,
            blamed: BTreeSet::new(),
            reasons: BTreeMap::new(),
            ahead: None,
            remarks: Vec::new(),
        }
    }

    /// The counts of each fate so far.
    pub fn fates(&self) -> &Fates {
        &self.fates
    }

    /// The worst verdict so far.
    pub fn verdict(&self) -> Verdict {
        let partly =
            self.fates.of(Fate::NotJudged) > self.rules_unread || self.fates.of(Fate::Withheld) > 0;
        match self.fates.verdict() {
            Verdict::Partly if !partly => self.worst.max(Verdict::Unread),
            verdict => self.worst.max(verdict),
        }
    }

    /// Whether all signed bytes are present, so that entries are at worst unlawful or not judged. A
    /// command that uses only lawful entries then knows how many it leaves out.
    pub fn is_whole(&self) -> bool {
        let here = [Fate::Lawful, Fate::Unlawful, Fate::NotJudged].map(|fate| self.fates.of(fate));
        !self.is_broken && here.iter().sum::<u64>() == self.fates.total()
    }

    /// Counts `n` indices of one fate.
    pub fn count(&mut self, fate: Fate, footing: Footing, n: u64) {
        self.fates.add(fate, footing, n);
    }

    /// A file of the log could not be read. Returns the fate of what it should hold.
    pub fn not_read(&mut self, file: TileCoord, error: &SourceError) -> Fate {
        let (fate, verdict) = match error {
            SourceError::Missing => (Fate::Missing, Verdict::Damaged),
            SourceError::Failed(_) => (Fate::Unread, Verdict::Unread),
            _ => (Fate::Damaged, Verdict::Damaged),
        };
        self.blamed.insert(file);
        let object = json!({ "file": file.to_string() });
        self.push((fate.name(), verdict), object, &format!("{file}: {error}"));
        fate
    }

    /// A file of the log is not what the tree commits to.
    pub fn damaged(&mut self, file: TileCoord, why: &str) {
        self.blamed.insert(file);
        let object = json!({ "file": file.to_string() });
        self.push(("damaged", Verdict::Damaged), object, &format!("{file}: {why}"));
    }

    /// Something else below the log's directory cannot be read.
    pub fn unread(&mut self, what: &str, why: &str) {
        let object = json!({ "file": what });
        self.push(("unread", Verdict::Unread), object, &format!("{what}: {why}"));
    }

    /// The entries from an index on were not read.
    pub fn given_up(&mut self, first: u64, why: &str) {
        let text = format!("entry {first} and those after it were not read: {why}");
        self.push(("unread", Verdict::Unread), json!({ "index": first }), &text);
    }

    /// Whether there is a problem with this file.
    pub fn blames(&self, file: TileCoord) -> bool {
        self.blamed.contains(&file)
    }

    /// An entry is not what the tree commits to.
    pub fn altered(&mut self, index: u64, file: TileCoord, why: &str) {
        self.blamed.insert(file);
        let text = format!("entry {index}: {why}");
        self.push(("altered", Verdict::Damaged), json!({ "index": index }), &text);
    }

    /// The source holds an empty entry where the tree commits to another.
    pub fn withheld(&mut self, index: u64, file: TileCoord) {
        self.blamed.insert(file);
        if self.withheld.len() < MAX_PROBLEMS {
            self.withheld.push(index);
        }
        if self.allowed.contains(&index) {
            self.not_met.remove(&index);
            return;
        }
        self.withheld_not_allowed += 1;
        let source = &self.source;
        let text = format!("entry {index}: {source} withholds it: ask the log's own node for it");
        self.push(("withheld", Verdict::Partly), json!({ "index": index }), &text);
    }

    /// The source withholds an entry, and no later entry shows whether it changed the rules.
    pub fn unconfirmed(&mut self, index: u64) {
        let text = format!(
            "entry {index} is withheld, and no lawful entry after it shows whether it changed the \
             rules: ask the log's own node for it"
        );
        self.push(("unconfirmed", Verdict::Unconfirmed), json!({ "index": index }), &text);
    }

    /// An entry breaks a rule.
    pub fn unlawful(&mut self, index: u64, footing: Footing, why: &str) {
        self.count(Fate::Unlawful, footing, 1);
        match footing {
            Footing::Proven => self.push_unlawful(index, why),
            _ if self.deferred.len() < MAX_PROBLEMS => self.deferred.push((index, why.to_owned())),
            _ => self.deferred_more += 1,
        }
    }

    fn push_unlawful(&mut self, index: u64, why: &str) {
        let text = format!("entry {index}: {why}");
        self.push(("unlawful", Verdict::Unlawful), json!({ "index": index }), &text);
    }

    /// An entry cannot be judged, because the entry with the rules has this fate. If that entry was
    /// only unread, the verdict is no worse than `unread`.
    pub fn rules_hidden(&mut self, why: String, fate: Fate, footing: Footing) {
        if fate == Fate::Unread {
            self.rules_unread += 1;
        }
        self.not_judged(why, footing);
    }

    /// An entry cannot be judged.
    pub fn not_judged(&mut self, why: String, footing: Footing) {
        self.count(Fate::NotJudged, footing, 1);
        *self.reasons.entry(why).or_default() += 1;
    }

    /// What was signed contradicts the charter.
    pub fn foreign(&mut self, why: &str) {
        self.push(("charter", Verdict::Contradicted), json!({}), why);
    }

    /// The log contradicts the older checkpoint.
    pub fn contradicted(&mut self, why: &str) {
        self.push(("tree", Verdict::Contradicted), json!({}), why);
    }

    /// The source's tree is smaller than a checkpoint that the user holds.
    pub fn behind(&mut self, why: &str) {
        self.push(("behind", Verdict::Behind), json!({}), why);
    }

    /// The tree is not the one that was signed.
    pub fn wrong_tree(&mut self, why: &str) {
        self.push(("tree", Verdict::Damaged), json!({}), why);
    }

    /// A warning about something that is not a problem of the log.
    pub fn remark(&mut self, text: &str) {
        if self.remarks.len() < MAX_PROBLEMS {
            self.out.warn(text);
            self.remarks.push(text.to_owned());
        }
    }

    /// Warns about indices of `--allow-withheld` that the source does not withhold. Each of them
    /// has another fate, and the auditor should know that there are fewer gaps than expected.
    pub fn remark_on_allowed(&mut self) {
        let listed: Vec<String> =
            self.not_met.iter().take(MAX_PROBLEMS).map(u64::to_string).collect();
        if !listed.is_empty() {
            let listed = listed.join(", ");
            self.remark(&format!(
                "--allow-withheld names {listed}, which this source does not withhold"
            ));
        }
    }

    /// An entry's time is `seconds` ahead of this machine's clock: one of the two is wrong.
    pub fn ahead(&mut self, index: u64, seconds: u64) {
        let ahead = self.ahead.get_or_insert(Ahead { first: index, count: 0, most: 0 });
        ahead.count += 1;
        ahead.most = ahead.most.max(seconds);
    }

    /// Settles unproven entries by the rebuilt tree.
    pub fn settle(&mut self, root: Root) {
        let before = self.fates.of(Fate::NotJudged);
        self.fates.settle(root);
        let tainted = self.fates.of(Fate::NotJudged).saturating_sub(before);
        if tainted > 0 {
            let why = "the entries before it are not what was signed";
            self.reasons.insert(why.to_owned(), tainted);
        }
        let deferred = std::mem::take(&mut self.deferred);
        if root == Root::Signed {
            self.left_out += std::mem::take(&mut self.deferred_more);
            deferred.iter().for_each(|(index, why)| self.push_unlawful(*index, why));
        }
    }

    fn push(&mut self, (kind, verdict): (&str, Verdict), mut object: Value, text: &str) {
        self.worst = self.worst.max(verdict);
        self.is_broken |= verdict != Verdict::Unlawful;
        if self.problems.len() >= MAX_PROBLEMS {
            self.left_out += 1;
            return;
        }
        self.out.line(Line::bad(kind).and(format!(" {text}")));
        object["problem"] = json!(kind);
        object["message"] = json!(text);
        self.problems.push(object);
    }

    /// The counts by fate, and the withheld indices.
    pub fn counted(&self) -> String {
        let mut text = self.fates.to_string();
        if !self.withheld.is_empty() {
            let listed: Vec<String> = self.withheld.iter().map(u64::to_string).collect();
            let more = self.fates.of(Fate::Withheld) > listed.len() as u64;
            text += &format!(": {}{}", listed.join(", "), if more { ", ..." } else { "" });
        }
        text
    }

    /// Whether the only gaps are withheld entries that the user accepts.
    fn is_allowed(&self) -> bool {
        let right = self.fates.of(Fate::Lawful) + self.fates.of(Fate::Opaque);
        let withheld = self.fates.of(Fate::Withheld);
        self.worst == Verdict::Proven
            && withheld > 0
            && self.withheld_not_allowed == 0
            && right + withheld == self.fates.total()
    }

    /// Prints the verdict, and returns the report as JSON.
    pub fn finish(self, summary: &Summary, out: &Output) -> Outcome {
        let (verdict, allowed) = (self.verdict(), self.is_allowed());
        self.print(summary, (verdict, allowed), out);
        let judged = match (summary.opaque, self.fates.of(Fate::NotJudged)) {
            (true, _) => "none",
            (false, 0) => "all",
            (false, _) => "partly",
        };
        let reasons = self.reasons.iter();
        let reasons: Vec<Value> =
            reasons.map(|(why, count)| json!({ "reason": why, "entries": count })).collect();
        let ahead = self.ahead.as_ref().map(|Ahead { first, count, most }| {
            json!({ "first": first, "entries": count, "seconds": most })
        });
        let counts = Fate::ALL.map(|fate| (fate.name().to_owned(), json!(self.fates.of(fate))));
        let object = json!({
            "origin": summary.origin,
            "size": summary.head.size.get(),
            "root": summary.head.root.to_base64(),
            "cosignatures": summary.cosigned,
            "tiles": summary.tiles,
            "opaque": summary.opaque,
            "counts": Value::Object(counts.into_iter().collect()),
            "withheld": self.withheld,
            "lawful": self.fates.of(Fate::Lawful),
            "signatures": summary.signatures,
            "cannot_judge": self.fates.of(Fate::NotJudged),
            "reasons": reasons,
            "ahead_of_clock": ahead,
            "grown_from": summary.since,
            "trust": summary.basis.as_str(),
            "warnings": self.remarks,
            "problems": self.problems,
            "problems_left_out": self.left_out,
            "judged": judged,
            "verdict": verdict.name(),
            "proven": verdict == Verdict::Proven,
        });
        let exit = if allowed { Exit::Done } else { verdict.exit() };
        Outcome { exit, object }
    }

    fn print(&self, summary: &Summary, (verdict, allowed): (Verdict, bool), out: &Output) {
        let (size, tiles) = (summary.head.size, summary.tiles);
        if self.left_out > 0 {
            out.line(format!("{} more problems are not printed", self.left_out));
        }
        let root = summary.head.root.to_base64();
        let leads = format!("{size} entries and {tiles} hash tiles lead to the signed root {root}");
        if verdict == Verdict::Proven {
            out.line(Line::good("proven").and(format!(" {leads}")));
        } else if allowed {
            let withheld = self.fates.of(Fate::Withheld);
            let but = format!(" but for {withheld} withheld entries: {leads}");
            out.line(Line::good("proven").and(but));
        } else {
            let n = self.problems.len() as u64 + self.left_out;
            let text = format!(" {}: {n} problem(s) in a log of {size}", verdict.name());
            out.line(Line::bad("NOT PROVEN").and(text));
        }
        if let Some(since) = summary.since {
            out.line(format!("       the log has only grown since size {since}"));
        }
        let signatures = match summary.opaque {
            true => String::new(),
            false => format!("; {} signatures valid", summary.signatures),
        };
        out.line(format!("       {size} entries: {}{signatures}", self.counted()));
        if summary.opaque {
            out.line("       entries are opaque: their contents were not judged");
        }
        for (why, count) in &self.reasons {
            out.line(format!("       cannot judge {count}: {why}"));
        }
        if let Some(Ahead { first, count, most }) = self.ahead {
            out.line(format!(
                "       entry {first} and {} more are up to {most} s ahead of this machine's \
                 clock: one of the two clocks is wrong",
                count - 1
            ));
        }
        if summary.basis == Basis::Claimed {
            out.line("       the key was the log's own claim");
        }
    }
}
