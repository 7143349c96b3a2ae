//! Tests with files as authors write them: some with one mistake each, whose code and position are in a comment at the
//! end, and some without any.

use std::fs;
use std::path::{Path, PathBuf};

use std::collections::BTreeMap;

use schemas::dialect::compozy::DefinitionDocument;
use serde_json::{Value, json};

use crate::files::{Code, Desired, Diagnostic, Entry, Loaded, Unset, Usage, read_env_file};
use crate::source::File;
use crate::workflow::interpret;
use crate::{Environment, Settings, load};

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(folder);
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn settings() -> Settings {
    let environment = Environment::from_iter([
        ("TOKEN", "t"),
        ("SEARCH_URL", "http://search.test/mcp"),
        ("ROOT", "/srv"),
        ("MODE", "dev"),
        ("HOME", "/home/jane"),
        ("REGION", "eu"),
    ]);
    let gateway = "http://127.0.0.1:6001".parse().expect("an address");
    Settings { unset: Unset::Refuse, ..Settings::new(gateway, environment) }
}

/// Returns all diagnostics of a file, or of the files of a folder.
fn remarks(path: &Path) -> Vec<Diagnostic> {
    if path.extension().is_some_and(|it| it == "env") {
        let read = read_env_file(path);
        return read.map_or_else(|invalid| invalid.diagnostics, |read| read.remarks);
    }
    match load(&[path.to_owned()], &settings()) {
        Ok(Loaded { remarks, .. }) => remarks,
        Err(invalid) => invalid.diagnostics,
    }
}

/// Formats a diagnostic as `code line:column-line:column`.
fn shown(remark: &Diagnostic) -> String {
    let Diagnostic { code, line, column, end_line, end_column, .. } = remark;
    format!("{code} {line}:{column}-{end_line}:{end_column}")
}

fn expected(path: &Path) -> Vec<String> {
    let files = match path.is_dir() {
        true => fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()).collect(),
        false => vec![path.to_owned()],
    };
    let texts = files.iter().map(|file| fs::read(file).expect("a file"));
    // One of the files is UTF-16; its comment is ASCII with a zero byte behind each character.
    let texts = texts.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', ""));
    let marks = texts.flat_map(|text| {
        text.lines().filter_map(|line| line.strip_prefix("# expect: ").map(str::to_owned)).collect::<Vec<_>>()
    });
    marks.collect()
}

