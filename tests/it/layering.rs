//! The layers: imports run downhill only, and what belongs to one file stays there.

use std::fs;
use std::path::{Path, PathBuf};

/// The words: no I/O, and they know only each other.
const WORDS: [&str; 13] = [
    "job",
    "outcome",
    "failure",
    "queue",
    "retry",
    "rate",
    "schedule",
    "readiness",
    "connections",
    "notice",
    "sheet",
    "link",
    "order",
];

/// What each layer may import of this crate, besides itself and the words.
const LAYERS: [(&str, &[&str]); 8] = [
    ("store", &[]),
    ("integrations", &[]),
    ("sandbox", &[]),
    // It resolves the settings that the layers below it take.
    ("config", &["store", "integrations", "http"]),
    ("worker", &["store", "integrations"]),
    ("http", &["store"]),
    ("cli", &["config", "store", "integrations", "sandbox", "worker", "http"]),
    ("main", &["cli"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layer that a file belongs to: the folder, or the file, directly in `src`.
fn layer(path: &Path) -> String {
    let first = path.strip_prefix(src()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Whether a file holds unit tests only.
fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The code of a file without its comments and its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a text names, in `use` or in full.
fn named(code: &str) -> Vec<String> {
    let names = code.split("crate::").skip(1).chain(code.split("rowcall::").skip(1));
    names
        .flat_map(|rest| {
            let list = rest.strip_prefix('{').and_then(|rest| rest.split("};").next());
            match list {
                // `use crate::{config, store::chain}`
                Some(list) => list.split(',').map(|item| item.trim().to_owned()).collect(),
                None => vec![rest.to_owned()],
            }
        })
        .map(|name| name.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_run_downhill_only() {
    for path in sources(&src()) {
        let from = layer(&path);
        if from == "lib" {
            continue;
        }
        let allowed: Vec<&str> = if let Some((name, below)) = LAYERS.iter().find(|(name, _)| *name == from) {
            WORDS.iter().chain(below.iter()).chain([name]).copied().collect()
        } else {
            assert!(WORDS.contains(&from.as_str()), "{} is in no layer", path.display());
            WORDS.to_vec()
        };
        for name in named(&code(&path)) {
            assert!(allowed.contains(&name.as_str()), "{} imports {name}, which is not below {from}", path.display());
        }
    }
}

#[test]
fn only_one_file_knows_the_crate_backoff() {
    let knows = |path: &PathBuf| code(path).contains("backoff::");
    let files: Vec<_> = sources(&src()).into_iter().filter(knows).collect();
    assert_eq!(files, [src().join("store/reconnect.rs")]);
}

#[test]
fn only_the_store_knows_sql() {
    let begins =
        ["select ", "insert into ", "update ", "delete from ", "create table", "drop table", "alter ", "truncate "];
    // What they measure and what they show are databases and rows of their own.
    let excepted = ["cli/bench/", "cli/demo", "sandbox/postgres/"];
    for path in sources(&src()) {
        let relative = path.strip_prefix(src()).unwrap().to_str().unwrap().to_owned();
        if is_test(&path)
            || relative.starts_with("store/")
            || excepted.iter().any(|prefix| relative.starts_with(prefix))
        {
            continue;
        }
        for literal in code(&path).split('"').skip(1).step_by(2) {
            let text = literal.trim_start();
            let sql = begins.iter().any(|begin| text.starts_with(begin)) || text.contains(" as (\n");
            assert!(!sql, "{relative} holds SQL: {text}");
        }
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for path in sources(&src()).into_iter().chain(sources(&tests)) {
        assert!(fs::read_to_string(&path).unwrap().starts_with("//!"), "{}", path.display());
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(tests.join("main.rs")).unwrap();
    for path in sources(&tests) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        // A folder's files are named by the file of the folder's name.
        let folder = path.parent().unwrap();
        let parent =
            if folder == tests { main.clone() } else { fs::read_to_string(folder.with_extension("rs")).unwrap() };
        assert!(name == "main" || parent.contains(&format!("mod {name};")), "{name}");
    }
}
