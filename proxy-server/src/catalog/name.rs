//! Names of the aggregated endpoints: conversion between an upstream's own names and those that clients use.
//!
//! A qualified name depends only on the upstream's name, the item's own name and the settings. So it is stable across
//! restarts, equal on all gateways, and independent of other upstreams.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Maximum length of a name that all clients accept.
const MAX_NAME: usize = 64;
/// Number of hexadecimal digits in the digest of a name that cannot be used as it is.
const DIGEST_DIGITS: usize = 12;
const SCHEME: &str = "mcp-proxy";
/// Scheme of MCP Apps pages, by which hosts recognise them.
const PAGES: &str = "ui";

/// Rules for naming the items of several upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) mode: Mode,
    pub(crate) separator: Separator,
    pub(crate) conflict: Conflict,
}

/// Condition under which a name includes the name of its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Always: no name changes when another upstream is registered.
    Always,
    /// If an earlier upstream has an item of the same name.
    OnConflict,
    /// Never: every name is the upstream's own.
    Never,
}

/// Resolution of a name that several upstreams have, in the modes `OnConflict` and `Never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The first upstream keeps the name; the others' names are qualified.
    AutoPrefix,
    /// The first upstream keeps the name; the others' items are omitted.
    Reject,
    /// The upstream with the lowest priority number keeps the name.
    PriorityOverride,
}

/// Text between the upstream's name and the item's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Separator(Box<str>);

/// Error for a text that is not one of the expected words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownWord;

impl Default for Naming {
    fn default() -> Self {
        Self { mode: Mode::Always, separator: Separator("__".into()), conflict: Conflict::AutoPrefix }
    }
}

impl FromStr for Mode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match word(text).as_str() {
            "always" => Ok(Self::Always),
            "onconflict" => Ok(Self::OnConflict),
            "never" => Ok(Self::Never),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::OnConflict => "on_conflict",
            Self::Never => "never",
        })
    }
}

impl FromStr for Conflict {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match word(text).as_str() {
            "autoprefix" => Ok(Self::AutoPrefix),
            "reject" => Ok(Self::Reject),
            "priorityoverride" => Ok(Self::PriorityOverride),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AutoPrefix => "auto_prefix",
            Self::Reject => "reject",
            Self::PriorityOverride => "priority_override",
        })
    }
}

impl FromStr for Separator {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let fits = (1..=8).contains(&text.len()) && text.chars().all(is_plain);
        if fits { Ok(Self(text.into())) } else { Err(UnknownWord) }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Naming {
    /// Returns the name of an upstream's tool or prompt, qualified with the upstream's name.
    ///
    /// Joins the two names with the separator, if the result can be split in one way only and every client accepts it.
    /// Otherwise appends a digest of both names; no joined name ends like a digest.
    pub(crate) fn qualified(&self, upstream: &str, name: &str) -> String {
        let (separator, joined) = (&*self.separator.0, self.joined(upstream, name));
        let is_plain = is_safe(&joined) && !name.is_empty() && joined.find(separator) == Some(upstream.len());
        if is_plain { joined } else { digested(&joined, &[upstream, name]) }
    }

    /// Returns a qualified name that always has the digest, for a name that is taken.
    pub(crate) fn distinct(&self, upstream: &str, name: &str) -> String {
        digested(&self.joined(upstream, name), &[upstream, name])
    }

    /// Joins the two names with the separator.
    pub(crate) fn joined(&self, upstream: &str, name: &str) -> String {
        format!("{upstream}{}{name}", self.separator.0)
    }

    /// Returns an unqualified name, in a form that every client accepts.
    pub(crate) fn bare(&self, name: &str) -> String {
        match self.mode {
            Mode::Never => name.to_owned(),
            Mode::Always | Mode::OnConflict if is_safe(name) => name.to_owned(),
            Mode::Always | Mode::OnConflict => digested(name, &[name]),
        }
    }

    /// Returns the upstream of a name made by [`Naming::qualified`].
    pub(crate) fn owner<'a>(&self, qualified: &'a str) -> Option<&'a str> {
        qualified.split_once(&*self.separator.0).map(|(upstream, _)| upstream)
    }
}

/// Qualifies the URI of an upstream's resource: `mcp-proxy://UPSTREAM/` followed by the whole URI, or `ui://UPSTREAM/`
/// for pages. Also works for URI templates: expansion leaves the prefix unchanged.
pub(crate) fn qualified_uri(upstream: &str, uri: &str) -> String {
    let scheme = if is_page(uri) { PAGES } else { SCHEME };
    let mut out = format!("{scheme}://");
    escape(upstream, &mut out);
    out.push('/');
    out.push_str(uri);
    out
}

/// Splits a URI made by [`qualified_uri`] into the upstream and its own URI.
pub(crate) fn split_uri(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let (upstream, own) = rest.split_once('/')?;
    let is_ours = scheme == SCHEME || (scheme == PAGES && is_page(own));
    if is_ours && !own.is_empty() { Some((unescape(upstream)?, own)) } else { None }
}

/// Qualifies an identifier that a client sends back, such as a task id or a request state, with its upstream.
pub(crate) fn qualified_id(upstream: &str, id: &str) -> String {
    let mut out = String::new();
    escape(upstream, &mut out);
    out.push(':');
    out.push_str(id);
    out
}

/// Splits an identifier made by [`qualified_id`] into the upstream and its own identifier.
pub(crate) fn split_id(id: &str) -> Option<(String, &str)> {
    let (upstream, own) = id.split_once(':')?;
    Some((unescape(upstream)?, own))
}

fn is_page(uri: &str) -> bool {
    uri.strip_prefix(PAGES).is_some_and(|rest| rest.starts_with("://"))
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// Returns true if every client accepts this name and it does not end like a digest.
fn is_safe(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_plain) && !ends_in_digest(name)
}

fn ends_in_digest(name: &str) -> bool {
    let Some((_, end)) = name.rsplit_once('-') else { return false };
    end.len() == DIGEST_DIGITS && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Replaces the unsupported characters of a name, truncates it, and appends a digest of the whole name.
fn digested(name: &str, parts: &[&str]) -> String {
    let kept = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' });
    let mut out: String = kept.take(MAX_NAME - DIGEST_DIGITS - 1).collect();
    write!(out, "-{:012x}", digest(parts) & 0xffff_ffff_ffff).ok();
    out
}

/// FNV-1a hash, stable across machines and versions. Terminates each part with a byte that cannot occur in UTF-8.
fn digest(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Percent-encodes characters that are not allowed in the authority of a URI.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match char::from(byte) {
            letter if is_plain(letter) => out.push(letter),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.get(2..)?.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Normalises a word: `auto_prefix`, `auto-prefix`, `AutoPrefix` and `autoprefix` are equal.
fn word(text: &str) -> String {
    text.chars().filter(|letter| !matches!(letter, '_' | '-')).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