#[test]
fn every_mistake_is_found_where_it_is_and_nothing_else() {
    let paths = fixtures("defects");
    assert!(paths.len() >= 60, "{}", paths.len());
    let mut wrong = Vec::new();
    for path in &paths {
        let (found, expected) = (remarks(path), expected(path));
        assert!(!found.iter().any(|remark| format!("{remark:?}").contains("hush")), "{}", path.display());
        assert_eq!(expected.len(), 1, "{}", path.display());
        if found.iter().map(shown).collect::<Vec<_>>() != expected {
            let told: Vec<String> = found.iter().map(|it| format!("\n    {}: {}", shown(it), it.message)).collect();
            wrong.push(format!("{}: expected {}{}", path.display(), expected.join(", "), told.concat()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let paths = fixtures("clean");
    assert!(paths.len() >= 20, "{}", paths.len());
    let (mut told, mut empty) = (Vec::new(), Vec::new());
    for path in &paths {
        let (none, others): (Vec<_>, Vec<_>) = remarks(path).into_iter().partition(|it| it.code == Code::NoEntries);
        told.extend(others.iter().map(ToString::to_string));
        let name = path.file_stem().expect("a name").to_string_lossy();
        empty.extend(none.iter().map(|remark| format!("{name}: {}", remark.severity)));
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    // Some files declare nothing, which is reported for a path that was asked for.
    let expected = [
        "actions-of-agents: note",
        "empty-lists: note",
        "empty: warning",
        "foreign: warning",
        "helm: warning",
        "list: warning",
        "no-servers: note",
        "nulls: note",
        "only-comments: warning",
    ];
    assert_eq!(empty, expected);
}

/// Returns the output of `render` for the files, by their paths below the fixtures.
fn rendered(desired: &Desired) -> Vec<(String, String)> {
    let holds_entries = |file: &File| desired.entries().iter().any(|entry| entry.location.file == file.path());
    let rewritten = desired.rewritten();
    let shown = rewritten.iter().filter(|file| holds_entries(file));
    let name = |file: &File| file.path().rsplit_once("/fixtures/").expect("a fixture").1.to_owned();
    shown.map(|file| (name(file), file.to_yaml())).collect()
}

/// Returns the registration of an entry with its secrets redacted, or a mark for a direct one.
fn meaning(entry: &Entry) -> Value {
    match &entry.usage {
        Usage::Direct => json!([entry.id, "direct"]),
        Usage::Referenced { name, url } => json!([entry.id, name, url]),
        Usage::Registered { definition, .. } => {
            let shown = DefinitionDocument::from(definition.as_ref().clone()).redacted();
            json!([entry.id, DefinitionDocument { tags: BTreeMap::new(), ..shown }])
        }
    }
}

/// Compares with go-yaml's reading of the recorded output (`template::vectors`).
#[test]
fn what_is_rendered_means_to_the_engine_what_is_registered() {
    let recorded = include_str!("../../tests/fixtures/templates/render.jsonl").lines();
    let recorded = recorded.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut recorded: BTreeMap<String, Value> =
        recorded.filter_map(|it| Some((it["file"].as_str()?.to_owned(), it["text"].clone()))).collect();
    for path in fixtures("clean") {
        let desired = load(std::slice::from_ref(&path), &settings()).expect("valid").desired;
        let texts = rendered(&desired);
        assert_eq!(texts, rendered(&desired), "{}", path.display());
        let again = |settings: &Settings| {
            let files = texts.iter().map(|(name, yaml)| File::parse(name, name, yaml).0).collect();
            interpret(files, Vec::new(), settings).expect("valid").desired
        };
        for (name, yaml) in &texts {
            assert_eq!(
                recorded.remove(name),
                Some(json!(yaml)),
                "{name}: run tests/templates/differential to record it"
            );
        }
        let all = Settings { all: true, ..settings() };
        let (everything, read_again) = (load(&[path], &all).expect("valid").desired, again(&all));
        assert_eq!(desired.entries().len(), read_again.entries().len());
        for ((entry, whole), shown) in desired.entries().iter().zip(everything.entries()).zip(read_again.entries()) {
            match &entry.usage {
                // The engine reaches the server at the gateway, by its registered name.
                Usage::Registered { definition, url } => {
                    assert_eq!(meaning(shown), json!([entry.id, definition.name, url]));
                }
                Usage::Direct | Usage::Referenced { .. } => assert_eq!(meaning(shown), meaning(whole)),
            }
        }
    }
    assert!(recorded.is_empty(), "{recorded:?}");
}

/// An editor may leave half of a file for a moment. Diagnostics of it must be inside of it.
#[test]
fn of_any_half_of_a_file_places_are_inside_of_it() {
    let settings = settings();
    let files = [fixtures("defects"), fixtures("clean")].concat();
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    for text in texts {
        for (end, _) in text.char_indices().step_by(13) {
            let half = &text[..end];
            let (file, malformed) = File::parse("f.yaml", "f.yaml", half);
            let found = match interpret(vec![file], malformed, &settings) {
                Ok(loaded) => loaded.remarks,
                Err(invalid) => invalid.diagnostics,
            };
            let lines = half.split('\n').count();
            for remark in found {
                let (start, end) = ((remark.line, remark.column), (remark.end_line, remark.end_column));
                assert!((1, 1) <= start && start <= end && end.0 as usize <= lines, "{remark}\n{half}");
                assert!(remark.excerpt.is_some() || remark.line as usize == lines, "{remark}\n{half}");
            }
        }
    }
}
