//! `GET /admin/audit`: the last records of the audit log.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemas::Problem;
use schemas::admin::AuditRecords;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::admin::problem::{bad_request, failed, problem};
use crate::admin::state::Shared;
use crate::telemetry::audit;

/// Number of records without a wish, and the largest that can be wished for.
const LIMIT: usize = 100;
const MOST: usize = 1_000;

#[derive(Deserialize)]
struct Parameters {
    after: Option<u64>,
    limit: Option<usize>,
}

/// `GET /admin/audit?after=SEQ&limit=N`. Records are shown as they were written, and not verified.
pub(super) async fn audit(State(admin): Shared, request: Request) -> Response {
    let parameters = Query::<Parameters>::try_from_uri(request.uri()).map(|Query(parameters)| parameters);
    let (after, limit) = match parameters {
        Ok(Parameters { after, limit }) if limit.is_none_or(|limit| limit <= MOST) => (after, limit.unwrap_or(LIMIT)),
        _ => return bad_request(format!("the query is `after`, a number, and `limit`, a number from 0 to {MOST}")),
    };
    let Some(path) = admin.policy.audit().path().map(ToOwned::to_owned) else {
        let problem = Problem::new("No audit log").details("the gateway writes none; start it with --audit-log FILE");
        return self::problem(StatusCode::NOT_FOUND, problem.code("no_audit_log"));
    };
    match spawn_blocking(move || audit::records(&path, after, limit)).await {
        Ok(Ok(audit::Records { records, head })) => {
            let mut answer = AuditRecords::default();
            (answer.records, answer.seq, answer.digest) = (records, head.seq, head.digest.to_string());
            answer.failure = admin.policy.audit().failure().map(|failure| failure.to_string());
            Json(answer).into_response()
        }
        Ok(Err(error)) => failed("Failed to read the audit log", &error),
        Err(error) => failed("Failed to read the audit log", &error),
    }
}
