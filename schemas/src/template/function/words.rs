//! Sprig's functions that change strings word by word, and that break lines.

use crate::template::budget::Budget;
use crate::template::function::{Outcome, done, int, text};
use crate::template::problem::Problem;
use crate::template::text::{is_space, is_title, is_upper, letters, lower, mapped, title as title_of, upper};
use crate::template::value::Value;

/// True for a letter that separates words in Go; beyond ASCII, letters and digits do not.
fn is_separator(letter: char) -> bool {
    match letter.is_ascii() {
        true => !letter.is_ascii_alphanumeric() && letter != '_',
        false => !letter.is_alphanumeric() && is_space(letter),
    }
}

pub(super) fn title(values: &[Value], _: &mut Budget) -> Outcome {
    let mut before = ' ';
    done(mapped(text(values, 0), |letter| {
        let is_start = is_separator(before);
        before = letter;
        if is_start { title_of(letter) } else { letter }
    }))
}

pub(super) fn untitle(values: &[Value], _: &mut Budget) -> Outcome {
    let whole = text(values, 0);
    if whole.is_empty() {
        return done(whole);
    }
    let mut is_next = true;
    done(mapped(whole, |letter| {
        if is_space(letter) {
            is_next = true;
            return letter;
        }
        if std::mem::take(&mut is_next) { lower(letter) } else { letter }
    }))
}

pub(super) fn swapcase(values: &[Value], _: &mut Budget) -> Outcome {
    let mut is_start = true;
    done(mapped(text(values, 0), |letter| {
        if is_upper(letter) || is_title(letter) {
            is_start = false;
            return lower(letter);
        }
        if is_lower(letter) {
            return if std::mem::take(&mut is_start) { title_of(letter) } else { upper(letter) };
        }
        is_start = is_space(letter);
        letter
    }))
}

/// `unicode.IsLower`: a letter of category Ll.
fn is_lower(letter: char) -> bool {
    let is_other = matches!(letter,
        '\u{aa}' | '\u{ba}' | '\u{2b0}'..='\u{2b8}' | '\u{2c0}'..='\u{2c1}' | '\u{2e0}'..='\u{2e4}' | '\u{345}' | '\u{37a}'
        | '\u{1d2c}'..='\u{1d6a}' | '\u{1d78}' | '\u{1d9b}'..='\u{1dbf}' | '\u{2071}' | '\u{207f}' | '\u{2090}'..='\u{209c}'
        | '\u{2170}'..='\u{217f}' | '\u{24d0}'..='\u{24e9}');
    letter.is_lowercase() && !is_other
}

/// Returns the letters of a text, if Go and Rust classify all of them alike.
fn known(values: &[Value]) -> Result<Vec<char>, Problem> {
    let found: Vec<char> = letters(text(values, 0)).map(|(letter, _)| letter).collect();
    let is_known = |letter: &char| {
        letter.is_ascii() || is_space(*letter) || is_upper(*letter) || (is_lower(*letter) && upper(*letter) != *letter)
    };
    match found.iter().all(is_known) {
        true => Ok(found),
        false => Err(Problem::Refused("a text with such letters is not split into words here".to_owned())),
    }
}

fn is_connector(letter: char) -> bool {
    letter == '-' || letter == '_' || is_space(letter)
}

pub(super) fn camelcase(values: &[Value], _: &mut Budget) -> Outcome {
    let whole = known(values)?;
    let start = whole.iter().position(|letter| !is_connector(*letter));
    let Some(start) = start else { return camel_of_connectors(&whole) };
    let mut out: String = whole.get(..start).unwrap_or_default().iter().collect();
    let mut rest = whole.get(start..).unwrap_or_default().iter();
    let Some(first) = rest.next() else { return done(out) };
    let mut held = upper(*first);
    for letter in rest {
        let before = std::mem::replace(&mut held, *letter);
        match (is_connector(*letter), is_connector(before)) {
            (true, true) => out.push(before),
            (_, true) => held = upper(*letter),
            (_, false) => {
                held = lower(*letter);
                out.push(before);
            }
        }
    }
    out.push(held);
    done(out)
}

/// For a text of connectors only, Go writes the last one twice.
fn camel_of_connectors(whole: &[char]) -> Outcome {
    let last = whole.last();
    done(whole.iter().chain(last).collect::<String>())
}

pub(super) fn snakecase(values: &[Value], _: &mut Budget) -> Outcome {
    done(connected(&known(values)?, '_'))
}

pub(super) fn kebabcase(values: &[Value], _: &mut Budget) -> Outcome {
    done(connected(&known(values)?, '-'))
}

/// Character class of a run of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Nothing,
    Number,
    Upper,
    Lower,
    Connector,
    Punctuation,
    Other,
}

