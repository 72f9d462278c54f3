//! Every text in `sql/` and `triggers/`: a statement prepares, and nothing lies there unused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::database::{TestDatabase, chain};

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn texts(folder: &str) -> Vec<PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), "sql")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_prepares() {
    let db = TestDatabase::new().await;
    let statements = [texts("sql/queues"), texts("sql/statements"), texts("sql/demo")].concat();
    assert!(statements.len() >= 20, "{statements:?}");
    for path in statements {
        let text = fs::read_to_string(&path).unwrap();
        let prepared = db.client.prepare(&text).await;
        let statement = prepared.unwrap_or_else(|e| panic!("{}: {}", path.display(), chain(&e)));
        let named = (1..=20).filter(|n| text.contains(&format!("${n}"))).count();
        assert_eq!(statement.params().len(), named, "{} leaves a parameter out", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_texts_of_every_queue_have_the_same_shape() {
    let db = TestDatabase::new().await;
    for queue in rowcall::store::queues::ALL {
        let claim = db.client.prepare(queue.claim).await.unwrap();
        let columns: Vec<_> = claim.columns().iter().map(|c| format!("{} {}", c.name(), c.type_())).collect();
        let expected = [
            "key text",
            "generation int4",
            "attempt int4",
            "max_attempts int4",
            "uncertain bool",
            "operation text",
            "payload jsonb",
            "token uuid",
        ];
        assert_eq!(columns, expected, "{}", queue.queue);
        let settle = db.client.prepare(queue.settle).await.unwrap();
        let columns: Vec<_> = settle.columns().iter().map(|c| format!("{} {}", c.name(), c.type_())).collect();
        assert_eq!((columns, settle.params().len()), (vec!["key text".to_owned(), "settled_as text".to_owned()], 10));
    }
}

#[test]
fn every_text_is_embedded() {
    let sources: String = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "rs")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for path in [texts("sql"), texts("triggers")].concat() {
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
        // Migrations are embedded as a folder.
        let used = relative.starts_with("sql/migrations/V") || sources.contains(&format!("../{relative}\""));
        assert!(used, "{relative} lies there unused");
    }
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let mut names: Vec<_> =
        texts("sql/migrations").iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    // By their numbers: as texts, V10 comes before V2.
    names.sort_by_key(|name| name[1..].split_once("__").unwrap().0.parse::<usize>().unwrap());
    for (nth, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("V{}__", nth + 1)), "{names:?}");
    }
    assert_eq!(rowcall::store::migrate::known_version(), i32::try_from(names.len()).unwrap());
}
