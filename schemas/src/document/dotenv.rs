//! Parses `.env` files as the engine does, which uses Go's `godotenv`.
//!
//! Syntax: `NAME=value` or `NAME: value`, one a line, optionally with `export` in front. `#` begins a comment at the
//! start of a line and behind a blank; if there are several, the last one does. Single quotes keep everything literal.
//! In double quotes `\n` and `\r` are line breaks, and a backslash before any other letter is dropped. Outside of single quotes, `$NAME`
//! and `${NAME}` are replaced by a variable defined further up in the file, or by nothing; `\$` is a `$`.

use std::collections::BTreeMap;

use crate::document::{Position, Span};

/// Variables and faults of a `.env` text.
///
/// ```
/// use schemas::document::dotenv;
///
/// let parsed = dotenv::parse("HOST=a.test\nTOKEN 'se cret'\n");
/// assert_eq!(parsed.variables, [("HOST".to_owned(), "a.test".to_owned())]);
/// assert_eq!((parsed.faults[0].0.start.line, parsed.faults[0].1.as_str()), (2, "`=` is missing"));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Parsed {
    /// Names and values, in order. If a name occurs twice, the last value wins.
    pub variables: Vec<(String, String)>,
    /// Lines that are no assignment: the span of the name, and a message without the value.
    pub faults: Vec<(Span, String)>,
    /// Spans of names whose values had a `$` replaced by a variable, with a message each.
    pub substituted: Vec<(Span, String)>,
}

/// Parses the text of a `.env` file. Continues in the next line after a fault.
///
/// ```
/// let parsed = schemas::document::dotenv::parse("# of the team\nexport A=1\nB=\"$A and 2\" # c\n");
/// assert_eq!(parsed.variables[1].1, "1 and 2");
/// ```
pub fn parse(text: &str) -> Parsed {
    let text = text.replace("\r\n", "\n");
    let mut parsed = Parsed::default();
    let mut known = BTreeMap::new();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix('#') {
            rest = comment.find('\n').and_then(|end| comment.get(end..)).unwrap_or_default();
            continue;
        }
        if rest.is_empty() {
            return parsed;
        }
        let start = Position { line: 1, column: 1 }.behind(text.get(..text.len() - rest.len()).unwrap_or_default());
        match statement(rest, &known) {
            Ok(Statement { name, value, is_substituted, behind }) => {
                if is_substituted {
                    let message =
                        format!("a `$` in the value of `{name}` stands for another variable, as in the engine");
                    parsed.substituted.push((Span { start, end: start.behind(&name) }, message));
                }
                known.insert(name.clone(), value.clone());
                parsed.variables.push((name, value));
                rest = behind;
            }
            Err(message) => {
                // Mark the name only, because the rest of the line may be a secret.
                let word =
                    rest.split(['=', ':', ' ', '\t', '\n']).next().filter(|word| !word.is_empty()).unwrap_or("=");
                parsed.faults.push((Span { start, end: start.behind(word) }, message));
                rest = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default();
            }
        }
    }
}

/// Variable, and the rest of the text behind it.
struct Statement<'t> {
    name: String,
    value: String,
    is_substituted: bool,
    behind: &'t str,
}

/// True for white space other than a line feed.
fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// True for a byte of a name. Go treats each byte as a letter of Latin-1.
fn is_name(byte: u8) -> bool {
    let is_latin =
        matches!(byte, 0xaa | 0xb2 | 0xb3 | 0xb5 | 0xb9 | 0xba | 0xbc..=0xbe | 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..=0xff);
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || is_latin || is_blank(char::from(byte))
}

fn statement<'t>(text: &'t str, known: &BTreeMap<String, String>) -> Result<Statement<'t>, String> {
    let text = match text.strip_prefix("export") {
        Some(behind) if behind.starts_with(is_blank) => behind.trim_start_matches(is_blank),
        _ => text,
    };
    let end = text.bytes().position(|byte| !is_name(byte)).ok_or("`=` is missing")?;
    let (name, behind) = text.split_at_checked(end).ok_or("this cannot be the name of a variable")?;
    let name = name.trim_end();
    let behind = match behind.strip_prefix(['=', ':']) {
        Some(behind) if !name.is_empty() => behind.trim_start_matches(is_blank),
        Some(_) => return Err("the name of a variable is missing".to_owned()),
        None if behind.starts_with(['\n', '\'', '"']) => return Err("`=` is missing".to_owned()),
        None => return Err("this cannot be the name of a variable".to_owned()),
    };
    let (written, behind) = match behind.chars().next() {
        Some('\'') => {
            let (value, behind) = quoted(behind, '\'', name)?;
            let value = value.to_owned();
            return Ok(Statement { name: name.to_owned(), value, is_substituted: false, behind });
        }
        Some('"') => {
            let (value, behind) = quoted(behind, '"', name)?;
            (unescaped(value), behind)
        }
        _ => {
            let (line, behind) = behind.split_at(behind.find(['\n', '\r']).unwrap_or(behind.len()));
            (without_comment(line).to_owned(), behind)
        }
    };
    let (value, is_substituted) = substituted(&written, known);
    Ok(Statement { name: name.to_owned(), value, is_substituted, behind })
}

