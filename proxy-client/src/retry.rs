//! Retry rules and delays.
//!
//! The decision takes the kind of the request, the answer's status and `Retry-After`, and the time that is left. An answer
//! whose body breaks off halfway is a failure of its attempt.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use reqwest::{Request, Response};
use tokio::time::Instant;
use tracing::debug;

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const MAX_RETRIES: u32 = 64;
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// Sends one request once.
pub(crate) type SendOnce =
    dyn Fn(Request) -> Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>> + Send + Sync;

/// Failures after which a request is retried. A failure to connect is always retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Idempotent request: also retried after timeouts, broken connections, 429 and 5xx.
    Idempotent,
    /// Registration: also retried after 5xx, because a duplicate gets a 409, which callers treat as success.
    Register,
    /// Request with an effect that must not be repeated, such as a tool call: also retried after 503, which means that
    /// it had none.
    Effect,
}

/// Delays between attempts: doubling from a base to a cap, with jitter. The sum of a fixed and a random part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    retries: u32,
    base: Duration,
    cap: Duration,
    jitter: u32,
}

/// Retry policy and progress of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) rule: Rule,
    pub(crate) schedule: Schedule,
    /// Time limit of one attempt, including the response body; if absent, only the deadline applies.
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Instant,
    pub(crate) retries: u32,
}

/// Response with its whole body.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Reason for an attempt without a whole response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request could not be sent, or the response broke off.
    Transport(reqwest::Error),
    /// The response body exceeds the limit.
    TooLarge,
}

/// Error: the response body exceeds the limit.
#[derive(Debug, thiserror::Error)]
#[error("it has more than 64 MiB")]
pub(crate) struct TooLarge;

/// Sends a request until it is answered, must not be sent again, or has no time left.
pub(crate) async fn resend(send: &SendOnce, request: Request, attempts: &mut Attempts) -> Result<Whole, Failure> {
    loop {
        // Bodies are held in memory, so there is always a copy.
        let mut copy =
            request.try_clone().unwrap_or_else(|| Request::new(request.method().clone(), request.url().clone()));
        *copy.timeout_mut() = attempts.timeout;
        let outcome = attempt(send, copy).await;
        let Some(wait) = attempts.wait(&outcome) else { return outcome };
        debug!(method = %request.method(), path = request.url().path(), ?wait, "admin request is sent again");
        tokio::time::sleep(wait).await;
        attempts.retries += 1;
    }
}

impl Attempts {
    /// Returns the delay before the next attempt; `None` if this outcome is final.
    fn wait(&self, outcome: &Result<Whole, Failure>) -> Option<Duration> {
        if !self.rule.repeats(outcome) {
            return None;
        }
        let asked = outcome.as_ref().ok().and_then(|answer| retry_after(&answer.headers, SystemTime::now()));
        let wait = self.schedule.wait(self.retries)?.max(asked.unwrap_or_default());
        (wait < self.deadline.saturating_duration_since(Instant::now())).then_some(wait)
    }
}

impl Rule {
    fn repeats(self, outcome: &Result<Whole, Failure>) -> bool {
        match outcome {
            Ok(answer) => self.repeats_after(answer.status),
            Err(Failure::Transport(error)) => error.is_connect() || (self == Self::Idempotent && !error.is_builder()),
            Err(Failure::TooLarge) => false,
        }
    }

    fn repeats_after(self, status: StatusCode) -> bool {
        match self {
            Self::Idempotent => status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            Self::Register => status.is_server_error(),
            Self::Effect => status == StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Schedule {
    pub(crate) fn new(retries: u32, (base, cap): (Duration, Duration), jitter: u32) -> Self {
        let cap = cap.min(MAX_BACKOFF);
        Self { retries: retries.min(MAX_RETRIES), base: base.min(cap), cap, jitter: jitter.min(100) }
    }

    /// Returns the delay after an attempt that followed this many retries; `None` if no retry is left.
    fn wait(&self, retries: u32) -> Option<Duration> {
        if retries >= self.retries {
            return None;
        }
        let doubled = self.base.saturating_mul(1_u32.checked_shl(retries).unwrap_or(u32::MAX)).min(self.cap);
        // Without randomness the wait is the middle one, which only costs that clients come at once.
        let random = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        let part = f64::from(self.jitter) / 100.0;
        Some(doubled.mul_f64(1.0 - part + 2.0 * part * random))
    }
}

async fn attempt(send: &SendOnce, request: Request) -> Result<Whole, Failure> {
    let (method, url, start) = (request.method().clone(), request.url().clone(), Instant::now());
    let outcome = async { whole(send(request).await.map_err(Failure::Transport)?).await }.await;
    let status = outcome.as_ref().ok().map(|answer| answer.status.as_u16());
    debug!(%method, path = url.path(), status, elapsed = ?start.elapsed(), "admin request");
    outcome
}

/// Reads the whole body, so that a truncated response counts as a failed attempt.
async fn whole(mut answer: Response) -> Result<Whole, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Failure::Transport)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Whole { status: answer.status(), headers: std::mem::take(answer.headers_mut()), body: body.into() })
}

/// Parses `Retry-After`: a number of seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
