//! Finds the secret parts of a program's arguments.

use std::ops::Range;

use crate::REDACTED;
use crate::redact::looks::{is_random, is_secret_name, is_token};
use crate::redact::text::scanned;
use crate::redact::url::parts_of_urls;
use crate::redact::{Part, disjoint, number};

/// Returns the secret parts of each argument. Labels are unique within the list.
pub(crate) fn argument_parts(words: &[impl AsRef<str>]) -> Vec<Vec<Part>> {
    let mut before: Option<&str> = None;
    let mut all: Vec<Vec<Part>> = Vec::with_capacity(words.len());
    for word in words.iter().map(AsRef::as_ref) {
        all.push(of_word(word, before));
        before = Some(word);
    }
    if all.iter().all(Vec::is_empty) {
        return all;
    }
    let mut flat: Vec<Part> = all.iter().flatten().cloned().collect();
    number(&mut flat);
    let mut numbered = flat.into_iter();
    all.iter().map(|parts| numbered.by_ref().take(parts.len()).collect()).collect()
}

fn of_word(word: &str, before: Option<&str>) -> Vec<Part> {
    let whole = 0..word.len();
    if let Some(flag) = before.filter(|before| takes_secret(before))
        && !is_flag(word)
    {
        return disjoint(vec![Part::new(format!("args.{flag}"), whole)]);
    }
    // Mask the value of every header (`-H "X-Key: value"`): any of them may be a credential.
    if before.is_some_and(|before| matches!(before, "-H" | "--header" | "--headers"))
        && let Some((name, value)) = header(word)
    {
        return disjoint(vec![Part::new(format!("args.{name}"), value)]);
    }
    let mut parts = parts_of_urls(word);
    for part in &mut parts {
        part.label = format!("args.{}", part.label);
    }
    parts.extend(assigned(word));
    if parts.is_empty() && (is_token(word) || is_random(word)) {
        parts.push(Part::new("args", whole));
    }
    let label = |label: String| if label.is_empty() { "args".to_owned() } else { format!("args.{label}") };
    parts.extend(scanned(word, true).into_iter().map(|part| Part { label: label(part.label.clone()), ..part }));
    if word.contains('[') {
        parts.extend(word.match_indices(REDACTED).map(|(at, found)| Part::new("args", at..at + found.len())));
    }
    disjoint(parts)
}

/// Returns true for a flag whose value, the next word, is a secret.
fn takes_secret(flag: &str) -> bool {
    flag.starts_with('-') && !flag.contains(['=', ' ', ':']) && is_secret_name(flag)
}

/// Returns true for another flag, as opposed to a secret that begins with a dash (`-----BEGIN PRIVATE KEY-----`).
fn is_flag(word: &str) -> bool {
    let Some(name) = word.strip_prefix("--") else { return word.starts_with('-') && word.len() == 2 };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter))
        && !is_token(name)
        && !is_random(name)
}

/// Splits a header argument into its name and the range of its value.
fn header(word: &str) -> Option<(&str, Range<usize>)> {
    let (name, value) = word.split_once(':')?;
    let begin = word.len() - value.trim_start().len();
    let is_name =
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    is_name.then_some((name, begin..word.len()))
}

/// Returns the value of `KEY=VALUE` if the key names a variable or a secret, or the value looks like a secret.
fn assigned(word: &str) -> Option<Part> {
    let (name, value) = word.split_once('=')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let is_variable =
        name.chars().all(|letter| letter == '_' || letter.is_ascii_uppercase() || letter.is_ascii_digit());
    // Leave URLs to the URL rules, which keep their harmless parts.
    let is_secret = (is_variable && !value.contains("://"))
        || is_secret_name(name)
        || is_token(value)
        || is_random(value)
        || value == REDACTED;
    is_secret.then(|| Part::new(format!("args.{name}"), name.len() + 1..word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::redact_arguments;

    fn check(line: &str, expected: &str) {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        let shown = redact_arguments(&words);
        assert_eq!(shown.join("|"), expected);
        let labels =
            |words: &[String]| argument_parts(words).into_iter().flatten().map(|part| part.label).collect::<Vec<_>>();
        assert_eq!(labels(&shown), labels(&words), "the labels of what is shown");
        assert_eq!(redact_arguments(&shown), shown, "what is shown, shown again");
    }

    #[test]
    fn arguments_are_shown_without_their_secrets() {
        check("-y|@scope/server-x|/srv/data|--port|80", "-y|@scope/server-x|/srv/data|--port|80");
        check("--token|hush|--port|80", "--token|[redacted]|--port|80");
        check("--token|--verbose", "--token|--verbose");
        check("--token|--mode=fast|--password|--api-key=hush", "--token|--mode=fast|--password|--api-key=[redacted]");
        check("--token|-----BEGIN KEY-----", "--token|[redacted]");
        check("--token|--zQ8vK2mN4pR7tX1yB5cD", "--token|[redacted]");
        check("--token|-hush", "--token|[redacted]");
        check("--api-key=hush|--mode=fast", "--api-key=[redacted]|--mode=fast");
        check("-e|GITHUB_TOKEN=hush|-e|MODE=hush too", "-e|GITHUB_TOKEN=[redacted]|-e|MODE=[redacted]");
        check("token=hush", "token=[redacted]");
        check("sk-0123456789|ghp_abcdefghi", "[redacted]|[redacted]");
        check("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "[redacted]");
        check("zQ8vK2mN4pR7tX1yB5cD", "[redacted]");
        check("--x=zQ8vK2mN4pR7tX1yB5cD", "--x=[redacted]");
        check("-H|X-Key: hush|--header|Authorization:hush", "-H|X-Key: [redacted]|--header|Authorization:[redacted]");
        check("Authorization: Bearer hush", "Authorization: Bearer [redacted]");
        check("--config|{\"apiKey\":\"hush\",\"mode\":\"x\"}", "--config|{\"apiKey\":\"[redacted]\",\"mode\":\"x\"}");
        check(
            "-c|export TOKEN=hush && run --password hush -v",
            "-c|export TOKEN=[redacted] && run --password [redacted] -v",
        );
        let hidden = "%5Bredacted%5D";
        check("https://u:p@x/?k=v", &format!("https://{hidden}:{hidden}@x/?k=[redacted]"));
        check("DATABASE_URL=postgres://u:p@db/x", &format!("DATABASE_URL=postgres://{hidden}:{hidden}@db/x"));
        check("Server=db;Password=hush;Port=1", "Server=db;Password=[redacted];Port=1");
        check("--max-tokens|100|--key-file|/k.pem", "--max-tokens|100|--key-file|/k.pem");
    }

    #[test]
    fn labels_that_repeat_are_numbered() {
        let words: Vec<String> = ["--key", "a", "--key", "b", "sk-aaaaaaa", "sk-bbbbbbb"].map(str::to_owned).into();
        let labels: Vec<String> = argument_parts(&words).into_iter().flatten().map(|part| part.label).collect();
        assert_eq!(labels, ["args.--key", "args.--key#2", "args", "args#2"]);
    }
}
