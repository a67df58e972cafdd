//! What is tried in vain: records that the rules refuse, each for another reason.
//!
//! Nothing here says that an attempt is unlawful; the book does. An attempt for which the year has
//! no occasion yet (nobody was expelled so far) is left for another day.

use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, Object, Record, format_time};

use super::DAY;
use super::agenda::Simulation;
use super::book::{Party, Stands};
use super::governing::{issuer, on, role, set_limits};

impl Simulation {
    /// Tries something that ought to fail.
    pub(super) fn try_in_vain(&mut self) {
        let tries: [fn(&mut Simulation) -> Option<()>; 20] = [
            Simulation::try_revoked_key,
            Simulation::try_expelled_member,
            Simulation::try_suspended_member,
            Simulation::try_wrong_role,
            Simulation::try_expired_role,
            Simulation::try_below_threshold,
            Simulation::try_expired_key,
            Simulation::try_wrong_log,
            Simulation::try_wrong_time,
            Simulation::try_impostor,
            Simulation::try_wrong_use,
            Simulation::try_for_another,
            Simulation::try_missing_signer,
            Simulation::try_kind_without_rule,
            Simulation::try_altered_text,
            Simulation::try_stranger,
            Simulation::try_stale_base,
            Simulation::try_too_few_stewards,
            Simulation::try_impossible_change,
            Simulation::try_other_changes,
        ];
        let attempt = tries[self.random.below(tries.len() as u64) as usize];
        let _ = attempt(self);
    }

    fn some_party(&mut self, fits: impl Fn(&Party, u64) -> bool) -> Option<String> {
        let time = self.time;
        let fitting = self.book.parties.iter().filter(|party| fits(party, time));
        let names: Vec<String> = fitting.map(|party| party.name.clone()).collect();
        let at = self.random.below(names.len().max(1) as u64) as usize;
        names.get(at).cloned()
    }

    /// An incident that a member signs with any key of its own.
    fn signs_with(&mut self, what: &'static str, by: &str, key: &str) -> Option<()> {
        let body = self.report(by, "initial", "hazard", 1);
        let key = self.ring().key(key);
        self.offer(what, &body, &[key]).map(|_| ())
    }

    /// The name of a key of a member.
    fn key_that(&self, by: &str, fits: impl Fn(&super::OwnKey, u64) -> bool) -> Option<String> {
        let mut keys = self.book.party(by)?.keys.iter();
        keys.find(|key| fits(key, self.time)).map(|key| key.name().to_owned())
    }

    fn try_revoked_key(&mut self) -> Option<()> {
        let fits = |party: &Party, time| {
            party.holds("delegate", time) && party.keys.iter().any(|key| key.revoked.is_some())
        };
        let by = self.some_party(fits)?;
        let key = self.key_that(&by, |key, _| key.revoked.is_some())?;
        self.signs_with("a revoked key", &by, &key)
    }

    fn try_expelled_member(&mut self) -> Option<()> {
        let by = self.some_party(|party, _| party.has_left())?;
        let key = self.key_that(&by, |_, _| true)?;
        self.signs_with("a member that has left", &by, &key)
    }

    fn try_suspended_member(&mut self) -> Option<()> {
        let by = self.some_party(|party, _| matches!(party.stands, Stands::Suspended(_)))?;
        if let Some(key) =
            self.key_that(&by, super::OwnKey::signs).filter(|_| self.random.one_in(2))
        {
            let change = vec![on("reinstate", &by)];
            let mut keys = vec![self.ring().key(&key)];
            keys.extend(self.governors());
            let body = self.membership("a suspended member helps itself", &by, change);
            return self.offer("a suspended member helps itself", &body, &keys).map(|_| ());
        }
        let key = self.key_that(&by, super::OwnKey::signs)?;
        self.signs_with("a suspended member", &by, &key)
    }

    fn try_wrong_role(&mut self) -> Option<()> {
        let fits =
            |party: &Party, time| !party.holds("publisher", time) && party.stands == Stands::Well;
        let by = self.some_party(fits)?;
        let key = self.key_that(&by, super::OwnKey::signs)?;
        self.signs_with("a role that may not", &by, &key)
    }

