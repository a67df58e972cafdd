//! Checks a value against its shape, and an object against the table of its members.

use crate::index::TreeSize;
use crate::note::KeyName;

use super::digest_marks::{has_digests, is_sealed, open_members};
use super::fault::{Fault, quoted};
use super::id::RecordId;
use super::json::{Object, Value};
use super::shape::{KindDef, MAX_LANGUAGES, MemberDef, Sealing, Shape, UNKNOWN};
use super::time::{parse_date, parse_duration, parse_time};

impl KindDef {
    /// Checks the members of the kind in a record's object, then the rules between them.
    pub(super) fn check(&self, object: &Object) -> Result<(), Fault> {
        self.check_members(object)?;
        self.checks.iter().try_for_each(|check| check.judge(self.members, object))
    }

    fn check_members(&self, object: &Object) -> Result<(), Fault> {
        // while the word itself is sealed, opening settles whether it allowed the unknown
        let lenient = self.unknown_when.filter(|(name, word)| match object.get(name) {
            Some(value) => value.as_text() == Some(word),
            None => has_digests(object),
        });
        let Some((stage, _)) = lenient else { return check_members(self.members, object) };
        for member in self.members {
            let unknown = object.text(member.name) == Some(UNKNOWN) && member.name != stage;
            if !unknown {
                check_member(member, object)?;
            }
        }
        Ok(())
    }
}

/// Checks an object against a table: required members are there, known ones have their shape.
pub(super) fn check_members(members: &[MemberDef], object: &Object) -> Result<(), Fault> {
    members.iter().try_for_each(|member| check_member(member, object))
}

fn check_member(member: &MemberDef, object: &Object) -> Result<(), Fault> {
    match object.get(member.name) {
        Some(value) => member.shape.check(value).map_err(|fault| fault.of(member.name)),
        None if member.is_required() => check_absent(member, object),
        None => Ok(()),
    }
}

/// A required member that is absent is sealed, if it may be and a digest stands at its level.
fn check_absent(member: &MemberDef, object: &Object) -> Result<(), Fault> {
    let problem = match (member.sealing, has_digests(object)) {
        (Sealing::Sealable, true) => return Ok(()),
        (Sealing::Open, true) => "is missing; it may not be sealed",
        (_, false) => "is missing",
    };
    Err(Fault::new(problem, member.shape.hint()).of(member.name))
}

fn check_tagged(
    tag: &str,
    variants: &[(&str, &[MemberDef])],
    object: &Object,
) -> Result<(), Fault> {
    let hint = "write one of the listed words";
    let words = || variants.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let problem = match (object.get(tag), object.text(tag)) {
        (_, Some(word)) => match variants.iter().find(|(own, _)| *own == word) {
            Some((_, members)) => return check_members(members, object),
            None => format!("is {}, not one of {}", quoted(word), words()),
        },
        (Some(value), None) => format!("is {}, not one of {}", value.describe(), words()),
        // the word is sealed: what it asks for is checked when it is opened
        (None, None) if has_digests(object) => return Ok(()),
        (None, None) => "is missing".to_owned(),
    };
    Err(Fault::new(problem, hint).of(tag))
}

impl Shape {
    pub(super) fn check(&self, value: &Value) -> Result<(), Fault> {
        match self {
            Shape::Any => Ok(()),
            Shape::List { of, min } => self.check_list(value, of, *min),
            Shape::Object(members) => match value {
                Value::Object(object) => check_members(members, object),
                _ => Err(self.wrong(value, "an object")),
            },
            Shape::Tagged { tag, variants } => match value {
                Value::Object(object) => check_tagged(tag, variants, object),
                _ => Err(self.wrong(value, "an object")),
            },
            Shape::Map(of) => match value {
                Value::Object(object) => open_members(object)
                    .try_for_each(|(name, value)| of.check(value).map_err(|f| f.of(name))),
                _ => Err(self.wrong(value, "an object")),
            },
            Shape::LanguageMap => self.check_languages(value),
            Shape::Integer { min, max } => match value {
                Value::Integer(number) if (min..=max).contains(&number) => Ok(()),
                Value::Integer(number) => {
                    let problem = format!("is {number}, not within {min} to {max}");
                    Err(Fault::new(problem, self.hint()))
                }
                _ => Err(self.wrong(value, "a number")),
            },
            Shape::LeafIndex => match value.as_integer() {
                Some(index) if u64::try_from(index).is_ok_and(|i| i < TreeSize::MAX.get()) => {
                    Ok(())
                }
                _ => Err(Fault::new("is not a position in a log", self.hint())),
            },
            Shape::Bool => match value {
                Value::Bool(_) => Ok(()),
                _ => Err(self.wrong(value, "true or false")),
            },
            _ => match value {
                Value::Text(text) => self.check_text(text),
                _ => Err(self.wrong(value, "a text")),
            },
        }
    }

