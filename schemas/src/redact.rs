//! Finds and masks secrets in texts that are shown: URLs, arguments of programs, error messages.
//!
//! A header or a variable is secret as a whole; a URL or an argument only in part. Each secret part has a *label* that
//! does not depend on the rest of the text: with it, a part that was shown as `[redacted]` and sent back is replaced
//! by the stored value, and fingerprints are compared.

mod argument;
mod known;
mod looks;
mod text;
mod url;
mod written;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{REDACTED, Secret};

pub(crate) use self::argument::argument_parts;
pub use self::known::Masker;
pub use self::looks::is_secret_name;
pub(crate) use self::url::url_parts;
pub use self::written::{written_secrets, written_value};

/// Placeholder in percent-encoding, for the user and password of a URL, which cannot contain brackets.
const ENCODED: &str = "%5Bredacted%5D";

/// A secret part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Label of the part, unique within its text.
    pub(crate) label: String,
    pub(crate) range: Range<usize>,
    /// True if the placeholder must be percent-encoded here.
    pub(crate) is_encoded: bool,
}

impl Part {
    fn new(label: impl Into<String>, range: Range<usize>) -> Self {
        Self { label: label.into(), range, is_encoded: false }
    }

    fn placeholder(&self) -> &'static str {
        if self.is_encoded { ENCODED } else { REDACTED }
    }

    /// Returns the secret itself.
    pub(crate) fn value<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default()
    }
}

/// Returns true if a part is a placeholder that a client sent back.
pub(crate) fn is_placeholder(value: &str) -> bool {
    value == REDACTED || value.eq_ignore_ascii_case(ENCODED)
}

/// Replaces each part by the result of `replace`; leaves it unchanged if that is `None`.
pub(crate) fn replace_parts(text: &str, parts: &[Part], replace: impl Fn(&Part) -> Option<String>) -> String {
    let (mut replaced, mut end) = (String::with_capacity(text.len()), 0);
    for part in parts {
        let Some(by) = replace(part) else { continue };
        replaced += text.get(end..part.range.start).unwrap_or_default();
        replaced += &by;
        end = part.range.end;
    }
    replaced + text.get(end..).unwrap_or_default()
}

pub(crate) fn mask(text: &str, parts: &[Part]) -> String {
    replace_parts(text, parts, |part| Some(part.placeholder().to_owned()))
}

/// Numbers repeated labels, from the second one on: `args`, `args#2`.
pub(crate) fn number(parts: &mut [Part]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts {
        let count = seen.entry(part.label.clone()).or_default();
        *count += 1;
        if *count > 1 {
            part.label = format!("{}#{count}", part.label);
        }
    }
}

/// Sorts the parts of a text and drops empty ones and those that overlap an earlier one.
fn disjoint(mut parts: Vec<Part>) -> Vec<Part> {
    parts.retain(|part| !part.range.is_empty());
    parts.sort_by_key(|part| (part.range.start, std::cmp::Reverse(part.range.end)));
    let mut end = 0;
    parts.retain(|part| {
        let is_free = part.range.start >= end;
        end = end.max(part.range.end);
        is_free
    });
    parts
}

/// Masks the secret parts of a URL: user, password, query values, fragment, and parts of the path that look like a
/// secret.
///
/// ```
/// use schemas::redact_url;
///
/// assert_eq!(redact_url("https://u:hush@x.example/mcp?key=hush"),
///     "https://%5Bredacted%5D:%5Bredacted%5D@x.example/mcp?key=[redacted]");
/// assert_eq!(redact_url("https://x.example/mcp"), "https://x.example/mcp");
/// ```
pub fn redact_url(url: &str) -> String {
    mask(url, &url_parts(url))
}

/// Masks the secret parts of a program's arguments.
///
/// ```
/// use schemas::redact_arguments;
///
/// let shown = redact_arguments(&["--api-key".to_owned(), "hush".to_owned(), "--port=80".to_owned()]);
/// assert_eq!(shown, ["--api-key", "[redacted]", "--port=80"]);
/// ```
pub fn redact_arguments(arguments: &[String]) -> Vec<String> {
    arguments.iter().zip(argument_parts(arguments)).map(|(word, parts)| mask(word, &parts)).collect()
}

/// Returns the secret parts of a text, by label.
pub(crate) fn values<'p>(text: &str, parts: impl IntoIterator<Item = &'p Part>) -> Vec<(String, Secret)> {
    parts.into_iter().map(|part| (part.label.clone(), Secret::new(part.value(text)))).collect()
}