    fn try_expired_role(&mut self) -> Option<()> {
        let fits =
            |party: &Party, time| party.held("reviewer", time) && !party.holds("reviewer", time);
        let by = self.some_party(fits)?;
        let about = self.of_kind("decision").pop()?;
        let body = self
            .sheet("review", &by, "After my term")
            .with("refs", vec![super::agenda::refers("reviews", &about)])
            .with("body", "The board")
            .with("review_stage", "periodic")
            .with("outcome", "approve")
            .with("public_summary", Object::new().with("en", "It holds."));
        let key = self.key_of(&by)?;
        self.offer("a role that has ended", &body, &[key]).map(|_| ())
    }

    fn try_below_threshold(&mut self) -> Option<()> {
        let by = self.someone("publisher")?;
        let body = self.decided(&by, "accepted", "A");
        let mut keys = self.signers("decision", &by);
        let at = 1 + self.random.below(keys.len().checked_sub(1).filter(|n| *n > 0)? as u64);
        keys.remove(at as usize);
        self.offer("one signature too few", &body, &keys).map(|_| ())
    }

    fn try_expired_key(&mut self) -> Option<()> {
        let over = |key: &super::OwnKey, time| key.revoked.is_none() && !key.span.has(time);
        let by = self.some_party(|party, time| party.keys.iter().any(|key| over(key, time)))?;
        let key = self.key_that(&by, over)?;
        self.signs_with("a key out of its term", &by, &key)
    }

    fn try_wrong_log(&mut self) -> Option<()> {
        let by = self.someone("publisher")?;
        let body = self.report(&by, "initial", "hazard", 1).with("log", "other.test/log");
        let key = self.key_of(&by)?;
        self.offer("another log's record", &body, &[key]).map(|_| ())
    }

    fn try_wrong_time(&mut self) -> Option<()> {
        let by = self.someone("delegate")?;
        let issued = match self.random.one_in(2) {
            true => self.time + 601 + self.random.below(DAY),
            false => self.time - self.book.patience - 1 - self.random.below(DAY),
        };
        let body = self.dated(&by, "planned").with("issued_at", format_time(issued));
        let key = self.key_of(&by)?;
        self.offer("outside of the window", &body, &[key]).map(|_| ())
    }

    fn try_impostor(&mut self) -> Option<()> {
        let by = self.someone("publisher")?;
        let body = self.report(&by, "initial", "hazard", 1);
        let key = self.ring().impostor(&by);
        self.offer("a key that nobody knows", &body, &[key]).map(|_| ())
    }

    fn try_wrong_use(&mut self) -> Option<()> {
        self.signs_with("a node's key", "harbour.test", "harbour.test/node")
    }

    fn try_for_another(&mut self) -> Option<()> {
        let by = self.someone("publisher")?;
        let other = self.some_party(|party, _| party.name != by)?;
        let named = if self.random.one_in(3) { "ghost.test" } else { &other };
        let body = self.report(named, "initial", "hazard", 1);
        let key = self.key_of(&by)?;
        self.offer("in another's name", &body, &[key]).map(|_| ())
    }

    fn try_missing_signer(&mut self) -> Option<()> {
        let (by, other) = (self.someone("publisher")?, self.someone("reviewer")?);
        let (key, missing) = (self.key_of(&by)?, self.key_of(&other)?);
        let names = [&key, &missing].map(|key| key.verifier().name().to_string());
        let body = self.report(&by, "initial", "hazard", 1).with("signers", names.to_vec());
        let names_itself = by == other;
        let keys = vec![key];
        if names_itself {
            None
        } else {
            self.offer("a signer is missing", &body, &keys).map(|_| ())
        }
    }

    fn try_kind_without_rule(&mut self) -> Option<()> {
        let by = self.someone("operator").filter(|_| !self.book.rules.contains_key("drill"))?;
        let held = self.days_ago(1);
        let objective = Object::new().with("text", "Do it.").with("rating", "performed");
        let body = self
            .sheet("drill", &by, "An exercise")
            .with("scenario", "A fire.")
            .with("held_on", held)
            .with("participants", vec![by.as_str()])
            .with("objectives", vec![objective]);
        let key = self.key_of(&by)?;
        self.offer("a kind without a rule", &body, &[key]).map(|_| ())
    }

    fn try_altered_text(&mut self) -> Option<()> {
        let by = self.someone("publisher")?;
        let body = self.report(&by, "initial", "hazard", 1);
        let record = Draft::from_object(&body).expect("sound").sign(&[&self.key_of(&by)?]);
        let text = String::from_utf8(record.expect("signed").to_bytes()).expect("UTF-8");
        let record = Record::parse(text.replacen("Report", "Repost", 1).as_bytes());
        self.bring("a text that was altered", record.expect("still a record"), true).map(|_| ())
    }