/// Returns a quoted text without its quotes, and the rest behind it.
fn quoted<'t>(text: &'t str, quote: char, name: &str) -> Result<(&'t str, &'t str), String> {
    let is_end = |at: usize| at > 0 && !text.get(..at).is_some_and(|before| before.ends_with('\\'));
    let end = text.match_indices(quote).map(|(at, _)| at).find(|at| is_end(*at));
    let end = end.ok_or_else(|| format!("the {quote} behind `{name}=` is not closed"))?;
    let value = text.get(..end).unwrap_or_default().trim_matches(quote);
    Ok((value, text.get(end + 1..).unwrap_or_default()))
}

/// Returns a line without its comment, which begins with the last `#` behind a blank.
fn without_comment(line: &str) -> &str {
    let is_comment = |at: &usize| line.get(..*at).is_some_and(|before| before.ends_with(is_blank));
    let end = line.rmatch_indices('#').map(|(at, _)| at).find(is_comment).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().trim_matches(is_blank)
}

/// Replaces the escapes in the text of double quotes, except `\$`.
fn unescaped(text: &str) -> String {
    // Replace line breaks first, so that a backslash in front of an escaped line break still applies to it.
    let mut broken = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('n')) => {
                broken.push('\n');
                letters.next();
            }
            ('\\', Some('r')) => {
                broken.push('\r');
                letters.next();
            }
            ('\\', Some(other)) if *other != '\n' => {
                broken.extend(['\\', *other]);
                letters.next();
            }
            _ => broken.push(letter),
        }
    }
    let mut out = String::new();
    let mut letters = broken.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some(other)) if *other != '$' => {
                out.push(*other);
                letters.next();
            }
            _ => out.push(letter),
        }
    }
    out
}

/// Replaces variables by their values. Returns true as well if there were any.
fn substituted(text: &str, known: &BTreeMap<String, String>) -> (String, bool) {
    let (mut out, mut rest, mut is_substituted) = (String::new(), text, false);
    while let Some(at) = rest.find('$') {
        let before = rest.get(..at).unwrap_or_default();
        let behind = rest.get(at + 1..).unwrap_or_default();
        let opened = behind.strip_prefix('(').unwrap_or(behind);
        let opened = opened.strip_prefix('{').unwrap_or(opened);
        let is_letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let length = opened.find(|c| !is_letter(c)).unwrap_or(opened.len());
        let (name, tail) = opened.split_at(length);
        let tail = tail.strip_prefix('}').unwrap_or(tail);
        let whole = rest.get(at..rest.len() - tail.len()).unwrap_or_default();
        match before.strip_suffix('\\') {
            Some(before) => out.extend([before, whole]),
            None if name.is_empty() => out.extend([before, whole]),
            None => {
                is_substituted = true;
                out.extend([before, known.get(name).map_or("", String::as_str)]);
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    (out, is_substituted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let Parsed { variables, faults, substituted } = parse(text);
        let variables = variables.iter().map(|(name, value)| format!("{name}={value:?}"));
        let line = |kind: &'static str| {
            move |(it, message): &(Span, String)| {
                format!("{kind}{}:{}-{} {message}", it.start.line, it.start.column, it.end.column)
            }
        };
        let told = variables.chain(substituted.iter().map(line("$ "))).chain(faults.iter().map(line("")));
        told.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn reads_every_form() {
        let text = concat!(
            "# team\n\nA=1\r\n export B = two words # why\nC='# $x \\n'\nD=\"a\\tb\\\"c\\\\ \\$d\" # e\nE=\n",
            "F=\"one\ntwo\"\nG=x#y\nH=a=b\nI: b\nJ.K=c\n1L=d\nM= #c\nN=a # b # c\nO=\"a\\nb\"\n",
        );
        insta::assert_snapshot!(told(text), @r##"
        A="1"
        B="two words"
        C="# $x \\n"
        D="atb\"c\\ $d"
        E=""
        F="one\ntwo"
        G="x#y"
        H="a=b"
        I="b"
        J.K="c"
        1L="d"
        M="#c"
        N="a # b"
        O="a\nb"
        "##);
    }

    #[test]
    fn replaces_variables_outside_of_single_quotes_and_says_so() {
        let text = "B=x\nA=$B\nC=Pa$5word\nD=\"${B}y\"\nE='$B'\nF=\\$B\nG=\"\\$B\"\nH=$b $ ${ $(x)\nI=$(B)\n";
        insta::assert_snapshot!(told(text), @r#"
        B="x"
        A="x"
        C="Paword"
        D="xy"
        E="$B"
        F="$B"
        G="$B"
        H="$b $ ${ $(x)"
        I="x)"
        $ 2:1-2 a `$` in the value of `A` stands for another variable, as in the engine
        $ 3:1-2 a `$` in the value of `C` stands for another variable, as in the engine
        $ 4:1-2 a `$` in the value of `D` stands for another variable, as in the engine
        $ 9:1-2 a `$` in the value of `I` stands for another variable, as in the engine
        "#);
    }

    #[test]
    fn says_what_is_wrong_without_a_value() {
        insta::assert_snapshot!(told("A 1\nOK=1\n-2B=x\nC='x\nD=\"x\" y\n=x\nhush"), @r#"
        OK="1"
        D="x"
        1:1-2 `=` is missing
        3:1-4 this cannot be the name of a variable
        4:1-2 the ' behind `C=` is not closed
        5:7-8 `=` is missing
        6:1-2 the name of a variable is missing
        7:1-5 `=` is missing
        "#);
    }
}