    fn check_list(&self, value: &Value, of: &Shape, min: usize) -> Result<(), Fault> {
        let Value::List(values) = value else { return Err(self.wrong(value, "a list")) };
        if values.len() < min {
            let problem = match min {
                1 => "is an empty list".to_owned(),
                _ => format!("has fewer than {min} values"),
            };
            return Err(Fault::new(problem, self.hint()));
        }
        // a sealed element counts, and has its shape checked when it is opened
        for (at, value) in values.iter().enumerate().filter(|(_, value)| !is_sealed(value)) {
            of.check(value).map_err(|fault| fault.at(at))?;
        }
        Ok(())
    }

    fn check_languages(&self, value: &Value) -> Result<(), Fault> {
        let Value::Object(map) = value else {
            return Err(self.wrong(value, "an object of texts by language"));
        };
        let languages = open_members(map).count();
        if languages > MAX_LANGUAGES || (languages == 0 && !has_digests(map)) {
            let problem = format!("holds {languages} languages, not 1 to {MAX_LANGUAGES}");
            return Err(Fault::new(problem, self.hint()));
        }
        for (at, (tag, text)) in open_members(map).enumerate() {
            if !is_language_tag(tag) {
                let problem = "is not a language tag like en or pt-BR (BCP 47)";
                return Err(Fault::new(problem, self.hint()).of(tag));
            }
            if open_members(map).take(at).any(|(other, _)| other.eq_ignore_ascii_case(tag)) {
                let problem = "names a language twice; capitals do not matter in tags";
                return Err(Fault::new(problem, self.hint()).of(tag));
            }
            Shape::Text.check(text).map_err(|fault| fault.of(tag))?;
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), Fault> {
        let (fits, expected) = match self {
            Shape::Text => (!is_blank(text), "a text with something in it"),
            Shape::Line | Shape::Suggested(_) => {
                (!is_blank(text) && !text.contains(['\n', '\t']), "one line that is not blank")
            }
            Shape::OneOf(words) => {
                if words.contains(&text) {
                    return Ok(());
                }
                let words = words.join(", ");
                let problem = format!("is {}, not one of {words}", quoted(text));
                return Err(Fault::new(problem, self.hint()));
            }
            Shape::Time => (parse_time(text).is_some(), "a time like 2026-01-31T09:30:00Z"),
            Shape::DateOrTime => (
                parse_date(text).is_some() || parse_time(text).is_some(),
                "a day like 2026-01-31 or a time like 2026-01-31T09:30:00Z",
            ),
            Shape::Duration => {
                (parse_duration(text).is_some(), "a duration like P30D or PT12H, up to 100 years")
            }
            Shape::Digest => (is_digest(text), "64 lower-case hex digits"),
            Shape::RecordId => (RecordId::parse(text).is_ok(), "a UUID of version 7 in lower case"),
            Shape::Name => (
                KeyName::new(text).is_ok(),
                "a name of 1 to 255 bytes without spaces, '+' and control characters",
            ),
            Shape::Uri => (is_uri(text), "an absolute URI of printable ASCII"),
            Shape::Code { test, like, .. } => (test(text), *like),
            _ => (false, "of its shape"),
        };
        if fits {
            return Ok(());
        }
        Err(Fault::new(format!("is {}, not {expected}", quoted(text)), self.hint()))
    }

    fn wrong(&self, value: &Value, expected: &str) -> Fault {
        Fault::new(format!("is {}, not {expected}", value.describe()), self.hint())
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

// SPEC rfc5646/2.1, its outline: a primary language (or `x`), then subtags of 1 to 8 characters
fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let first = subtags.next().unwrap_or_default();
    let primary = matches!(first.len(), 2..=8) && first.bytes().all(|c| c.is_ascii_alphabetic());
    let private = matches!(first, "x" | "X" | "i" | "I") && tag.len() > 2;
    let subtag = |s: &str| matches!(s.len(), 1..=8) && s.bytes().all(|c| c.is_ascii_alphanumeric());
    (primary || private) && subtags.all(subtag)
}

// SPEC rfc3986/3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.');
    let forbidden =
        |c: u8| matches!(c, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    scheme.bytes().next().is_some_and(|c| c.is_ascii_alphabetic())
        && scheme.bytes().all(letter)
        && !rest.is_empty()
        && rest.bytes().all(|c| c.is_ascii_graphic() && !forbidden(c))
}

#[cfg(test)]
mod tests {
    use super::super::RecordError;
    use super::*;

    fn message(shape: &Shape, json: &str) -> Option<String> {
        let object = Object::parse(&format!("{{\"m\":{json}}}")).expect("test JSON");
        let value = object.get("m").expect("own member");
        let fault = shape.check(value).err()?;
        Some(RecordError::from(fault.of("m")).to_string())
    }

    #[test]
    fn each_shape_accepts_its_own() {
        static LIST: Shape = Shape::List { of: &Shape::Bool, min: 1 };
        let accepted: &[(&Shape, &str)] = &[
            (&Shape::Any, "null"),
            (&Shape::Text, "\"a\\nb\""),
            (&Shape::Line, "\"a b\""),
            (&Shape::LanguageMap, r#"{"en":"a","pt-BR":"b","zh-Hant-TW":"c","x-own":"d"}"#),
            (&Shape::OneOf(&["a"]), "\"a\""),
            (&Shape::Suggested(&["a"]), "\"b\""),
            (&LIST, "[true]"),
            (&Shape::Map(&Shape::Bool), r#"{"any":false}"#),
            (&Shape::Integer { min: -1, max: 1 }, "-1"),
            (&Shape::Time, "\"2026-01-31T09:30:00Z\""),
            (&Shape::DateOrTime, "\"2026-01-31\""),
            (&Shape::DateOrTime, "\"2026-01-31T09:30:00Z\""),
            (&Shape::Duration, "\"PT1H\""),
            (&Shape::Name, "\"ledger.example/2026\""),
            (&Shape::LeafIndex, "0"),
            (&Shape::Uri, "\"https://example.org/a?b#c\""),
            (&Shape::Uri, "\"urn:isbn:1\""),
        ];
        for (shape, json) in accepted {
            assert_eq!(message(shape, json), None, "{shape:?} {json}");
        }
    }

    #[test]
    fn each_shape_says_what_it_refuses() {
        static LIST: Shape = Shape::List { of: &Shape::Bool, min: 1 };
        static INNER: Shape = Shape::Object(&[MemberDef::required("n", Shape::Bool, "")]);
        static OBJECTS: Shape = Shape::List { of: &INNER, min: 0 };
        let language = "is not a language tag like en or pt-BR (BCP 47)";
        let refused: &[(&Shape, &str, &str)] = &[
            (&Shape::Text, "\" \\n\"", "`m` is \" \\n\", not a text with something in it"),
            (&Shape::Text, "1", "`m` is a number, not a text"),
            (&Shape::Line, "\"a\\nb\"", "`m` is \"a\\nb\", not one line that is not blank"),
            (&Shape::LanguageMap, "\"a\"", "`m` is a text, not an object of texts by language"),
            (&Shape::LanguageMap, "{}", "`m` holds 0 languages, not 1 to 64"),
            (&Shape::LanguageMap, r#"{"e":"a"}"#, &format!("`m.e` {language}")),
            (&Shape::LanguageMap, r#"{"en_US":"a"}"#, &format!("`m.en_US` {language}")),
            (&Shape::LanguageMap, r#"{"en-":"a"}"#, &format!("`m.en-` {language}")),
            (
                &Shape::LanguageMap,
                r#"{"en":"a","EN":"b"}"#,
                "`m.EN` names a language twice; capitals do not matter in tags",
            ),
            (&Shape::OneOf(&["a", "b"]), "\"c\"", "`m` is \"c\", not one of a, b"),
            (&LIST, "[]", "`m` is an empty list"),
            (&LIST, "[true,1]", "`m[1]` is a number, not true or false"),
            (&LIST, "{}", "`m` is an object, not a list"),
            (&OBJECTS, "[{}]", "`m[0].n` is missing"),
            (&OBJECTS, "[{\"n\":null}]", "`m[0].n` is null, not true or false"),
            (&Shape::Integer { min: 1, max: 5 }, "6", "`m` is 6, not within 1 to 5"),
            (&Shape::Time, "\"now\"", "`m` is \"now\", not a time like 2026-01-31T09:30:00Z"),
            (&Shape::LeafIndex, "-1", "`m` is not a position in a log"),
            (&Shape::Digest, "\"AB\"", "`m` is \"AB\", not 64 lower-case hex digits"),
            (&Shape::Uri, "\"/x\"", "`m` is \"/x\", not an absolute URI of printable ASCII"),
            (&Shape::Uri, "\"a:\"", "`m` is \"a:\", not an absolute URI of printable ASCII"),
        ];
        for (shape, json, expected) in refused {
            assert_eq!(message(shape, json).as_deref(), Some(*expected), "{shape:?} {json}");
        }
        let long = format!("\"{}\"", "é".repeat(100));
        let shown = message(&Shape::Digest, &long).expect("refused");
        assert!(shown.contains("é\"..., not 64"), "{shown}");
    }
}
