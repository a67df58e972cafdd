//! What the consortium decides about itself in the course of the year.

use ledger_core::note::SignerKey;
use ledger_core::record::{Object, format_time};

use super::agenda::{Simulation, refers};
use super::rules::{deadlines, policy, requires};
use super::{DAY, START};

/// Something that the consortium does.
type Step = fn(&mut Simulation);

/// What happens on which day; a day or so earlier or later, as the seed has it.
const PLAN: [(u64, Step); 40] = [
    (12, |sim| sim.norm("deadlines get shorter", vec![set_deadlines("P14D", "P5D")])),
    (18, |sim| sim.admission("coast.test", &["delegate", "publisher"], "coast.test")),
    (24, |sim| sim.rotation("north.test")),
    (33, |sim| sim.change("suspension", vec![on("suspend", "west.test")])),
    (39, Simulation::suspended_member_revokes),
    (45, |sim| sim.change("reinstatement", vec![on("reinstate", "west.test")])),
    (48, |sim| sim.new_key("west.test", &["harbour.test", "south.test", "north.test"])),
    (55, Simulation::key_is_stolen),
    (72, |sim| sim.norm("two reviewers", vec![set_rule("review", &[("reviewer", 2)])])),
    (76, |sim| sim.norm("anybody may worry", vec![set_rule("concern", &[("public", 1)])])),
    (84, |sim| sim.change("expulsion", vec![on("expel", "east.test").with("reason", "fraud")])),
    (96, Simulation::log_key_is_added),
    (102, Simulation::log_key_is_retired),
    (108, Simulation::admission_for_a_term),
    (118, Simulation::steward_for_a_term),
    (126, Simulation::withdrawal),
    (138, |sim| sim.norm("four stewards", vec![set_governance(&[("steward", 4)])])),
    (146, |sim| sim.norm("who may bind others", vec![set_binding()])),
    (158, |sim| sim.admission("east.test", &["delegate", "publisher"], "east.test/again")),
    (168, |sim| sim.norm("no more drills", vec![remove_rule("drill")])),
    (176, |sim| sim.change("sanction", vec![on("sanction", "west.test").with("measure", "blame")])),
    (197, |sim| sim.norm("drills again", vec![set_rule("drill", &[("operator", 1)])])),
    (214, |sim| sim.rotation("watch.test")),
    (218, |sim| sim.norm("held over", vec![set_limits("P20D")])),
    (226, Simulation::new_stewards),
    (238, |sim| sim.norm("words of harm", vec![set_enumeration()])),
    (246, Simulation::back_to_normal),
    (256, |sim| sim.change("end of a role", vec![role("end_role", "north.test", "publisher")])),
    (268, |sim| sim.new_key("school.test", &[])),
    (274, |sim| sim.norm("five stewards", vec![set_governance(&[("steward", 5)])])),
    (282, Simulation::needed_steward_loses_its_key),
    (288, |sim| sim.norm("three stewards", vec![set_governance(&[("steward", 3)])])),
    (296, |sim| sim.change("role", vec![role("assign_role", "north.test", "publisher")])),
    (304, |sim| sim.rotation("panel.test")),
    (311, Simulation::announcement),
    (322, |sim| sim.norm("as announced", vec![set_limits("P15D")])),
    (331, |sim| sim.change("expulsion", vec![on("expel", "coast.test")])),
    (338, |sim| sim.admission("isle.test", &["delegate", "operator"], "isle.test")),
    (344, |sim| sim.rotation("board.test")),
    (352, |sim| sim.change("suspension", vec![on("suspend", "delta.test")])),
];

impl Simulation {
    /// Puts the year's decisions on the agenda.
    pub(super) fn plan_governance(&mut self) {
        for (day, task) in PLAN {
            let at = START + day * DAY + self.random.below(2 * DAY);
            self.on(at, task);
        }
    }

    /// The keys of as many stewards as a change needs now, those held over last.
    pub(super) fn governors(&mut self) -> Vec<SignerKey> {
        let mut names: Vec<String> = Vec::new();
        for (role, needed) in self.book.governance.clone() {
            let mut able = self.book.able(&role, self.time);
            let lapsed = self.book.parties.iter().filter(|own| own.held(&role, self.time));
            let lapsed: Vec<String> = lapsed.map(|own| own.name.clone()).collect();
            while (names.len() as u64) < needed && !able.is_empty() {
                let at = self.random.below(able.len() as u64) as usize;
                names.push(able.swap_remove(at));
            }
            let rest = lapsed.into_iter().filter(|name| !names.contains(name));
            let rest: Vec<String> = rest.collect();
            names.extend(rest.into_iter().take((needed as usize).saturating_sub(names.len())));
        }
        names.iter().filter_map(|name| self.key_of(name)).collect()
    }

    /// A change of members, written and signed by those who may make it.
    pub(super) fn change(&mut self, what: &'static str, changes: Vec<Object>) {
        let keys = self.governors();
        let body = self.membership(what, &issuer(&keys), changes);
        self.offer(what, &body, &keys);
    }

