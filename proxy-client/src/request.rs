//! One admin request: URL, headers, deadline and response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use schemas::admin::Revision;
use schemas::{Holder, ServerName, format_duration};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::error::Error;
use crate::retry::{Attempts, Rule, Schedule, SendOnce, resend};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);
const NOT_IN_A_SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Gateway at which requests are sent, with the settings of sending. Clones of a client share it.
pub(crate) struct Endpoint {
    pub(crate) send: Box<SendOnce>,
    pub(crate) base: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) schedule: Schedule,
}

/// A request, before it is sent.
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    rule: Rule,
    body: Option<Bytes>,
    revision: Option<Revision>,
    public: bool,
}

/// A response of any status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Bytes,
    revision: Option<Revision>,
    base: Url,
    retries: u32,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            rule: Rule::Idempotent,
            body: None,
            revision: None,
            public: false,
        }
    }

    pub(crate) fn delete(path: String) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    pub(crate) fn put(path: String, body: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { method: Method::PUT, body: Some(encode(body)?), ..Self::get(path) })
    }

    pub(crate) fn post(path: &str, rule: Rule, body: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { method: Method::POST, rule, body: Some(encode(body)?), ..Self::get(path) })
    }

    /// Creates a `POST` without a body that is safe to retry.
    pub(crate) fn prompt(path: String) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, parameter: &'static str, value: impl Into<String>) -> Self {
        self.query.push((parameter, value.into()));
        self
    }

    /// Requests a lease on the registration that this request creates or changes.
    pub(crate) fn leased(self, holder: &Holder, ttl: Duration) -> Self {
        self.with("lease", holder.as_str()).with("ttl", format_duration(ttl))
    }

    /// Sets `If-Match`, so that the gateway applies the change only at this revision.
    pub(crate) fn only_at(self, revision: Option<Revision>) -> Self {
        Self { revision, ..self }
    }

    /// Omits the token from the request.
    pub(crate) fn public(self) -> Self {
        Self { public: true, ..self }
    }
}

impl Answer {
    /// Parses the body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::unreadable(error, &self.base, self.retries))
    }

    /// Returns the revision from the `ETag` header; `None` from gateways without revisions.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Returns an error if the gateway does not have this endpoint: 404 or 405 without a `code`, which our gateway
    /// always adds.
    pub(crate) fn unsupported(&self, what: &'static str) -> Option<Error> {
        let no_such_path = matches!(self.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
        (no_such_path && self.refused().code().is_none())
            .then(|| Error::unsupported(&self.base, self.status, what, self.retries))
    }

    /// Creates the error for an unsuccessful status.
    pub(crate) fn refused(&self) -> Error {
        Error::refused(self.status, &self.body, self.retries)
    }

    /// Parses the body of a 200 response; any other status is an error.
    pub(crate) fn ok<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.status == StatusCode::OK { self.json() } else { Err(self.refused()) }
    }
}

impl Endpoint {
    /// Sends a request, with retries as its rule allows, and returns the last response within the deadline.
    pub(crate) async fn send(&self, call: Call, deadline: Duration) -> Result<Answer, Error> {
        let budget = deadline.min(LONGEST_DEADLINE);
        let deadline = Instant::now() + budget;
        let mut attempts = Attempts {
            rule: call.rule,
            schedule: self.schedule,
            timeout: (call.rule != Rule::Effect).then_some(self.timeout),
            deadline,
            retries: 0,
        };
        let outcome = timeout_at(deadline, resend(&*self.send, self.request(call), &mut attempts)).await;
        let (base, retries) = (self.base.clone(), attempts.retries);
        let answer = match outcome {
            Err(_elapsed) => return Err(Error::deadline(&base, budget, retries)),
            Ok(Err(error)) => return Err(Error::transport(error, &base, self.timeout, retries)),
            Ok(Ok(answer)) => answer,
        };
        let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        let revision = tag.and_then(Revision::from_etag);
        Ok(Answer { status: answer.status, body: answer.body, revision, base, retries })
    }

    fn request(&self, call: Call) -> reqwest::Request {
        let mut url = self.base.clone();
        let (path, query) = call.path.split_once('?').map_or((&*call.path, None), |(path, query)| (path, Some(query)));
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(query);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = reqwest::Request::new(call.method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, JSON);
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if let Some(tag) = call.revision.and_then(|revision| HeaderValue::try_from(revision.etag()).ok()) {
            headers.insert(IF_MATCH, tag);
        }
        if let Some(token) = self.authorization.clone().filter(|_| !call.public) {
            headers.insert(AUTHORIZATION, token);
        }
        *request.body_mut() = call.body.map(Into::into);
        request
    }
}

/// Returns the path of a registration. Names stored by older gateways may contain any character and are
/// percent-encoded, except `.` and `..`, which URL parsers resolve even if encoded.
pub(crate) fn registration(name: &ServerName) -> Result<String, Error> {
    match name.as_str() {
        "." | ".." => Err(Error::invalid(format!("no URL can name `{name}`"))),
        name => Ok(format!("admin/mcps/{}", segment(name))),
    }
}

/// Percent-encodes a text as one path segment.
pub(crate) fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &NOT_IN_A_SEGMENT)
}

fn encode(body: &impl Serialize) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(body).map_err(|error| Error::invalid_because("cannot write the request", error))?;
    Ok(body.into())
}
