//! One admin request: its URL, its headers, its deadline, and what came of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Extensions, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemas::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::client::Client;
use crate::error::Error;
use crate::retry::{Attempts, Rule};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);
const NOT_IN_A_SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What to ask.
pub(crate) struct Call {
    method: Method,
    path: String,
    rule: Rule,
    body: Option<Bytes>,
    public: bool,
}

/// What was answered, whatever the status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Bytes,
    base: Url,
    retries: u32,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), rule: Rule::Idempotent, body: None, public: false }
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

    /// Without the token: whoever answers is not asked to be trusted.
    pub(crate) fn public(self) -> Self {
        Self { public: true, ..self }
    }
}

impl Answer {
    /// The body as what this endpoint answers with on success.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::unreadable(error, &self.base, self.retries))
    }

    /// The error that this status means.
    pub(crate) fn refused(&self) -> Error {
        Error::refused(self.status, &self.body, self.retries)
    }

    /// The body of a 200; any other status is an error.
    pub(crate) fn ok<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.status == StatusCode::OK { self.json() } else { Err(self.refused()) }
    }
}

impl Client {
    /// Sends a request, again if its rule says so, and returns the last answer within the deadline.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Error> {
        let shared = self.shared();
        let budget = self.deadline().min(LONGEST_DEADLINE);
        let deadline = Instant::now() + budget;
        let mut extensions = Extensions::new();
        extensions.insert(Attempts {
            rule: call.rule,
            schedule: shared.schedule,
            timeout: (call.rule != Rule::CallTool).then_some(shared.timeout),
            deadline,
            retries: 0,
        });
        let exchange = shared.http.execute_with_extensions(self.request(call), &mut extensions);
        let outcome = timeout_at(deadline, exchange).await;
        let retries = extensions.get::<Attempts>().map_or(0, |attempts| attempts.retries);
        let base = shared.base.clone();
        let answer = match outcome {
            Err(_elapsed) => return Err(Error::deadline(&base, budget, retries)),
            Ok(Err(error)) => return Err(Error::transport(error, &base, shared.timeout, retries)),
            Ok(Ok(answer)) => answer,
        };
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| Error::transport(error.into(), &base, shared.timeout, retries));
        Ok(Answer { status, body: body?, base, retries })
    }

    fn request(&self, call: Call) -> reqwest::Request {
        let mut url = self.shared().base.clone();
        let (path, query) = call.path.split_once('?').map_or((&*call.path, None), |(path, query)| (path, Some(query)));
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(query);
        let mut request = reqwest::Request::new(call.method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, JSON);
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        if let Some(token) = self.shared().authorization.clone().filter(|_| !call.public) {
            headers.insert(AUTHORIZATION, token);
        }
        *request.body_mut() = call.body.map(Into::into);
        request
    }
}

/// The path of a registration. A name that older gateways took is one segment whatever it holds, but for the two that
/// URLs reserve, escaped or not.
pub(crate) fn registration(name: &ServerName) -> Result<String, Error> {
    match name.as_str() {
        "." | ".." => Err(Error::invalid(format!("no URL can name `{name}`"))),
        name => Ok(format!("admin/mcps/{}", utf8_percent_encode(name, &NOT_IN_A_SEGMENT))),
    }
}

fn encode(body: &impl Serialize) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(body).map_err(|error| Error::invalid_because("cannot write the request", error))?;
    Ok(body.into())
}