fn class(letter: char) -> Class {
    match letter {
        _ if is_connector(letter) => Class::Connector,
        '!'..='#' | '%'..='*' | ','..='/' | ':' | ';' | '?' | '@' | '['..=']' | '{' | '}' => Class::Punctuation,
        _ if is_upper(letter) => Class::Upper,
        '0'..='9' => Class::Number,
        _ if letter.is_alphabetic() => Class::Lower,
        _ => Class::Other,
    }
}

/// Returns the class and the length of the next run of a text.
fn run(whole: &[char]) -> (Class, usize) {
    let Some(first) = whole.first() else { return (Class::Nothing, 0) };
    let first = class(*first);
    let count = |from: usize, wanted: Class| {
        whole.get(from..).unwrap_or_default().iter().take_while(|letter| class(**letter) == wanted).count()
    };
    let length = match first {
        // The last capital of several begins the next word: `HTTPStatus` is `HTTP` and `Status`.
        Class::Upper => match count(0, Class::Upper) {
            1 => 1 + count(1, Class::Lower),
            several if count(several, Class::Lower) > 0 => several - 1,
            several => several,
        },
        // Inside punctuation, `-` and `_` are punctuation too and connect no words.
        Class::Punctuation => {
            let is_punctuation = |letter: &char| class(*letter) == Class::Punctuation || matches!(letter, '-' | '_');
            whole.iter().take_while(|letter| is_punctuation(letter)).count()
        }
        class => count(0, class),
    };
    (first, length)
}

/// Returns the words of a text in lower case with a connector between them.
fn connected(whole: &[char], connector: char) -> String {
    let mut out = String::new();
    let mut rest = whole;
    let next = |rest: &mut &[char]| -> (Class, Vec<char>) {
        let (class, length) = run(rest);
        let (word, behind) = rest.split_at_checked(length).unwrap_or_default();
        *rest = behind;
        (class, word.to_vec())
    };
    let write = |out: &mut String, class: Class, word: &[char]| {
        let letter = |letter: &char| match class {
            Class::Connector => connector,
            Class::Upper if is_upper(*letter) => lower(*letter),
            _ => *letter,
        };
        out.extend(word.iter().map(letter));
    };
    let is_word = |class: Class| !matches!(class, Class::Nothing | Class::Punctuation | Class::Connector);
    let (mut class, mut word) = next(&mut rest);
    while !rest.is_empty() {
        if class != Class::Connector {
            write(&mut out, class, &word);
        }
        let (before, last) = (class, word);
        (class, word) = next(&mut rest);
        match before {
            Class::Number => {
                while matches!(class, Class::Lower | Class::Number) {
                    write(&mut out, class, &word);
                    (class, word) = next(&mut rest);
                }
                if is_word(class) {
                    out.push(connector);
                }
            }
            Class::Connector => write(&mut out, before, &last),
            Class::Punctuation => {}
            _ if class != Class::Number => {
                if !matches!(class, Class::Connector | Class::Punctuation) {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (class, word) = next(&mut rest);
                if class != Class::Lower {
                    write(&mut out, Class::Number, &number);
                    if !matches!(class, Class::Connector | Class::Punctuation) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                write(&mut out, Class::Number, &number);
                while matches!(class, Class::Lower | Class::Number) {
                    write(&mut out, class, &word);
                    (class, word) = next(&mut rest);
                }
                if is_word(class) {
                    out.push(connector);
                }
            }
        }
    }
    write(&mut out, class, &word);
    out
}

pub(super) fn wrap(values: &[Value], budget: &mut Budget) -> Outcome {
    done(wrapped(text(values, 1), int(values, 0), b"\n", false, budget)?)
}

pub(super) fn wrap_with(values: &[Value], budget: &mut Budget) -> Outcome {
    let line_break = text(values, 1);
    let line_break = if line_break.is_empty() { b"\n" } else { line_break };
    done(wrapped(text(values, 2), int(values, 0), line_break, true, budget)?)
}

/// Breaks lines at blanks and, if `breaks_words`, inside words that are longer than a line.
fn wrapped(
    whole: &[u8],
    width: i64,
    line_break: &[u8],
    breaks_words: bool,
    budget: &mut Budget,
) -> Result<Vec<u8>, Problem> {
    let width = usize::try_from(width).unwrap_or_default().max(1);
    let (mut rest, mut out) = (whole, Vec::new());
    while rest.len() > width {
        budget.take(line_break.len())?;
        if let Some(behind) = rest.strip_prefix(b" ") {
            rest = behind;
            continue;
        }
        let head = rest.get(..=width).unwrap_or_default();
        let is_blank = |byte: &u8| *byte == b' ';
        let (end, next) = match head.iter().rposition(is_blank) {
            Some(at) => (at, at + 1),
            None if breaks_words => (width, width),
            None => match rest.get(width..).unwrap_or_default().iter().position(is_blank) {
                Some(at) => (width + at, width + at + 1),
                None => break,
            },
        };
        out.extend_from_slice(rest.get(..end).unwrap_or_default());
        out.extend_from_slice(line_break);
        rest = rest.get(next..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(out)
}
