//! `.env` files: `NAME=value`, one a line.
//!
//! `export` in front is allowed, `#` begins a comment at the start of a line and behind a space. Single quotes keep
//! everything as it is; double quotes know `\n`, `\r`, `\t`, `\"`, `\\` and `\$`. Both may hold line breaks. Nothing is
//! substituted: a `$` is a `$`.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
use crate::source;
use crate::source::node::{Position, Span};
use crate::workflow::InvalidFiles;

/// Reads a `.env` file: names and values, in order. What is wrong is told without any value.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join(".env");
/// std::fs::write(&file, "# of the team\nexport HOST=a.test\nTOKEN='se cret'\n")?;
/// let variables = register_service::read_env_file(&file)?;
/// assert_eq!(variables[1], ("TOKEN".to_owned(), "se cret".to_owned()));
///
/// std::fs::write(&file, "TOKEN 'se cret'\n")?;
/// let invalid = register_service::read_env_file(&file).unwrap_err();
/// assert!(invalid.diagnostics[0].to_string().ends_with(":1:1: error[bad-env-file]: `=` is missing"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_env_file(path: &Path) -> Result<Vec<(String, String)>, InvalidFiles> {
    let (shown, text) =
        source::text_of(path).map_err(|remark| InvalidFiles { diagnostics: vec![remark], files: Vec::new() })?;
    let (variables, faults) = parse(&text);
    if faults.is_empty() {
        return Ok(variables);
    }
    let remark =
        |(span, message): (Span, String)| Diagnostic::new(Code::BadEnvFile, &source::location(&shown, span), message);
    Err(InvalidFiles { diagnostics: faults.into_iter().map(remark).collect(), files: vec![shown.clone()] })
}

type Faults = Vec<(Span, String)>;

fn parse(text: &str) -> (Vec<(String, String)>, Faults) {
    let mut variables = Vec::new();
    let mut faults = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut at = Position { line: 1, column: 1 };
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let length = match assignment(rest, line) {
            Ok(Some((name, value, length))) => {
                variables.push((name, value));
                length
            }
            Ok(None) => line.len(),
            Err(message) => {
                let start = at.behind(line.get(..line.len() - line.trim_start().len()).unwrap_or_default());
                // The name alone is marked: behind it stands what may be a secret.
                let word = line.trim_start().split(['=', ' ', '\t']).next().unwrap_or_default();
                faults.push((Span { start, end: start.behind(if word.is_empty() { "=" } else { word }) }, message));
                line.len()
            }
        };
        let end = rest.get(length..).and_then(|it| it.find('\n')).map_or(rest.len(), |it| length + it + 1);
        at = at.behind(rest.get(..end).unwrap_or_default());
        rest = rest.get(end..).unwrap_or_default();
    }
    (variables, faults)
}

/// A name, its value, and how long both are; nothing on an empty line and on one that is a comment.
fn assignment(rest: &str, line: &str) -> Result<Option<(String, String, usize)>, String> {
    let trimmed = line.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let (left, _) = line.split_once('=').ok_or("`=` is missing")?;
    let name = left.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(is_first) || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("this cannot be the name of a variable".to_owned());
    }
    let start = left.len() + 1;
    let written = line.get(start..).unwrap_or_default();
    let blank = written.len() - written.trim_start().len();
    let value = rest.get(start + blank..).unwrap_or_default();
    let Some(quote) = value.chars().next().filter(|c| *c == '"' || *c == '\'') else {
        let bare = written.find(" #").or(written.find("\t#")).and_then(|end| written.get(..end)).unwrap_or(written);
        return Ok(Some((name.to_owned(), bare.trim().to_owned(), line.len())));
    };
    let (text, length) = quoted(value, quote).ok_or_else(|| format!("the {quote} behind `{name}=` is not closed"))?;
    let end = start + blank + length;
    let behind = rest.get(end..).and_then(|it| it.lines().next()).unwrap_or_default().trim_start();
    if !behind.is_empty() && !behind.starts_with('#') {
        return Err(format!("something stands behind the quoted value of `{name}`"));
    }
    Ok(Some((name.to_owned(), text, end)))
}

/// A quoted text and its length, quotes and all.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote == '"' => match letters.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                escaped @ ('"' | '\\' | '$') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            letter if letter == quote => return Some((out, at + 1)),
            letter => out.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let (variables, faults) = parse(text);
        let variables = variables.iter().map(|(name, value)| format!("{name}={value:?}"));
        let faults = faults
            .iter()
            .map(|(it, message)| format!("{}:{}-{} {message}", it.start.line, it.start.column, it.end.column));
        variables.chain(faults).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn reads_every_form() {
        let text = concat!(
            "\u{feff}# team\n\nA=1\r\n export B = two words # why\nC='# $x \\n'\nD=\"a\\tb\\\"c\\\\ \\$d\" # e\nE=\n",
            "F=\"one\ntwo\"\nG=x#y\nH=a=b",
        );
        insta::assert_snapshot!(told(text), @r##"
        A="1"
        B="two words"
        C="# $x \\n"
        D="a\tb\"c\\ $d"
        E=""
        F="one\ntwo"
        G="x#y"
        H="a=b"
        "##);
    }

    #[test]
    fn says_what_is_wrong_without_a_value() {
        insta::assert_snapshot!(told("A 1\nOK=1\n 2B=x\nC='x\nD=\"x\" y\n=x\n"), @r#"
        OK="1"
        1:1-2 `=` is missing
        3:2-4 this cannot be the name of a variable
        4:1-2 the ' behind `C=` is not closed
        5:1-2 something stands behind the quoted value of `D`
        6:1-2 this cannot be the name of a variable
        "#);
    }
}
