//! Doc comments: examples of public items, and the words with which comments open.

use std::io;

use super::{File, code, identifier, nothing_wrong, sources};

/// Packages that others link. Every `pub` item there is reachable, because `unreachable_pub` is on.
const LIBRARIES: [&str; 3] = ["schemas", "proxy-client", "register-service"];
/// Words that follow `pub` at the start of an item that is not a field, a module or an import.
const ITEMS: &str = "struct enum union trait fn async const static type unsafe";
/// Info strings of code fences that are compiled, and so count as examples.
const COMPILED: [&str; 4] = ["", "no_run", "should_panic", "compile_fail"];
/// Words with which at most one doc comment in `FEWEST_DOCS` may open, because the subject has to be guessed.
const UNCLEAR: [&str; 6] = ["What", "Who", "Whether", "How", "Where", "Which"];
const FEWEST_DOCS: usize = 20;

#[test]
fn every_public_item_of_a_library_has_an_example() -> io::Result<()> {
    nothing_wrong(&without_example(&sources()?));
    Ok(())
}

#[test]
fn doc_comments_open_with_their_subject() -> io::Result<()> {
    nothing_wrong(&unclear_docs(&sources()?));
    Ok(())
}

fn without_example(sources: &[File]) -> Vec<String> {
    let of_libraries = sources.iter().filter(|(path, _)| is_of_library(path, sources));
    let bare = |(path, text): &File| -> Vec<String> {
        let items = bare_items(text).into_iter();
        items.map(|(line, item)| format!("{path}:{line}: `{item}` has no example")).collect()
    };
    of_libraries.flat_map(bare).collect()
}

/// Returns the public items without an example in their doc comments, each with its line. Items whose name comes from a
/// macro parameter are skipped: they have the comments that the macro call passes.
fn bare_items(text: &str) -> Vec<(usize, &str)> {
    let (mut bare, mut fences, mut has_example, mut is_in_trait) = (Vec::new(), 0, false, false);
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(doc) = trimmed.strip_prefix("///") {
            let fence = doc.trim_start().strip_prefix("```");
            has_example |= fences % 2 == 0 && fence.is_some_and(|kind| COMPILED.contains(&kind));
            fences += usize::from(fence.is_some());
            continue;
        }
        let item = if is_in_trait { Some(trimmed) } else { trimmed.strip_prefix("pub ") };
        let is_item = item.is_some_and(|item| ITEMS.split(' ').any(|word| word == identifier(item)));
        if is_item && !has_example && !line.contains(" $") {
            bare.push((at + 1, trimmed));
        }
        if is_item || line.is_empty() || line.ends_with(['{', '}', ';']) {
            (fences, has_example) = (0, false);
        }
        is_in_trait = line != "}" && (is_in_trait || line.starts_with("pub trait "));
    }
    bare
}

/// True if a file is part of a library: `lib.rs`, or below one of its modules; a binary has modules of its own.
pub(super) fn is_of_library(path: &str, sources: &[File]) -> bool {
    let Some((package, inside)) = path.split_once("/src/") else { return false };
    let (root, module) = (format!("{package}/src/lib.rs"), format!("mod {};", identifier(inside)));
    let is_module = |line: &str| line == module || line.ends_with(&format!(" {module}"));
    let is_mounted = || sources.iter().any(|(path, text)| *path == root && code(text).lines().any(is_module));
    LIBRARIES.contains(&package) && (path == root || is_mounted())
}

/// Finds doc comments that open with "The same", and all that open with an unclear word if they are too many.
fn unclear_docs(sources: &[File]) -> Vec<String> {
    let (mut problems, mut unclear, mut count) = (Vec::new(), Vec::new(), 0);
    for (path, text) in sources.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let mut before = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let doc = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
            if let Some(mark) = doc.filter(|_| doc != before) {
                count += 1;
                let opening = line.strip_prefix(mark).unwrap_or_default().trim_start();
                let opens = |words: &&str| opening.strip_prefix(*words).is_some_and(|rest| rest.starts_with(' '));
                let place = format!("{path}:{}: opens with its object: {opening}", number + 1);
                if opens(&"The same") {
                    problems.push(place);
                } else if UNCLEAR.iter().any(opens) {
                    unclear.push(place);
                }
            }
            before = doc;
        }
    }
    if unclear.len() * FEWEST_DOCS > count {
        problems.append(&mut unclear);
    }
    problems
}

#[test]
fn finds_a_public_item_without_an_example() {
    let bare = |text: &str| bare_items(text).into_iter().map(|(line, _)| line).collect::<Vec<usize>>();
    let example = "/// A.\n///\n/// ```\n/// let a = 1;\n/// ```\n";
    assert_eq!(bare(&format!("{example}#[derive(Debug)]\npub struct A {{\n    /// A.\n    pub a: B,\n}}\n")), [0; 0]);
    assert_eq!(bare("/// A.\npub struct A;\n\npub(crate) struct B;\npub use b::C;\npub mod d;"), [2]);
    assert_eq!(bare("impl A {\n    /// A.\n    pub async fn a() {\n    }\n\n    pub const B: u8 = 1;\n}"), [3, 6]);
    assert_eq!(bare(&format!("{example}pub fn a(\n    a: u8,\n) {{}}\npub fn b() {{}}\n")), [9]);
    for fence in ["text", "ignore"] {
        assert_eq!(bare(&(example.replacen("```", &format!("```{fence}"), 1) + "pub enum A {}")), [6], "{fence}");
    }
    let in_trait = "pub trait A {\n    /// B.\n    fn b(&self);\n}\n\nfn c() {}\n";
    assert_eq!(bare(&format!("{example}{in_trait}")), [8]);
    assert_eq!(bare("$(#[$doc])*\npub struct $name(String);"), [0; 0]);
}

#[test]
fn finds_the_files_of_a_library() {
    let sources =
        ["schemas/src/lib.rs", "schemas/src/a.rs", "schemas/src/b/c.rs", "schemas/src/main.rs", "schemas/src/bin/d.rs"];
    let text = "//! mod main;\npub mod a;\n#[cfg(test)]\nmod b;\npub fn f() {}\n".to_owned();
    let sources = sources.map(|path| (path.to_owned(), text.clone()));
    let found =
        ["lib.rs", "a.rs", "b/c.rs"].map(|file| format!("schemas/src/{file}:5: `pub fn f() {{}}` has no example"));
    assert_eq!(without_example(&sources), found);
    assert!(!is_of_library("proxy-server/src/lib.rs", &sources));
}

#[test]
fn finds_doc_comments_that_open_with_their_object() {
    let found = |docs: &[&str]| {
        let text: String = docs.iter().map(|doc| format!("/// {doc}\n/// What else.\nfn f() {{}}\n")).collect();
        unclear_docs(&[("a.rs".to_owned(), text)]).len()
    };
    let clear = ["Returns one."; FEWEST_DOCS - 1];
    assert_eq!(found(&clear), 0);
    assert_eq!(found(&[&clear[..], &["What it is."]].concat()), 0);
    assert_eq!(found(&[&clear[..], &["What it is.", "How it is done."]].concat()), 2);
    assert_eq!(found(&[&clear[..], &["The same of two."]].concat()), 1);
}
