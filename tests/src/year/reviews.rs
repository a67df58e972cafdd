//! Decisions, what reviewers say of them and of others, disputes and answers.

use ledger_core::record::{Object, Value};

use super::agenda::{Known, Simulation, refers};

impl Simulation {
    /// Some publishers and a reviewer decide something.
    pub(super) fn decision(&mut self) {
        let Some(by) = self.someone("publisher") else { return };
        let status = self.one_of(&["proposed", "accepted", "accepted", "rejected"]);
        let mut body = self.decided(&by, status, "A");
        if self.random.one_in(3) {
            body.set("due", vec![self.promise("protocol"), self.promise("report")]);
        }
        let series = self.random.one_in(4).then(|| format!("policy {}", self.time));
        if let Some(series) = &series {
            body.set("series", series.as_str());
            body.set("rev", Value::Integer(1));
        }
        let Some(first) = self.write("a decision", body) else { return };
        let days = 5 + self.random.below(60);
        if let Some(series) = series {
            let by = by.clone();
            self.later(days, move |sim| sim.revise(&by, &series, 2));
        }
        let own = (first.clone(), by.clone());
        match self.random.below(8) {
            0 => self.later(days, move |sim| sim.supersede(&own.0)),
            1 => self.later(days, move |sim| sim.retract(&own.0)),
            2 | 3 => self.later(9, move |sim| sim.review_of(own.0, "pre_deployment")),
            4 => self.later(4, move |sim| sim.dispute(own.0, 1, None)),
            5 => self.later(6, move |sim| sim.amend(&own.0)),
            _ => {}
        }
        if self.random.one_in(2) {
            self.later(days, move |sim| sim.realise(&first, &by));
        }
    }

    pub(super) fn decided(&mut self, by: &str, status: &str, outcome: &str) -> Object {
        let review_by = self.in_days(90);
        self.sheet("decision", by, "A choice")
            .with("status", status)
            .with("context", "There was a choice.")
            .with("options", vec!["A", "B"])
            .with("outcome", outcome)
            .with("rationale", "It is better.")
            .with("decided_by", vec![by])
            .with("review_by", review_by)
    }

    fn revise(&mut self, by: &str, series: &str, rev: i64) {
        let body = self
            .decided(by, "accepted", "B")
            .with("series", series)
            .with("rev", Value::Integer(rev));
        if self.write("a revision of a series", body).is_some() && rev < 4 {
            let (by, series) = (by.to_owned(), series.to_owned());
            self.later(20, move |sim| sim.revise(&by, &series, rev + 1));
        }
    }

    /// By its issuer, or by somebody whose word may not bind.
    fn supersede(&mut self, old: &Known) {
        let other = self.someone("publisher").filter(|_| self.random.one_in(3));
        let by = other.unwrap_or_else(|| old.issuer.clone());
        let body = self.decided(&by, "accepted", "B").with("refs", vec![refers("supersedes", old)]);
        self.write("a decision supersedes another", body);
    }

    fn amend(&mut self, old: &Known) {
        let other = self.someone("publisher").filter(|_| self.random.one_in(2));
        let by = other.unwrap_or_else(|| old.issuer.clone());
        let body = self.decided(&by, "deprecated", "A").with("refs", vec![refers("amends", old)]);
        self.write("an amendment", body);
    }

    /// By its issuer, by a steward whose word binds, or by anybody.
    fn retract(&mut self, old: &Known) {
        let role = self.one_of(&["steward", "delegate", "issuer"]);
        let by = self.someone(role).unwrap_or_else(|| old.issuer.clone());
        let body = self.answer(&by, old, "contest").with("refs", vec![refers("retracts", old)]);
        self.write("a retraction", body);
    }

    fn realise(&mut self, old: &Known, by: &str) {
        let relation = self.one_of(&["realises", "implements"]);
        let mut body = self.dated(by, "met").with("refs", vec![refers(relation, old)]);
        if self.random.one_in(2) {
            body.set("ext", Object::new().with("meets", vec!["protocol"]));
        }
        self.write("a promise is kept", body);
    }

    /// A review of any record of the log.
    pub(super) fn review_of_record(&mut self) {
        let kind = self.one_of(&["decision", "risk", "drill"]);
        let all = self.of_kind(kind);
        if !all.is_empty() {
            let about = all[self.random.below(all.len() as u64) as usize].clone();
            self.review_of(about, "periodic");
        }
    }

