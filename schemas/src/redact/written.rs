//! Finds secrets that are written out where a reference to a variable belongs.
//!
//! Masking hides whatever could be a secret. A warning must be right, so this takes only what surely is one.

use std::ops::Range;

use crate::redact::argument::argument_parts;
use crate::redact::looks::{is_random, is_secret_name, is_token};
use crate::redact::{Part, is_placeholder};

/// Values that say whether and how, under a name such as `AUTH`.
const SETTINGS: [&str; 20] = [
    "true",
    "false",
    "none",
    "null",
    "basic",
    "bearer",
    "digest",
    "oauth",
    "oauth2",
    "required",
    "optional",
    "enabled",
    "disabled",
    "auto",
    "always",
    "never",
    "default",
    "public",
    "private",
    "anonymous",
];
/// Few characters are a number or a word, not a secret.
const LEAST: usize = 4;

/// Returns the secrets that are written out in arguments of a program, or in one text, as byte ranges of each.
///
/// ```
/// use schemas::written_secrets;
///
/// let words = ["--api-key", "hush-hush", "--port=8080", "https://me:hush@db.example/x"].map(str::to_owned);
/// let found = written_secrets(&words);
/// assert!(found[0].is_empty() && found[2].is_empty());
/// assert_eq!((&words[1][found[1][0].clone()], &words[3][found[3][0].clone()]), ("hush-hush", "hush"));
/// ```
pub fn written_secrets(words: &[impl AsRef<str>]) -> Vec<Vec<Range<usize>>> {
    let parts = argument_parts(words).into_iter();
    let sure = |(word, parts): (&str, Vec<Part>)| -> Vec<Range<usize>> {
        parts.into_iter().filter(|part| is_sure(part, word)).map(|part| part.range).collect()
    };
    words.iter().map(AsRef::as_ref).zip(parts).map(sure).collect()
}

/// Returns the secret that is the value of a header or variable with a secret's name, behind the scheme if it has one.
///
/// ```
/// use schemas::written_value;
///
/// let value = "Bearer hush-hush";
/// assert_eq!(written_value("Authorization", value).map(|range| &value[range]), Some("hush-hush"));
/// assert_eq!(written_value("Authorization", "Bearer $TOKEN"), None);
/// assert_eq!(written_value("LOG_LEVEL", "debug-more"), None);
/// ```
pub fn written_value(name: &str, value: &str) -> Option<Range<usize>> {
    if !is_secret_name(name) {
        return None;
    }
    let scheme = value.split(' ').next().unwrap_or_default();
    let has_scheme = ["bearer", "basic", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let start = if has_scheme { scheme.len() + 1 } else { 0 };
    let secret = value.get(start..).unwrap_or_default();
    is_value(secret).then_some(start..value.len())
}

fn is_sure(part: &Part, word: &str) -> bool {
    let (value, label) = (part.value(word), part.label.split('#').next().unwrap_or_default());
    if !is_value(value) {
        return false;
    }
    let label = label.strip_prefix("args.").unwrap_or(label);
    is_token(value)
        || match label.strip_prefix("url.") {
            Some("password") => true,
            Some("username" | "fragment") => false,
            // A uuid in a path is most often the name of something.
            Some(place) if place.starts_with("path.") => is_random(value) && value.matches('-').count() != 4,
            Some(place) => place.strip_prefix("query.").is_some_and(is_secret_name),
            None => is_secret_name(label),
        }
}

/// True if a value could be a secret: not a path, an address, a setting, a placeholder, or a reference to something
/// else.
fn is_value(value: &str) -> bool {
    let value = value.trim();
    let is_reference = value.contains("${") || value.starts_with(['$', '%', '<', '@']) || value.contains("{{");
    let is_place = value.starts_with(['/', '~']) || value.starts_with("./") || value.contains("://");
    let is_setting = SETTINGS.iter().any(|word| value.eq_ignore_ascii_case(word));
    value.chars().count() >= LEAST
        && !value.chars().any(char::is_control)
        && !is_reference
        && !is_place
        && !is_setting
        && !is_placeholder(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        let found = written_secrets(&words).into_iter().zip(&words);
        let shown: Vec<&str> = found.flat_map(|(parts, word)| parts.into_iter().map(|part| &word[part])).collect();
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn what_surely_is_a_secret_is_found() {
        check("-y|pkg|--token|hush", &["hush"]);
        check("--api-key=hush-hush", &["hush-hush"]);
        check("-e|GITHUB_TOKEN=hush", &["hush"]);
        check("sk-0123456789|ghp_abcdefghi", &["sk-0123456789", "ghp_abcdefghi"]);
        check("https://me:hush@a.test/x?region=europe&api_key=hush2", &["hush", "hush2"]);
        check("https://a.test/s/zQ8vK2mN4pR7tX1yB5cD/mcp", &["zQ8vK2mN4pR7tX1yB5cD"]);
        check("-H|Authorization: Bearer hush", &["Bearer hush"]);
        check("npx server --token hush --port 80", &["hush"]);
        check("postgres://me:hush@db.test/name", &["hush"]);
    }

    #[test]
    fn nothing_is_found_where_a_reader_would_see_no_secret() {
        check("--token|--verbose|--max-tokens|1000|--key-file|/k.pem", &[]);
        check("-e|TOKEN|-e|MODE=production|-e|LOG_LEVEL=debug", &[]);
        check("git+https://a.test/x.git@9f86d081884c7d659a2feaa0c55ad015", &[]);
        check("https://user@a.test:443/a?tenant=three", &[]);
        check("https://a.test/3f2504e0-4f89-11d3-9a0c-0305e82c3301/mcp", &[]);
        check("--token|$TOKEN|--password=${PASSWORD}|--secret|<your secret>", &[]);
        check("--auth|none|--token|[redacted]|--ssh-key|~/.ssh/id", &[]);
        check("--token|\u{1}\u{1}\u{1}\u{1}\u{1}", &[]);
        check("@modelcontextprotocol/server-filesystem|/srv", &[]);
    }

    #[test]
    fn a_value_is_a_secret_by_its_name() {
        let find = |name: &str, value: &'static str| written_value(name, value).map(|range| &value[range]);
        assert_eq!(find("X-Api-Key", "hush"), Some("hush"));
        assert_eq!(find("authorization", "Basic aHVzaA=="), Some("aHVzaA=="));
        assert_eq!(find("DB_PASSWORD", "two words"), Some("two words"));
        for value in ["", "abc", "none", "Bearer", "Bearer ", "/run/secrets/token", "$TOKEN", "${TOKEN}", "[redacted]"]
        {
            assert_eq!(find("TOKEN", value), None, "{value}");
        }
        assert_eq!(find("TOKEN_URL", "hush"), None);
    }
}
