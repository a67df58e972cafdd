//! No file imports another that imports it back, however long the way; no module imports one of a
//! higher layer; a type's name is unique in its crate. Read from the imports of the sources, tests aside. That a module calls one of its
//! own submodules, as in `child::run()`, is no import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, each with its layers from the lowest to the highest: a module imports from its own
/// layer and from lower ones.
const CRATES: [(&str, &[&str]); 4] = [
    (
        "ledger-core/tlog",
        &[
            "hash heap index",
            "merkle note",
            "checkpoint tile",
            "batch cosignature witness",
            "policy",
            "proof",
        ],
    ),
    (
        "ledger-core",
        &[
            "hint",
            "record",
            "charter proven",
            "authority member_note register",
            "decline evidence request succession",
            "gossip",
        ],
    ),
    (
        "ledger-node",
        &[
            "clock escape index listed own_trouble sqlite wire",
            "known_logs logging",
            "address config small_files state store transport",
            "log source",
            "governance lookup",
            "evidence recovery",
            "gossip log_dir",
            "mirror witness",
            "publisher",
            "refusal",
            "init sequencer",
            "admission restore",
            "pending service",
            "grpc http",
            "node",
            "cli",
        ],
    ),
    (
        "tools",
        &[
            "failure file_kind view",
            "environment files output reach",
            "address client disclosures excluded keys progress",
            "trust unsigned",
            "member submitter",
            "commands",
            "cli",
        ],
    ),
];

/// A module that is built for tests alone, with a feature of the crate: it has no layer.
const FOR_TESTS: &str = "misbehave";

/// A module's name from the root of its crate, such as `["gossip", "view"]`.
type ModulePath = Vec<String>;

/// The modules of a crate, each with its source.
#[derive(Default)]
struct Crate {
    sources: BTreeMap<ModulePath, String>,
    /// What `pub use` makes known under another module's name: module and name, and the full path.
    reexports: BTreeMap<(ModulePath, String), ModulePath>,
}

/// Which modules a module imports.
type Imports = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

#[test]
fn no_file_imports_another_in_a_circle() {
    let mut all = Vec::new();
    for (name, _) in CRATES {
        let imports = Crate::read(&workspace().join(name).join("src")).imports();
        let arrows: usize = imports.values().map(BTreeSet::len).sum();
        assert!(imports.len() > 5 && arrows > 10, "{name}: {} modules, {arrows}", imports.len());
        for circle in circles(&imports) {
            let ties = circle.iter().flat_map(|from| {
                let to = imports[from].iter().filter(|to| circle.contains(*to));
                to.map(|to| format!("  {} -> {}", from.join("::"), to.join("::")))
            });
            let ties: Vec<String> = ties.collect();
            all.push(format!("{name}, {} modules:\n{}", circle.len(), ties.join("\n")));
        }
    }
    assert!(all.is_empty(), "{} circles:\n{}", all.len(), all.join("\n"));
}

