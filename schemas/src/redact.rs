//! Finds secrets inside texts that are shown: URLs, arguments of programs, error messages.
//!
//! A header or variable is a secret as a whole; an address or an argument only in part. Each such part has a *label* that
//! stays the same when the rest of the text changes, so that a part that was shown as `[redacted]` and comes back can be
//! replaced by the stored one, and its fingerprint can be compared.

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
pub use self::text::redact_text;
pub(crate) use self::url::url_parts;
pub use self::written::{written_secrets, written_value};

/// The placeholder where a URL cannot hold brackets: before its host.
const ENCODED: &str = "%5Bredacted%5D";

/// A secret part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is called, among the parts of its text.
    pub(crate) label: String,
    pub(crate) range: Range<usize>,
    /// Whether the placeholder has to be percent-encoded here.
    pub(crate) is_encoded: bool,
}

impl Part {
    fn new(label: impl Into<String>, range: Range<usize>) -> Self {
        Self { label: label.into(), range, is_encoded: false }
    }

    fn placeholder(&self) -> &'static str {
        if self.is_encoded { ENCODED } else { REDACTED }
    }

    /// The secret itself.
    pub(crate) fn value<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default()
    }
}

/// Whether a part is a placeholder that came back.
pub(crate) fn is_placeholder(value: &str) -> bool {
    value == REDACTED || value.eq_ignore_ascii_case(ENCODED)
}

/// Replaces each part by what `replace` makes of it, where it makes anything.
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

/// Numbers labels that occur more than once, from the second on: `args`, `args#2`.
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

/// The parts of a text in order, without those that lie within an earlier one.
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

/// Returns a URL as it may be shown: without its user, password, query values, fragment, and what looks like a secret in
/// its path.
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

/// Returns the arguments of a program as they may be shown.
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

/// The secret parts of a text by label.
pub(crate) fn values<'p>(text: &str, parts: impl IntoIterator<Item = &'p Part>) -> Vec<(String, Secret)> {
    parts.into_iter().map(|part| (part.label.clone(), Secret::new(part.value(text)))).collect()
}
