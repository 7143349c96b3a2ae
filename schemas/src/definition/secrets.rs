//! The secrets of a definition: their fingerprints, their restoration when a client sends back a placeholder, and the
//! masking of their values in other texts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use url::Url;

use crate::definition::{Definition, InvalidDefinition, Proxy, Transport};
use crate::redact::{Part, argument_parts, is_placeholder, replace_parts, url_parts, values};
use crate::{FingerprintSalt, Masker, Secret};

/// Environment variables whose values are not masked: a message that contains a path or a language would become
/// unreadable.
const PLAIN_VARIABLES: [&str; 13] = [
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TERM",
    "SHELL",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "NODE_ENV",
    "LOG_LEVEL",
    "PWD",
];
/// Headers whose values are not secret either.
const PLAIN_HEADERS: [&str; 8] = [
    "accept",
    "accept-language",
    "cache-control",
    "content-type",
    "host",
    "origin",
    "user-agent",
    "mcp-protocol-version",
];
/// Minimum length in bytes from which the value of a variable is masked although its name does not look like a
/// secret's.
const LEAST_PLAIN: usize = 6;

impl Definition {
    /// Computes digests of all secrets, keyed by member: `headers.X-Key`, `env.TOKEN`, `authTokens.0`, `url.password`,
    /// `url.query.key`, `args.--token`. A caller compares them with digests of its own secrets to detect a difference.
    ///
    /// ```
    /// use schemas::{Definition, FingerprintSalt, Secret};
    ///
    /// let posted = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","headers":{"X-Key":"s3cret"}}"#;
    /// let definition: Definition = serde_json::from_str(posted)?;
    /// let salt = FingerprintSalt::new([7; 16]);
    /// let mine = Secret::new("s3cret").fingerprint(&salt, "headers.X-Key");
    /// assert_eq!(definition.fingerprints(&salt), [("headers.X-Key".to_owned(), mine)].into());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn fingerprints(&self, salt: &FingerprintSalt) -> BTreeMap<String, String> {
        let whole = self.secrets().into_iter().map(|(place, secret)| (place, secret.clone()));
        let print = |(place, secret): (String, Secret)| {
            let print = secret.fingerprint(salt, &place);
            (place, print)
        };
        whole.chain(self.parts()).map(print).collect()
    }

    /// Replaces each placeholder (`[redacted]`) that a client read from a view and sent back by the stored secret.
    ///
    /// Headers, environment variables and the secret parts of URLs and arguments are restored only for the origin or
    /// program for which they were declared, and towards an `http` origin only through the same proxy, which reads them:
    /// otherwise a caller who does not know a secret could redirect it to another server.
    ///
    /// # Errors
    ///
    /// [`InvalidDefinition::NothingToKeep`] for a placeholder without a stored secret that may be used.
    ///
    /// ```
    /// use schemas::{Definition, Secret, Transport};
    ///
    /// let posted = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","headers":{"X-Key":"s3cret"}}"#;
    /// let stored: Definition = serde_json::from_str(posted)?;
    ///
    /// let mut changed: Definition = serde_json::from_str(&posted.replace("s3cret", "[redacted]"))?;
    /// changed.keep_redacted(&stored)?;
    /// assert_eq!(changed, stored);
    ///
    /// let mut elsewhere: Definition =
    ///     serde_json::from_str(&posted.replace("s3cret", "[redacted]").replace("x.example", "evil.example"))?;
    /// assert!(elsewhere.keep_redacted(&stored).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_redacted(&mut self, stored: &Self) -> Result<(), InvalidDefinition> {
        let same_origin = self.receiver() == stored.receiver();
        self.fill(stored, |place| place == "proxy", same_origin)?;
        let is_read_by_proxy = self.address().is_some_and(|url| url.scheme() == "http");
        let same_receiver = same_origin && !(is_read_by_proxy && self.network.proxy != stored.network.proxy);
        self.fill(stored, |place| place.starts_with("authTokens."), true)?;
        self.fill(stored, |_| true, same_receiver)?;
        let is_same_address = origin(self.address()) == origin(stored.address());
        if let Some(kept) = keep_address(self.address(), stored.address().filter(|_| same_receiver && is_same_address))?
        {
            self.set_address(&kept)?;
        }
        let theirs = if same_receiver && self.program() == stored.program() { stored.arguments() } else { &[] };
        let kept = keep_arguments(self.arguments(), theirs)?;
        *self.arguments_mut() = kept;
        Ok(())
    }

    /// Replaces the placeholders at these places by the stored secrets, if those may be used.
    fn fill(&mut self, stored: &Self, is_meant: impl Fn(&str) -> bool, may_use: bool) -> Result<(), InvalidDefinition> {
        let secrets = stored.secrets().into_iter().filter(|_| may_use);
        let known: BTreeMap<String, Secret> = secrets.map(|(place, secret)| (place, secret.clone())).collect();
        for (place, secret) in self.secrets_mut() {
            if secret.is_redacted() && is_meant(&place) {
                *secret = known.get(&place).cloned().ok_or(InvalidDefinition::NothingToKeep(place))?;
            }
        }
        Ok(())
    }

    /// Returns a masker that replaces this definition's secrets in other texts, such as the upstream's log and error
    /// messages.
    ///
    /// ```
    /// use schemas::Definition;
    ///
    /// let posted = r#"{"name":"a","transport":"sse","url":"https://u:hush-hush@x.example/","headers":{"X-Key":"s3cret"}}"#;
    /// let masker = serde_json::from_str::<Definition>(posted)?.masker();
    /// assert_eq!(masker.mask("neither s3cret nor hush-hush"), "neither [redacted] nor [redacted]");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn masker(&self) -> Masker {
        let mut masker = Masker::default();
        for (place, secret) in self.secrets() {
            let value = secret.expose();
            if place == "proxy" {
                // Mask only the credentials of the proxy's URL: its address is not secret.
                values(value, &url_parts(value)).iter().for_each(|(_, part)| add_forms(&mut masker, part.expose()));
                continue;
            }
            let is_plain = match place.split_once('.') {
                Some(("headers", name)) => PLAIN_HEADERS.contains(&name.to_ascii_lowercase().as_str()),
                Some(("env", name)) => {
                    let is_plain = PLAIN_VARIABLES.contains(&name) || name.starts_with("LC_");
                    is_plain || (value.len() < LEAST_PLAIN && !crate::is_secret_name(name))
                }
                Some(_) | None => false,
            };
            if !is_plain {
                add_forms(&mut masker, value);
            }
        }
        for (_, secret) in self.parts() {
            add_forms(&mut masker, secret.expose());
        }
        if let Some(url) = self.address() {
            let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
            if pair.len() > 1 {
                // Without padding, the masker finds the credentials of `Authorization: Basic` with and without it.
                masker.add(&BASE64_STANDARD_NO_PAD.encode(pair));
            }
        }
        masker
    }

    /// Returns the secret parts of the URL and the arguments.
    fn parts(&self) -> Vec<(String, Secret)> {
        let address = self.address().map(|url| values(url.as_str(), &url_parts(url.as_str())));
        let inert = self.inert_address().map(|url| values(url, &url_parts(url)));
        let words = self.arguments();
        let parts = argument_parts(words);
        let arguments = words.iter().zip(&parts).flat_map(|(word, parts)| values(word, parts));
        address.into_iter().flatten().chain(inert.into_iter().flatten()).chain(arguments).collect()
    }

    /// Identifies the receiver of headers and environment: the program, or the origin of the URL.
    fn receiver(&self) -> (bool, String) {
        match &self.transport {
            // Include the folder, because it determines which program a relative path names.
            Transport::Stdio(stdio) if stdio.command.contains('/') && !stdio.command.starts_with('/') => {
                (true, format!("{}\n{}", stdio.cwd.as_deref().unwrap_or_default(), stdio.command))
            }
            Transport::Stdio(stdio) => (true, stdio.command.clone()),
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => (false, origin(Some(&remote.url))),
        }
    }

    fn address(&self) -> Option<&Url> {
        match &self.transport {
            Transport::Stdio(_) => None,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => Some(&remote.url),
        }
    }

    fn set_address(&mut self, text: &str) -> Result<(), InvalidDefinition> {
        let address = Url::parse(text).map_err(|error| InvalidDefinition::Url(error.to_string()))?;
        if let Transport::Sse(remote) | Transport::StreamableHttp(remote) = &mut self.transport {
            remote.url = address;
        }
        Ok(())
    }

    fn inert_address(&self) -> Option<&str> {
        self.inert.url.as_deref()
    }

    fn program(&self) -> Option<&str> {
        match &self.transport {
            Transport::Stdio(stdio) => Some(&stdio.command),
            Transport::Sse(_) | Transport::StreamableHttp(_) => self.inert.command.as_deref(),
        }
    }

    fn arguments(&self) -> &[String] {
        match &self.transport {
            Transport::Stdio(stdio) => &stdio.args,
            Transport::Sse(_) | Transport::StreamableHttp(_) => &self.inert.args,
        }
    }

    fn arguments_mut(&mut self) -> &mut Vec<String> {
        match &mut self.transport {
            Transport::Stdio(stdio) => &mut stdio.args,
            Transport::Sse(_) | Transport::StreamableHttp(_) => &mut self.inert.args,
        }
    }

    fn secrets(&self) -> Vec<(String, &Secret)> {
        let headers = match &self.transport {
            Transport::Stdio(_) => &self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &remote.headers,
        };
        let headers = headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter().map(|(name, value)| (format!("env.{name}"), value));
        let tokens = self.access.auth_tokens.iter().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        let proxy = match &self.network.proxy {
            Some(Proxy::Via(url)) => Some(("proxy".to_owned(), url)),
            Some(Proxy::Direct) | None => None,
        };
        headers.chain(env).chain(tokens).chain(proxy).collect()
    }

    fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let headers = match &mut self.transport {
            Transport::Stdio(_) => &mut self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &mut remote.headers,
        };
        let headers = headers.iter_mut().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter_mut().map(|(name, value)| (format!("env.{name}"), value));
        let tokens =
            self.access.auth_tokens.iter_mut().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        let proxy = match &mut self.network.proxy {
            Some(Proxy::Via(url)) => Some(("proxy".to_owned(), url)),
            Some(Proxy::Direct) | None => None,
        };
        headers.chain(env).chain(tokens).chain(proxy).collect()
    }
}

