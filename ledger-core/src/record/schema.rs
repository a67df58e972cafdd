//! JSON Schema 2020-12 from the tables, for editors and for programs that are not ours.
//!
//! What a schema cannot say, its `$comment` lists: the checker in this crate has the last word, and
//! refuses everything that the schema refuses.

use crate::note::{MAX_KEY_NAME, MAX_SIGNATURES};

use super::digest_marks::DIGESTS;
use super::json::{MAX_INTEGER, Object, Value};
use super::kinds::ENVELOPE;
use super::rule::Rule;
use super::shape::{KindDef, MAX_LANGUAGES, MemberDef, Sealing, Shape, UNKNOWN};
use super::{Kind, RESERVED_FIRST_LINES};

/// The dialect that the schemas are written in.
pub const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// One self-contained schema for the JSON object of records of a kind.
///
/// Members may be sealed where the tables allow it: then their digests stand in `_sd`, and a
/// required member may be absent.
///
/// ```
/// use ledger_core::record::{Kind, schema};
///
/// let schema = schema(Kind::Risk);
/// assert_eq!(schema.text("$id"), Some("urn:ledger:record:v1:risk"));
/// ```
pub fn schema(kind: Kind) -> Object {
    let definition = kind.definition();
    let mut properties = Object::new();
    for member in ENVELOPE {
        properties.set(member.name, envelope_member(member, kind));
    }
    for member in definition.members {
        properties.set(member.name, own_member(member, definition));
    }
    properties.set(DIGESTS, reference("digests"));
    let all: Vec<&MemberDef> = ENVELOPE.iter().chain(definition.members).collect();
    let required =
        |sealing| names(&all, |member| member.is_required() && member.sealing == sealing);
    let mut rules = Vec::new();
    rules.extend(unless_sealed(required(Sealing::Sealable)));
    rules.extend(known_later(definition));
    rules.extend(definition.checks.iter().flat_map(|check| rule(&check.rule, definition)));
    let both_ways = Object::new().with("series", vec!["rev"]).with("rev", vec!["series"]);
    let mut schema = Object::new()
        .with("$schema", SCHEMA_DIALECT)
        .with("$id", format!("urn:ledger:record:v1:{kind}"))
        .with("$comment", comment(definition))
        .with("title", format!("The JSON object of a record of kind {kind}"))
        .with("type", "object")
        .with("required", required(Sealing::Open))
        .with("properties", properties)
        .with("dependentRequired", both_ways)
        .with("allOf", rules);
    let used = definitions(&schema);
    schema.set("$defs", used);
    schema
}

/// What the schema leaves to the checker.
fn comment(definition: &KindDef) -> String {
    let mut text =
        "Not said here: numbers have no fraction and no exponent, no name stands twice in \
                    one object, texts hold no control characters but \\n and \\t, objects nest at \
                    most 32 levels deep; days exist; durations are at most 100 years."
            .to_owned();
    for check in definition.checks {
        match check.rule {
            Rule::InOrder { first, then } => {
                text.push_str(&format!(" `{first}` is not later than `{then}`."));
            }
            Rule::NotAhead { member } => {
                let rule = format!(" `{member}` is at most 10 minutes later than `issued_at`.");
                text.push_str(&rule);
            }
            Rule::Unique { list, by } => {
                text.push_str(&format!(" No two of `{list}` have the same `{by}`."));
            }
            _ => {}
        }
    }
    text
}

fn envelope_member(member: &MemberDef, kind: Kind) -> Object {
    let schema = described(member, of(&member.shape, member.sealing));
    match member.name {
        "kind" => Object::new().with("description", member.about).with("const", kind.as_str()),
        "log" => {
            let reserved = Object::new().with("enum", RESERVED_FIRST_LINES.to_vec());
            schema.with("not", reserved)
        }
        "signers" => {
            schema.with("maxItems", count(MAX_SIGNATURES)).with("uniqueItems", Value::Bool(true))
        }
        _ => schema,
    }
}

fn own_member(member: &MemberDef, definition: &KindDef) -> Object {
    let schema = of(&member.shape, member.sealing);
    if !may_be_unknown(member, definition) {
        return described(member, schema);
    }
    let unknown = Object::new().with("const", UNKNOWN);
    described(member, Object::new().with("anyOf", vec![schema, unknown]))
}

