//! The project writes plain English: no comment, document, help text or error uses a word that
//! CONTRIBUTING.md rules out, documents stay narrow, and the README stays short.

use std::fs;
use std::path::{Path, PathBuf};

/// Words and phrases that the project does not use, each with what to write instead. CONTRIBUTING.md
/// gives the reasons.
const RULED_OUT: &[(&str, &str)] = &[
    ("whoever", "name the actor: the peer, the caller, the reader, a member"),
    ("whomever", "name the actor"),
    ("nobody", "name the actor: no peer, no reader, no member"),
    ("somebody", "name the actor: a peer, a caller, a member"),
    ("anybody", "name the actor: any reader, any caller, everyone who holds the anchor"),
    ("the own", "the node's own, the log's own"),
    ("of ours", "name the owner"),
    ("such a", "name the thing"),
    ("dear", "expensive"),
    ("dearer", "more expensive"),
    ("belongs into", "belongs in"),
    ("belong into", "belong in"),
    ("lays out", "proposes"),
    ("lay out", "propose"),
    ("lays a draft out", "proposes a draft"),
    ("lay drafts out", "propose drafts"),
    ("hear", "observe"),
    ("hears", "observes"),
    ("heard", "observed"),
    ("told", "reported to, sent to"),
    ("accuse", "report a violation"),
    ("accuses", "reports a violation"),
    ("accused", "the convicted key"),
    ("for ever", "permanently"),
    ("as it was", "the previous one"),
    ("as it stands", "the current one"),
    ("comes to nothing", "fails"),
    ("its like", "similar ones"),
    ("the like", "similar"),
    ("takes up", "accepts, loads"),
    ("took up", "accepted, loaded"),
    ("of its own", "separate"),
    ("of their own", "separate"),
    ("is here", "exists, is present"),
    ("is there", "exists, is present"),
];

/// Columns of a line of a document; tables and code aside.
const DOCUMENT_COLUMNS: usize = 120;

/// Words of the README.
const README_WORDS: usize = 900;

/// Folders and files whose comments still have to be rewritten; the list only shrinks.
const NOT_YET: &[&str] = &["ledger-core", "ledger-node", "tests/src", "tests/tests"];

/// Files whose words are read: at least so many, or the project moved away from the test.
const LEAST_FILES: usize = 100;

/// A stretch of prose, and the line on which it begins.
#[derive(Debug, PartialEq)]
struct Prose {
    line: usize,
    text: String,
}

#[test]
fn no_text_uses_a_word_that_is_ruled_out() {
    let files = files(&["rs", "md", "proto"]);
    assert!(files.len() >= LEAST_FILES, "only {} files were found", files.len());
    let (mut read, mut found) = (0, Vec::new());
    let is_done = |file: &&PathBuf| {
        NOT_YET.iter().all(|own| !file.starts_with(workspace().join(own)))
            && !file.ends_with(file!())
    };
    for file in files.iter().filter(is_done) {
        let text = fs::read_to_string(file).expect("a file of the project");
        let prose = match file.extension().and_then(|own| own.to_str()) {
            Some("md") => paragraphs(&text),
            _ => of_source(&text),
        };
        read += prose.len();
        for Prose { line, text } in prose {
            for (word, instead) in ruled_out(&text) {
                found.push(format!("{}:{line}: \"{word}\": {instead}", file.display()));
            }
        }
    }
    assert!(read > 3_000, "only {read} stretches of prose were read");
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn documents_are_narrow() {
    let files = files(&["md"]);
    assert!(files.len() >= 20, "only {} documents were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a document");
        let mut is_code = false;
        for (at, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            let columns = line.chars().count();
            if !is_code && !line.trim_start().starts_with('|') && columns > DOCUMENT_COLUMNS {
                found.push(format!("{}:{}: {columns} columns", file.display(), at + 1));
            }
        }
    }
    assert!(found.is_empty(), "over {DOCUMENT_COLUMNS} columns:\n{}", found.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("the README");
    let words = readme.split_whitespace().count();
    assert!((300..=README_WORDS).contains(&words), "README.md has {words} words");
}

#[test]
fn prose_is_found_where_it_stands() {
    let source = "/// One\n/// two.\nfn a() { b(\"three four\", 'x', '\"', \"x\"); } // five\n\
                  let c = r#\"six \"seven\" eight\"#; /* nine\nten */ let d: &'static str = \"\\\"a b\";\n";
    let text = |at: usize| of_source(source)[at].text.clone();
    let lines: Vec<usize> = of_source(source).iter().map(|own| own.line).collect();
    assert_eq!(text(0), "One two.");
    assert_eq!(text(1), "three four");
    assert_eq!(text(2), "five");
    assert_eq!(text(3), "six \"seven\" eight");
    assert_eq!(text(4), "nine ten");
    assert_eq!(lines, [1, 3, 3, 4, 4, 5]);
    assert_eq!(ruled_out("The peer\nwas told, and Nobody\nelse. A toldness.").len(), 2);
    assert_eq!(ruled_out("it is kept for\never").len(), 1, "a phrase may cross lines");
    assert_eq!(paragraphs("# One\n\ntwo `told`\nthree\n\nfour\n").len(), 3);
    assert_eq!(paragraphs("two `told`\nthree")[0].text, "two _ three");
    assert_eq!(paragraphs("```json\n\"nobody\"\n```\nfour").len(), 1);
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The files of the project with one of these extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let extension = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() && extensions.contains(&extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The words of a text that are ruled out, each with what to write instead.
fn ruled_out(text: &str) -> Vec<(&'static str, &'static str)> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'' && c != '-')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let is_at = |phrase: &str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).any(|run| run == phrase.as_slice())
    };
    RULED_OUT.iter().filter(|(phrase, _)| is_at(phrase)).copied().collect()
}

