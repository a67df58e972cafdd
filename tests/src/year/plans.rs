//! Risks, studies, dates, drills, and what worries people.

use ledger_core::record::{Object, Value};

use super::agenda::{Simulation, refers};

impl Simulation {
    /// A risk, looked at again from time to time in a series.
    pub(super) fn risk(&mut self) {
        let Some(by) = self.someone("publisher") else { return };
        let series = format!("risk {}", self.time);
        self.assess(by, series, 1);
    }

    fn assess(&mut self, by: String, series: String, rev: i64) {
        let status = if rev == 4 { "closed" } else { self.one_of(&["open", "treating"]) };
        let treatment = self.one_of(&["avoid", "mitigate", "accept"]);
        let mut grade = || Value::Integer(1 + self.random.below(5) as i64);
        let (likelihood, impact) = (grade(), grade());
        let next = self.in_days(40);
        let body = self
            .sheet("risk", &by, "What may happen")
            .with("series", series.as_str())
            .with("rev", Value::Integer(rev))
            .with("event", "It answers what it should not.")
            .with("domain", "system_safety")
            .with("likelihood", likelihood)
            .with("impact", impact)
            .with("owner", by.as_str())
            .with("treatment", treatment)
            .with("status", status)
            .with("next_review", next);
        let Some(known) = self.write("a risk", body) else { return };
        if self.random.one_in(4) {
            let (about, owner) = (known.clone(), by.clone());
            self.later(7, move |sim| {
                let relation = refers("mitigates", &about);
                let body = sim.dated(&owner, "planned").with("refs", vec![relation]);
                sim.write("a mitigation", body);
            });
        }
        if rev < 4 && !self.random.one_in(3) {
            let days = 20 + self.random.below(40);
            self.later(days, move |sim| sim.assess(by, series, rev + 1));
        }
    }

    /// A study is announced; its results come in time, late, or not at all.
    pub(super) fn preregistration(&mut self) {
        let Some(by) = self.someone("publisher") else { return };
        let due = self.in_days(30);
        let body = self
            .sheet("preregistration", &by, "A study")
            .with("hypotheses", vec!["It holds."])
            .with("design", "Ask it.")
            .with("outcomes", vec!["share of refusals"])
            .with("analysis", "Count.")
            .with("data_status", "none")
            .with("results_due", due);
        let Some(study) = self.write("a study", body) else { return };
        if !self.random.one_in(4) {
            let days = 15 + self.random.below(35);
            self.later(days, move |sim| {
                let body = sim.dated(&by, "met").with("refs", vec![refers("realises", &study)]);
                sim.write("results", body);
            });
        }
    }

    /// A date that is set, and then met or missed.
    pub(super) fn milestone(&mut self) {
        let Some(by) = self.someone("delegate") else { return };
        let body = self.dated(&by, "planned");
        let Some(planned) = self.write("a date", body) else { return };
        self.later(25, move |sim| {
            let state = sim.one_of(&["met", "slipped", "cancelled"]);
            let body = sim.dated(&by, state).with("refs", vec![refers("amends", &planned)]);
            sim.write("what became of a date", body);
        });
    }

    /// A milestone in some state.
    pub(super) fn dated(&mut self, by: &str, state: &str) -> Object {
        let (starts, ends) = (self.days_ago(2), self.in_days(20));
        self.sheet("milestone", by, "A date")
            .with("milestone_type", "milestone")
            .with("starts", starts)
            .with("ends", ends)
            .with("state", state)
    }

    /// An exercise, and what has to be mended after it.
    pub(super) fn drill(&mut self) {
        let Some(by) = self.someone("operator") else { return };
        let objective =
            |text: &str, rating: &str| Object::new().with("text", text).with("rating", rating);
        let rating = self.one_of(&["performed", "major_challenges", "unable"]);
        let held = self.days_ago(1);
        let body = self
            .sheet("drill", &by, "An exercise")
            .with("scenario", "It is used for an attack.")
            .with("held_on", held)
            .with("participants", vec![by.as_str()])
            .with("objectives", vec![objective("Switch it off.", rating)]);
        let Some(drill) = self.write("a drill", body) else { return };
        if rating != "performed" {
            let owner = self.someone("publisher").unwrap_or(by);
            self.later(5, move |sim| sim.remedy("remediates", drill, owner, Vec::new()));
        }
    }

    /// Somebody worries: a member, or, while the rules let them, anybody.
    pub(super) fn concern(&mut self) {
        let open = self.book.rules.get("concern").is_some_and(|rule| rule[0].0 == "public");
        let (by, keys, vkey) = if open {
            let n = self.random.below(20);
            let key = self.ring().stranger(n);
            let vkey = key.verifier().to_string();
            (key.verifier().name().to_string(), vec![key], Some(vkey))
        } else {
            let Some(by) = self.someone("delegate") else { return };
            let keys = self.signers("concern", &by);
            (by, keys, None)
        };
        let mut body = self.worry(&by);
        if let Some(vkey) = vkey {
            body.set("vkey", vkey);
        }
        let Some(concern) = self.offer("a concern", &body, &keys) else { return };
        if !self.random.one_in(4) {
            let days = self.random.below(14);
            self.later(days, move |sim| {
                if let Some(by) = sim.someone("delegate") {
                    sim.respond(&by, &concern);
                }
            });
        }
    }

    /// What a concern says.
    pub(super) fn worry(&mut self, by: &str) -> Object {
        let kind = self.one_of(&["safety", "misuse", "rights", "process"]);
        self.sheet("concern", by, "A worry")
            .with("target", "How incidents are reported.")
            .with("concern_type", kind)
            .with("text", "Nobody looks.")
            .with("requested", "Look.")
    }
}
