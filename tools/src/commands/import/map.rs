//! Maps an AVID report to an incident record. What means the same is mapped, and the rest is kept
//! under `ext.avid`. Only people's names are left out, because a log forgets nothing.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::hash::Hash;
use ledger_core::record::{
    Basics, Kind, MAX_INTEGER, Object, RecordId, UNKNOWN, Value, parse_date, template,
};
use serde_json::{Map, Value as Json};

use crate::failure::Failure;

/// Limit on the bytes of an AVID id, which names files.
const MAX_ID: usize = 64;

/// The log and the issuer of the records.
#[derive(Debug, Clone)]
pub struct Target {
    /// The log's origin.
    pub log: String,
    /// The member that issues the records.
    pub issuer: String,
    /// When the import began, in POSIX seconds.
    pub issued_at: u64,
}

/// Members of a report that hold people's names.
const PERSONAL: [&str; 1] = ["credit"];

/// A report as a record's object, and what happened to its members.
#[derive(Debug)]
pub struct Mapped {
    /// The record's object.
    pub object: Object,
    /// Members that have no counterpart in the record format, with counts: carried in `ext.avid`.
    pub carried: BTreeMap<String, u64>,
    /// Members that were left out, with counts: they name people, and a log forgets nothing.
    pub left_out: BTreeMap<String, u64>,
    /// The count of characters that were replaced, because no record may hold them.
    pub replaced: u64,
}

/// The report's own id, which can name a file.
///
/// # Errors
/// [`Failure`] when there is none, or it cannot name a file.
pub fn avid_id(report: &Json) -> Result<&str, Failure> {
    let metadata = &report["metadata"];
    let id = metadata["report_id"].as_str().or_else(|| metadata["vuln_id"].as_str());
    let hint = "an AVID report has metadata.report_id or metadata.vuln_id like AVID-2026-R0001";
    let id = id.ok_or_else(|| Failure::refused("it has neither report_id nor vuln_id", hint))?;
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(fits) {
        return Err(Failure::refused(format!("its id \"{id}\" cannot name a file"), hint));
    }
    Ok(id)
}

/// Maps a report.
///
/// # Errors
/// [`Failure`] when the report lacks what every record needs.
pub fn map(report: &Json, id: &str, target: &Target) -> Result<Mapped, Failure> {
    let mut source = Values { replaced: 0 };
    let title = source.language_map(&report["problemtype"]["description"]);
    let title = title.ok_or_else(|| lacking("problemtype.description"))?;
    let summary = source.language_map(&report["description"]);
    let summary = summary.ok_or_else(|| lacking("description"))?;
    let record_id = record_id(report, id, &target.log);
    let basics = Basics {
        log: &target.log,
        issuer: &target.issuer,
        id: record_id,
        issued_at: target.issued_at,
    };
    let views = texts(&report["impact"]["avid"]["sep_view"]);
    let mut object = template(Kind::Incident, &basics)
        .with("title", title)
        .with("summary", summary)
        .with("stage", "initial")
        .with("class", class(report))
        .with("severity", UNKNOWN)
        .with("aware_at", UNKNOWN)
        .with("ai_relation", UNKNOWN)
        .with("harm_types", or_unknown(harm_types(&views)))
        .with("triggers", or_unknown(triggers(&views)));
    if let Some(system) = source.system(&report["affects"]) {
        object.set("system", system);
    }
    object.set("xref", xref(report, id));
    let mut rest = rest(report, object.get("system").is_some());
    let mut left_out = BTreeMap::new();
    for member in PERSONAL {
        count_paths(&report[member], member.to_owned(), &mut left_out);
        remove(&mut rest, &[member]);
    }
    let mut carried = BTreeMap::new();
    count_paths(&rest, String::new(), &mut carried);
    object.set("ext", Object::new().with("avid", source.value(&rest)));
    Ok(Mapped { object, carried, left_out, replaced: source.replaced })
}

fn lacking(member: &str) -> Failure {
    Failure::refused(format!("it has no text in {member}"), "write one, or leave the report out")
}

