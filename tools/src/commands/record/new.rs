//! `ledger record new`: prints a draft that obeys every rule of its kind.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use ledger_core::record::{
    Basics, Draft, Kind, MAX_RECORD_BYTES, MemberDef, Object, RecordError, Shape, Value,
    count_digests, member, missing, template, unknown_members,
};
use serde_json::json;

use crate::address;
use crate::client::{self, Node};
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::view;

const EXAMPLE: &str = "\
Example: an incident report with all required members
  ledger record new incident --issuer lab.example --log ledger.example/2026 \\
    --set title='Refusals bypassed by a poem' --set summary='Seen once, in a red-team run.' \\
    --set stage=initial --set class=near_miss --set severity=hazard --set aware_at=unknown \\
    --set ai_relation=misuse --set 'harm_types=[]' --set 'triggers=[\"misuse\"]' > draft.json

A plain text for a title, or for another member with one text per language, counts as English.
Personal data does not belong in plain members, because a record is permanent: see `ledger seal`.";

/// Members that the command itself sets.
const OWN: [&str; 5] = ["log", "kind", "id", "issuer", "issued_at"];

/// Print the draft of a record; on a terminal, ask for the members that its kind requires
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The kind: decision, incident, review, risk, ...; for a charter use `ledger charter new`
    kind: String,
    /// The member that issues the record
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The origin of the log that the record is meant for
    #[arg(long, value_name = "ORIGIN", conflicts_with = "node")]
    log: Option<String>,
    /// A node to ask for its log's origin; default: LEDGER_NODE
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// A JSON object with members to start from; log, kind, id, issuer and issued_at are set anew
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// A member's value: JSON if it parses as JSON, else text; PATH is dotted, like system.name
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for an unknown kind, missing members, or values that the kind refuses.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let kind = read_kind(&args.kind)?;
    let log = origin(args)?;
    let id = environment::fresh_id()?;
    let basics = Basics { log: &log, issuer: &args.issuer, id, issued_at: environment::now() };
    let mut object = template(kind, &basics);
    let from = args.from.as_deref().map(|path| merge(&mut object, path)).transpose()?;
    for set in &args.sets {
        apply(&mut object, kind, set)?;
    }
    let lacking = missing(kind, &object);
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let asking = !lacking.is_empty() && terminal && !out.is_json();
    if !lacking.is_empty() && !asking {
        return Err(lacks(kind, &lacking));
    }
    for member in lacking {
        let value = ask(member)?;
        object.set(member.name, value);
    }
    let draft = loop {
        let error = match Draft::from_object(&object) {
            Ok(draft) => break draft,
            Err(error) => error,
        };
        // asks for the wrong member again, so that the user's other answers are not lost
        match at_fault(kind, &error).filter(|_| asking) {
            Some(member) => {
                out.problem(&Failure::refused_by(error));
                object.set(member.name, ask(member)?);
            }
            None => return Err(Failure::refused_by(error)),
        }
    };
    for member in unknown_members(kind, draft.body()) {
        out.warn(format!("the kind {kind} has no member `{member}`: a typo?"));
    }
    if let (Some(path), Some(from)) = (&args.from, &from) {
        warn_of_seals(path, from, draft.body(), out);
    }
    address::warn_of_strange(draft.body(), out);
    out.data(format!("{}\n", draft.json()).as_bytes())?;
    out.note("next: ledger record sign DRAFT --key FILE (personal data: `ledger seal` first)");
    let statement = draft.statement().to_string();
    Ok(Outcome::done(json!({ "draft": draft.json(), "statement": statement })))
}

fn read_kind(word: &str) -> Result<Kind, Failure> {
    let others = Kind::ALL.iter().filter(|kind| **kind != Kind::Charter);
    let words: Vec<&str> = others.map(|kind| kind.as_str()).collect();
    let hint = format!("write one of {}", words.join(", "));
    match Kind::parse(word) {
        Some(Kind::Charter) => Err(Failure::usage(
            "a charter has its own command",
            "ledger charter new --log VKEY --consortium NAME --issuer NAME --member ...",
        )),
        Some(kind) => Ok(kind),
        None => Err(Failure::usage(format!("there is no kind \"{word}\""), hint)),
    }
}

fn origin(args: &Args) -> Result<String, Failure> {
    let node = args.node.clone().or_else(|| std::env::var("LEDGER_NODE").ok());
    match (&args.log, node) {
        (Some(log), _) => Ok(log.clone()),
        (None, Some(url)) => client::runtime()?.block_on(async {
            let mut node = Node::connect(&url).await?;
            Ok(node.log().await?.origin)
        }),
        (None, None) => Err(Failure::usage(
            "no log was named for the record",
            "give --log ORIGIN, the log's name, or --node URL to ask a node",
        )),
    }
}

