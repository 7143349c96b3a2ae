//! `GET /admin/mcps/{name}/logs`: the last lines about an upstream, and those to come as events.

use axum::extract::{Path, Query, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::StreamExt;
use schemas::admin::{LogLine, LogLines, LogSource};
use serde::Deserialize;

use crate::admin::problem::{bad_request, unknown};
use crate::admin::state::Shared;
use crate::admin::stream::{frames, respond, resumed};
use crate::http::server::event;
use crate::policy::AdminPrincipal;
use crate::upstream::{self, LineSource};

/// Number of lines without a wish, and the largest that can be wished for.
const LINES: usize = 100;
const MOST_LINES: usize = 1_000;

#[derive(Deserialize)]
struct Parameters {
    lines: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// `GET /admin/mcps/{name}/logs?lines=N&follow=true`. Lines over the bound of what is kept are gone. A stream resumes after
/// the event of `Last-Event-ID`.
pub(super) async fn logs(
    State(admin): Shared,
    Path(name): Path<String>,
    Extension(principal): Extension<AdminPrincipal>,
    request: Request,
) -> Response {
    let Parameters { lines, follow } = match parameters(request.uri()) {
        Ok(parameters) => parameters,
        Err(refusal) => return refusal,
    };
    let Some(upstream) = admin.upstreams.get(&name) else { return unknown(&name) };
    if follow {
        let (ring, retired) = (upstream.log().clone(), upstream.retired().clone());
        let last = || ring.newest().saturating_sub(lines.unwrap_or(LINES) as u64);
        let seen = resumed(&ring, request.headers()).unwrap_or_else(last);
        let lines = frames(ring, seen, encode, |_| None);
        // The log of a successor has other numbers.
        let lines = lines.take_until(Box::pin(async move { retired.cancelled().await }));
        return respond(&admin, principal, lines);
    }
    let kept = upstream.log().last(lines.unwrap_or(LINES));
    let mut answer = LogLines::default();
    (answer.name, answer.lines) = (name, kept.iter().map(|(number, line)| view(*number, line)).collect());
    Json(answer).into_response()
}

fn parameters(uri: &Uri) -> Result<Parameters, Response> {
    let Query(parameters) = Query::<Parameters>::try_from_uri(uri).map_err(|_| {
        bad_request(format!("the query is `lines`, a number from 0 to {MOST_LINES}, and `follow`, true or false"))
    })?;
    match parameters.lines {
        Some(lines) if lines > MOST_LINES => Err(bad_request(format!("`lines` must be from 0 to {MOST_LINES}"))),
        _ => Ok(parameters),
    }
}

fn encode(id: &str, number: u64, line: &upstream::LogLine) -> Option<Bytes> {
    let data = serde_json::to_string(&view(number, line)).ok()?;
    Some(event(id, "line", &data))
}

fn view(number: u64, line: &upstream::LogLine) -> LogLine {
    let source = match line.source {
        LineSource::Stderr => LogSource::Stderr,
        LineSource::Stdout => LogSource::Stdout,
        LineSource::Gateway => LogSource::Gateway,
    };
    let mut view = LogLine::new((number, line.time.to_string()), source, &*line.text);
    view.pid = line.pid;
    view
}