fn origin(url: Option<&Url>) -> String {
    url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Returns the URL with its placeholders replaced by the stored parts; `None` if it has no placeholder.
fn keep_address(url: Option<&Url>, stored: Option<&Url>) -> Result<Option<String>, InvalidDefinition> {
    let Some(url) = url.map(Url::as_str) else { return Ok(None) };
    let parts = url_parts(url);
    if !parts.iter().any(|part| is_placeholder(part.value(url))) {
        return Ok(None);
    }
    let stored = stored.map(Url::as_str).unwrap_or_default();
    let known = Known::new([(stored, url_parts(stored).as_slice())]);
    known.fill(url, &parts, &parts).map(Some)
}

fn keep_arguments(words: &[String], stored: &[String]) -> Result<Vec<String>, InvalidDefinition> {
    let (parts, theirs) = (argument_parts(words), argument_parts(stored));
    let known = Known::new(stored.iter().map(String::as_str).zip(theirs.iter().map(Vec::as_slice)));
    let all: Vec<Part> = parts.iter().flatten().cloned().collect();
    words.iter().zip(&parts).map(|(word, parts)| known.fill(word, parts, &all)).collect()
}

/// Stored secret parts by label.
struct Known {
    values: BTreeMap<String, String>,
    /// Number of parts per label, ignoring the suffix `#n`.
    counts: BTreeMap<String, usize>,
}

impl Known {
    fn new<'t>(texts: impl IntoIterator<Item = (&'t str, &'t [Part])>) -> Self {
        let (mut values, mut all) = (BTreeMap::new(), Vec::new());
        for (text, parts) in texts {
            values.extend(parts.iter().map(|part| (part.label.clone(), part.value(text).to_owned())));
            all.extend_from_slice(parts);
        }
        Self { values, counts: counts(&all) }
    }

    /// Replaces the placeholders in `text` by the stored values. `all` holds the parts of all texts to fill: if a
    /// label occurs more or less often than in the stored texts, it is unclear which value belongs to which part.
    fn fill(&self, text: &str, parts: &[Part], all: &[Part]) -> Result<String, InvalidDefinition> {
        let counts = counts(all);
        for part in parts.iter().filter(|part| is_placeholder(part.value(text))) {
            let kind = kind(&part.label);
            let is_clear = self.counts.get(kind) == counts.get(kind);
            // Never restore a placeholder that was stored as a value.
            let is_known = self.values.get(&part.label).is_some_and(|value| !is_placeholder(value));
            if !is_clear || !is_known {
                return Err(InvalidDefinition::NothingToKeep(part.label.clone()));
            }
        }
        Ok(replace_parts(text, parts, |part| {
            is_placeholder(part.value(text)).then(|| self.values.get(&part.label).cloned()).flatten()
        }))
    }
}

fn counts(parts: &[Part]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for part in parts {
        *counts.entry(kind(&part.label).to_owned()).or_default() += 1;
    }
    counts
}

fn kind(label: &str) -> &str {
    label.rsplit_once('#').map_or(label, |(kind, _)| kind)
}

/// Adds a value in all the forms in which it may occur: without the auth scheme, by line, JSON-escaped,
/// percent-decoded.
fn add_forms(masker: &mut Masker, value: &str) {
    let value = value.trim();
    masker.add(value);
    if let Some((scheme, rest)) = value.split_once(' ')
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    {
        masker.add(rest.trim());
    }
    if value.contains('\n') {
        value.lines().map(str::trim).filter(|line| line.len() >= 8).for_each(|line| masker.add(line));
    }
    let escaped = serde_json::to_string(value).unwrap_or_default();
    if let Some(inner) = escaped.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && inner != value
    {
        masker.add(inner);
    }
    let decoded = decoded(value);
    if decoded != value {
        masker.add(&decoded);
    }
    for (_, part) in values(value, &url_parts(value)) {
        masker.add(part.expose());
    }
}

/// Decodes percent-encoding; bytes that are not valid UTF-8 are replaced.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let digit = |at: usize| more.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = more.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
