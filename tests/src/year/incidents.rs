//! Incidents: reported late or never again, mended well or badly, sealed and opened.

use ledger_core::record::{Draft, Object, SealPath, SealPlan, format_time, seal};

use super::agenda::{Known, Simulation, refers};

/// An incident whose story goes on.
#[derive(Clone)]
struct Story {
    first: Known,
    latest: Known,
    issuer: String,
    severity: &'static str,
    reports: u64,
}

impl Simulation {
    /// A report, aware of the thing since so many days.
    pub(super) fn report(&mut self, by: &str, stage: &str, severity: &str, days: u64) -> Object {
        let class = self.one_of(&["incident", "near_miss", "issue"]);
        let harm = self.one_of(&["physical", "rights", "economic", "reputational"]);
        let trigger = self.one_of(&["misuse", "design", "data", "malfunction"]);
        let title = format!("Report {}", self.random.below(1_000_000));
        let aware = self.days_ago(days);
        self.sheet("incident", by, &title)
            .with("stage", stage)
            .with("class", class)
            .with("severity", severity)
            .with("aware_at", aware)
            .with("ai_relation", "use")
            .with("harm_types", vec![harm])
            .with("triggers", vec![trigger])
    }

    /// An incident is reported: in time, late, or with little known yet.
    pub(super) fn incident(&mut self) {
        let Some(by) = self.someone("publisher") else { return };
        let severity =
            self.one_of(&["hazard", "serious_hazard", "incident", "serious_incident", "disaster"]);
        let delay = self.random.below(20);
        let mut body = self.report(&by, "initial", severity, delay);
        match self.random.below(6) {
            0 => body.set("class", "unknown"),
            1 => body.set("series", "incidents of the house"),
            2 => body.set("due", vec![self.promise("A fuller report.")]),
            _ => {}
        }
        if body.get("series").is_some() {
            body.set("series", format!("case {}", self.time));
            body.set("rev", ledger_core::record::Value::Integer(1));
        }
        let disclosures = if self.random.one_in(5) { self.seal(&mut body) } else { Vec::new() };
        let Some(mut first) = self.write("a first report", body) else { return };
        first.disclosures = disclosures;
        let story = Story { latest: first.clone(), first, issuer: by, severity, reports: 1 };
        self.go_on(story);
    }

    fn go_on(&mut self, story: Story) {
        if !story.first.disclosures.is_empty() {
            let story = story.clone();
            let days = 10 + self.random.below(40);
            self.later(days, move |sim| sim.disclose(&story));
        }
        if self.random.one_in(2) {
            let about = story.latest.clone();
            let owner = story.issuer.clone();
            self.later(3, move |sim| sim.remedy("remediates", about, owner, Vec::new()));
        }
        if self.random.one_in(5) {
            let about = story.latest.clone();
            let days = self.random.below(9);
            self.later(days, move |sim| sim.dispute(about, 1, None));
        }
        if self.random.one_in(5) {
            let about = story.latest.clone();
            self.later(12, move |sim| sim.review_of(about, "incident"));
        }
        match self.random.below(7) {
            // nobody ever writes the next report
            0 => {}
            1 => self.later(8, move |sim| sim.other_end(&story)),
            2 | 3 => {
                let days = 20 + self.random.below(20);
                self.later(days, move |sim| sim.next_report(story, "final"));
            }
            _ => {
                let days = 5 + self.random.below(25);
                self.later(days, move |sim| sim.next_report(story, "interim"));
            }
        }
    }

    fn next_report(&mut self, mut story: Story, stage: &'static str) {
        let days = 20 + self.random.below(20);
        let mut body = self.report(&story.issuer, stage, story.severity, days);
        let relation = self.one_of(&["reports-on", "amends", "supersedes"]);
        body.set("refs", vec![refers(relation, &story.latest)]);
        if stage == "final" || self.random.one_in(4) {
            body.set("resolved_at", self.days_ago(days / 2));
            body.set("actions", vec!["It was switched off."]);
        }
        let Some(latest) = self.write("a later report", body) else { return };
        (story.latest, story.reports) = (latest, story.reports + 1);
        if stage == "interim" && story.reports < 4 {
            self.go_on(story);
        }
    }

