//! Masks secrets in a line of a file that is shown on a terminal.

use crate::diagnostic::{Location, is_secret_name};

/// Masks the value behind a key that is probably a secret's, and credentials in URLs. Templates stay, because they
/// contain no secret, and every character keeps its column.
pub(super) fn blot(line: &str) -> String {
    let mut keys = line.match_indices(": ").map(|(at, _)| (last_word(line.get(..at).unwrap_or_default()), at + 2));
    let secret_from = keys.find(|(key, _)| is_secret_name(key)).map(|(_, behind)| behind);
    let mut out = String::with_capacity(line.len());
    let mut depth = 0_u32;
    for (at, letter) in line.char_indices() {
        let rest = line.get(at..).unwrap_or_default();
        depth += u32::from(rest.starts_with("{{"));
        let is_hidden = secret_from.is_some_and(|from| at >= from) || in_credentials(line, at);
        out.push(if is_hidden && depth == 0 && !letter.is_whitespace() { '*' } else { letter });
        let is_end = letter == '}' && line.get(..=at).is_some_and(|it| it.ends_with("}}"));
        depth = depth.saturating_sub(u32::from(is_end));
    }
    out
}

/// Masks the part of a line that is inside of a location.
pub(super) fn hide(line: &str, number: u32, place: &Location) -> String {
    if !(place.line..=place.end_line).contains(&number) {
        return line.to_owned();
    }
    let from = if number == place.line { place.column } else { 1 };
    let to = if number == place.end_line { place.end_column } else { u32::MAX };
    let columns = line.chars().zip(1_u32..);
    columns.map(|(letter, at)| if (from..to).contains(&at) && !letter.is_whitespace() { '*' } else { letter }).collect()
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| c.is_whitespace() || "{,".contains(c)).next().unwrap_or_default()
}

/// True if a byte is between the `://` and the `@` of a URL.
fn in_credentials(line: &str, at: usize) -> bool {
    let Some(start) = line.get(..at).and_then(|before| before.rfind("://")).map(|it| it + 3) else { return false };
    let rest = line.get(start..).unwrap_or_default();
    let end = rest.find(|c: char| c.is_whitespace() || "/\"'".contains(c)).unwrap_or(rest.len());
    rest.get(..end).and_then(|host| host.rfind('@')).is_some_and(|sign| at < start + sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_found_is_hidden_on_each_of_its_lines() {
        let at = Location { line: 2, column: 4, end_line: 3, end_column: 3, ..Location::whole("a") };
        let hide = |line: &str, number| hide(line, number, &at);
        assert_eq!((hide("ab: hush x", 1), hide("ab: hush x", 2)), ("ab: hush x".to_owned(), "ab: **** *".to_owned()));
        assert_eq!(hide("abcd", 3), "**cd");
    }

    #[test]
    fn only_what_is_no_secret_can_be_read() {
        for (line, expected) in [
            ("    url: https://a.test/mcp", "    url: https://a.test/mcp"),
            ("  Authorization: Bearer abc", "  Authorization: ****** ***"),
            ("  X-Api-Key: \"{{ .env.K }}x\"", "  X-Api-Key: *{{ .env.K }}**"),
            ("  url: https://u:p@a.test/", "  url: https://***@a.test/"),
            ("{id: a, headers: {Authorization: abc}}", "{id: a, headers: {Authorization: *****"),
        ] {
            assert_eq!(blot(line), expected);
        }
    }
}
