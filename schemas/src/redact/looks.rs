//! Heuristics that recognise a secret by its name or by its form.

/// Word fragments that mark a name as a secret's, anywhere in the name.
const STRONG: [&str; 9] =
    ["token", "secret", "password", "passwd", "passphrase", "apikey", "credential", "authorization", "privatekey"];
/// Words that mark a name as a secret's only as separate words.
const WORDS: [&str; 16] = [
    "key",
    "keys",
    "pass",
    "pwd",
    "auth",
    "bearer",
    "private",
    "dsn",
    "cookie",
    "cookies",
    "pat",
    "jwt",
    "sig",
    "signature",
    "creds",
    "otp",
];
/// Last words of names that describe a secret without being one: a file, a kind, a limit.
const ABOUT: [&str; 22] = [
    "file", "path", "dir", "type", "url", "uri", "mode", "name", "length", "limit", "count", "size", "header", "host",
    "port", "format", "ttl", "timeout", "scope", "scopes", "method", "env",
];
/// First words of names that are a quantity or a switch.
const BEFORE: [&str; 6] = ["max", "min", "num", "no", "enable", "disable"];

/// Prefixes of tokens of well-known services.
const PREFIXES: [&str; 46] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xoxe",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-",
    "hf_",
    "dop_v1_",
    "SG.",
    "shpat_",
    "shpss_",
    "whsec_",
    "lin_api_",
    "ntn_",
    "secret_",
    "figd_",
    "tvly-",
    "pplx-",
    "gsk_",
    "xai-",
    "r8_",
    "sntrys_",
    "sbp_",
    "vercel_",
    "fc-",
    "AGE-SECRET-KEY-",
];
/// Minimum number of bytes after a token's prefix.
const LEAST_BEHIND: usize = 6;
/// Minimum length of a token in bytes: the shortest prefix, and what must follow it.
const LEAST_TOKEN: usize = 3 + LEAST_BEHIND;
/// Minimum length in bytes of a random-looking text that is taken for a secret.
const LEAST_RANDOM: usize = 20;

/// Returns true if a value under this name is probably a secret: `GITHUB_TOKEN`, `--api-key`, `X-Auth`, `dbPassword`;
/// but not `--max-tokens`, `--key-file`, `author`.
///
/// ```
/// use schemas::is_secret_name;
///
/// assert!(is_secret_name("GITHUB_TOKEN") && is_secret_name("--api-key") && is_secret_name("clientSecret"));
/// assert!(!is_secret_name("--max-tokens") && !is_secret_name("--key-file") && !is_secret_name("author"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    let Words { letters, starts } = Words::of(name);
    let mut rest = letters.as_str();
    let mut words = starts.iter().rev().map(|start| {
        let (before, word) = rest.split_at(*start);
        rest = before;
        word
    });
    let Some(last) = words.next() else { return false };
    let is_marked = |word: &str| WORDS.contains(&word) || word.ends_with("key");
    let (first, any) = words.fold((last, is_marked(last)), |(_, any), word| (word, any || is_marked(word)));
    if ABOUT.contains(&last) || BEFORE.contains(&first) {
        return false;
    }
    any || STRONG.iter().any(|strong| letters.contains(strong))
}

/// Lower-case words of a name: `X-Api-Key`, `api_key`, `apiKey` and `APIKey` have `api` and `key` at the end.
struct Words {
    /// Letters of all words, without anything between them.
    letters: String,
    /// Byte at which each word begins.
    starts: Vec<usize>,
}

impl Words {
    fn of(name: &str) -> Self {
        let mut words = Self { letters: String::with_capacity(name.len()), starts: Vec::new() };
        let (mut before, mut rest) = (None::<char>, name.chars().peekable());
        while let Some(letter) = rest.next() {
            let next_is_lower = rest.peek().is_some_and(|next| next.is_lowercase());
            let begins = match before {
                Some(before) if before.is_alphanumeric() => {
                    letter.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && next_is_lower))
                }
                _ => true,
            };
            if letter.is_alphanumeric() {
                if begins {
                    words.starts.push(words.letters.len());
                }
                words.letters.extend(letter.to_lowercase());
            }
            before = Some(letter);
        }
        words
    }
}

