//! `GET /admin/mcps/{name}/logs`: the last lines about an upstream, and those to come as events.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use schemas::admin::{LogLine, LogLines, LogSource};
use serde::Deserialize;

use crate::admin::problem::{bad_request, unknown};
use crate::admin::state::Shared;
use crate::admin::stream::respond;
use crate::http::server::event;
use crate::policy::AdminPrincipal;
use crate::upstream::{self, LineSource, Upstream};

/// Number of lines without a wish, and the largest that can be wished for.
const LINES: usize = 100;
const MOST_LINES: usize = 1_000;
/// Lines that one frame of a stream may hold, so that a slow reader does not make the gateway copy all of them.
const LINES_A_FRAME: usize = 100;

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
        let after = resumed(&upstream, request.headers());
        let frames = frames(upstream, after, lines.unwrap_or(LINES));
        return respond(&admin, principal, frames);
    }
    let kept = upstream.log().last(lines.unwrap_or(LINES));
    let mut answer = LogLines::default();
    (answer.name, answer.lines) = (name, kept.iter().map(view).collect());
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

/// Returns the number of the line that a client of an earlier stream has seen, unless that was of another upstream.
fn resumed(upstream: &Upstream, headers: &HeaderMap) -> Option<u64> {
    let (begun, number) = headers.get("last-event-id")?.to_str().ok()?.split_once('-')?;
    (begun == upstream.log().begun().to_string()).then(|| number.parse().ok())?
}

/// Returns the lines after a number, or the last ones, and all that follow until the upstream is retired.
fn frames(
    upstream: Arc<Upstream>,
    after: Option<u64>,
    lines: usize,
) -> impl Stream<Item = Bytes> + Send + Unpin + 'static {
    let newest = upstream.log().watch();
    let seen = after.unwrap_or_else(|| upstream.log().newest().saturating_sub(lines as u64));
    let retired = upstream.retired().clone();
    let frames = stream::unfold((upstream, newest, seen), |(upstream, mut newest, mut seen)| async move {
        // An error means that the log is gone.
        newest.wait_for(|newest| *newest > seen).await.ok()?;
        let begun = upstream.log().begun();
        let mut frame = Vec::new();
        for line in upstream.log().first_after(seen, LINES_A_FRAME) {
            seen = line.number;
            let text = serde_json::to_string(&view(&line)).unwrap_or_default();
            frame.extend_from_slice(&event(&format!("{begun}-{seen}"), "line", &text));
        }
        Some((Bytes::from(frame), (upstream, newest, seen)))
    });
    Box::pin(frames.take_until(Box::pin(async move { retired.cancelled().await })))
}

fn view(line: &upstream::LogLine) -> LogLine {
    let source = match line.source {
        LineSource::Stderr => LogSource::Stderr,
        LineSource::Stdout => LogSource::Stdout,
        LineSource::Gateway => LogSource::Gateway,
    };
    let mut view = LogLine::new((line.number, line.time.to_string()), source, &*line.text);
    view.pid = line.pid;
    view
}
