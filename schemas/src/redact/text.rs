//! Finds secrets in free text, such as a program's stderr or a server's error message.

use crate::redact::looks::{is_random, is_secret_name, is_token, is_token_letter};
use crate::redact::url::parts_of_urls;
use crate::redact::{Part, disjoint, mask};

/// Masks everything in a text that looks like a secret: user, password and query of URLs, tokens of well-known
/// services, and values after `Bearer`, `password=` or `"apiKey":`.
pub(super) fn redact_text(text: &str) -> String {
    let mut parts = parts_of_urls(text);
    parts.extend(scanned(text, false));
    mask(text, &disjoint(parts))
}

/// A piece of a text between white space and quotes, without the punctuation around it.
struct Word<'t> {
    text: &'t str,
    start: usize,
}

/// Returns the secrets of a text except those inside URLs. In a command line (`is_command`), every value of a
/// secret-sounding flag or variable is a secret; in prose, only a value that looks like one, because the word after
/// `token:` usually is not.
pub(super) fn scanned(text: &str, is_command: bool) -> Vec<Part> {
    // Most arguments are one word that is no assignment.
    if !text.contains([':', '=', '"', '\'', '`', ';', ',', '|', '&']) && !text.contains(char::is_whitespace) {
        return words(text).iter().filter_map(|word| of_word(word, "", false)).collect();
    }
    let words = words(text);
    let mut parts = members(text);
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| words.get(index)).map_or("", |word| word.text);
        parts.extend(of_word(word, before, is_command && words.len() > 1));
    }
    disjoint(parts)
}

fn of_word(word: &Word<'_>, before: &str, is_command: bool) -> Option<Part> {
    let (text, start) = (word.text, word.start);
    let whole = || start..start + text.len();
    let is_scheme = ["bearer", "basic"].iter().any(|scheme| before.eq_ignore_ascii_case(scheme));
    if is_scheme && text.chars().all(is_token_letter) && text.len() >= 4 && (text.len() >= 8 || is_command) {
        return Some(Part::new("Authorization", whole()));
    }
    if is_scheme && text == crate::REDACTED {
        return Some(Part::new("Authorization", whole()));
    }
    if is_token(text) {
        return Some(Part::new("", whole()));
    }
    if is_command
        && before.starts_with('-')
        && !before.contains('=')
        && is_secret_name(before)
        && !text.starts_with('-')
    {
        return Some(Part::new(before, whole()));
    }
    let Some((name, value)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        return behind_colon(word, before);
    };
    if value.is_empty() || value.starts_with("//") || !is_secret_name(name) || name.contains("://") {
        return behind_colon(word, before);
    }
    let begin = start + text.len() - value.len();
    (is_command || text.contains('=') || is_likely(value)).then(|| Part::new(name, begin..start + text.len()))
}

/// Recognises `x-api-key: value`, which is two words.
fn behind_colon(word: &Word<'_>, before: &str) -> Option<Part> {
    let name = before.strip_suffix(':')?;
    let is_value = is_secret_name(name) && is_likely(word.text);
    is_value.then(|| Part::new(name, word.start..word.start + word.text.len()))
}

/// Returns true if a value in prose is more likely a secret than a word.
fn is_likely(value: &str) -> bool {
    let has_digit = value.chars().any(|letter| letter.is_ascii_digit());
    value == crate::REDACTED
        || is_random(value)
        || (value.len() >= 8 && has_digit && value.chars().all(is_token_letter))
}

/// Finds the values of JSON members with a secret-sounding name, `"apiKey": "value"`; the quotes may be escaped.
fn members(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    if !text.contains(['"', '\'']) {
        return parts;
    }
    for quote in ["\"", "\\\"", "'"] {
        let pieces: Vec<(usize, usize)> = quoted(text, quote);
        for pair in pieces.windows(2) {
            let [(name, name_end), (value, value_end)] = *pair else { continue };
            let between = text.get(name_end + quote.len()..value - quote.len()).unwrap_or_default();
            let name = text.get(name..name_end).unwrap_or_default();
            if between.trim() == ":" && is_secret_name(name) {
                parts.push(Part::new(name, value..value_end));
            }
        }
    }
    parts
}

/// Returns the ranges between quotes, taken in pairs.
fn quoted(text: &str, quote: &str) -> Vec<(usize, usize)> {
    let places: Vec<usize> = text.match_indices(quote).map(|(at, _)| at).collect();
    let places: Vec<usize> = match quote {
        "\"" => places.into_iter().filter(|at| !text.get(..*at).is_some_and(|before| before.ends_with('\\'))).collect(),
        _ => places,
    };
    places.chunks(2).filter_map(|pair| Some((pair.first()? + quote.len(), *pair.get(1)?))).collect()
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let is_between =
        |letter: char| letter.is_whitespace() || matches!(letter, ';' | ',' | '|' | '&' | '"' | '\'' | '`');
    let mut start = 0;
    for piece in text.split(is_between) {
        let trimmed = piece.trim_start_matches(['(', '{', '<']);
        let from = start + piece.len() - trimmed.len();
        let word = trimmed.trim_end_matches(['.', ')', '}', '>', '!', '?']);
        if !word.is_empty() {
            words.push(Word { text: word, start: from });
        }
        start += piece.len()
            + text.get(start + piece.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(redact_text(text), expected);
        assert_eq!(redact_text(expected), expected, "masked twice");
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_masked() {
        check("Incorrect API key provided: sk-abcdef123456.", "Incorrect API key provided: [redacted].");
        check("Authorization: Bearer abcdef12345", "Authorization: Bearer [redacted]");
        check(
            "401 for Bearer hush-hush at http://x/?key=hush",
            "401 for Bearer [redacted] at http://x/?key=[redacted]",
        );
        check("GITHUB_TOKEN=hush is wrong", "GITHUB_TOKEN=[redacted] is wrong");
        check("x-api-key: a1b2c3d4e5", "x-api-key: [redacted]");
        check("{\"password\": \"hush hush\", \"user\": \"me\"}", "{\"password\": \"[redacted]\", \"user\": \"me\"}");
        check("{'token': 'hush'}", "{'token': '[redacted]'}");
        check("said {\\\"token\\\":\\\"hush\\\"}", "said {\\\"token\\\":\\\"[redacted]\\\"}");
        check("at (http://x/?a=hush)", "at (http://x/?a=[redacted]");
        check("redis://:hush@h:1/0 refused", "redis://:%5Bredacted%5D@h:1/0 refused");
    }

    #[test]
    fn prose_stays_as_it_is() {
        for text in [
            "token: expected a string",
            "invalid token: too short",
            "the password must not be empty",
            "Error: Cannot find module '/srv/x.js'",
            "max_tokens=100",
            "process ended with exit code 3",
            "commit 9f86d081884c7d659a2feaa0c55ad015",
            "https://x.example/mcp answered 401",
            "unknown tool `ab`; near ones are `abc`, `abd`",
            "",
        ] {
            check(text, text);
        }
    }
}