    /// The same for rules.
    pub(super) fn norm(&mut self, what: &'static str, changes: Vec<Object>) {
        let keys = self.governors();
        let body = self.norm_sheet(what, &issuer(&keys), changes);
        self.offer(what, &body, &keys);
    }

    pub(super) fn membership(&mut self, what: &str, by: &str, changes: Vec<Object>) -> Object {
        let base = self.book.base.clone();
        self.sheet("membership", by, what).with("base", base).with("changes", changes)
    }

    pub(super) fn norm_sheet(&mut self, what: &str, by: &str, changes: Vec<Object>) -> Object {
        let (base, since) = (self.book.base.clone(), format_time(self.time));
        self.sheet("norm", by, what)
            .with("base", base)
            .with("version", "1")
            .with("effective_from", since)
            .with("text", what)
            .with("changes", changes)
    }

    fn admission(&mut self, name: &'static str, roles: &[&str], key: &str) {
        let key = self.record_key(key);
        let roles = roles.iter().map(|role| Object::new().with("role", *role));
        let change =
            on("admit", name).with("roles", roles.collect::<Vec<_>>()).with("keys", vec![key]);
        self.change("admission", vec![change]);
    }

    /// A member of whom one role ends after some weeks, and whose key begins a little later.
    fn admission_for_a_term(&mut self) {
        let roles = vec![
            Object::new().with("role", "delegate"),
            Object::new().with("role", "reviewer").with("until", self.in_days(60)),
        ];
        let keys = vec![self.record_key("cape.test").with("from", self.in_days(9))];
        let change = on("admit", "cape.test").with("roles", roles).with("keys", keys);
        self.change("admission for a term", vec![change.with("node", "https://cape.test/")]);
    }

    fn steward_for_a_term(&mut self) {
        let change = role("assign_role", "panel.test", "steward")
            .with("from", self.in_days(10))
            .with("until", self.in_days(180));
        self.change("steward for a term", vec![change]);
    }

    /// The key behind a name, for a list of keys.
    fn record_key(&self, name: &str) -> Object {
        let vkey = self.ring().key(name).verifier().to_string();
        Object::new().with("vkey", vkey).with("use", "record")
    }

    /// A change that adds the next key of a member, which is labelled with its number.
    pub(super) fn next_key(&self, member: &str) -> Object {
        let before = self.book.party(member).map_or(0, |party| party.keys.len());
        let key = self.ring().key(&format!("{member}/{}", before + 1));
        on("add_key", member).with("vkey", key.verifier().to_string()).with("use", "record")
    }

    /// A change that revokes a key of a member.
    fn revocation(&self, member: &str, key: &SignerKey) -> Object {
        on("revoke_key", member).with("vkey", key.verifier().to_string())
    }

    fn rotation(&mut self, member: &'static str) {
        let Some(old) = self.key_of(member) else { return };
        let changes = vec![self.next_key(member), self.revocation(member, &old)];
        self.change("rotation", changes);
    }

    /// A new key for a member that has none, signed by these too if there are any.
    fn new_key(&mut self, member: &'static str, others: &[&str]) {
        let change = self.next_key(member);
        if others.is_empty() {
            return self.change("new key", vec![change]);
        }
        let keys: Vec<SignerKey> = others.iter().filter_map(|name| self.key_of(name)).collect();
        let body = self.membership("new key", &issuer(&keys), vec![change]);
        self.offer("new key", &body, &keys);
    }

    /// A member revokes its own keys, alone.
    fn revokes_own(&mut self, what: &'static str, member: &str) -> Option<SignerKey> {
        let stands = self.book.party(member)?.key(self.time)?.name().to_owned();
        let key = self.ring().key(&stands);
        let change = self.revocation(member, &key);
        let body = self.membership(what, member, vec![change]);
        self.offer(what, &body, std::slice::from_ref(&key))?;
        Some(key)
    }

    fn suspended_member_revokes(&mut self) {
        self.revokes_own("a suspended member revokes its key", "west.test");
    }

    /// A thief reports in a member's name, until the member notices.
    fn key_is_stolen(&mut self) {
        let misuse = |sim: &mut Simulation| {
            let body = sim.report("delta.test", "initial", "disaster", 1);
            let Some(key) = sim.key_of("delta.test") else { return };
            let Some(lie) = sim.offer("a lie under a stolen key", &body, &[key]) else { return };
            sim.later(14, move |sim| {
                let mut body = sim.report("delta.test", "interim", "hazard", 1);
                body.set("refs", vec![refers("retracts", &lie)]);
                sim.write("the lie is retracted", body);
            });
        };
        for day in 1..=3 {
            self.later(day, misuse);
        }
        self.later(6, |sim| {
            let lost = sim.revokes_own("a stolen key is revoked", "delta.test");
            let Some(lost) = lost else { return };
            for day in [0, 1, 30] {
                let lost = lost.clone();
                sim.later(day, move |sim| {
                    let body = sim.report("delta.test", "initial", "disaster", 1);
                    sim.offer("a stolen key after its revocation", &body, &[lost]);
                });
            }
            sim.later(2, |sim| sim.new_key("delta.test", &[]));
        });
    }