#[test]
fn no_module_imports_one_of_a_higher_layer() {
    let mut found = Vec::new();
    for (name, layers) in CRATES {
        let imports = Crate::read(&workspace().join(name).join("src")).imports();
        let layer = |module: &ModulePath| {
            let first = module.first()?;
            let at = layers.iter().position(|row| row.split(' ').any(|own| own == first));
            Some((first.clone(), at))
        };
        for (from, to) in
            imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)))
        {
            let (Some((from, low)), Some((to, high))) = (layer(from), layer(to)) else { continue };
            match (low, high) {
                (Some(low), Some(high)) if low < high => {
                    found.push(format!("{name}: {from} -> {to}"))
                }
                (None, _) if from != FOR_TESTS => {
                    found.push(format!("{name}: {from} is in no layer"))
                }
                _ => {}
            }
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_type_name_is_unique_in_its_crate() {
    let mut found = Vec::new();
    for (name, _) in CRATES {
        let sources = Crate::read(&workspace().join(name).join("src")).sources;
        let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (module, text) in &sources {
            for own in types(&code(text)) {
                defined.entry(own).or_default().push(module.join("::"));
            }
        }
        assert!(defined.len() > 30, "{name}: {} types", defined.len());
        let several = defined.into_iter().filter(|(own, modules)| {
            modules.len() > 1 && !["Error", "Args", "Command"].contains(&own.as_str())
        });
        found.extend(several.map(|(own, modules)| format!("{name}: {own} in {modules:?}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(
        types("pub(super) struct A;\nenum B {}\n    type C = D;\ntype E = F;"),
        ["A", "B", "E"]
    );
}

#[test]
fn a_made_up_circle_is_found() {
    let of = |files: &[(&str, &str)]| {
        let mut made = Crate::default();
        for (path, text) in files {
            let path = path.split("::").filter(|own| !own.is_empty()).map(str::to_owned).collect();
            made.sources.insert(path, (*text).to_owned());
        }
        made.note_reexports();
        circles(&made.imports()).len()
    };
    let root = ("", "mod a; mod b; mod c;");
    let a = ("a", "use crate::b::{self, C};\npub struct A;");
    assert_eq!(of(&[root, a, ("b", "use super::a::A;")]), 1, "by use");
    assert_eq!(of(&[root, a, ("b", "fn f() -> crate::a::A { todo!() }")]), 1, "by a path");
    assert_eq!(of(&[root, a, ("b", "use crate::c::X;"), ("c", "use crate::{a::A, hash};")]), 1);
    assert_eq!(of(&[root, a, ("b", "// use crate::a::A;\nconst X: &str = \"crate::a::A\";")]), 0);
    assert_eq!(of(&[root, a, ("b", "#[cfg(test)]\nmod tests {\n use crate::a::A;\n}")]), 0);
    let facade = ("b", "mod d; pub use d::C;");
    assert_eq!(of(&[root, a, facade, ("b::d", "pub struct C;")]), 0, "a name that is handed on");
    assert_eq!(of(&[root, a, facade, ("b::d", "use crate::a::A;\npub struct C;")]), 1);
}

impl Crate {
    fn read(src: &Path) -> Crate {
        let mut read = Crate::default();
        let mut folders = vec![(src.to_owned(), ModulePath::new())];
        while let Some((folder, path)) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder of sources").flatten() {
                let (file, name) = (entry.path(), entry.file_name());
                let name = name.to_str().expect("a name in UTF-8").to_owned();
                if file.is_dir() {
                    folders.push((file, [path.clone(), vec![name]].concat()));
                    continue;
                }
                let Some(stem) = name.strip_suffix(".rs") else { continue };
                let module = match stem {
                    // the program is a crate of its own, above the library
                    "main" if path.is_empty() => continue,
                    "lib" | "mod" => path.clone(),
                    _ => [path.clone(), vec![stem.to_owned()]].concat(),
                };
                let text = fs::read_to_string(&file).expect("a source");
                read.sources.insert(module, text);
            }
        }
        read.leave_out_tests();
        read.note_reexports();
        read
    }

    /// Takes away the modules that are compiled for tests alone.
    fn leave_out_tests(&mut self) {
        let mut of_tests: Vec<ModulePath> = Vec::new();
        for (path, text) in &self.sources {
            for (at, _) in text.match_indices("#[cfg(") {
                let attribute = text[at..].lines().next().unwrap_or_default();
                let next = text[at..].lines().skip(1).find(|line| !line.trim().starts_with("#["));
                let name =
                    next.and_then(|line| line.trim().rsplit_once("mod ")?.1.strip_suffix(';'));
                if let Some(name) = name.filter(|_| attribute.contains("test")) {
                    of_tests.push([path.clone(), vec![name.to_owned()]].concat());
                }
            }
        }
        self.sources.retain(|path, _| of_tests.iter().all(|own| !path.starts_with(own)));
    }

    fn note_reexports(&mut self) {
        for (module, text) in &self.sources {
            for tree in uses(&code(text)).into_iter().filter(|own| own.hands_on) {
                for path in expand(&tree.text) {
                    let (path, name) = named(&path);
                    let path = self.absolute(module, &path);
                    self.reexports.insert((module.clone(), name), path);
                }
            }
        }
    }

    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (module, text) in &self.sources {
            let own = imports.entry(module.clone()).or_default();
            let code = code(text);
            let imported = uses(&code).into_iter().filter(|own| !own.hands_on);
            let imported = imported.flat_map(|own| expand(&own.text));
            let paths = imported.chain(paths_in(&code));
            for path in paths {
                let path = self.absolute(module, &named(&path).0);
                own.extend(self.definition(&path).filter(|to| to != module));
            }
        }
        imports
    }

    /// A path from the root of the crate; one of another crate gets a first part that no module has.
    fn absolute(&self, module: &ModulePath, path: &str) -> ModulePath {
        let mut parts = path.split("::").map(str::to_owned).peekable();
        let mut base = module.clone();
        match parts.peek().map(String::as_str) {
            Some("crate") => {
                base.clear();
                parts.next();
            }
            Some("self") => {
                parts.next();
            }
            Some("super") => {
                while parts.next_if(|part| part == "super").is_some() {
                    base.pop();
                }
            }
            Some(child) => {
                let child = [module.clone(), vec![child.to_owned()]].concat();
                if !self.sources.contains_key(&child) {
                    base = vec!["(another crate)".to_owned()];
                }
            }
            None => {}
        }
        base.extend(parts.filter(|part| part != "self"));
        base
    }

    /// The module that defines what a path names.
    fn definition(&self, path: &ModulePath) -> Option<ModulePath> {
        let mut path = path.clone();
        for _ in 0..8 {
            let depth =
                (0..=path.len()).rev().find(|end| self.sources.contains_key(&path[..*end]))?;
            let (module, rest) = path.split_at(depth);
            let name = rest.first();
            match name.and_then(|name| self.reexports.get(&(module.to_vec(), name.clone()))) {
                Some(to) => path = [to.as_slice(), &rest[1..]].concat(),
                None if module.is_empty() => return None,
                None => return Some(module.to_vec()),
            }
        }
        None
    }
}

/// The types that code defines; associated types are indented, and left out.
fn types(code: &str) -> Vec<String> {
    let defined = code.lines().filter_map(|line| {
        let line = match line.strip_prefix("pub(") {
            Some(rest) => rest.split_once(") ")?.1,
            None => line.strip_prefix("pub ").unwrap_or(line),
        };
        let keywords = ["struct ", "enum ", "trait ", "type ", "union "];
        let rest = keywords.iter().find_map(|keyword| line.strip_prefix(keyword))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    });
    defined.collect()
}

/// A `use` without its keyword.
struct Use {
    text: String,
    /// Whether it makes the names known to other modules.
    hands_on: bool,
}

fn uses(code: &str) -> Vec<Use> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, keyword) in code.match_indices("use ") {
        let before = code[..at].trim_end();
        if code[..at].ends_with(is_word) {
            continue;
        }
        let visible = before.ends_with(')')
            && before.rsplit_once("pub(").is_some_and(|(_, scope)| {
                scope.chars().all(|c| is_word(c) || c == ')' || c == ':' || c == ' ')
            });
        let text = &code[at + keyword.len()..];
        let text = text[..text.find(';').unwrap_or(text.len())].to_owned();
        found.push(Use { text, hands_on: visible || before.ends_with("pub") });
    }
    found
}