/// Returns true for a token of a well-known service, a JSON Web Token and a PEM block.
pub(super) fn is_token(word: &str) -> bool {
    // Most words are shorter than any token.
    if word.len() < LEAST_TOKEN {
        return false;
    }
    let has_letters = |text: &str| text.len() >= LEAST_BEHIND && text.chars().all(is_token_letter);
    let begins_alike = |prefix: &&&str| prefix.as_bytes().first() == word.as_bytes().first();
    let mut likely = PREFIXES.iter().filter(begins_alike);
    let known = likely.any(|prefix| word.strip_prefix(prefix).is_some_and(has_letters));
    known || is_jwt(word) || word.starts_with("-----BEGIN")
}

pub(super) fn is_token_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '=' | '+' | '/' | '~')
}

fn is_jwt(word: &str) -> bool {
    let mut parts = word.split('.');
    let mut is_long = || parts.next().is_some_and(|part| part.len() >= 8);
    word.starts_with("eyJ") && is_long() && is_long()
}

/// Returns true for a UUID and for a long random-looking word, unlike any name, version or path.
pub(super) fn is_random(word: &str) -> bool {
    if is_uuid(word) {
        return true;
    }
    let is_of_token = word.chars().all(|letter| is_token_letter(letter) && letter != '/');
    word.len() >= LEAST_RANDOM && is_of_token && word.split(['-', '_', '.', '=']).any(is_random_run)
}

/// Returns true for a run of letters and digits that is too irregular for a word or a number.
fn is_random_run(run: &str) -> bool {
    let run: Vec<u8> = run.bytes().filter(u8::is_ascii_alphanumeric).collect();
    if run.len() < 16 {
        return false;
    }
    let kind = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    let changes = run.windows(2).filter(|pair| matches!(pair, [one, other] if kind(*one) != kind(*other))).count();
    let mut distinct = run.clone();
    distinct.sort_unstable();
    distinct.dedup();
    // Require frequent changes between letter kinds (rare in words) and many distinct letters (few in dates and
    // numbers).
    changes * 5 >= run.len() && distinct.len() >= 8
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.char_indices().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_is_shorter_than_the_shortest_token_allows() {
        assert_eq!(PREFIXES.iter().map(|prefix| prefix.len() + LEAST_BEHIND).min(), Some(LEAST_TOKEN));
    }

    #[test]
    fn a_name_tells_a_secret() {
        for name in [
            "TOKEN",
            "--token",
            "GITHUB_TOKEN",
            "api_key",
            "apiKey",
            "APIKey",
            "X-Api-Key",
            "--password",
            "PGPASSWORD",
            "-pwd",
            "Authorization",
            "cookie",
            "Auth",
            "clientSecret",
            "OPENAI_APIKEY",
            "SSHKEY",
            "sig",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "",
            "--port",
            "author",
            "--max-tokens",
            "keyword",
            "--key-file",
            "--token-url",
            "--no-auth",
            "monkeys",
            "PATH",
            "compass",
            "--auth-type",
            "keyboard",
            "url",
            "passenger",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_form_tells_a_token() {
        for word in [
            "sk-abc123",
            "ghp_0123456789abcdef",
            "xoxb-1-2-abcdef",
            "eyJhbGciOiJI.eyJzdWIiOiIx.sig",
            "AKIAIOSFODNN7EXAMPLE",
            "github_pat_11ABCDEFG",
            "glpat-xyzxyz",
        ] {
            assert!(is_token(word), "{word}");
        }
        for word in ["sk-", "sk-x", "task-runner", "ghp", "eyJ", "hf_hub", "npm_x", "--stdio"] {
            assert!(!is_token(word), "{word}");
        }
    }

    #[test]
    fn randomness_tells_a_secret() {
        for word in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "zQ8vK2mN4pR7tX1yB5cD",
            "a1B2c3D4e5F6g7H8i9J0",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "x_zQ8vK2mN4pR7tX1yB5cD",
        ] {
            assert!(is_random(word), "{word}");
        }
        for word in [
            "@modelcontextprotocol/server-filesystem",
            "mcp-server-time==2025.8.4",
            "ServerFilesystemConfiguration",
            "127.0.0.1:6001",
            "2026-11-29T18:10:49Z",
            "11111111111111111111111",
            "/usr/local/lib/python3.12/site-packages",
            "some-long-name-with-many-words-in-it",
            "docker.io/library/postgres:16",
        ] {
            assert!(!is_random(word), "{word}");
        }
    }
}
