//! Checks the rules between the members of a record.

use super::fault::{Fault, quoted};
use super::json::Object;
use super::rule::{Check, Rule};
use super::shape::{MemberDef, Sealing};
use super::time::{DAY, parse_date, parse_time};

/// How far a clock may be behind another: as far as `issued_at` may lie ahead of the log's time.
const CLOCKS_DIFFER: u64 = 600;

impl Check {
    /// Judges an object whose members have the shapes of their table.
    pub(super) fn judge(&self, table: &[MemberDef], object: &Object) -> Result<(), Fault> {
        let fault = |problem: String| Fault::new(problem, self.hint);
        match &self.rule {
            Rule::NeedsRef { rel, when } => match needs_ref(object, rel, *when) {
                Some(problem) => Err(fault(problem).of("refs")),
                None => Ok(()),
            },
            Rule::NotWord { member, word, when } => {
                if !is_word(object, *when) || object.text(member) != Some(word) {
                    return Ok(());
                }
                let (name, stage) = when;
                let problem = format!("is {word:?}, which `{name}` {stage:?} does not allow");
                Err(fault(problem).of(member))
            }
            Rule::InOrder { first, then } => match disorder(object, first, then) {
                Some(problem) => Err(fault(problem).of(then)),
                None => Ok(()),
            },
            Rule::NotAhead { member } => match ahead(object, member) {
                Some(problem) => Err(fault(problem).of(member)),
                None => Ok(()),
            },
            Rule::Unique { list, by } => match repeated(object, list, by) {
                Some((at, problem)) => Err(fault(problem).of(by).at(at).of(list)),
                None => Ok(()),
            },
            Rule::AtLeastOne(members) => self.one_of(members, table, object),
            Rule::ExactlyOne(members) => {
                let [one, other] = members;
                if object.get(one).is_some() && object.get(other).is_some() {
                    let problem = format!("stands beside `{one}`; only one of the two may");
                    return Err(fault(problem).of(other));
                }
                self.one_of(members, table, object)
            }
        }
    }

    /// Refuses an object with neither of two members, unless one of them may be sealed.
    fn one_of(
        &self,
        [one, other]: &[&str; 2],
        table: &[MemberDef],
        object: &Object,
    ) -> Result<(), Fault> {
        let own = |member: &&MemberDef| member.name == *one || member.name == *other;
        let sealable = table.iter().filter(own).any(|m| m.sealing == Sealing::Sealable);
        let sealed = sealable && object.get("_sd").is_some();
        if sealed || object.get(one).is_some() || object.get(other).is_some() {
            return Ok(());
        }
        Err(Fault::new(format!("is missing, and so is `{other}`"), self.hint).of(one))
    }
}

fn is_word(object: &Object, (member, word): (&str, &str)) -> bool {
    object.text(member) == Some(word)
}

fn needs_ref(object: &Object, rel: &str, when: Option<(&str, &str)>) -> Option<String> {
    if when.is_some_and(|when| !is_word(object, when)) {
        return None;
    }
    let relation = |value: &super::Value| value.as_object()?.text("rel").map(|own| own == rel);
    if object.list("refs").iter().any(|value| relation(value) == Some(true)) {
        return None;
    }
    let asking = match when {
        Some((member, word)) => format!("`{member}` {word:?} asks for"),
        None => "the kind asks for".to_owned(),
    };
    Some(format!("holds no reference with rel {rel:?}, which {asking}"))
}

/// The first and the last second of a member that is a day or a time.
fn span(object: &Object, name: &str) -> Option<(u64, u64)> {
    let text = object.text(name)?;
    match parse_date(text) {
        Some(day) => Some((day, day + DAY - 1)),
        None => parse_time(text).map(|time| (time, time)),
    }
}

fn disorder(object: &Object, first: &str, then: &str) -> Option<String> {
    let (begin, _) = span(object, first)?;
    let (_, end) = span(object, then)?;
    let quoted = |name| quoted(object.text(name).unwrap_or_default());
    (begin > end).then(|| format!("is {}, before `{first}` {}", quoted(then), quoted(first)))
}

fn ahead(object: &Object, name: &str) -> Option<String> {
    let time = parse_time(object.text(name)?)?;
    let issued_at = parse_time(object.text("issued_at")?)?;
    let quoted = |name| quoted(object.text(name).unwrap_or_default());
    (time > issued_at.saturating_add(CLOCKS_DIFFER)).then(|| {
        let (time, issued_at) = (quoted(name), quoted("issued_at"));
        format!("is {time}, more than 10 minutes after `issued_at` {issued_at}")
    })
}

