//! Files as authors write them: each with one mistake, whose code and place stand in a comment at its end, and others
//! without any.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::File;
use crate::workflow::interpret;
use crate::{Diagnostic, Environment, Loaded, Settings, Unset, load};

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

/// Everything that is said about a file, or about the files of a folder.
fn remarks(path: &Path) -> Vec<Diagnostic> {
    match load(&[path.to_owned()], &settings()) {
        Ok(Loaded { remarks, .. }) => remarks,
        Err(invalid) => invalid.diagnostics,
    }
}

/// `code line:column-line:column`, and of a folder the file.
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
    // One of the files is UTF-16; its comment is ASCII all the same, with a zero in between.
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
    let told: Vec<String> = paths.iter().flat_map(|path| remarks(path)).map(|remark| remark.to_string()).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Half of a file is what an editor may leave for a moment. Whatever is said of it is said of a place inside of it.
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