fn described(member: &MemberDef, schema: Object) -> Object {
    let mut described = Object::new().with("description", member.about);
    for (name, value) in schema.iter() {
        described.set(name, value.clone());
    }
    described
}

/// Whether the word for what nobody knows yet may stand for a member whose shape refuses it.
fn may_be_unknown(member: &MemberDef, definition: &KindDef) -> bool {
    let stage = definition.unknown_when.map(|(stage, _)| stage);
    stage.is_some_and(|stage| stage != member.name)
        && member.shape.check(&Value::from(UNKNOWN)).is_err()
}

/// Beyond the stage that allows it, nothing is unknown.
fn known_later(definition: &KindDef) -> Option<Object> {
    let when = definition.unknown_when?;
    let mut known = Object::new();
    let unknown = Object::new().with("not", Object::new().with("const", UNKNOWN));
    for member in definition.members.iter().filter(|m| may_be_unknown(m, definition)) {
        known.set(member.name, unknown.clone());
    }
    let known = Object::new().with("properties", known);
    Some(Object::new().with("if", is_word(when)).with("else", known))
}

/// The schemas of a rule between members; none where a schema cannot say it.
fn rule(rule: &Rule, definition: &KindDef) -> Vec<Object> {
    let property = |name: &str, schema: Object| {
        Object::new().with("properties", Object::new().with(name, schema))
    };
    let one_of = |members: &[&str; 2]| {
        let sealable = |name: &&str| {
            let named = |member: &&MemberDef| member.name == *name;
            definition.members.iter().find(named).is_some_and(|m| m.sealing == Sealing::Sealable)
        };
        let mut ways: Vec<Object> = members.iter().map(|name| required(name)).collect();
        ways.extend(members.iter().any(sealable).then(|| required(DIGESTS)));
        Object::new().with("anyOf", ways)
    };
    match rule {
        Rule::NeedsRef { rel, when } => {
            let rel = property("rel", Object::new().with("const", *rel));
            let contains = Object::new().with("contains", rel.with("required", vec!["rel"]));
            let there = property("refs", contains).with("required", vec!["refs"]);
            vec![match when {
                Some(when) => Object::new().with("if", is_word(*when)).with("then", there),
                None => there,
            }]
        }
        Rule::NotWord { member, word, when } => {
            let word = Object::new().with("not", Object::new().with("const", *word));
            let then = property(member, word);
            vec![Object::new().with("if", is_word(*when)).with("then", then)]
        }
        Rule::AtLeastOne(members) => vec![one_of(members)],
        Rule::ExactlyOne(members) => {
            let both = Object::new().with("required", members.to_vec());
            vec![one_of(members), Object::new().with("not", both)]
        }
        Rule::InOrder { .. } | Rule::NotAhead { .. } | Rule::Unique { .. } => vec![],
    }
}

fn required(name: &str) -> Object {
    Object::new().with("required", vec![name])
}

fn is_word((member, word): (&str, &str)) -> Object {
    let word = Object::new().with(member, Object::new().with("const", word));
    Object::new().with("properties", word).with("required", vec![member])
}

fn names(members: &[&MemberDef], wanted: impl Fn(&MemberDef) -> bool) -> Vec<&'static str> {
    members.iter().filter(|member| wanted(member)).map(|member| member.name).collect()
}

/// Members that must be there, or else digests.
fn unless_sealed(members: Vec<&str>) -> Option<Object> {
    if members.is_empty() {
        return None;
    }
    let ways = vec![Object::new().with("required", members), required(DIGESTS)];
    Some(Object::new().with("anyOf", ways))
}

fn reference(name: &str) -> Object {
    Object::new().with("$ref", format!("#/$defs/{name}"))
}

fn count(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(MAX_INTEGER))
}