/// The paragraphs of a document, each with its first line. Examples in JSON are records, and names
/// in backquotes are those of code.
fn paragraphs(text: &str) -> Vec<Prose> {
    let mut found: Vec<Prose> = Vec::new();
    let (mut goes_on, mut is_json) = (false, false);
    for (at, line) in text.lines().enumerate() {
        is_json = if is_json { line.trim() != "```" } else { line.trim() == "```json" };
        let words: Vec<&str> = line.split('`').step_by(2).collect();
        let line = if is_json { String::new() } else { words.join("_") };
        match found.last_mut().filter(|_| goes_on) {
            Some(last) if !line.trim().is_empty() => last.text.extend([" ", line.trim()]),
            _ if !line.trim().is_empty() => {
                found.push(Prose { line: at + 1, text: line.trim().to_owned() });
            }
            _ => {}
        }
        goes_on = !line.trim().is_empty();
    }
    found
}

/// The comments of a source file, neighbouring lines joined, and its strings that hold a space.
fn of_source(text: &str) -> Vec<Prose> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut line): (Vec<Prose>, usize, usize) = (Vec::new(), 0, 1);
    let mut last_comment = None;
    while at < bytes.len() {
        let rest = &text[at..];
        let (length, prose) = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            let words = rest[..length].trim_start_matches(['/', '!']).trim();
            let begins_line =
                text[..at].rsplit('\n').next().is_some_and(|own| own.trim().is_empty());
            if begins_line && last_comment == Some(line - 1) {
                let last = found.last_mut().expect("the line before");
                last.text.extend([" ", words]);
                last_comment = Some(line);
                (length, None)
            } else {
                last_comment = begins_line.then_some(line);
                (length, Some(words.to_owned()))
            }
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            let words: Vec<&str> = rest[2..length.max(4) - 2].split_whitespace().collect();
            (length, Some(words.join(" ")))
        } else if let Some(hashes) = raw_string(text, at) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            let length = rest[begin..].find(&end).map_or(rest.len(), |own| begin + own + end.len());
            let words = rest[begin..length.saturating_sub(end.len()).max(begin)].to_owned();
            (length, words.contains(' ').then_some(words))
        } else if rest.starts_with('"') {
            let mut escaped = false;
            let closes = |(_, c): &(usize, char)| {
                let is_end = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                is_end
            };
            let length =
                rest.char_indices().skip(1).find(closes).map_or(rest.len(), |(own, _)| own + 1);
            let words = rest[1..length - 1].to_owned();
            (length, words.contains(' ').then_some(words))
        } else if let Some(escape) = rest.strip_prefix("'\\") {
            (escape.find('\'').map_or(1, |own| if own == 0 { 4 } else { own + 3 }), None)
        } else if rest.starts_with("'\"'") {
            (3, None)
        } else {
            (rest.chars().next().map_or(1, char::len_utf8), None)
        };
        found.extend(prose.map(|text| Prose { line, text }));
        line += text[at..at + length].matches('\n').count();
        at += length;
    }
    found
}

/// How many `#` a raw string has that begins here.
fn raw_string(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix('r')?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let begins_word = !text[..at].chars().next_back().is_some_and(|c| is_word(c) && c != 'b');
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    (begins_word && rest[hashes..].starts_with('"')).then_some(hashes)
}