    /// It is a duplicate, was nothing, or somebody says that it is resolved.
    fn other_end(&mut self, story: &Story) {
        let stranger = self.random.one_in(3);
        let by = if stranger { self.someone("publisher") } else { Some(story.issuer.clone()) };
        let Some(by) = by else { return };
        let mut body = self.report(&by, "interim", story.severity, 4);
        let others: Vec<Known> = self.of_kind("incident");
        let other = others[self.random.below(others.len() as u64) as usize].clone();
        let refs = match self.random.below(3) {
            0 if other.statement != story.first.statement => {
                vec![refers("reports-on", &story.latest), refers("duplicates", &other)]
            }
            1 => vec![refers("retracts", &story.latest)],
            _ => vec![refers("resolves", &story.first)],
        };
        body.set("refs", refs);
        self.write("how an incident ends", body);
    }

    /// The records of a kind so far.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<Known> {
        self.known.iter().filter(|known| known.kind == kind).cloned().collect()
    }

    /// A promise that is due in some days.
    pub(super) fn promise(&mut self, what: &str) -> Object {
        let by = self.time + (3 + self.random.below(30)) * super::DAY;
        Object::new().with("what", what).with("by", format_time(by))
    }

    /// Seals the members of a report that only a few may read.
    fn seal(&mut self, body: &mut Object) -> Vec<String> {
        body.set("root_cause", "A supplier's part.");
        body.set("affected", vec!["somebody"]);
        let paths = ["root_cause", "affected", "class"]
            .map(|path| SealPath::parse(path).expect("a member's name"));
        let draft = Draft::from_object(body).expect("a sound report");
        let sealed = seal(&draft, &SealPlan::new(paths), || {
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&self.random.word().to_be_bytes());
            salt
        });
        let sealed = sealed.expect("these may be sealed");
        *body = sealed.draft().body().clone();
        sealed.disclosures().iter().map(|own| own.as_str().to_owned()).collect()
    }

    fn disclose(&mut self, story: &Story) {
        let (by, first) = (&story.issuer, &story.first);
        let mut body = self
            .sheet("disclosure", by, "What was sealed")
            .with("target", first.statement.to_string())
            .with("refs", vec![refers("discloses", first)]);
        match self.random.one_in(4) {
            true => body.set("erased", Object::new().with("reason", "A request under the law.")),
            false => body.set("disclosures", first.disclosures.clone()),
        }
        self.write("a disclosure", body);
    }

    /// Something is to be mended: planned, done in time or late, found useless, done again.
    pub(super) fn remedy(
        &mut self,
        relation: &'static str,
        about: Known,
        owner: String,
        meets: Vec<String>,
    ) {
        let due = self.time + (5 + self.random.below(25)) * super::DAY;
        let plan =
            IncidentPlan { relation, about, owner, meets, due: format_time(due), before: None };
        let states: &[&str] = match self.random.below(6) {
            0 => &["planned"],
            1 => &["planned", "cancelled"],
            2 => &["planned", "implemented", "ineffective", "implemented", "verified"],
            3 => &["implemented", "verified"],
            4 => &["in_progress", "in_progress", "implemented"],
            _ => &["planned", "in_progress", "implemented", "verified"],
        };
        self.mend(plan, states.iter().map(|state| (*state).to_owned()).collect());
    }

    fn mend(&mut self, mut plan: IncidentPlan, mut states: Vec<String>) {
        if states.is_empty() {
            return;
        }
        let state = states.remove(0);
        let mut refs = vec![refers(plan.relation, &plan.about)];
        refs.extend(plan.before.iter().map(|before| refers("supersedes", before)));
        let mut body = self
            .sheet("remediation", &plan.owner, "It is mended")
            .with("refs", refs)
            .with("action", "Train it again.")
            .with("owner", plan.owner.as_str())
            .with("due_by", plan.due.as_str())
            .with("state", state.as_str())
            .with("verification_method", "Others try it.");
        if !plan.meets.is_empty() {
            body.set("ext", Object::new().with("meets", plan.meets.clone()));
        }
        if self.random.one_in(8) {
            body.set("due", vec![self.promise("The test report.")]);
        }
        let Some(known) = self.write("a remediation", body) else { return };
        plan.before = Some(known);
        let days = 2 + self.random.below(14);
        self.later(days, move |sim| sim.mend(plan, states));
    }
}

/// A remediation that goes on.
struct IncidentPlan {
    relation: &'static str,
    about: Known,
    owner: String,
    meets: Vec<String>,
    due: String,
    before: Option<Known>,
}