/// The record id, which is always the same for a report: its date, and a digest of the log and the
/// AVID id.
fn record_id(report: &Json, id: &str, log: &str) -> RecordId {
    let date = report["reported_date"].as_str().or_else(|| report["published_date"].as_str());
    let seconds = date.and_then(parse_date).unwrap_or_default();
    let digest = Hash::digest(format!("{log}\n{id}").as_bytes());
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest.as_bytes()[..10]);
    RecordId::from_parts(seconds * 1000, bytes)
}

/// Only reports that AVID took from the AI Incident Database say that harm happened.
fn class(report: &Json) -> &'static str {
    match report["problemtype"]["classof"].as_str() {
        Some("AIID Incident") => "incident",
        _ => "issue",
    }
}

/// Harms that AVID's taxonomy names without ambiguity.
fn harm_types(views: &[&str]) -> Vec<&'static str> {
    let harms = [
        ("E0101", "rights"),
        ("E0102", "rights"),
        ("E0301", "psychological"),
        ("E0402", "public_interest"),
        ("P0401", "psychological"),
        ("P0402", "physical"),
        ("P0403", "economic"),
        ("P0404", "environmental"),
    ];
    named(views, &harms)
}

fn triggers(views: &[&str]) -> Vec<&'static str> {
    named(views, &[("S06", "data"), ("S", "security")])
}

fn named(views: &[&str], words: &[(&str, &'static str)]) -> Vec<&'static str> {
    let found = views.iter().filter_map(|view| {
        words.iter().find(|(code, _)| view.starts_with(code)).map(|(_, word)| *word)
    });
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

fn or_unknown(words: Vec<&'static str>) -> Value {
    if words.is_empty() { UNKNOWN.into() } else { words.into() }
}

/// The report's ids in registries, as found in its title, description and links.
fn xref(report: &Json, id: &str) -> Vec<Object> {
    let mut found: Vec<(&str, String)> = vec![("AVID", id.to_owned())];
    let mut add = |scheme, name: String| {
        if !found.iter().any(|(s, n)| (*s, n) == (scheme, &name)) {
            found.push((scheme, name));
        }
    };
    let mut spoken = vec![
        report["problemtype"]["description"]["value"].as_str().unwrap_or_default(),
        report["description"]["value"].as_str().unwrap_or_default(),
    ];
    let links = report["references"].as_array().map(Vec::as_slice).unwrap_or_default();
    spoken.extend(
        links.iter().flat_map(|link| [link["label"].as_str(), link["url"].as_str()]).flatten(),
    );
    for text in spoken {
        for name in words_like(text, "CVE-") {
            if let Some((year, number)) = name[4..].split_once('-')
                && is_digits(year, 4..=4)
                && is_digits(number, 4..=19)
            {
                add("CVE", name.to_owned());
            }
        }
        for name in words_like(text, "GHSA-") {
            if name.len() == 19 {
                add("GHSA", name.to_owned());
            }
        }
    }
    for url in links.iter().filter_map(|link| link["url"].as_str()) {
        let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        if let Some((_, number)) = path.split_once("incidentdatabase.ai/cite/")
            && is_digits(number, 1..=9)
        {
            add("AIID", number.to_owned());
        }
        if let Some((_, name)) = path.split_once("atlas.mitre.org/studies/")
            && name.starts_with("AML.")
        {
            add("ATLAS", name.to_owned());
        }
    }
    let object =
        |(scheme, name): (&str, String)| Object::new().with("scheme", scheme).with("id", name);
    found.into_iter().map(object).collect()
}

/// The words of letters, digits and dashes that begin with `start`.
fn words_like<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.map(|word| word.trim_end_matches('-')).filter(move |word| word.starts_with(start))
}

fn is_digits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
}

fn texts(list: &Json) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// The report without the members that the record holds elsewhere, word for word.
fn rest(report: &Json, has_system: bool) -> Json {
    let mut rest = report.clone();
    let mut remove = |path: &[&str]| remove(&mut rest, path);
    remove(&["metadata", "report_id"]);
    if report["metadata"]["report_id"].is_null() {
        remove(&["metadata", "vuln_id"]);
    }
    let verbatim = |value: &Json| {
        let only = |(name, value): (&String, &Json)| {
            matches!(name.as_str(), "lang" | "value") && value.is_string()
        };
        // a text that gets trimmed is not the same word for word, so it stays
        value.as_object().is_some_and(|members| members.iter().all(only))
            && value["value"].as_str().is_some_and(|text| text == text.trim())
    };
    for path in [&["problemtype", "description"][..], &["description"]] {
        let found = path.iter().fold(report, |at, step| &at[*step]);
        if verbatim(found) {
            remove(path);
        }
    }
    if has_system {
        for member in ["developer", "deployer"] {
            let list = report["affects"][member].as_array();
            let said = |value: &Json| {
                value.as_str().is_some_and(|text| text == text.trim() && !text.contains("; "))
            };
            if list.is_some_and(|list| list.iter().all(said)) {
                remove(&["affects", member]);
            }
        }
    }
    rest
}

fn remove(from: &mut Json, path: &[&str]) {
    let Some(((last, way), mut at)) = path.split_last().zip(Some(from)) else { return };
    for step in way {
        match at.get_mut(step) {
            Some(inner) => at = inner,
            None => return,
        }
    }
    let Some(object) = at.as_object_mut() else { return };
    object.remove(*last);
}

/// Counts every value by its path, except `null` and empty values.
fn count_paths(value: &Json, path: String, counts: &mut BTreeMap<String, u64>) {
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                count_paths(value, format!("{path}{dot}{name}"), counts);
            }
        }
        Json::Array(values) => {
            for value in values {
                count_paths(value, format!("{path}[]"), counts);
            }
        }
        Json::Null => {}
        Json::String(text) if text.trim().is_empty() => {}
        _ => *counts.entry(path).or_default() += 1,
    }
}