/// The place of the first object whose text stood in an earlier one.
fn repeated(object: &Object, list: &str, by: &str) -> Option<(usize, String)> {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for (at, value) in object.list(list).iter().enumerate() {
        if let Some(text) = value.as_object().and_then(|object| object.text(by)) {
            seen.push((text, at));
        }
    }
    seen.sort_unstable();
    let pairs = seen.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let pair = pairs.min_by_key(|pair| pair[1].1)?;
    let [(text, first), (_, at)] = *pair else { return None };
    Some((at, format!("is {}, as in `{list}[{first}]`", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::super::{RecordError, Shape};
    use super::*;
    use crate::Hint;

    static TABLE: &[MemberDef] = &[
        MemberDef::optional("a", Shape::Any, ""),
        MemberDef::optional("open", Shape::Any, "").open(),
    ];

    fn verdict(rule: Rule, json: &str) -> Option<String> {
        let object = Object::parse(json).expect("test JSON");
        let check = Check { rule, hint: "mend it" };
        let error = RecordError::from(check.judge(TABLE, &object).err()?);
        assert_eq!(error.hint(), "mend it");
        Some(error.to_string())
    }

    #[test]
    fn days_count_from_their_first_to_their_last_second() {
        let order = |first: &str, then: &str| {
            let json = format!(r#"{{"a":"{first}","b":"{then}"}}"#);
            verdict(Rule::InOrder { first: "a", then: "b" }, &json)
        };
        for (first, then) in [
            ("2026-11-20", "2026-11-20"),
            ("2026-11-20T23:59:59Z", "2026-11-20"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("unknown", "2026-11-20"),
            ("2026-11-20", "unknown"),
        ] {
            assert_eq!(order(first, then), None, "{first} {then}");
        }
        for (first, then) in [
            ("2026-11-21", "2026-11-20"),
            ("2026-11-21T00:00:00Z", "2026-11-20"),
            ("2026-11-21", "2026-11-20T23:59:59Z"),
            ("2026-11-20T10:00:01Z", "2026-11-20T10:00:00Z"),
        ] {
            let message = format!("`b` is {then:?}, before `a` {first:?}");
            assert_eq!(order(first, then), Some(message));
        }
    }

    #[test]
    fn ten_minutes_ahead_are_a_clock_and_eleven_are_not() {
        let at = |time: &str| {
            let json = format!(r#"{{"issued_at":"2026-11-20T10:00:00Z","a":"{time}"}}"#);
            verdict(Rule::NotAhead { member: "a" }, &json)
        };
        assert_eq!(at("2026-11-20T10:10:00Z"), None);
        assert_eq!(at("unknown"), None);
        let message = "`a` is \"2026-11-20T10:10:01Z\", more than 10 minutes after `issued_at` \
                       \"2026-11-20T10:00:00Z\"";
        assert_eq!(at("2026-11-20T10:10:01Z").as_deref(), Some(message));
    }

    #[test]
    fn a_rule_about_a_sealed_member_does_not_apply() {
        let one = || Rule::ExactlyOne(&["a", "b"]);
        let cases: [(Rule, &str, Option<&str>); 10] = [
            (one(), "{}", Some("`a` is missing, and so is `b`")),
            (one(), r#"{"_sd":["x"]}"#, None),
            (one(), r#"{"b":1}"#, None),
            (
                one(),
                r#"{"_sd":[],"a":1,"b":1}"#,
                Some("`b` stands beside `a`; only one of the two may"),
            ),
            (Rule::AtLeastOne(&["a", "b"]), r#"{"a":1,"b":1}"#, None),
            (
                Rule::AtLeastOne(&["open", "none"]),
                r#"{"_sd":["x"]}"#,
                Some("`open` is missing, and so is `none`"),
            ),
            (Rule::NeedsRef { rel: "x", when: Some(("a", "b")) }, r#"{"_sd":["x"]}"#, None),
            (
                Rule::NeedsRef { rel: "x", when: None },
                r#"{"_sd":["x"],"refs":[{"rel":"y"}]}"#,
                Some("`refs` holds no reference with rel \"x\", which the kind asks for"),
            ),
            (Rule::InOrder { first: "a", then: "b" }, r#"{"a":"2026-11-20","_sd":[]}"#, None),
            (Rule::NotWord { member: "a", word: "w", when: ("s", "f") }, r#"{"a":"w"}"#, None),
        ];
        for (rule, json, expected) in cases {
            assert_eq!(verdict(rule, json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn the_first_repeated_text_is_named_with_both_places() {
        let unique = || Rule::Unique { list: "l", by: "id" };
        let json = r#"{"l":[{"id":"b"},{"id":"a"},{},{"id":"a"},{"id":"b"},{"id":"b"}]}"#;
        assert_eq!(verdict(unique(), json).as_deref(), Some("`l[3].id` is \"a\", as in `l[1]`"));
        assert_eq!(verdict(unique(), r#"{"l":[{"id":"a"},{"id":"A"}]}"#), None);
        assert_eq!(verdict(unique(), "{}"), None);
    }
}
