//! Rules that the source tree checks about itself, a file of rules for each subject.
//!
//! Each rule is a function from a file's path and text to the problems in it. One test applies it to every file that
//! git would commit, another to a broken sample, so that no rule can stop being checked unnoticed. The files of rules
//! are checked like all others, so a rule puts the words that it looks for together from parts.

mod docs;
mod imports;
mod layout;
mod manifests;
mod public_items;
mod rows;
mod sizes;
mod words;

use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

/// A file: path and text.
type File = (String, String);

const PACKAGES: [&str; 4] = ["schemas", "proxy-server", "proxy-client", "register-service"];

fn every_file(check: fn(&str, &str) -> Vec<String>) -> io::Result<()> {
    let wrong = |(path, text): &File| -> Vec<String> {
        check(path, text).iter().map(|problem| format!("{path}: {problem}")).collect()
    };
    nothing_wrong(&sources()?.iter().flat_map(wrong).collect::<Vec<_>>());
    Ok(())
}

fn nothing_wrong(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn problem(is_there: bool, words: &str) -> Vec<String> {
    is_there.then(|| words.to_owned()).into_iter().collect()
}

/// Reads every Rust file and manifest.
fn sources() -> io::Result<Vec<File>> {
    let is_wanted = |path: &str| path.ends_with(".rs") || path.ends_with("Cargo.toml");
    let wanted = paths()?.into_iter().filter(|path| is_wanted(path));
    let root = root()?;
    wanted.map(|path| fs::read_to_string(root.join(&path)).map(|text| (path, text))).collect()
}

/// Lists every file that is or could be committed, relative to the top folder.
fn paths() -> io::Result<Vec<String>> {
    let root = root()?;
    let listed = git(&["ls-files", "--cached", "--others", "--exclude-standard", "--full-name", ":/"])?;
    Ok(listed.lines().filter(|path| root.join(path).exists()).map(str::to_owned).collect())
}

fn root() -> io::Result<PathBuf> {
    Ok(PathBuf::from(git(&["rev-parse", "--show-toplevel"])?.trim_end()))
}

fn git(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("git").args(arguments).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(io::Error::other(text(&output.stderr))) }
}

fn identifier(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}

/// Returns the text without its line comments.
fn code(text: &str) -> String {
    let bare = |line: &str| match line.trim_start() {
        comment if comment.starts_with("//") => String::new(),
        _ => line.split(" // ").next().unwrap_or_default().to_owned() + "\n",
    };
    text.lines().map(bare).collect()
}

/// True if a file of a package contains only tests.
fn is_test(path: &str) -> bool {
    path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"))
}

/// Returns the text before the tests of a file.
fn without_tests(text: &str) -> &str {
    const MARK: &str = "#[cfg(test)]\n";
    let opens_module = |line: &str| line.contains("mod ") && line.ends_with('{');
    let is_before_tests = |at: &usize| text[at + MARK.len()..].lines().next().is_some_and(opens_module);
    let end = text.match_indices(MARK).map(|(at, _)| at).find(is_before_tests);
    &text[..end.unwrap_or(text.len())]
}
