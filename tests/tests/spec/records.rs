//! Every kind of record, three ways that must agree: the checker, the JSON Schema, the document.
//!
//! `tests/vectors/v1/records` holds one full example of each kind, and a table of malformed ones
//! with the exact answers. `LEDGER_WRITE_TABLES=1 cargo test -p ledger-tests records` writes the
//! answers and `docs/schemas` afresh; what it changed is for people to read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use ledger_core::Hint;
use ledger_core::record::{Draft, Kind, Object, RecordError, Rule, schema, unknown_members};
use ledger_tests::workspace;
use serde_json::Value;

/// Members that a full example leaves out, because they exclude others that it shows.
const LEFT_OUT: [(Kind, &str); 2] = [(Kind::Disclosure, "erased"), (Kind::Concern, "vkey")];

/// One malformed record: what is changed in the example, and the answer.
struct Row {
    case: String,
    edits: Vec<Edit>,
}

enum Edit {
    Set(String, Value),
    Remove(String),
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    workspace().join("tests/vectors/v1/records")
}

fn example(kind: Kind) -> String {
    read(&folder().join(format!("{kind}.json")))
}

fn validator(kind: Kind) -> Validator {
    let schema: Value = serde_json::from_str(&schema(kind).to_pretty_json()).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema), "{kind}: not a schema");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// Compares with a file, or writes it where that is asked for.
fn assert_file(path: &Path, expected: &str) {
    if std::env::var_os("LEDGER_WRITE_TABLES").is_some() {
        std::fs::write(path, expected).expect("writable");
    }
    let found = read(path);
    assert_eq!(found, expected, "{} is not up to date", path.display());
}

#[test]
fn schemas_in_the_documentation_are_those_of_the_tables() {
    for kind in Kind::ALL {
        let path = workspace().join(format!("docs/schemas/{kind}.json"));
        assert_file(&path, &format!("{}\n", schema(kind).to_pretty_json()));
    }
}

#[test]
fn full_examples_show_every_member_and_both_checks_take_them() {
    for kind in Kind::ALL {
        let text = example(kind);
        let draft = Draft::parse(&text).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(draft.envelope().kind(), kind);
        assert_eq!(unknown_members(kind, draft.body()), Vec::<String>::new(), "{kind}");
        for member in kind.definition().members {
            let shown = draft.body().get(member.name).is_some();
            assert_eq!(!shown, LEFT_OUT.contains(&(kind, member.name)), "{kind} {}", member.name);
        }
        let value: Value = serde_json::from_str(&text).expect("JSON");
        if let Err(error) = validator(kind).validate(&value) {
            panic!("{kind}: {}: {error}", error.instance_path());
        }
    }
}

impl Row {
    fn parse(block: &str) -> Row {
        let mut row = Row { case: String::new(), edits: Vec::new() };
        for line in block.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("line {line:?}"));
            match word {
                "case:" => row.case = rest.to_owned(),
                "set" => {
                    let (at, value) = rest.split_once(' ').expect("a path and a value");
                    let value =
                        serde_json::from_str(value).unwrap_or_else(|e| panic!("{line}: {e}"));
                    row.edits.push(Edit::Set(at.to_owned(), value));
                }
                "remove" => row.edits.push(Edit::Remove(rest.to_owned())),
                "error:" | "hint:" | "schema:" => {}
                _ => panic!("no line of a table begins with {word:?}"),
            }
        }
        row
    }

    /// The row as the table writes it, with the answer of today.
    fn answered(&self, answer: &RecordError, refuses: bool) -> String {
        let mut text = format!("case: {}\n", self.case);
        for edit in &self.edits {
            let line = match edit {
                Edit::Set(at, value) => format!("set {at} {value}"),
                Edit::Remove(at) => format!("remove {at}"),
            };
            let _ = writeln!(text, "{line}");
        }
        let schema = if refuses { "refuses" } else { "cannot say" };
        let _ = write!(text, "error: {answer}\nhint: {}\nschema: {schema}\n", answer.hint());
        text
    }
}