/// The schema of a shape; inside what may be sealed, its parts may be too.
fn of(shape: &Shape, sealing: Sealing) -> Object {
    let typed = |name: &str| Object::new().with("type", name);
    match shape {
        Shape::Any => Object::new(),
        Shape::Text => reference("text"),
        Shape::Line => reference("line"),
        Shape::LanguageMap => reference("languages"),
        Shape::OneOf(words) => Object::new().with("enum", words.to_vec()),
        Shape::Suggested(words) => reference("line").with("examples", words.to_vec()),
        Shape::List { of: inner, min } => list(inner, *min, sealing),
        Shape::Object(members) => object(members, sealing),
        Shape::Tagged { tag, variants } => tagged(tag, variants, sealing),
        Shape::Map(inner) => typed("object").with("additionalProperties", of(inner, sealing)),
        Shape::Integer { min, max } => typed("integer")
            .with("minimum", Value::Integer(*min))
            .with("maximum", Value::Integer(*max)),
        Shape::Bool => typed("boolean"),
        Shape::Time => reference("time"),
        Shape::DateOrTime => reference("date_or_time"),
        Shape::Duration => reference("duration"),
        Shape::Digest => reference("digest"),
        Shape::RecordId => reference("record_id"),
        Shape::Name => reference("name"),
        Shape::LeafIndex => reference("leaf_index"),
        Shape::Uri => reference("uri"),
        Shape::Code { regex, .. } => typed("string").with("pattern", *regex),
    }
}

fn list(inner: &Shape, min: usize, sealing: Sealing) -> Object {
    let items = of(inner, sealing);
    let items = match sealing {
        Sealing::Open => items,
        Sealing::Sealable => Object::new().with("anyOf", vec![items, reference("sealed_element")]),
    };
    let list = Object::new().with("type", "array").with("items", items);
    if min == 0 { list } else { list.with("minItems", count(min)) }
}

fn object(members: &[MemberDef], sealing: Sealing) -> Object {
    let mut properties = Object::new();
    for member in members {
        properties.set(member.name, described(member, of(&member.shape, sealing)));
    }
    if sealing == Sealing::Sealable {
        properties.set(DIGESTS, reference("digests"));
    }
    let members: Vec<&MemberDef> = members.iter().collect();
    let required = names(&members, MemberDef::is_required);
    let object = Object::new().with("type", "object").with("properties", properties);
    match sealing {
        _ if required.is_empty() => object,
        Sealing::Open => object.with("required", required),
        Sealing::Sealable => {
            let ways = vec![Object::new().with("required", required), self::required(DIGESTS)];
            object.with("anyOf", ways)
        }
    }
}

fn tagged(tag: &str, variants: &[(&str, &[MemberDef])], sealing: Sealing) -> Object {
    let words: Vec<&str> = variants.iter().map(|(word, _)| *word).collect();
    let tags = Object::new().with(tag, Object::new().with("enum", words));
    let ways: Vec<Object> = variants
        .iter()
        .map(|(word, members)| {
            let word = Object::new().with(tag, Object::new().with("const", *word));
            Object::new()
                .with("if", Object::new().with("properties", word))
                .with("then", object(members, sealing))
        })
        .collect();
    Object::new()
        .with("type", "object")
        .with("properties", tags)
        .with("required", vec![tag])
        .with("allOf", ways)
}

/// The definitions that a schema refers to, and those that they refer to.
fn definitions(schema: &Object) -> Object {
    let mut used = Vec::new();
    note_references(schema, &mut used);
    let all = shared();
    let mut at = 0;
    while let Some(name) = used.get(at).cloned() {
        if let Some(Value::Object(definition)) = all.get(&name) {
            note_references(definition, &mut used);
        }
        at += 1;
    }
    let mut kept = Object::new();
    for (name, value) in all.iter().filter(|(name, _)| used.iter().any(|own| own == name)) {
        kept.set(name, value.clone());
    }
    kept
}

fn note_references(object: &Object, used: &mut Vec<String>) {
    for (name, value) in object.iter() {
        match value {
            Value::Text(text) if name == "$ref" => {
                let name = text.trim_start_matches("#/$defs/");
                if !used.iter().any(|own| own == name) {
                    used.push(name.to_owned());
                }
            }
            Value::Object(inner) => note_references(inner, used),
            Value::List(values) => {
                let objects = values.iter().filter_map(Value::as_object);
                objects.for_each(|inner| note_references(inner, used));
            }
            _ => {}
        }
    }
}