    /// Strangers may worry at times, and do nothing else.
    fn try_stranger(&mut self) -> Option<()> {
        let n = self.random.below(20);
        let key = self.ring().stranger(n);
        let name = key.verifier().name().to_string();
        let body = match self.random.below(3) {
            0 => self.report(&name, "initial", "hazard", 1),
            1 => self.worry("board.test"),
            _ => self.worry(&name),
        };
        let body = body.with("vkey", key.verifier().to_string());
        self.offer("a stranger", &body, &[key]).map(|_| ())
    }

    fn try_stale_base(&mut self) -> Option<()> {
        let base = self.old_bases.last()?.clone();
        let keys = self.governors();
        let body = self.membership(
            "a stale base",
            &issuer(&keys),
            vec![on("sanction", "watch.test").with("measure", "silence")],
        );
        self.offer("a stale base", &body.with("base", base), &keys).map(|_| ())
    }

    fn try_too_few_stewards(&mut self) -> Option<()> {
        let mut keys = self.governors();
        if self.random.one_in(3) {
            // as many as are needed, but some of them long out of office
            let out = self.some_party(|own, time| {
                own.held("steward", time) && !own.holds("steward", time) && own.key(time).is_some()
            })?;
            keys.retain(|key| key.verifier().name().as_str() != out);
            keys.pop();
            keys.push(self.key_of(&out)?);
        } else {
            keys.pop();
        }
        let body = self.membership(
            "too few",
            &issuer(&keys),
            vec![on("sanction", "watch.test").with("measure", "silence")],
        );
        self.offer("too few stewards", &body, &keys).map(|_| ())
    }

    fn try_impossible_change(&mut self) -> Option<()> {
        let keys = self.governors();
        let lost = self.some_party(|party, _| party.keys.iter().any(|key| key.revoked.is_some()));
        let again = lost.and_then(|name| {
            let key = self.key_that(&name, |key, _| key.revoked.is_some())?;
            let vkey = self.ring().key(&key).verifier().to_string();
            Some(on("add_key", &name).with("vkey", vkey).with("use", "record"))
        });
        let change = match self.random.below(6) {
            0 => on("expel", "ghost.test"),
            1 => {
                let vkey = self.ring().key("board.test/spare").verifier().to_string();
                let key = Object::new().with("vkey", vkey).with("use", "record");
                let role = Object::new().with("role", "delegate");
                on("admit", "board.test").with("roles", vec![role]).with("keys", vec![key])
            }
            2 => role("end_role", "watch.test", "operator"),
            3 => on("reinstate", "south.test"),
            4 => on("withdraw", "watch.test"),
            _ => again?,
        };
        let withdraws = change.text("action") == Some("withdraw");
        let watch = |key: &SignerKey| key.verifier().name().as_str().starts_with("watch.test");
        if withdraws && keys.iter().any(watch) {
            return None;
        }
        let body = self.membership("impossible", &issuer(&keys), vec![change]);
        self.offer("an impossible change", &body, &keys).map(|_| ())
    }

    fn try_other_changes(&mut self) -> Option<()> {
        let keys = self.governors();
        let by = issuer(&keys);
        match self.random.below(4) {
            0 => {
                // those whose term is over too, or they would be held over
                let all = self.book.parties.iter().filter(|own| own.held("steward", self.time));
                let leave = all.map(|own| role("end_role", &own.name, "steward")).collect();
                let body = self.membership("nobody is left", &by, leave);
                self.offer("a deadlock", &body, &keys);
            }
            1 => {
                let since = self.in_days(1);
                let body = self.norm_sheet("tomorrow", &by, vec![set_limits("P1D")]);
                self.offer("before its time", &body.with("effective_from", since), &keys);
            }
            2 => {
                let mine = super::founding::charter(self.ring()).body().clone();
                let sheet = self.sheet("charter", &by, "Another charter");
                let own = ["id", "issuer", "issued_at", "title", "summary"];
                let body = own.iter().fold(mine, |body, name| {
                    body.with(name, sheet.get(name).cloned().expect("of the envelope"))
                });
                self.offer("another charter", &body, &keys);
            }
            _ => {
                let by = self.someone("publisher")?;
                let own = self.key_of(&by)?;
                let change = vec![role("assign_role", &by, "operator")];
                let body = self.membership("a grab for power", &by, change);
                self.offer("a grab for power", &body, &[own]);
            }
        }
        Some(())
    }
}