impl Edit {
    fn apply(&self, record: &mut Value) {
        let (Edit::Set(at, _) | Edit::Remove(at)) = self;
        let (parent, name) = at.rsplit_once('/').expect("a JSON pointer");
        let parent = record.pointer_mut(parent).unwrap_or_else(|| panic!("no {at} in the example"));
        match (self, parent) {
            (Edit::Set(_, value), Value::Object(object)) => {
                object.insert(name.to_owned(), value.clone());
            }
            (Edit::Set(_, value), Value::Array(list)) if name == "-" => list.push(value.clone()),
            (Edit::Set(_, value), Value::Array(list)) => {
                list[name.parse::<usize>().expect("a place")] = value.clone();
            }
            (Edit::Remove(_), Value::Object(object)) => {
                object.remove(name).unwrap_or_else(|| panic!("no {at} in the example"));
            }
            (Edit::Remove(_), Value::Array(list)) => {
                list.remove(name.parse().expect("a place"));
            }
            _ => panic!("{at} leads into neither object nor list"),
        }
    }
}

fn judge(record: &Value) -> Result<Draft, RecordError> {
    Draft::parse(&serde_json::to_string_pretty(record).expect("JSON"))
}

/// Whether a schema has no words for the rule that a record breaks.
fn beyond_schemas(kind: Kind, error: &RecordError) -> bool {
    let mut checks = kind.definition().checks.iter();
    checks.any(|check| {
        let beyond = matches!(
            check.rule,
            Rule::InOrder { .. } | Rule::NotAhead { .. } | Rule::Unique { .. }
        );
        beyond && check.hint == error.hint()
    })
}

#[test]
fn malformed_records_are_refused_in_these_words() {
    for kind in Kind::ALL {
        let path = folder().join(format!("{kind}.txt"));
        let text = read(&path);
        let record: Value = serde_json::from_str(&example(kind)).expect("JSON");
        let validator = validator(kind);
        let (mut expected, mut answers) = (String::new(), Vec::new());
        for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            if block.starts_with('#') {
                let _ = write!(expected, "{block}\n\n");
                continue;
            }
            let row = Row::parse(block);
            let mut record = record.clone();
            row.edits.iter().for_each(|edit| edit.apply(&mut record));
            let answer = match judge(&record) {
                Ok(_) => panic!("{kind}: {} is taken", row.case),
                Err(answer) => answer,
            };
            let refuses = !validator.is_valid(&record);
            assert_ne!(refuses, beyond_schemas(kind, &answer), "{kind}: {}: {answer}", row.case);
            let _ = writeln!(expected, "{}", row.answered(&answer, refuses));
            answers.push(answer);
        }
        assert_file(&path, &format!("{}\n", expected.trim_end()));
        for member in kind.definition().members {
            let name = format!("`{}", member.name);
            let named = |answer: &RecordError| {
                let rest = answer.to_string();
                let rest = rest.strip_prefix(&name).map(str::to_owned);
                rest.is_some_and(|rest| rest.starts_with(['`', '.', '[']))
            };
            assert!(answers.iter().any(named), "{kind}: no row about `{}`", member.name);
        }
        for check in kind.definition().checks {
            let broken = answers.iter().any(|answer| answer.hint() == check.hint);
            assert!(broken, "{kind}: no row breaks {:?}", check.rule);
        }
    }
}

/// Where something stands in a record, outermost first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            found.push(format!("{at}/{name}"));
            places(value, &format!("{at}/{name}"), found);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| {
            found.push(format!("{at}/{n}"));
            places(value, &format!("{at}/{n}"), found);
        }),
        _ => {}
    }
}