/// Copies all members of a file except those that the command sets. Returns the file's object.
fn merge(object: &mut Object, path: &Path) -> Result<Object, Failure> {
    let bytes = files::read(path, MAX_RECORD_BYTES)?;
    let hint = "give a file with one JSON object, for instance an older draft";
    let refused = |e: String| Failure::refused(e, hint).of(path.display());
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
    let from = Object::parse(&text).map_err(|e| refused(e.to_string()))?;
    if let Some(kind) = from.text("kind").filter(|kind| Some(*kind) != object.text("kind")) {
        return Err(refused(format!("its kind is {kind}")));
    }
    for (name, value) in from.iter().filter(|(name, _)| !OWN.contains(name)) {
        object.set(name, value.clone());
    }
    Ok(from)
}

/// Warns that the sealed members of a file cannot be opened, if the draft has another log, issuer
/// or id.
fn warn_of_seals(path: &Path, from: &Object, draft: &Object, out: &Output) {
    let digests = count_digests(from);
    let is_other = |name: &&str| from.text(name) != draft.text(name);
    let others: Vec<&str> = ["log", "issuer", "id"].into_iter().filter(is_other).collect();
    if digests > 0 && !others.is_empty() {
        out.warn(format!(
            "{} holds {}, and the draft has another {}: no \
             disclosure opens them there; start from the unsealed draft, and seal the new one",
            path.display(),
            view::digests(digests),
            others.join(" and another ")
        ));
    }
}

/// Applies one `--set PATH=VALUE`.
fn apply(object: &mut Object, kind: Kind, set: &str) -> Result<(), Failure> {
    let hint = "write --set PATH=VALUE, for instance --set system.name='Example 7B'";
    let (path, text) = set
        .split_once('=')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| Failure::usage(format!("--set \"{set}\" has no value"), hint))?;
    let wrapped = format!("{{\"value\":{text}}}");
    let parsed = Object::parse(&wrapped).ok().filter(|object| object.len() == 1);
    let mut value = match parsed.as_ref().and_then(|object| object.get("value")) {
        Some(value) => value.clone(),
        None => Value::from(text),
    };
    if is_language_map(kind, path) && value.as_text().is_some() {
        value = Object::new().with("en", value).into();
    }
    let steps: Vec<&str> = path.split('.').collect();
    *object = match put(Some(Value::Object(object.clone())), &steps, value) {
        Some(Value::Object(object)) => object,
        _ => {
            let message = format!("--set {path}: the path does not fit the record");
            return Err(Failure::usage(message, hint));
        }
    };
    Ok(())
}

/// Sets the value at a path, and returns the changed outer value. A number is the index in a list.
fn put(at: Option<Value>, steps: &[&str], value: Value) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    let place = step.parse::<usize>().ok();
    match (at, place) {
        (Some(Value::List(list)), Some(place)) if place <= list.len() => {
            let mut list = list.into_vec();
            let inner = put(list.get(place).cloned(), rest, value)?;
            if place < list.len() {
                list[place] = inner
            } else {
                list.push(inner)
            }
            Some(Value::List(list.into()))
        }
        (None, Some(0)) => Some(Value::List(Box::new([put(None, rest, value)?]))),
        (Some(Value::Object(mut object)), _) => {
            let inner = put(object.get(step).cloned(), rest, value)?;
            object.set(step, inner);
            Some(Value::Object(object))
        }
        (None, _) => Some(Object::new().with(step, put(None, rest, value)?).into()),
        _ => None,
    }
}

fn is_language_map(kind: Kind, name: &str) -> bool {
    member(kind, name).is_some_and(|member| matches!(member.shape, Shape::LanguageMap))
}

/// The words or the form that a member accepts.
fn form(shape: &Shape) -> String {
    match shape {
        Shape::OneOf(words) => format!("one of {}", words.join(", ")),
        Shape::Suggested(words) => format!("such as {}", words.join(", ")),
        Shape::List { of: Shape::Suggested(words), .. } => {
            format!("a list, such as [\"{}\"]", words.first().copied().unwrap_or("..."))
        }
        _ => shape.hint().to_owned(),
    }
}

fn lacks(kind: Kind, lacking: &[&MemberDef]) -> Failure {
    let names: Vec<String> =
        lacking.iter().map(|m| format!("{} ({}; {})", m.name, m.about, form(&m.shape))).collect();
    let example = lacking.first().map_or("title", |member| member.name);
    Failure::usage(
        format!("a record of kind {kind} also needs: {}", names.join("; ")),
        format!("give them with --from FILE or --set, for instance --set {example}=..."),
    )
}

/// The top-level member that an error is about.
fn at_fault(kind: Kind, error: &RecordError) -> Option<&'static MemberDef> {
    let RecordError::Member { path, .. } = error else { return None };
    let name = path.split(['.', '[']).next().unwrap_or_default();
    member(kind, name).filter(|member| !OWN.contains(&member.name))
}

/// Asks for one member on the terminal.
fn ask(member: &MemberDef) -> Result<Value, Failure> {
    let how = how(&member.shape);
    loop {
        let how = if how.is_empty() { String::new() } else { format!(" [{how}]") };
        let _ = write!(std::io::stderr(), "{} - {}{how}: ", member.name, member.about);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            let hint = "answer every question, or give the members with --set";
            return Err(Failure::usage(format!("no answer for {}", member.name), hint));
        }
        match answer(&member.shape, line.trim()) {
            Some(value) => return Ok(value),
            None => {
                let _ = writeln!(std::io::stderr(), "this is not a valid answer; please try again");
            }
        }
    }
}

