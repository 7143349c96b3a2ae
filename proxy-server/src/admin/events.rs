//! `GET /admin/events`: state changes as they happen.

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use schemas::admin::StateEvent;
use serde::Deserialize;

use crate::admin::problem::bad_request;
use crate::admin::state::Shared;
use crate::admin::stream::{frames, respond, resumed};
use crate::http::server::event;
use crate::policy::AdminPrincipal;
use crate::telemetry::StateChange;

/// Type of the event that tells that changes are missing.
const GAP: &str = "gap";
/// Largest number of earlier changes that can be wished for.
const MOST: u64 = 1_000;

#[derive(Deserialize)]
struct Parameters {
    /// Beginnings of types, between commas.
    #[serde(rename = "type", default)]
    kinds: String,
    subject: Option<String>,
    #[serde(default)]
    last: u64,
}

/// `GET /admin/events?type=upstream,registration.deleted&subject=NAME&last=N`: the last changes, and those to come. A stream
/// resumes after the event of `Last-Event-ID`. An event `gap` tells that changes are missing: more happened than are kept, or
/// the gateway was started again.
pub(super) async fn events(
    State(admin): Shared,
    Extension(principal): Extension<AdminPrincipal>,
    request: Request,
) -> Response {
    let Parameters { kinds, subject, last } = match Query::try_from_uri(request.uri()) {
        Ok(Query(parameters)) => parameters,
        Err(_) => return bad_request("the query is `type`, `subject`, and `last`, a number"),
    };
    if last > MOST {
        return bad_request(format!("`last` must be from 0 to {MOST}"));
    }
    let ring = admin.events.ring().clone();
    // A client of an earlier process has seen nothing of this one, and may have missed changes of that.
    let (seen, mut tells_gap) = match resumed(&ring, request.headers()) {
        Some(seen) => (seen, false),
        None if request.headers().contains_key("last-event-id") => (0, true),
        None => (ring.newest().saturating_sub(last), false),
    };
    let is_wanted = move |change: &StateChange| {
        let word = change.kind.word();
        let is_kind = kinds.is_empty() || kinds.split(',').any(|kind| word.starts_with(kind.trim()));
        is_kind && subject.as_ref().is_none_or(|subject| change.subject.as_ref() == Some(subject))
    };
    let encode = move |id: &str, _number: u64, change: &StateChange| {
        let mut frame = Vec::new();
        if std::mem::take(&mut tells_gap) {
            frame.extend_from_slice(&event(id, GAP, "{}"));
        }
        if is_wanted(change) {
            let data = serde_json::to_string(&view(change)).unwrap_or_default();
            frame.extend_from_slice(&event(id, change.kind.word(), &data));
        }
        (!frame.is_empty()).then(|| frame.into())
    };
    respond(&admin, principal, frames(ring, seen, encode, |id| Some(event(id, GAP, "{}"))))
}

fn view(change: &StateChange) -> StateEvent {
    let StateChange { time, kind, subject, details } = change;
    let mut event = StateEvent::new(kind.word(), time.to_string());
    (event.subject, event.details) = (subject.clone(), details.clone());
    event
}