    pub(super) fn review_of(&mut self, about: Known, stage: &'static str) {
        let Some(by) = self.someone("reviewer") else { return };
        let outcome = self.one_of(&[
            "approve",
            "approve_with_conditions",
            "revise",
            "approve_with_conditions",
        ]);
        let next = self.in_days(60);
        let mut body = self
            .sheet("review", &by, "What we found")
            .with("refs", vec![refers("reviews", &about)])
            .with("body", "The board")
            .with("review_stage", stage)
            .with("outcome", outcome)
            .with("public_summary", Object::new().with("en", "It holds."))
            .with("next_review", next);
        let ids = ["x", "y", "z"];
        let mut count = 0;
        if outcome == "approve_with_conditions" {
            count = 1 + self.random.below(3) as usize;
            let condition = |sim: &mut Simulation, id: &str| {
                let own = Object::new().with("id", id).with("text", "Do it.");
                let days = 10 + sim.random.below(30);
                let due = sim.in_days(days);
                if sim.random.one_in(5) { own } else { own.with("due", due) }
            };
            let list = ids[..count].iter().map(|id| condition(self, id));
            let list: Vec<Object> = list.collect();
            body.set("conditions", list);
        }
        let Some(review) = self.write("a review", body) else { return };
        // some conditions are met in time, some late, some never
        for id in ids[..count].iter().filter(|_| !self.random.one_in(4)).collect::<Vec<_>>() {
            let (review, owner) = (review.clone(), about.issuer.clone());
            let meets = if count == 1 { Vec::new() } else { vec![(*id).to_owned()] };
            let days = self.random.below(45);
            self.later(days, move |sim| sim.remedy("remediates", review, owner, meets));
        }
        if self.random.one_in(6) {
            self.later(30, move |sim| sim.review_again(&review, about));
        }
    }

    fn review_again(&mut self, before: &Known, about: Known) {
        let body = self
            .sheet("review", &before.issuer, "What we found later")
            .with("refs", vec![refers("supersedes", before), refers("reviews", &about)])
            .with("body", "The board")
            .with("review_stage", "post_deployment")
            .with("outcome", "approve")
            .with("public_summary", Object::new().with("en", "It still holds."));
        self.write("a review replaces another", body);
    }

    /// Somebody disputes a record at random.
    pub(super) fn dispute_anything(&mut self) {
        if let Some(last) = self.known.len().checked_sub(1) {
            let back = self.random.below(40.min(last as u64 + 1)) as usize;
            let about = self.known[last - back].clone();
            self.dispute(about, 1, None);
        }
    }

    /// A step of a dispute; it goes on from level to level until somebody says how it ends.
    pub(super) fn dispute(&mut self, about: Known, level: i64, before: Option<Known>) {
        let by = before.as_ref().map(|before| before.issuer.clone());
        let Some(by) = by.or_else(|| self.someone("delegate")) else { return };
        let mut refs = vec![refers("responds-to", &about)];
        refs.extend(before.iter().map(|before| refers("escalates", before)));
        let grounds = self.one_of(&["fact", "procedure", "conflict", "proportionality"]);
        let mut body = self
            .sheet("dispute", &by, "This is wrong")
            .with("refs", refs)
            .with("target", about.statement.to_string())
            .with("grounds", grounds)
            .with("level", Value::Integer(level))
            .with("remedy", "Put it right.");
        let settled = level == 4 || self.random.one_in(4);
        if settled {
            let outcome = self.one_of(&["upheld", "partly", "dismissed", "withdrawn"]);
            body.set("outcome", outcome);
        }
        let Some(dispute) = self.write("a dispute", body) else { return };
        if !self.random.one_in(3) {
            let answered = dispute.clone();
            let (issuer, days) = (about.issuer.clone(), 3 + self.random.below(40));
            self.later(days, move |sim| sim.respond(&issuer, &answered));
        }
        if !settled {
            let days = 10 + self.random.below(35);
            self.later(days, move |sim| sim.dispute(about, level + 1, Some(dispute)));
        }
    }

    /// A response of the one whom it concerns.
    pub(super) fn respond(&mut self, by: &str, to: &Known) {
        let position = self.one_of(&["acknowledge", "endorse", "contest", "answer"]);
        let body = self.answer(by, to, position);
        self.write("a response", body);
    }

    fn answer(&mut self, by: &str, to: &Known, position: &str) -> Object {
        self.sheet("response", by, "An answer")
            .with("refs", vec![refers("responds-to", to)])
            .with("target", to.statement.to_string())
            .with("position", position)
            .with("text", "We have read it.")
    }
}