#[test]
fn schema_and_checker_give_one_verdict_on_every_member_and_many_values() {
    let values = r#"[null, true, 0, 6, -1, 9007199254740992, "", " ", "\u3000", "x", "a\nb", "\n",
        "unknown", "2026-11-20", "2026-02-30", "1969-12-31", "2026-11-20T10:00:00Z",
        "2026-11-20T24:00:00Z", "2026-11-20T10:00:00+01:00", "P1D", "PT01H", "P0D", "PT5M", "FR",
        "US-CA", "ledger-record/v1", "a+b", "https://example.org/a b", "urn:x:y", [], ["x"], [" "],
        ["x", "x"], [{}], {}, {"en": "x"}, {"e": "x"}, {"x-y": "z"}, {"action": "admit"}, "final",
        "0198a7c2-5d00-7000-8000-000000000001", "0198a7c2-5d00-4000-8000-000000000001",
        "abababababababababababababababababababababababababababababababab"]"#;
    let values: Vec<Value> = serde_json::from_str(values).expect("JSON");
    let mut judged = [0, 0];
    let examples = Kind::ALL.map(|kind| (kind, None));
    let stages = [(Kind::Incident, Some("initial")), (Kind::Incident, Some("final"))];
    for (kind, stage) in examples.into_iter().chain(stages) {
        let mut record: Value = serde_json::from_str(&example(kind)).expect("JSON");
        if let Some(stage) = stage {
            record["stage"] = stage.into();
        }
        let validator = validator(kind);
        let mut all = Vec::new();
        places(&record, "", &mut all);
        for at in all {
            let set = values.iter().map(|value| Edit::Set(at.clone(), value.clone()));
            for edit in set.chain([Edit::Remove(at.clone())]) {
                let mut edited = record.clone();
                edit.apply(&mut edited);
                let (verdict, valid) = (judge(&edited), validator.is_valid(&edited));
                let shown = || format!("{kind}: {at}: {verdict:?}\n{edited:#}");
                match &verdict {
                    Ok(_) => assert!(valid, "the schema alone refuses {}", shown()),
                    Err(error) if beyond_schemas(kind, error) => {
                        assert!(valid, "the schema has words after all for {}", shown());
                    }
                    Err(_) => assert!(!valid, "the checker alone refuses {}", shown()),
                }
                judged[usize::from(valid)] += 1;
            }
        }
    }
    assert!(judged.iter().all(|count| *count > 1000), "{judged:?}");
}

#[test]
fn schemas_let_sealed_members_be_absent_and_open_ones_not() {
    let digest = "A".repeat(43);
    for kind in Kind::ALL {
        let validator = validator(kind);
        let record: Object = Object::parse(&example(kind)).expect("JSON");
        let open = |name: &str| validator.is_valid(&without(&record, name, &[&digest]));
        let members = ledger_core::record::ENVELOPE.iter().chain(kind.definition().members);
        for member in members.filter(|member| record.get(member.name).is_some()) {
            let asked = member.is_required()
                && member.sealing == ledger_core::record::Sealing::Open
                || kind == Kind::Remediation && member.name == "refs"
                || matches!(member.name, "series" | "rev");
            assert_eq!(open(member.name), !asked, "{kind} {}", member.name);
        }
        assert!(!validator.is_valid(&without(&record, "title", &["no digest"])), "{kind}");
    }
}

fn without(record: &Object, name: &str, digests: &[&str]) -> Value {
    let text = record.to_pretty_json();
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    let object = value.as_object_mut().expect("an object");
    object.remove(name);
    object.insert("_sd".into(), digests.to_vec().into());
    value
}

#[test]
fn the_document_describes_every_kind_and_shows_its_example() {
    let text = read(&workspace().join("docs/records.md"));
    for kind in Kind::ALL {
        let title = kind.as_str();
        let heading = format!("\n## {}{}\n", title[..1].to_uppercase(), &title[1..]);
        let (_, section) = text.split_once(&heading).unwrap_or_else(|| panic!("no {heading:?}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        for member in kind.definition().members {
            let named = section.contains(&format!("`{}`", member.name));
            assert!(named, "{kind}: `{}` is not described", member.name);
        }
        let shown = section.contains(&format!("```json\n{}```", example(kind)));
        assert!(shown, "{kind}: the example is not that of tests/vectors/v1/records/{kind}.json");
    }
}
