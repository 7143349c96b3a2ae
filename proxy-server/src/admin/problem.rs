//! Problems of the admin API: status code and words for each failure.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::Problem;

use crate::admin::state::Admin;
use crate::error::Chain;
use crate::policy::Denied;
use crate::registry::{StorageError, TransactError};
use crate::telemetry::Actor;

/// Values of `Retry-After` in answers to changes that cannot be kept, in seconds: while the storage is lost, and while it is
/// left to the next gateway, which is about to listen.
const STORAGE_RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
const SUCCESSOR_RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

pub(super) fn problem(status: StatusCode, problem: Problem) -> Response {
    (status, Json(problem)).into_response()
}

pub(super) fn bad_request(details: impl Into<String>) -> Response {
    problem(StatusCode::BAD_REQUEST, Problem::new("Invalid request").details(details))
}

pub(super) fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, Problem::new(what).details(Chain(error).to_string()))
}

/// Answers that a limit of the gateway is reached, which may change when others free resources.
pub(super) fn full(code: &str, details: String) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, Problem::new("Limit reached").details(details).code(code))
}

/// Answers that a change was not applied.
pub(super) fn not_applied(what: &str, error: &TransactError) -> Response {
    match error {
        TransactError::Storage(error) => unavailable(error),
        TransactError::TooManyHolders(error) => full("too_many_holders", error.to_string()),
        TransactError::Unreadable(_) => problem(StatusCode::CONFLICT, Problem::new(what).details(error.to_string())),
        error => failed(what, error),
    }
}

/// Answers that the storage is lost, so that no change is accepted.
pub(super) fn unavailable(error: &StorageError) -> Response {
    let problem = Problem::new("Storage unavailable").details(error.to_string()).code("storage_unavailable");
    let mut response = self::problem(StatusCode::SERVICE_UNAVAILABLE, problem);
    let after = if error.is_handed_over() { SUCCESSOR_RETRY_AFTER } else { STORAGE_RETRY_AFTER };
    response.headers_mut().insert(header::RETRY_AFTER, after);
    response
}

/// Answers that something is not done, because the audit log cannot be written.
pub(super) fn unrecorded(reason: &str) -> Response {
    let details = format!("this cannot be recorded in the audit log: {reason}");
    let problem = Problem::new("Audit log unavailable").details(details).code("audit_log_unavailable");
    let mut response = self::problem(StatusCode::SERVICE_UNAVAILABLE, problem);
    response.headers_mut().insert(header::RETRY_AFTER, STORAGE_RETRY_AFTER);
    response
}

pub(super) fn unknown(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, Problem::new("MCP not found").named(name))
}

pub(super) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, Problem::new("Not found"))
}

/// Refuses a foreign web page, or a request that only a web page sends.
pub(super) fn foreign(details: &str) -> Response {
    problem(StatusCode::FORBIDDEN, Problem::new("Forbidden").details(details))
}

/// Refuses a caller at this path, counts the refusal and records it.
pub(super) fn denied((admin, by): (&Admin, &Actor), path: &str, denied: Denied) -> Response {
    admin.policy.note_denied(denied, || (by.clone(), path.to_owned()));
    let words = match denied {
        Denied::NoToken => "Unauthorized: admin token required",
        Denied::NoBearer | Denied::WrongToken | Denied::Scope | Denied::Unavailable => {
            "Unauthorized: invalid admin token"
        }
        Denied::Address => return problem(StatusCode::FORBIDDEN, Problem::new("Access denied: IP not allowed")),
        Denied::MayNotReveal => {
            let details = "secrets are shown to callers with a token of --admin-tokens only; configure one if the gateway \
                           has none";
            return problem(StatusCode::FORBIDDEN, Problem::new("Access denied").details(details));
        }
        Denied::Right(right) => {
            let word = serde_json::to_value(right).unwrap_or_default();
            let details = format!("the access token has not the right {word}");
            return problem(StatusCode::FORBIDDEN, Problem::new("Access denied").details(details));
        }
        Denied::Server => return problem(StatusCode::FORBIDDEN, Problem::new("Access denied")),
        Denied::MayNotIssue => {
            let details = "access tokens are issued, changed and revoked, and levels of the log are changed, by callers \
                           with a token of --admin-tokens or, where none is configured, by the user who runs the \
                           gateway, on this machine";
            return problem(StatusCode::FORBIDDEN, Problem::new("Access denied").details(details));
        }
        Denied::MayNotStart(why) => {
            let details = format!(
                "starting processes through the admin API needs an admin token, or a caller who is the user that runs the \
                 gateway, on this machine, and {}; configure a token (--admin-tokens), or start the gateway with \
                 --allow-insecure-admin",
                why.words()
            );
            return problem(StatusCode::FORBIDDEN, Problem::new("Access denied").details(details));
        }
    };
    let mut response = problem(StatusCode::UNAUTHORIZED, Problem::new(words));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
