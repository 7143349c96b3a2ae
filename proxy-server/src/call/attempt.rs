//! One attempt of a call at one upstream: tool filter, permit for a request in flight, sending, statistics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::debug;

use crate::call::access_log::AccessLog;
use crate::call::record::{Attribution, CallRecord, OpenLine};
use crate::call::tally::ANSWERED as ANSWERED_CALL;
use crate::error::{Blame, Chain, Error, Kind};
use crate::policy::{AdminPrincipal, access};
use crate::protocol::{self, Message, method_label};
use crate::tenant::Tenant;
use crate::upstream::{ANSWERED, ANSWERED_WITH_ERROR, Attachment, Deadline, EndedRequest, Upstream, UpstreamCall};

/// Sends a request in the session of an attachment to the upstream.
pub(super) async fn in_session(
    attachment: &Arc<Attachment>,
    attribution: &Attribution,
    call: UpstreamCall<'_>,
) -> Result<Message, Error> {
    let request = call.message;
    let session = || attachment.session_label();
    let answer = attempt(attachment.upstream(), (request, attribution), || attachment.request(call), session).await?;
    visible(attachment.upstream(), request, answer)
}

/// Forwards a modern client's request to a modern upstream, without translation. Dropping the future cancels the
/// request.
pub(super) async fn forward(
    upstream: &Upstream,
    attribution: &Attribution,
    call: UpstreamCall<'_>,
) -> Result<Message, Error> {
    let request = call.message;
    let session = || upstream.session_label();
    let answer = attempt(upstream, (request, attribution), || upstream.forward(call), session).await?;
    visible(upstream, request, answer)
}

/// Removes from the answer the items that the upstream's tool filter hides.
fn visible(upstream: &Upstream, request: &Message, answer: Message) -> Result<Message, Error> {
    let filter = upstream.definition().tool_filter.as_ref();
    access::visible(filter, request.method(), answer).map_err(|error| name(error, upstream))
}

/// Carries out a modern client's `subscriptions/listen` at a modern upstream until dropped. Takes a permit for a
/// listener, not one for a request in flight, because it may last for days.
pub(super) async fn listen(upstream: &Upstream, call: UpstreamCall<'_>) -> Result<Message, Error> {
    let _place = upstream.place()?;
    upstream.forward(call).await.map_err(|error| name(error, upstream))
}

/// Calls a tool for the admin API on the upstream's own session, which has no client that could be asked questions.
pub(crate) async fn call_tool(
    log: &AccessLog,
    (principal, upstream): (&AdminPrincipal, &Upstream),
    tool: &str,
    arguments: Option<&RawValue>,
) -> Result<Message, Error> {
    let request = tool_request(tool, arguments)?;
    let deadline = upstream.call_deadline();
    let record = CallRecord::begin(log, principal, &request);
    let (attribution, session) = (Attribution { tenant: Tenant::GATEWAY, record }, || upstream.session_label());
    let mut line = OpenLine::new(attribution.record.clone());
    let outcome = attempt(upstream, (&request, &attribution), || send(upstream, &request, deadline), session).await;
    match &outcome {
        Ok(answer) => line.end(ANSWERED_CALL, answer.bytes().len()),
        Err(error) => line.end(error.kind().word(), 0),
    }
    outcome
}

/// Runs the steps that all attempts have in common: tool filter, permit, sending, and statistics.
async fn attempt<F>(
    upstream: &Upstream,
    (request, attribution): (&Message, &Attribution),
    send: impl FnOnce() -> F,
    session: impl FnOnce() -> Option<String>,
) -> Result<Message, Error>
where
    F: Future<Output = Result<Message, Error>>,
{
    let refused = |error: &Error| upstream.count_refused(method_label(request.method()), error.kind());
    access::check(upstream.definition().tool_filter.as_ref(), request).inspect_err(refused)?;
    let _place = upstream.admit(attribution.tenant).inspect_err(refused)?;
    debug!(upstream = %upstream.definition().name, method = request.method(), "attempt begun");
    let begun = Begun { upstream, request, began: Instant::now(), is_recorded: false };
    attribution.note_attempt(upstream.definition().name.as_str());
    let outcome = send().await;
    attribution.note_outcome(session, outcome.as_ref().ok());
    begun.record(&outcome);
    outcome.map_err(|error| name(error, upstream))
}

async fn send(upstream: &Upstream, request: &Message, deadline: Deadline) -> Result<Message, Error> {
    let mut again = true;
    loop {
        let session = upstream.own_session(deadline.next()).await?;
        match session.request_as_nobody(request, deadline).await {
            // Safe to repeat: an upstream that has lost the session did not execute the request.
            Err(error) if error.kind() == Kind::SessionLost && again => {
                again = false;
                session.give_up();
            }
            outcome => return outcome,
        }
    }
}

fn tool_request(tool: &str, arguments: Option<&RawValue>) -> Result<Message, Error> {
    let name = serde_json::Value::from(tool);
    let arguments = arguments.map_or("{}", RawValue::get);
    let arguments = if arguments == "null" { "{}" } else { arguments };
    let params = format!(r#"{{"name":{name},"arguments":{arguments}}}"#);
    let request: Bytes = protocol::request(0, "tools/call", &params);
    Message::parse(request).map_err(|error| Error::new(Kind::Malformed).because(error))
}

/// A request that was sent. If it is dropped before its end, because its client has left, it counts as cancelled.
struct Begun<'a> {
    upstream: &'a Upstream,
    request: &'a Message,
    began: Instant,
    is_recorded: bool,
}

impl Begun<'_> {
    fn record(mut self, outcome: &Result<Message, Error>) {
        self.is_recorded = true;
        let (upstream, method, took) = (self.upstream, self.request.method(), self.began.elapsed());
        // An error of the caller does not count against the upstream.
        let at_fault = outcome.as_ref().is_err_and(|error| error.kind().blame() != Blame::Downstream);
        upstream.count(took, !at_fault, self.ended(took, outcome.as_ref().map_err(Error::kind)));
        let name = &upstream.definition().name;
        match outcome {
            Ok(_) => debug!(upstream = %name, method, ?took, "attempt answered"),
            Err(error) => {
                let kind = error.kind().word();
                debug!(upstream = %name, method, ?took, kind, error = %Chain(error), "attempt failed");
                if matches!(error.kind(), Kind::Unreachable | Kind::SessionLost | Kind::ConnectionLost) {
                    upstream.doubt();
                }
            }
        }
    }

    fn ended(&self, took: Duration, outcome: Result<&Message, Kind>) -> EndedRequest {
        EndedRequest {
            method: method_label(self.request.method()),
            outcome: match outcome {
                Ok(answer) if answer.error_code().is_some() => ANSWERED_WITH_ERROR,
                Ok(_) => ANSWERED,
                Err(kind) => kind.word(),
            },
            took: Some(took),
            request_bytes: self.request.bytes().len(),
            response_bytes: outcome.map_or(0, |answer| answer.bytes().len()),
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.upstream.count_cancelled(self.ended(self.began.elapsed(), Err(Kind::Cancelled)));
        }
    }
}

fn name(error: Error, upstream: &Upstream) -> Error {
    if error.upstream().is_some() { error } else { error.at(&upstream.definition().name) }
}