fn how(shape: &Shape) -> String {
    match shape {
        Shape::OneOf(words) | Shape::Suggested(words) => words.join(", "),
        Shape::LanguageMap => "in English".to_owned(),
        Shape::List { of: Shape::Text | Shape::Line | Shape::Suggested(_), .. } => {
            "one or more, with ; between them".to_owned()
        }
        Shape::List { .. } | Shape::Object(_) | Shape::Tagged { .. } | Shape::Map(_) => {
            "as JSON".to_owned()
        }
        Shape::Integer { min, max } => format!("{min} to {max}"),
        Shape::Time => "like 2026-01-31T09:30:00Z".to_owned(),
        Shape::DateOrTime => "like 2026-01-31".to_owned(),
        _ => String::new(),
    }
}

fn answer(shape: &Shape, line: &str) -> Option<Value> {
    if line.is_empty() && !matches!(shape, Shape::List { min: 0, .. }) {
        return None;
    }
    match shape {
        Shape::List { .. } if line.is_empty() => Some(Value::List(Box::default())),
        Shape::OneOf(words) => words.contains(&line).then(|| line.into()),
        Shape::LanguageMap => Some(Object::new().with("en", line).into()),
        Shape::List { of: Shape::Text | Shape::Line | Shape::Suggested(_), .. } => {
            let items = line.split(';').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::List(items.map(Value::from).collect()))
        }
        Shape::List { .. }
        | Shape::Object(_)
        | Shape::Tagged { .. }
        | Shape::Map(_)
        | Shape::LeafIndex
        | Shape::Bool
        | Shape::Integer { .. } => {
            let object = Object::parse(&format!("{{\"value\":{line}}}")).ok()?;
            object.get("value").cloned()
        }
        _ => Some(line.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_reach_into_objects_and_lists() {
        let mut object = Object::new();
        for set in [
            "title=A",
            "system.name=Example",
            "options.0=wait",
            "options.1=act",
            "rev=3",
            "title.fr=B",
            "summary={\"de\":\"C\"}",
        ] {
            apply(&mut object, Kind::Decision, set).expect("fits");
        }
        let text = object.to_pretty_json();
        let expected = r#"{"title":{"en":"A","fr":"B"},"system":{"name":"Example"},
            "options":["wait","act"],"rev":3,"summary":{"de":"C"}}"#;
        assert_eq!(object, Object::parse(expected).expect("JSON"), "{text}");
        for bad in ["title", "=x", "options.7=x", "rev.x=1"] {
            assert!(apply(&mut object, Kind::Decision, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_kind_can_be_asked_for_and_wrong_answers_lead_to_their_question() {
        let answers = |shape: &Shape| match shape {
            Shape::OneOf(words) | Shape::Suggested(words) => words[0],
            Shape::List { of: Shape::Text, .. } => "one; two",
            Shape::List { of: Shape::Suggested(_), min: 0 } => "",
            Shape::List { of: Shape::Tagged { .. }, min: 0 } => "",
            Shape::List { of: Shape::Tagged { .. }, .. } => {
                r#"[{"action":"withdraw","member":"lab.example"}]"#
            }
            Shape::List { .. } => r#"[{"text":"It works.","rating":"unable"}]"#,
            Shape::Integer { .. } => "3",
            Shape::Time | Shape::DateOrTime => "2026-01-31T09:30:00Z",
            Shape::Digest => "abababababababababababababababababababababababababababababababab",
            _ => "some words",
        };
        let id = ledger_core::record::RecordId::from_parts(1, [1; 10]);
        let basics =
            Basics { log: "l.example", issuer: "lab.example", id, issued_at: 1_795_433_000 };
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Charter) {
            let mut object = template(kind, &basics);
            for member in missing(kind, &object) {
                let value = answer(&member.shape, answers(&member.shape));
                object.set(member.name, value.unwrap_or_else(|| panic!("{kind} {}", member.name)));
            }
            // a member that only some records of a kind need is asked for after its rule is broken
            let asked = match kind {
                Kind::Remediation => Some(("refs", r#"[{"rel":"remediates","statement":"ID"}]"#)),
                Kind::Norm => Some(("text", "Hazards are reported.")),
                Kind::Disclosure => Some(("disclosures", "WyJhIl0")),
                _ => None,
            };
            if let Some((name, line)) = asked {
                let error = Draft::from_object(&object).expect_err("a rule is broken");
                let member = at_fault(kind, &error).expect("a member of the record");
                assert_eq!(member.name, name, "{kind}: {error}");
                let line = line.replace("ID", &"ab".repeat(32));
                object.set(name, answer(&member.shape, &line).expect("fits"));
            }
            Draft::from_object(&object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        }
        let object = template(Kind::Risk, &basics).with("issuer", "a b");
        let error = Draft::from_object(&object).expect_err("not a name");
        assert!(at_fault(Kind::Risk, &error).is_none(), "options are given again, not asked for");
    }
}