/// The path of an import, and the name by which it is known.
fn named(path: &str) -> (String, String) {
    let (path, renamed) = match path.split_once(" as ") {
        Some((path, name)) => (path.trim(), Some(name.trim().to_owned())),
        None => (path.trim(), None),
    };
    let path = path.strip_suffix("::self").unwrap_or(path);
    let last = path.rsplit("::").next().unwrap_or(path);
    (path.to_owned(), renamed.unwrap_or_else(|| last.to_owned()))
}

/// Every path of a tree such as `crate::{a::B, c}`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        depth += usize::from(c == '{');
        depth -= usize::from(c == '}');
        if c == ',' && depth == 0 {
            let part = inside[begin..at].trim();
            found.extend(expand(part).into_iter().filter(|own| !own.is_empty()));
            begin = at + 1;
        }
    }
    found.into_iter().map(|own| format!("{}{own}", before.trim())).collect()
}

/// The paths that begin at the crate or above the module, outside of imports.
fn paths_in(code: &str) -> Vec<String> {
    let mut code = code.to_owned();
    for own in uses(&code) {
        code = code.replace(&own.text, "");
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '.') {
                continue;
            }
            let end = code[at..].find(|c: char| !is_word(c) && c != ':').unwrap_or(code.len() - at);
            found.push(code[at..at + end].trim_end_matches(':').to_owned());
        }
    }
    found
}

/// A source without its comments, its strings and its tests.
fn code(text: &str) -> String {
    let is_for_tests = |at: &usize| {
        let mut lines = text[*at..].lines();
        let of_tests = lines.next().is_some_and(|line| line.contains("test"));
        of_tests && lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let tests = text.match_indices("#[cfg(").map(|(at, _)| at).find(is_for_tests);
    let text = tests.map_or(text, |end| &text[..end]);
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '/']) {
            if rest[at..].starts_with("//") {
                rest = &rest[..at];
                break;
            }
            let (before, after) = rest.split_at(at + 1);
            code.push_str(before);
            rest = after;
            if before.ends_with('"') {
                rest = rest.split_once('"').map_or("", |(_, after)| after);
            }
        }
        code.push_str(rest);
        code.push('\n');
    }
    code
}

/// The sets of modules of which each imports each other, straight or by others.
fn circles(imports: &Imports) -> Vec<BTreeSet<ModulePath>> {
    let reached = |from: &ModulePath| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(next) = open.pop() {
            for to in imports.get(next).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
        imports.keys().map(|from| (from, reached(from))).collect();
    let mut found = BTreeSet::new();
    for (from, to) in &reached {
        if to.contains(*from) {
            let back =
                to.iter().filter(|own| reached.get(own).is_some_and(|all| all.contains(*from)));
            found.insert(back.cloned().collect::<BTreeSet<_>>());
        }
    }
    found.into_iter().collect()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
