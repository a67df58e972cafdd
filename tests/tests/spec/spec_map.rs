//! `docs/spec-map.md` names functions and tests, and `docs/threat-model.md` and
//! `docs/interoperability.md` name tests: each of them exists.

use std::path::{Path, PathBuf};

use ledger_tests::workspace;

/// Folders whose Rust sources may hold a test that the map names.
const CRATES: [&str; 6] = ["ledger-core", "ledger-node", "proto", "tools", "tests", "benches"];

/// What may stand before an item's name where it is defined.
const DEFINITIONS: [&str; 6] = ["fn ", "struct ", "enum ", "trait ", "type ", "const "];

struct Source {
    path: PathBuf,
    text: String,
}

struct Row {
    line: usize,
    functions: String,
    tests: String,
}

fn sources(folder: &Path, found: &mut Vec<Source>) {
    for item in folder.read_dir().into_iter().flatten() {
        let path = item.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).expect("a readable source");
            found.push(Source { path, text });
        }
    }
}

fn all_sources() -> Vec<Source> {
    let mut all = Vec::new();
    CRATES.iter().for_each(|name| sources(&workspace().join(name), &mut all));
    all
}

fn rows() -> Vec<Row> {
    let map = std::fs::read_to_string(workspace().join("docs/spec-map.md")).expect("the map");
    let mut rows = Vec::new();
    for (at, line) in map.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // | clause | what it asks | function | test |
        let ["", clause, _, functions, tests, ""] = cells.as_slice() else { continue };
        if *clause != "clause" && !clause.starts_with("---") {
            let (functions, tests) = (functions.to_string(), tests.to_string());
            rows.push(Row { line: at + 1, functions, tests });
        }
    }
    rows
}

/// What stands between backquotes and looks like a name.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':'))
}

fn defines(source: &Source, name: &str) -> bool {
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    DEFINITIONS.iter().any(|keyword| {
        let head = format!("{keyword}{name}");
        let mut places = source.text.match_indices(&head).map(|(at, _)| at + head.len());
        places.any(|end| source.text[end..].starts_with(is_end))
    })
}

/// Whether a module defines what `module::...::item` ends in, and names the types before it.
/// Modules are those of ledger-core and tlog, behind `node` and `tools` those of ledger-node and the
/// tools.
fn has_function(all: &[Source], name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let (folders, parts): (&[&str], _) = match parts.as_slice() {
        ["node", parts @ ..] => (&["ledger-node/src"], parts),
        ["tools", parts @ ..] => (&["tools/src"], parts),
        parts => (&["ledger-core/src", "ledger-core/tlog/src"], parts),
    };
    let [module, types @ .., item] = parts else { return false };
    let of_module = |source: &&Source| {
        let below = |folder: &&str| source.path.strip_prefix(workspace().join(folder)).ok();
        let below = folders.iter().find_map(below);
        let first = below.and_then(|path| path.components().next());
        let first = first.and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first) == *module
    };
    let in_module = || all.iter().filter(of_module);
    let mut types = types.iter().filter(|part| part.starts_with(char::is_uppercase));
    types.all(|name| in_module().any(|source| source.text.contains(name)))
        && in_module().any(|source| defines(source, item))
}

fn has_test(all: &[Source], name: &str) -> bool {
    let head = format!("fn {name}(");
    all.iter().any(|source| {
        let Some(at) = source.text.find(&head) else { return false };
        let before = source.text[..at].lines().rev().take(4);
        before.map(str::trim).any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_function_and_test_of_the_map_exists() {
    let all = all_sources();
    let (mut functions, mut tests, mut missing) = (0, 0, Vec::new());
    for row in rows() {
        for name in names(&row.functions).filter(|name| name.contains("::")) {
            functions += 1;
            if !has_function(&all, name) {
                missing.push(format!("line {}: no function {name}", row.line));
            }
        }
        for name in names(&row.tests) {
            tests += 1;
            if !has_test(&all, name) {
                missing.push(format!("line {}: no test {name}", row.line));
            }
        }
    }
    assert!(missing.is_empty(), "docs/spec-map.md names what is gone:\n{}", missing.join("\n"));
    println!("the map names {functions} functions and {tests} tests");
    assert!(functions > 50 && tests > 50, "the map is read");
}

#[test]
fn every_row_of_the_map_has_a_test_or_says_why_not() {
    for row in rows() {
        let excused = ["not yet: ", "none are ", "nothing prunes", "does not apply: "];
        let excused = excused.iter().any(|words| row.functions.starts_with(words));
        let named = names(&row.functions).any(|name| name.contains("::"));
        assert!(named || excused, "line {}: no function and no reason", row.line);
        // a cell may say "no test yet", but it says so
        assert_eq!(row.tests.is_empty(), excused, "line {}: no test", row.line);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let all = all_sources();
    assert!(has_function(&all, "note::Note::parse"));
    for name in
        ["note::Note::pars", "note::Nothing::parse", "policy::prove_inclusion", "parse", "node"]
    {
        assert!(!has_function(&all, name), "{name}");
    }
    // some function has that name, no test
    assert!(!has_test(&all, "parse"));
}

/// The names of tests in the last cells of a page's tables: words with an underscore between
/// backquotes.
fn tests_in_tables(page: &str) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(workspace().join("docs").join(page)).expect("the page");
    let text = text.split("## Not promised").next().expect("the first part");
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let cell = line.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        let tests = names(cell).filter(|name| name.contains('_') && !name.contains("::"));
        found.extend(tests.map(|name| (at + 1, name.to_owned())));
    }
    found
}

#[test]
fn every_test_that_the_threat_model_and_interoperability_name_exists() {
    let all = all_sources();
    let mut missing = Vec::new();
    for (page, at_least) in [("threat-model.md", 100), ("interoperability.md", 9)] {
        let tests = tests_in_tables(page);
        assert!(tests.len() >= at_least, "{page} names {} tests", tests.len());
        let gone = tests.into_iter().filter(|(_, name)| !has_test(&all, name));
        missing.extend(gone.map(|(line, name)| format!("{page}:{line}: no test {name}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_promise_of_the_threat_model_has_a_test() {
    let text = std::fs::read_to_string(workspace().join("docs/threat-model.md")).expect("the page");
    let promised = text.split("## Not promised").next().expect("the first part");
    let promised = promised.split("## Promised").nth(1).expect("the second part");
    let rows = promised.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.filter(|line| !line.starts_with("| promise")).collect();
    assert!(rows.len() > 40, "{} promises", rows.len());
    let last = |row: &str| row.trim_end_matches('|').rsplit(" | ").next().map(str::to_owned);
    let is_bare = |row: &&&str| last(row).is_none_or(|cell| names(&cell).next().is_none());
    let bare: Vec<&&str> = rows.iter().filter(is_bare).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