/// Converts values to those that records may hold.
struct Values {
    replaced: u64,
}

impl Values {
    /// A text as records may hold it: carriage returns become newlines, other control characters
    /// are replaced.
    fn text(&mut self, text: &str) -> String {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let allowed = |c: char| !c.is_control() || c == '\n' || c == '\t';
        let bad = text.chars().filter(|c| !allowed(*c)).count();
        self.replaced += bad as u64;
        if bad == 0 {
            return text;
        }
        text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
    }

    /// AVID's `{lang, value}` by BCP 47 tag.
    fn language_map(&mut self, value: &Json) -> Option<Object> {
        let text = self.text(value["value"].as_str()?).trim().to_owned();
        let language = value["lang"].as_str().unwrap_or("und");
        (!text.is_empty()).then(|| Object::new().with(bcp47(language), text))
    }

    /// Joins the systems into one: a record names one system, AVID lists artifacts, developers and
    /// deployers.
    fn system(&mut self, affects: &Json) -> Option<Object> {
        let mut joined = |list: Vec<&str>| {
            let names: Vec<String> =
                list.into_iter().map(|name| self.text(name).trim().to_owned()).collect();
            let names: Vec<&str> =
                names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            (!names.is_empty()).then(|| names.join("; "))
        };
        let artifacts = affects["artifacts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = artifacts.iter().filter_map(|artifact| artifact["name"].as_str()).collect();
        let mut system = Object::new().with("name", joined(names)?);
        if let Some(developer) = joined(texts(&affects["developer"])) {
            system.set("developer", developer);
        }
        if let Some(deployer) = joined(texts(&affects["deployer"])) {
            system.set("deployer", deployer);
        }
        Some(system)
    }

    /// Any value. A number that is not an integer, or is too large, becomes its text.
    fn value(&mut self, value: &Json) -> Value {
        match value {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::String(text) => Value::from(self.text(text)),
            Json::Array(values) => Value::List(values.iter().map(|v| self.value(v)).collect()),
            Json::Object(members) => self.object(members).into(),
            Json::Number(number) => match number.as_i64() {
                Some(whole) if whole.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => {
                    Value::Integer(whole)
                }
                _ => Value::from(number.to_string()),
            },
        }
    }

    fn object(&mut self, members: &Map<String, Json>) -> Object {
        let mut object = Object::new();
        for (name, value) in members {
            let name = self.text(name);
            let value = self.value(value);
            object.set(&name, value);
        }
        object
    }
}

/// The BCP 47 tag of an ISO 639-2 code; other codes are tags already.
fn bcp47(code: &str) -> &str {
    match code {
        "eng" => "en",
        "fra" | "fre" => "fr",
        "deu" | "ger" => "de",
        "spa" => "es",
        "ita" => "it",
        "por" => "pt",
        "zho" | "chi" => "zh",
        "jpn" => "ja",
        "" => "und",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        let (log, issuer) = ("ledger.example/1".to_owned(), "lab.example".to_owned());
        Target { log, issuer, issued_at: 1_795_433_000 }
    }

    fn report() -> Json {
        serde_json::json!({
            "metadata": {"report_id": "AVID-2026-R0002"},
            "affects": {"developer": ["A"], "deployer": [],
                "artifacts": [{"type": "System", "name": "x"}, {"type": "Model", "name": "y"}]},
            "problemtype": {"classof": "AIID Incident",
                "description": {"lang": "eng", "value": "Wrong (CVE-2024-10109)"}},
            "description": {"lang": "eng", "value": "one\r\ntwo\u{7}"},
            "references": [{"label": "r", "url": "https://incidentdatabase.ai/cite/72/"}],
            "impact": {"avid": {"sep_view": ["P0402: Physical Safety", "S0100: Software"]}},
            "metrics": [{"value": 0.25}],
            "credit": [{"lang": "eng", "value": "Somebody"}],
            "reported_date": "2026-01-31"
        })
    }

    #[test]
    fn a_report_becomes_an_incident_and_loses_nothing() {
        let mapped = map(&report(), "AVID-2026-R0002", &target()).expect("maps");
        let object = &mapped.object;
        assert_eq!(object.text("class"), Some("incident"));
        let summary = object.get("summary").and_then(Value::as_object).expect("map");
        assert_eq!(summary.text("en"), Some("one\ntwo\u{fffd}"));
        assert_eq!(mapped.replaced, 1);
        let system = object.get("system").and_then(Value::as_object).expect("object");
        assert_eq!(system.text("name"), Some("x; y"));
        let xref: Vec<_> = object.list("xref").iter().filter_map(Value::as_object).collect();
        let ids: Vec<_> = xref.iter().filter_map(|x| x.text("id")).collect();
        assert_eq!(ids, ["AVID-2026-R0002", "CVE-2024-10109", "72"]);
        assert_eq!(mapped.carried["metrics[].value"], 1);
        assert!(object.to_pretty_json().contains("\"0.25\""));
        assert_eq!(mapped.left_out["credit[].value"], 1);
        assert!(!object.to_pretty_json().contains("Somebody"), "people are not named");
        ledger_core::record::Draft::from_object(object).expect("obeys the rules");
    }

    #[test]
    fn what_is_not_said_word_for_word_stays() {
        let mut report = report();
        report["affects"]["developer"] = serde_json::json!("one text");
        report["affects"]["deployer"] = serde_json::json!(["B", {"name": "C"}]);
        report["description"]["note"] = serde_json::json!("more");
        let mapped = map(&report, "AVID-2026-R0002", &target()).expect("maps");
        for path in ["affects.developer", "affects.deployer[].name", "description.note"] {
            assert_eq!(mapped.carried.get(path), Some(&1), "{path}");
        }
    }

    #[test]
    fn the_id_follows_from_log_and_source() {
        let one = map(&report(), "AVID-2026-R0002", &target()).expect("maps").object;
        let later = Target { issued_at: 1_795_533_000, ..target() };
        let again = map(&report(), "AVID-2026-R0002", &later).expect("maps").object;
        assert_eq!(one.text("id"), again.text("id"));
        let other = Target { log: "other.example".to_owned(), ..target() };
        let other = map(&report(), "AVID-2026-R0002", &other).expect("maps").object;
        assert_ne!(one.text("id"), other.text("id"));
        assert_eq!(other.text("id").map(|id| &id[..13]), Some("019c1159-7000"));
    }

    #[test]
    fn ids_that_would_leave_the_folder_are_refused() {
        for id in ["../x", "", "a/b", ".", "a\u{0}"] {
            let report = serde_json::json!({"metadata": {"vuln_id": id}});
            assert!(avid_id(&report).is_err(), "\"{id}\"");
        }
    }
}