    fn log_key_is_added(&mut self) {
        let [old, new] = [1, 2].map(|n| self.ring().log(n).verifier().to_string());
        let changes =
            vec![norm("add_log_key").with("vkey", new.as_str()), set_policy(&[&old, &new])];
        self.norm("a second log key", changes);
    }

    fn log_key_is_retired(&mut self) {
        let [old, new] = [1, 2].map(|n| self.ring().log(n).verifier().to_string());
        let changes = vec![norm("retire_log_key").with("vkey", old), set_policy(&[&new])];
        self.norm("the first log key goes", changes);
    }

    fn withdrawal(&mut self) {
        let mut keys = self.governors();
        let body =
            self.membership("withdrawal", &issuer(&keys), vec![on("withdraw", "union.test")]);
        self.offer("withdrawal without the member", &body, &keys);
        keys.extend(self.key_of("union.test"));
        let issuer = issuer(&keys);
        let body = self.membership("withdrawal", &issuer, vec![on("withdraw", "union.test")]);
        self.offer("withdrawal", &body, &keys);
    }

    fn new_stewards(&mut self) {
        let names = ["west.test", "coast.test", "watch.test"];
        let changes = names.map(|name| role("assign_role", name, "steward"));
        self.change("new stewards", changes.to_vec());
    }

    fn back_to_normal(&mut self) {
        let changes = vec![
            set_rule("concern", &[("delegate", 1)]),
            set_rule("review", &[("reviewer", 1)]),
            set_deadlines("P21D", "P9D"),
        ];
        self.norm("back to normal", changes);
    }

    /// It revokes the key alone, and its successor needs the revoked key's signature once more.
    fn needed_steward_loses_its_key(&mut self) {
        // so that nothing can be changed without it
        let seats = self.book.seats("steward", self.time) as i64;
        self.norm("all stewards", vec![set_governance(&[("steward", seats)])]);
        let Some(lost) = self.revokes_own("a needed steward's key", "south.test") else { return };
        self.later(0, move |sim| {
            let able = sim.book.able("steward", sim.time);
            let mut keys: Vec<_> = able.iter().filter_map(|name| sim.key_of(name)).collect();
            let issuer = issuer(&keys);
            keys.push(lost);
            let change = vec![sim.next_key("south.test")];
            let more = vec![change[0].clone(), role("assign_role", "east.test", "steward")];
            let body = sim.membership("a successor and more", &issuer, more);
            sim.offer("a revoked key signs more than its successor", &body, &keys);
            let body = sim.membership("a successor", &issuer, change);
            sim.offer("a revoked key signs its successor", &body, &keys);
        });
    }

    fn announcement(&mut self) {
        let keys = self.governors();
        let since = self.in_days(8);
        let issuer = issuer(&keys);
        let early = self.norm_sheet("too early", &issuer, vec![set_limits("P15D")]);
        self.offer("a norm before its time", &early.with("effective_from", since.as_str()), &keys);
        let body = self.norm_sheet("an announcement", &issuer, Vec::new());
        self.offer("an announcement", &body.with("effective_from", since), &keys);
    }
}

/// The member of the first key.
pub(super) fn issuer(keys: &[SignerKey]) -> String {
    let name = keys.first().map(|key| key.verifier().name().to_string()).unwrap_or_default();
    name.split('/').next().unwrap_or_default().to_owned()
}

/// An action on a member.
pub(super) fn on(action: &str, member: &str) -> Object {
    Object::new().with("action", action).with("member", member)
}

/// An action on a member's role.
pub(super) fn role(action: &str, member: &str, role: &str) -> Object {
    on(action, member).with("role", role)
}

fn norm(action: &str) -> Object {
    Object::new().with("action", action)
}

fn set_rule(kind: &str, list: &[(&str, i64)]) -> Object {
    norm("set_rule").with("kind", kind).with("requirements", requires(list))
}

fn remove_rule(kind: &str) -> Object {
    norm("remove_rule").with("kind", kind)
}

fn set_governance(list: &[(&str, i64)]) -> Object {
    norm("set_governance").with("requirements", requires(list))
}

fn set_deadlines(interim: &str, answer: &str) -> Object {
    norm("set_deadlines").with("deadlines", deadlines(interim, answer))
}

/// How long a record may lie about before it is logged.
pub(super) fn set_limits(issued_at: &str) -> Object {
    norm("set_limits").with("issued_at", issued_at).with("max_gap", "PT1H")
}

fn set_policy(log_vkeys: &[&str]) -> Object {
    norm("set_policy").with("policy", policy(log_vkeys))
}

fn set_binding() -> Object {
    let roles = |role: &str| vec![role.to_owned()];
    let binding = Object::new()
        .with("retracts", roles("steward"))
        .with("supersedes", roles("steward"))
        .with("amends", roles("reviewer"));
    norm("set_binding").with("binding", binding)
}

fn set_enumeration() -> Object {
    norm("set_enumeration")
        .with("name", "incident.harm_types")
        .with("words", vec!["physical", "rights", "other"])
}
