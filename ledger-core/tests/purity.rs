//! The core does no input or output and reads no clock, no randomness and no threads: everything it
//! says, anybody can compute again, in a browser too. These tests read its source and its manifest.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// What no source file of the core may name outside comments.
const FORBIDDEN: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "thread::",
    "thread_local!",
    "SystemTime",
    "Instant",
    "async fn",
    "async move",
    "async {",
    ".await",
    "tokio",
    "getrandom",
    "rand::",
    "rand_core",
    "OsRng",
    "prost",
    "tonic",
];

/// What the core may depend on. A new name belongs here only if it is pure and builds for wasm32.
const DEPENDENCIES: &[&str] =
    &["base64", "ed25519-dalek", "ml-dsa", "serde", "serde_json", "sha2", "thiserror", "uuid"];

/// Features of dependencies that would bring in randomness or a clock.
const FEATURES: &[&str] = &["getrandom", "os_rng", "rand", "rand_core", "rng", "v4", "v7", "clock"];

/// A file that only tests compile, and the line that says so: it counts what a thread does.
const OF_TESTS: (&str, &str, &str) = (
    "tlog/src/note/checked.rs",
    "tlog/src/note/mod.rs",
    "#[cfg(feature = \"count-checks\")]\npub mod checked;\n",
);

#[test]
fn source_names_nothing_impure() {
    let (of_tests, named_in, line) = OF_TESTS;
    assert!(fs::read_to_string(manifest_dir().join(named_in)).unwrap().contains(line));
    let [core, tlog] = ["src", "tlog/src"].map(|source| rust_files(&manifest_dir().join(source)));
    assert!(core.len() > 50 && tlog.len() > 20, "the source moved: {core:?} {tlog:?}");
    let mut files = [core, tlog].concat();
    files.retain(|file| *file != manifest_dir().join(of_tests));
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for (number, word) in impurities(&text) {
            found.push(format!("{}:{number}: {word}", file.display()));
        }
    }
    assert!(found.is_empty(), "the core must stay pure; it names\n{}", found.join("\n"));
}

#[test]
fn manifest_depends_on_nothing_impure() {
    for (manifest, also) in [("Cargo.toml", "tlog"), ("tlog/Cargo.toml", "")] {
        let text = fs::read_to_string(manifest_dir().join(manifest)).unwrap();
        let dependencies = dependencies(&text);
        assert!(!dependencies.is_empty(), "the dependencies of {manifest} were not found");
        for (name, line) in dependencies {
            let is_pure = DEPENDENCIES.contains(&name.as_str()) || name == also;
            assert!(is_pure, "{manifest} may not depend on {name}");
            for feature in FEATURES {
                let quoted = format!("\"{feature}\"");
                assert!(!line.contains(&quoted), "{manifest} may not ask for {name}'s {feature}");
            }
        }
    }
}

#[test]
fn scan_finds_what_it_looks_for() {
    for bad in [
        "use std::fs;",
        "let x = std :: fs::read(p);",
        "use std::{fs, fmt};",
        "use std::{\n    fmt,\n    net::IpAddr,\n};",
        "use std::{collections::{BTreeMap, HashMap}, thread};",
        "use std::time::SystemTime;",
        "let t = Instant::now();",
        "async fn go() {}",
        "tokio::spawn(x);",
        "std::thread::spawn(f);",
        "rand::random()",
        "/* fine */ getrandom::fill(b);",
        "let url = \"http://x\"; getrandom::fill(b);",
    ] {
        assert!(!impurities(bad).is_empty(), "missed: {bad}");
    }
    for good in [
        "// std::fs is not for us",
        "/// Never reads [`std::fs`].",
        "let instant_noodles = operand;",
        "let brand = 1; // rand::random",
        "#[error(\"cannot await an unsafe thread\")]",
        "use std::fmt;",
        "use std::collections::{BTreeMap, HashMap};",
        "use std::{fmt, str};\nfn net() {}",
    ] {
        assert_eq!(impurities(good), [], "false alarm: {good}");
    }
}

#[test]
fn manifest_reader_sees_every_shape_of_dependency() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\" # c\n\
                    [dependencies.d]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n\
                    [dev-dependencies]\nf = \"1\"\n[build-dependencies]\ng = \"1\"\n";
    let names: Vec<String> = dependencies(manifest).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "d", "e", "g"]);
}

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The line and the name of everything forbidden that the text names outside line comments.
fn impurities(text: &str) -> Vec<(usize, &'static str)> {
    let code: Vec<&str> = text.lines().map(without_comment).collect();
    let mut found = Vec::new();
    for (index, line) in code.iter().enumerate() {
        let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.replace(" ::", "::").replace(":: ", "::");
        for &name in FORBIDDEN {
            if names(&line, name) {
                found.push((index + 1, name));
            }
        }
    }
    found.extend(grouped_imports(&code));
    found
}

/// Modules of `std` in `use std::{...}`, which no line names whole.
fn grouped_imports(code: &[&str]) -> Vec<(usize, &'static str)> {
    let text = code.join("\n");
    let mut found = Vec::new();
    for (start, opening) in text.match_indices("std::{") {
        let rest = &text[start + opening.len()..];
        let group = &rest[..closing_brace(rest)];
        let line = text[..start].matches('\n').count() + 1;
        for &name in FORBIDDEN {
            if let Some(module) = name.strip_prefix("std::")
                && names(group, module)
            {
                found.push((line, name));
            }
        }
    }
    found
}

/// Where the brace that was opened before `text` closes.
fn closing_brace(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Cuts a line at its `//`, unless a string may hold it: then the line is judged whole.
fn without_comment(line: &str) -> &str {
    match line.find("//") {
        Some(at) if !line[..at].contains('"') => &line[..at],
        _ => line,
    }
}

/// Whether `line` holds `name`, and not as a part of longer words.
fn names(line: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let begins_inside = name.starts_with(part_of_word) && before.ends_with(part_of_word);
        let ends_inside = name.ends_with(part_of_word) && after.starts_with(part_of_word);
        !begins_inside && !ends_inside
    })
}

/// Names and lines of the manifest's dependencies, those for tests left out.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut listing = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let (before, after) = match header.split_once("dependencies") {
                Some((before, after)) if !before.ends_with("dev-") => (before, after),
                _ => {
                    listing = false;
                    continue;
                }
            };
            listing = after.is_empty();
            if let Some(name) = after.strip_prefix('.') {
                found.push((name.to_string(), before.to_string()));
            }
        } else if listing && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(line.len());
            found.push((line[..end].to_string(), line.to_string()));
        }
    }
    found
}