/// White space as Unicode has it, for a class in a regular expression.
const BLANK: &str = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// A day in a regular expression.
const DAY: &str = "(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";

/// What the shapes with names of their own are, in the order in which schemas list them.
fn shared() -> Object {
    let pattern = |pattern: String| Object::new().with("type", "string").with("pattern", pattern);
    let sealed_digest = || pattern("^[A-Za-z0-9_-]{43}$".to_owned());
    let tag = "^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[xXiI](-[A-Za-z0-9]{1,8})+)$";
    let tags = vec![Object::new().with("const", DIGESTS), Object::new().with("pattern", tag)];
    let languages = Object::new()
        .with("type", "object")
        .with("properties", Object::new().with(DIGESTS, reference("digests")))
        .with("propertyNames", Object::new().with("anyOf", tags))
        .with("additionalProperties", reference("text"))
        .with("minProperties", count(1))
        .with("maxProperties", count(MAX_LANGUAGES));
    let time = pattern(format!("^{DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"));
    let date = pattern(format!("^{DAY}$")).with("format", "date");
    let hex = |digits: &str| format!("[0-9a-f]{{{digits}}}");
    let uuid =
        format!("^{}-{}-7{}-[89ab]{}-{}$", hex("8"), hex("4"), hex("3"), hex("3"), hex("12"));
    let name = format!(r"^[^+\u0000-\u001f\u007f-\u009f{BLANK}]{{1,{MAX_KEY_NAME}}}$");
    let sealed_element = Object::new()
        .with("type", "object")
        .with("properties", Object::new().with("...", sealed_digest()))
        .with("required", vec!["..."])
        .with("maxProperties", count(1));
    Object::new()
        .with("text", pattern(format!("[^{BLANK}]")))
        .with("line", pattern(format!(r"^[^\n\t]*[^{BLANK}][^\n\t]*$")))
        .with("languages", languages)
        .with("time", time.with("format", "date-time"))
        .with("date_or_time", Object::new().with("anyOf", vec![date, reference("time")]))
        .with("duration", pattern("^P((0|[1-9][0-9]{0,4})D|T(0|[1-9][0-9]{0,9})[HMS])$".to_owned()))
        .with("digest", pattern("^[0-9a-f]{64}$".to_owned()))
        .with("record_id", pattern(uuid))
        .with("name", pattern(name))
        .with(
            "leaf_index",
            Object::new()
                .with("type", "integer")
                .with("minimum", Value::Integer(0))
                .with("maximum", Value::Integer(MAX_INTEGER)),
        )
        .with("uri", pattern(r"^[A-Za-z][A-Za-z0-9+.\-]*:[!#-;=?-\[\]_a-z~]+$".to_owned()))
        .with(
            "digests",
            Object::new()
                .with("description", "digests of sealed members")
                .with("type", "array")
                .with("items", sealed_digest())
                .with("uniqueItems", Value::Bool(true)),
        )
        .with("sealed_element", sealed_element.with("description", "a sealed value of a list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_described_and_every_reference_leads_somewhere() {
        for kind in Kind::ALL {
            let schema = schema(kind);
            let properties =
                schema.get("properties").and_then(Value::as_object).expect("an object");
            for member in ENVELOPE.iter().chain(kind.definition().members) {
                let own = properties.get(member.name).and_then(Value::as_object);
                let own = own.unwrap_or_else(|| panic!("{kind} {}", member.name));
                assert_eq!(own.text("description"), Some(member.about));
            }
            let mut used = Vec::new();
            note_references(&schema, &mut used);
            let defined = schema.get("$defs").and_then(Value::as_object).expect("an object");
            for name in &used {
                assert!(defined.get(name).is_some(), "{kind}: {name}");
            }
            assert_eq!(defined.len(), used.len(), "{kind}: nothing is defined in vain");
        }
    }

    #[test]
    fn only_open_members_are_asked_for_whatever_is_sealed() {
        let schema = schema(Kind::Incident);
        let required: Vec<_> = schema.list("required").iter().filter_map(Value::as_text).collect();
        let expected = ["log", "kind", "id", "issuer", "issued_at", "severity", "aware_at"];
        assert_eq!(required, expected);
    }
}
