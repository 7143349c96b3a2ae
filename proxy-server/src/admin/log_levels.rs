//! `/admin/log-levels`: reads and changes the levels of the log while the gateway runs.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use schemas::Problem;
use schemas::admin::{LogLevels, LogLevelsAnswer, LogLevelsUpdate, MAX_LEASE_TTL};
use tokio::time::sleep;
use tracing::info;

use crate::admin::body::{document, ttl};
use crate::admin::problem::{denied, problem, unrecorded};
use crate::admin::state::Shared;
use crate::registry::expiry;
use crate::telemetry::{self, Actor, Entry, EventType, ForeignLogger, Levels, LevelsInEffect};

const PATH: &str = "/admin/log-levels";

/// `GET /admin/log-levels`.
pub(super) async fn show() -> Response {
    answer(telemetry::levels(Timestamp::now()))
}

/// `PUT /admin/log-levels`: replaces the levels of the configuration, for a while or until the gateway ends. Whoever may do so
/// could hide what it does, so that is for those who may issue access tokens.
pub(super) async fn change(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    if let Err(why) = admin.policy.issuer(&(admin.credentials)(&request)) {
        return denied((&admin, &by), PATH, why);
    }
    let LogLevelsUpdate { level, components, ttl } = match document(&admin, request).await {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    let lifetime = match ttl.map(|ttl| self::ttl(ttl, MAX_LEASE_TTL)).transpose() {
        Ok(lifetime) => lifetime,
        Err(refusal) => return refusal,
    };
    let until = lifetime.map(|lifetime| expiry(Timestamp::now(), lifetime));
    let configured = match telemetry::levels(Timestamp::now()) {
        Ok(levels) => levels.configured,
        Err(error) => return refused(&error),
    };
    let mut own = configured.components;
    own.0.extend(components.into_iter().map(|(component, level)| (component, level.into())));
    let levels = Levels { level: level.map_or(configured.level, Into::into), components: own };
    let entry = Entry::new(EventType::LogLevels, &by, Timestamp::now()).with("level", levels.level.to_string());
    let entry = entry.with("components", levels.components.to_string());
    let entry = match until {
        Some(until) => entry.with("until", until.to_string()),
        None => entry,
    };
    if let Err(reason) = admin.policy.audit().record(entry).await {
        return unrecorded(&reason);
    }
    info!(level = %levels.level, components = %levels.components, "log levels changed");
    let changed = telemetry::override_levels(Some((levels, until)));
    if let Some(lifetime) = lifetime {
        let stopping = admin.calls.tasks.stopping().clone();
        admin.calls.tasks.spawn("log levels", async move {
            stopping.run_until_cancelled(sleep(lifetime)).await;
            // Ends them, unless they were changed again meanwhile, to end later.
            telemetry::levels(Timestamp::now()).ok();
        });
    }
    answer(changed)
}

/// `DELETE /admin/log-levels`: the levels of the configuration apply again.
pub(super) async fn reset(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    if let Err(why) = admin.policy.issuer(&(admin.credentials)(&request)) {
        return denied((&admin, &by), PATH, why);
    }
    let entry = Entry::new(EventType::LogLevels, &by, Timestamp::now()).with("level", "as configured");
    if let Err(reason) = admin.policy.audit().record(entry).await {
        return unrecorded(&reason);
    }
    let changed = telemetry::override_levels(None);
    info!("log levels reset");
    answer(changed)
}

fn answer(levels: Result<LevelsInEffect, ForeignLogger>) -> Response {
    let levels = match levels {
        Ok(levels) => levels,
        Err(error) => return refused(&error),
    };
    let LogLevels { level, components } = shown(levels.current());
    let mut answer = LogLevelsAnswer::default();
    (answer.level, answer.components, answer.configured) = (level, components, shown(&levels.configured));
    answer.until = levels.temporary.and_then(|(_, until)| until).map(|until| until.to_string());
    Json(answer).into_response()
}

fn shown(levels: &Levels) -> LogLevels {
    let components = levels.components.0.iter();
    LogLevels {
        level: levels.level.into(),
        components: components.map(|(component, level)| (*component, (*level).into())).collect(),
    }
}

fn refused(error: &ForeignLogger) -> Response {
    problem(
        StatusCode::CONFLICT,
        Problem::new("Log levels not available").details(error.to_string()).code("foreign_logger"),
    )
}
