//! When a request is sent again, and after how long.
//!
//! reqwest-retry's own middleware decides by the answer alone: it sees neither what kind of request it was nor
//! `Retry-After`, knows no deadline, and takes an answer for whole whose body may still break off. So the loop is ours;
//! the shape of the strategy and the back-off are reqwest-retry's.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Extensions, HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Next, Result};
use reqwest_retry::policies::ExponentialBackoff;
use reqwest_retry::{Jitter, RetryDecision, RetryPolicy, Retryable, RetryableStrategy};
use tokio::time::Instant;
use tracing::debug;

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const MAX_RETRIES: u32 = 64;
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// Which failures may be answered by sending the request again. Failing to connect always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Doing it twice is doing it once: also timeouts, broken connections, 429 and 5xx.
    Idempotent,
    /// The second time is answered by 409, which callers take for success: also 5xx.
    Register,
    /// Running a tool twice may be harm: also 503, by which a gateway says that the call did not reach the upstream.
    CallTool,
}

/// The waits between attempts: doubling from a base to a cap, each some per cent more or less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    steady: ExponentialBackoff,
    random: ExponentialBackoff,
}

/// The policy of one request, and how far it has come. Travels in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) rule: Rule,
    pub(crate) schedule: Schedule,
    /// Of one attempt, with the answer's body; the deadline alone when absent.
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Instant,
    pub(crate) retries: u32,
}

/// The answer's body exceeded what a client should have to hold.
#[derive(Debug, thiserror::Error)]
#[error("it has more than 64 MiB")]
pub(crate) struct TooLarge;

/// The middleware: sends a request until it is answered, must not be sent again, or has no time left.
pub(crate) fn resend<'a>(
    request: Request,
    extensions: &'a mut Extensions,
    next: Next<'a>,
) -> Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>> {
    Box::pin(async move {
        loop {
            let (Some(attempts), Some(mut copy)) = (extensions.get::<Attempts>().copied(), request.try_clone()) else {
                return next.run(request, extensions).await;
            };
            *copy.timeout_mut() = attempts.timeout;
            let outcome = attempt(copy, extensions, next.clone()).await;
            let Some(wait) = attempts.wait(&outcome) else {
                return outcome;
            };
            debug!(method = %request.method(), path = request.url().path(), ?wait, "admin request is sent again");
            tokio::time::sleep(wait).await;
            extensions.insert(Attempts { retries: attempts.retries + 1, ..attempts });
        }
    })
}

impl Attempts {
    /// How long to wait before the next attempt; nothing when this outcome stands.
    fn wait(&self, outcome: &Result<Response>) -> Option<Duration> {
        self.rule.handle(outcome).filter(|failure| *failure == Retryable::Transient)?;
        let asked = outcome.as_ref().ok().and_then(|answer| retry_after(answer.headers(), Timestamp::now()));
        let wait = self.schedule.wait(self.retries)?.max(asked.unwrap_or_default());
        (wait < self.deadline.saturating_duration_since(Instant::now())).then_some(wait)
    }
}

impl RetryableStrategy for Rule {
    fn handle(&self, outcome: &Result<Response>) -> Option<Retryable> {
        let transient = match outcome {
            Ok(answer) => self.repeats_after(answer.status()),
            Err(Error::Reqwest(error)) => error.is_connect() || (*self == Self::Idempotent && !error.is_builder()),
            Err(Error::Middleware(_)) => false,
        };
        transient.then_some(Retryable::Transient)
    }
}

impl Rule {
    fn repeats_after(self, status: StatusCode) -> bool {
        match self {
            Self::Idempotent => status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            Self::Register => status.is_server_error(),
            Self::CallTool => status == StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Schedule {
    pub(crate) fn new(retries: u32, (base, cap): (Duration, Duration), jitter: u32) -> Self {
        let cap = cap.min(MAX_BACKOFF);
        let jitter = jitter.min(100);
        let base = base.min(cap);
        // reqwest-retry has no jitter of a part: nine tenths that never vary and up to two tenths that do are one tenth.
        let part = |percent: u32, jitter| {
            ExponentialBackoff::builder()
                .retry_bounds(base * percent / 100, cap * percent / 100)
                .jitter(jitter)
                .build_with_max_retries(retries.min(MAX_RETRIES))
        };
        Self { steady: part(100 - jitter, Jitter::None), random: part(2 * jitter, Jitter::Full) }
    }

    /// The wait after an attempt that came after so many retries; nothing when they are used up.
    fn wait(&self, retries: u32) -> Option<Duration> {
        let part = |policy: &ExponentialBackoff| {
            let now = SystemTime::now();
            match policy.should_retry(now, retries) {
                RetryDecision::Retry { execute_after } => Some(execute_after.duration_since(now).unwrap_or_default()),
                RetryDecision::DoNotRetry => None,
            }
        };
        Some(part(&self.steady)? + part(&self.random)?)
    }
}

async fn attempt(request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
    let (method, url, start) = (request.method().clone(), request.url().clone(), Instant::now());
    let outcome = async { whole(next.run(request, extensions).await?).await }.await;
    let status = outcome.as_ref().ok().map(|answer| answer.status().as_u16());
    debug!(%method, path = url.path(), status, elapsed = ?start.elapsed(), "admin request");
    outcome
}

/// Reads the body, so that an answer which breaks off halfway is a failure of the attempt.
async fn whole(mut answer: Response) -> Result<Response> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Error::middleware(TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    let mut whole = http::Response::new(Bytes::from(body));
    *whole.status_mut() = answer.status();
    *whole.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(whole.into())
}

/// What the answer asks to wait: a number of seconds, or the time until a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
