//! Names of the aggregated endpoints: how what an upstream calls a thing becomes what clients call it, and back.
//!
//! A qualified name depends on nothing but the upstream's name, the thing's own name and the settings. So it is the same
//! after a restart, on another gateway, and whoever else is registered.

use std::fmt::Write as _;
use std::str::FromStr;

/// What some clients take for a name at the most.
const MAX_NAME: usize = 64;
/// Digits of the digest that stands for what a name cannot hold.
const DIGEST_DIGITS: usize = 12;
const SCHEME: &str = "mcp-proxy";
/// Resources of this scheme are pages that hosts show, and recognise by it (MCP Apps).
const PAGES: &str = "ui";

/// How things of several upstreams are named side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) mode: Mode,
    pub(crate) separator: Separator,
    pub(crate) conflict: Conflict,
}

/// When a name carries that of its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Always: no name ever changes because another upstream came.
    Always,
    /// When an earlier upstream has a thing of the same name.
    OnConflict,
    /// Never: every name is the upstream's own.
    Never,
}

/// What becomes of a name that several upstreams have, where names do not always carry their upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The first keeps it, the others' are qualified.
    AutoPrefix,
    /// The first keeps it, the others' are left out.
    Reject,
    /// The one with the lowest priority number has it.
    PriorityOverride,
}

/// What stands between the upstream's name and the thing's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Separator(Box<str>);

/// A text that is none of the words it should be.
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

impl FromStr for Separator {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let fits = (1..=8).contains(&text.len()) && text.chars().all(is_plain);
        if fits { Ok(Self(text.into())) } else { Err(UnknownWord) }
    }
}

impl Naming {
    /// The name of an upstream's tool or prompt that belongs to this upstream visibly.
    ///
    /// It is the two names around the separator where that can be read in one way only, and every client takes it. Else
    /// it ends in a digest of the two, and no name of the first kind ends like that.
    pub(crate) fn qualified(&self, upstream: &str, name: &str) -> String {
        let (separator, joined) = (&*self.separator.0, self.joined(upstream, name));
        let is_plain = is_safe(&joined) && !name.is_empty() && joined.find(separator) == Some(upstream.len());
        if is_plain { joined } else { digested(&joined, &[upstream, name]) }
    }

    /// The same with the digest in any case, for a name that is taken.
    pub(crate) fn distinct(&self, upstream: &str, name: &str) -> String {
        digested(&self.joined(upstream, name), &[upstream, name])
    }

    /// The two names around the separator, as most qualified names are.
    pub(crate) fn joined(&self, upstream: &str, name: &str) -> String {
        format!("{upstream}{}{name}", self.separator.0)
    }

    /// A name without its upstream's, as every client takes it.
    pub(crate) fn bare(&self, name: &str) -> String {
        match self.mode {
            Mode::Never => name.to_owned(),
            Mode::Always | Mode::OnConflict if is_safe(name) => name.to_owned(),
            Mode::Always | Mode::OnConflict => digested(name, &[name]),
        }
    }

    /// The upstream whose things begin like this name, if it is one that [`Naming::qualified`] gives.
    pub(crate) fn owner<'a>(&self, qualified: &'a str) -> Option<&'a str> {
        qualified.split_once(&*self.separator.0).map(|(upstream, _)| upstream)
    }
}

/// The URI of an upstream's resource that belongs to this upstream visibly: `mcp-proxy://UPSTREAM/` with the whole URI
/// behind it, or `ui://UPSTREAM/` for pages. What a client puts into a URI template so marked comes out in its place.
pub(crate) fn qualified_uri(upstream: &str, uri: &str) -> String {
    let scheme = if is_page(uri) { PAGES } else { SCHEME };
    let mut out = format!("{scheme}://");
    escape(upstream, &mut out);
    out.push('/');
    out.push_str(uri);
    out
}

/// The upstream and its own URI of a resource that [`qualified_uri`] named.
pub(crate) fn split_uri(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let (upstream, own) = rest.split_once('/')?;
    let is_ours = scheme == SCHEME || (scheme == PAGES && is_page(own));
    if is_ours && !own.is_empty() { Some((unescape(upstream)?, own)) } else { None }
}

/// What an upstream gave for a client to come back with, the id of a task or the state of a request, with the upstream in
/// it.
pub(crate) fn qualified_id(upstream: &str, id: &str) -> String {
    let mut out = String::new();
    escape(upstream, &mut out);
    out.push(':');
    out.push_str(id);
    out
}

/// The upstream and what it gave, from what [`qualified_id`] made of them.
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

/// Whether every client takes this name, and it is none that ends in a digest.
fn is_safe(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_plain) && !ends_in_digest(name)
}

fn ends_in_digest(name: &str) -> bool {
    let Some((_, end)) = name.rsplit_once('-') else { return false };
    end.len() == DIGEST_DIGITS && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What can be kept of a name, and a digest of the whole.
fn digested(name: &str, parts: &[&str]) -> String {
    let kept = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' });
    let mut out: String = kept.take(MAX_NAME - DIGEST_DIGITS - 1).collect();
    write!(out, "-{:012x}", digest(parts) & 0xffff_ffff_ffff).ok();
    out
}

/// FNV-1a: the same on every machine and in every version. Each part ends in a byte that no text holds.
fn digest(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What may not stand in the authority of a URI is written as `%XX`.
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

/// The spellings `auto_prefix`, `auto-prefix`, `AutoPrefix` and `autoprefix` are one word.
fn word(text: &str) -> String {
    text.chars().filter(|letter| !matches!(letter, '_' | '-')).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
