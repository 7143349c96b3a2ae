//! Finds the secret parts of URLs in the original text, so that the rest of the text is shown unchanged.

use std::ops::Range;

use crate::redact::looks::{is_random, is_token};
use crate::redact::{Part, disjoint, is_placeholder, number};

/// Returns the secret parts of a text that is a URL, with unique labels.
pub(crate) fn url_parts(text: &str) -> Vec<Part> {
    let mut parts = found(text, 0, text.len());
    number(&mut parts);
    parts
}

/// Returns the secret parts of all URLs within a text. A URL ends at white space, a quote or an angle bracket.
pub(super) fn parts_of_urls(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    if !text.contains(':') {
        return parts;
    }
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")).map(|at| from + at) {
        let rest = text.get(at..).unwrap_or_default();
        let is_end =
            |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | '<' | '>' | '|' | '\\');
        let end = rest.find(is_end).map_or(text.len(), |end| at + end);
        let begin = text.get(..at).unwrap_or_default().rfind(|letter: char| !is_scheme(letter)).map_or(0, |begin| {
            begin + text.get(begin..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        parts.extend(found(text, begin, end));
        from = end.max(at + 3);
    }
    disjoint(parts)
}

fn is_scheme(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')
}

/// Returns the secret parts of the URL in the range `begin..end`.
fn found(text: &str, begin: usize, end: usize) -> Vec<Part> {
    let url = text.get(begin..end).unwrap_or_default();
    let Some(at) = url.find("://").map(|at| begin + at + 3) else { return Vec::new() };
    let (rest, fragment) = cut(text, at..end, '#');
    let (rest, query) = cut(text, rest, '?');
    let (authority, path) = cut(text, rest, '/');
    let mut parts = credentials(text, authority);
    if let Some(path) = path {
        let segments = pieces(text, path, '/').into_iter().enumerate();
        let is_secret = |range: &Range<usize>| {
            let segment = text.get(range.clone()).unwrap_or_default();
            is_random(segment) || is_token(segment) || is_placeholder(segment)
        };
        let secret = segments.filter(|(_, range)| is_secret(range));
        parts.extend(secret.map(|(index, range)| Part::new(format!("url.path.{index}"), range)));
    }
    for pair in query.map(|query| pieces(text, query, '&')).unwrap_or_default() {
        let (name, value) = cut(text, pair, '=');
        let part = match value {
            Some(value) => Part::new(format!("url.query.{}", text.get(name).unwrap_or_default()), value),
            None => Part::new("url.query", name),
        };
        parts.push(part);
    }
    parts.extend(fragment.map(|fragment| Part::new("url.fragment", fragment)));
    disjoint(parts)
}

/// Returns user and password. The user alone is secret too, because some services take a token there.
fn credentials(text: &str, authority: Range<usize>) -> Vec<Part> {
    let Some(at) = text.get(authority.clone()).and_then(|text| text.rfind('@')) else { return Vec::new() };
    let (name, password) = cut(text, authority.start..authority.start + at, ':');
    let part = |label: &str, range| Part { is_encoded: true, ..Part::new(label, range) };
    let password = password.map(|password| part("url.password", password));
    [Some(part("url.username", name)), password].into_iter().flatten().collect()
}

/// Splits a range at the first separator.
fn cut(text: &str, range: Range<usize>, separator: char) -> (Range<usize>, Option<Range<usize>>) {
    match text.get(range.clone()).and_then(|text| text.find(separator)) {
        Some(at) => (range.start..range.start + at, Some(range.start + at + separator.len_utf8()..range.end)),
        None => (range, None),
    }
}

fn pieces(text: &str, range: Range<usize>, separator: char) -> Vec<Range<usize>> {
    let (mut pieces, mut rest) = (Vec::new(), Some(range));
    while let Some(left) = rest {
        let (piece, more) = cut(text, left, separator);
        pieces.push(piece);
        rest = more;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::mask;

    fn check(url: &str, expected: &str, labels: &[&str]) {
        let parts = url_parts(url);
        assert_eq!(mask(url, &parts), expected);
        assert_eq!(parts.iter().map(|part| part.label.as_str()).collect::<Vec<_>>(), labels, "{url}");
        let again: Vec<String> = url_parts(expected).into_iter().map(|part| part.label).collect();
        assert_eq!(again, labels, "the labels of what is shown");
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let hidden = "%5Bredacted%5D";
        check("http://x.example/mcp", "http://x.example/mcp", &[]);
        check(
            "http://u:p@x.example:80/mcp",
            &format!("http://{hidden}:{hidden}@x.example:80/mcp"),
            &["url.username", "url.password"],
        );
        check("http://t@x/", &format!("http://{hidden}@x/"), &["url.username"]);
        check("http://:p@x/", &format!("http://:{hidden}@x/"), &["url.password"]);
        check("http://u:p@q@x/", &format!("http://{hidden}:{hidden}@x/"), &["url.username", "url.password"]);
        check(
            "http://x/?a=1&b=&c=3&a=4&d",
            "http://x/?a=[redacted]&b=&c=[redacted]&a=[redacted]&[redacted]",
            &["url.query.a", "url.query.c", "url.query.a#2", "url.query"],
        );
        check("http://x?k=u@p", "http://x?k=[redacted]", &["url.query.k"]);
        check("http://x/#t=1", "http://x/#[redacted]", &["url.fragment"]);
        check("https://x/s/zQ8vK2mN4pR7tX1yB5cD/mcp", "https://x/s/[redacted]/mcp", &["url.path.1"]);
        check("https://x/sk-abcdef123/mcp", "https://x/[redacted]/mcp", &["url.path.0"]);
        check(
            "postgres://u:p@db/name?sslkey=k",
            &format!("postgres://{hidden}:{hidden}@db/name?sslkey=[redacted]"),
            &["url.username", "url.password", "url.query.sslkey"],
        );
        check("not a url?a=b", "not a url?a=b", &[]);
    }
}
