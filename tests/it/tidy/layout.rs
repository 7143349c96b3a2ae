//! Layout of the tree: its top folder, names of files, lengths of files.

use std::collections::BTreeSet;
use std::io;

use super::{every_file, is_test, nothing_wrong, paths, problem, without_tests};

/// Entries of the top folder, besides hidden files of tools.
const TOP_LEVEL: &str = "Cargo.lock Cargo.toml LICENSE README.md examples findings proxy-client proxy-server \
                         register-service schemas tests workflows";
const MAX_LINES: usize = 500;

#[test]
fn the_top_level_holds_exactly_the_map() -> io::Result<()> {
    nothing_wrong(&top_level(&paths()?));
    Ok(())
}

#[test]
fn no_file_is_called_mod_rs() -> io::Result<()> {
    every_file(has_a_name_of_its_own)
}

#[test]
fn no_file_is_over_500_lines() -> io::Result<()> {
    every_file(is_short)
}

fn top_level(paths: &[String]) -> Vec<String> {
    let wanted: BTreeSet<&str> = TOP_LEVEL.split_whitespace().collect();
    let entries = paths.iter().filter_map(|path| path.split('/').next());
    let found: BTreeSet<&str> = entries.filter(|name| !name.starts_with('.')).collect();
    let missing = wanted.difference(&found).map(|name| format!("{name}: missing"));
    missing.chain(found.difference(&wanted).map(|name| format!("{name}: not on the map"))).collect()
}

fn has_a_name_of_its_own(path: &str, _: &str) -> Vec<String> {
    problem(path.ends_with("/mod.rs"), "is named by its folder: `x/mod.rs` should be `x.rs`")
}

fn is_short(path: &str, text: &str) -> Vec<String> {
    let length = without_tests(text).lines().count();
    problem(
        path.ends_with(".rs") && !is_test(path) && length > MAX_LINES,
        &format!("has {length} lines without its tests"),
    )
}

#[test]
fn finds_a_top_level_off_the_map() {
    let text = TOP_LEVEL.replace("LICENSE", "notes/a.md .ci/run");
    let paths: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    assert_eq!(top_level(&paths), ["LICENSE: missing", "notes: not on the map"]);
}

#[test]
fn finds_a_long_file_but_not_its_tests() {
    let lines = |count| "let a = 1;\n".repeat(count);
    assert_eq!(is_short("a/src/b.rs", &lines(501)), ["has 501 lines without its tests"]);
    let with_tests = lines(500) + "#[cfg(test)]\nmod tests {\n" + &lines(500);
    assert!(is_short("a/src/b.rs", &with_tests).is_empty());
    assert!(is_short("a/src/b/tests.rs", &lines(501)).is_empty());
}

#[test]
fn finds_a_file_named_by_its_folder() {
    assert_eq!(has_a_name_of_its_own("a/src/b/mod.rs", "").len(), 1);
}
