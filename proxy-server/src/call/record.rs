//! Lines of the access log: one for each request of a client that is answered by a server, or from the catalog.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::call::access_log::AccessLog;
use crate::protocol::{self, Message, Object};
use crate::sync::lock;
use crate::tenant::Tenant;
use crate::text::shortened;

/// Number of the next request, unique in the process.
static NEXT: AtomicU64 = AtomicU64::new(1);
/// Outcome of a request whose client has left.
pub(super) const CANCELLED: &str = "cancelled";
/// Maximum length of texts that clients choose, in bytes.
const LONGEST_TEXT: usize = 128;

/// The caller that a request is counted for, and its line in the access log.
#[derive(Clone)]
pub(crate) struct Attribution {
    pub(crate) tenant: Tenant,
    pub(super) record: Option<Arc<CallRecord>>,
}

/// A request whose line is written when it ends.
pub(super) struct CallRecord {
    log: AccessLog,
    began: (Timestamp, Instant),
    request: u64,
    principal: String,
    message: Message,
    attempts: Mutex<Attempts>,
}

/// Line that is written as one of a cancelled request if it is dropped before its end.
pub(super) struct OpenLine(Option<Arc<CallRecord>>);

impl OpenLine {
    pub(super) fn new(record: Option<Arc<CallRecord>>) -> Self {
        Self(record)
    }

    /// Writes the line.
    pub(super) fn end(&mut self, outcome: &'static str, response_bytes: usize) {
        if let Some(record) = self.0.take() {
            record.end(outcome, response_bytes);
        }
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        if let Some(record) = &self.0 {
            record.end(CANCELLED, 0);
        }
    }
}

/// Attempts at upstreams.
#[derive(Debug, Default)]
struct Attempts {
    count: u32,
    /// Upstream of the last attempt.
    upstream: Option<String>,
    /// That upstream's own session.
    session: Option<String>,
    /// Code of the error that it answered with.
    error: Option<i32>,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    /// Number of the request, unique in the process.
    request: u64,
    /// The client's own id of the request, as JSON.
    id: &'a str,
    principal: &'a str,
    method: &'a str,
    /// Tool, prompt or resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(rename = "upstreamSession", skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    attempts: u32,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<i32>,
    #[serde(rename = "durationMs")]
    duration: f64,
    #[serde(rename = "requestBytes")]
    request_bytes: usize,
    #[serde(rename = "responseBytes")]
    response_bytes: usize,
    /// Trace context (W3C) that the client sent in `_meta`.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl From<Tenant> for Attribution {
    fn from(tenant: Tenant) -> Self {
        Self { tenant, record: None }
    }
}

impl Attribution {
    /// Notes an attempt at an upstream, before it is made.
    pub(super) fn note_attempt(&self, upstream: &str) {
        let Some(record) = &self.record else { return };
        let mut attempts = lock(&record.attempts);
        attempts.count += 1;
        attempts.upstream = Some(upstream.to_owned());
        (attempts.session, attempts.error) = (None, None);
    }

    /// Notes the session that the attempt was made in, and the error that the upstream answered with.
    pub(super) fn note_outcome(&self, session: impl FnOnce() -> Option<String>, answer: Option<&Message>) {
        let Some(record) = &self.record else { return };
        let mut attempts = lock(&record.attempts);
        attempts.session = session();
        attempts.error = answer.and_then(Message::error_code);
    }
}

impl CallRecord {
    /// Begins the line of a request; `None` if none is wanted.
    pub(super) fn begin(log: &AccessLog, principal: impl ToString, message: &Message) -> Option<Arc<Self>> {
        log.is_open().then(|| {
            Arc::new(Self {
                log: log.clone(),
                began: (Timestamp::now(), Instant::now()),
                request: NEXT.fetch_add(1, Ordering::Relaxed),
                principal: principal.to_string(),
                message: message.clone(),
                attempts: Mutex::default(),
            })
        })
    }

    /// Writes the line.
    pub(super) fn end(&self, outcome: &'static str, response_bytes: usize) {
        let (attempts, message) = (lock(&self.attempts), &self.message);
        let (time, began) = self.began;
        self.log.add(&Line {
            time,
            request: self.request,
            id: shortened(message.id(), LONGEST_TEXT),
            principal: &self.principal,
            method: shortened(message.method(), LONGEST_TEXT),
            name: named(message),
            upstream: attempts.upstream.as_deref(),
            session: attempts.session.as_deref(),
            attempts: attempts.count,
            outcome,
            error: attempts.error,
            duration: (began.elapsed().as_secs_f64() * 1e6).round() / 1e3,
            request_bytes: message.bytes().len(),
            response_bytes,
            traceparent: traceparent(message),
        });
    }
}

/// Returns the name of the tool or prompt, or the URI of the resource without user and query, which may be secrets.
fn named(message: &Message) -> Option<Cow<'_, str>> {
    if let Some(name) = message.parameter("name").and_then(protocol::text) {
        return Some(shortened(&name, LONGEST_TEXT).to_owned().into());
    }
    let uri = message.parameter("uri").and_then(protocol::text)?;
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let uri = uri.get(..end)?;
    // A user and a password in front of the host.
    let without_user = uri.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://{host}{path}"))
    });
    Some(shortened(without_user.as_deref().unwrap_or(uri), LONGEST_TEXT).to_owned().into())
}

/// Returns the trace context of a request, if it has the form of one (W3C Trace Context, 3.2).
fn traceparent(message: &Message) -> Option<String> {
    let meta = Object::read(message.parameter("_meta")?).ok()?;
    let text = meta.text("traceparent")?;
    let is_valid = text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    is_valid.then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(params: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        Message::parse(Bytes::from(text)).expect("a request")
    }

    #[test]
    fn a_line_names_what_was_asked_for_without_secrets() {
        let check = |params: &str, expected: Option<&str>| {
            assert_eq!(named(&request(params)).as_deref(), expected, "{params}");
        };
        check(r#"{"name":"say","arguments":{"word":"hush"}}"#, Some("say"));
        check(r#"{"uri":"https://a.example/b?token=hush#hush"}"#, Some("https://a.example/b"));
        check(r#"{"uri":"postgres://ann:hush@db.example/a@b"}"#, Some("postgres://db.example/a@b"));
        check(r#"{"uri":"file:///a/b"}"#, Some("file:///a/b"));
        check(r#"{"cursor":"x"}"#, None);
        check(&format!(r#"{{"name":"{}"}}"#, "ü".repeat(100)), Some(&"ü".repeat(64)));
    }

    #[test]
    fn only_a_trace_context_is_one() {
        let check = |text: &str, is_one: bool| {
            let found = traceparent(&request(&format!(r#"{{"name":"a","_meta":{{"traceparent":"{text}"}}}}"#)));
            assert_eq!(found.is_some(), is_one, "{text}");
        };
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false);
        check("hush", false);
    }
}
