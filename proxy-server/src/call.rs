//! The life of one call. Read this first.
//!
//! A call is let in by policy, finds a place among those in flight, is sent by the upstream session of its caller, and
//! ends in one answer. Progress and questions go to the caller's own sink while it lasts.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::error::{Blame, Chain, Error, Kind};
use crate::policy::access;
use crate::protocol::{self, Message};
use crate::upstream::{Attachment, Call, Deadline, Upstream};

/// Carries out a legacy client's request, in its own session with the upstream.
pub(crate) async fn call(attachment: &Arc<Attachment>, call: Call<'_>) -> Result<Message, Error> {
    let request = call.message;
    let answer = carry_out(attachment.upstream(), request, || attachment.request(call)).await?;
    visible(attachment.upstream(), request, answer)
}

/// Carries out a modern client's request at a modern upstream, which takes it as it came. Dropped, it is cancelled.
pub(crate) async fn forward(upstream: &Upstream, call: Call<'_>) -> Result<Message, Error> {
    let request = call.message;
    let answer = carry_out(upstream, request, || upstream.forward(call)).await?;
    visible(upstream, request, answer)
}

/// The answer without what the upstream's filter hides.
fn visible(upstream: &Upstream, request: &Message, answer: Message) -> Result<Message, Error> {
    let filter = upstream.definition().tool_filter.as_ref();
    access::visible(filter, request.method(), answer).map_err(|error| name(error, upstream))
}

/// Listens for a modern client at a modern upstream, for as long as it is polled. What may last for days takes no place
/// among the calls.
pub(crate) async fn listen(upstream: &Upstream, call: Call<'_>) -> Result<Message, Error> {
    let _place = upstream.place()?;
    upstream.forward(call).await.map_err(|error| name(error, upstream))
}

/// Calls a tool on behalf of the admin API, on the upstream's own session: nobody can be asked anything.
pub(crate) async fn call_tool(upstream: &Upstream, tool: &str, arguments: Option<&RawValue>) -> Result<Message, Error> {
    let request = tool_request(tool, arguments)?;
    let deadline = upstream.call_deadline();
    carry_out(upstream, &request, || send(upstream, &request, deadline)).await
}

/// What every call goes through, whoever makes it and whatever carries it.
async fn carry_out<F>(upstream: &Upstream, request: &Message, send: impl FnOnce() -> F) -> Result<Message, Error>
where
    F: Future<Output = Result<Message, Error>>,
{
    access::check(upstream.definition().tool_filter.as_ref(), request)?;
    let _place = upstream.admit()?;
    let began = Instant::now();
    let outcome = send().await;
    record(upstream, request.method(), began, &outcome);
    outcome.map_err(|error| name(error, upstream))
}

async fn send(upstream: &Upstream, request: &Message, deadline: Deadline) -> Result<Message, Error> {
    let mut again = true;
    loop {
        let session = upstream.own_session(deadline.next()).await?;
        match session.request_as_nobody(request, deadline).await {
            // A request in a session that the upstream has forgotten was not executed.
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

fn record(upstream: &Upstream, method: &str, began: Instant, outcome: &Result<Message, Error>) {
    let took = began.elapsed();
    // A caller's mistake says nothing about the upstream.
    let at_fault = outcome.as_ref().is_err_and(|error| error.kind().blame() != Blame::Downstream);
    upstream.count(took, !at_fault);
    let name = &upstream.definition().name;
    match outcome {
        Ok(_) => tracing::debug!(upstream = %name, method, ?took, "call answered"),
        Err(error) => {
            tracing::debug!(upstream = %name, method, ?took, kind = error.kind().word(), error = %Chain(error), "call failed");
            if matches!(error.kind(), Kind::Unreachable | Kind::SessionLost | Kind::Lost) {
                upstream.doubt();
            }
        }
    }
}

fn name(error: Error, upstream: &Upstream) -> Error {
    if error.upstream().is_some() { error } else { error.at(&upstream.definition().name) }
}
