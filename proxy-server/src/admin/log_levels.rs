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
use crate::admin::problem::problem;
use crate::admin::state::Shared;
use crate::registry::expiry;
use crate::telemetry::{self, Actor, Entry, EventType, ForeignLogger, Levels, LevelsInEffect};

/// `GET /admin/log-levels`.
pub(super) async fn show() -> Response {
    answer(telemetry::levels(Timestamp::now()))
}

/// `PUT /admin/log-levels`: replaces the levels of the configuration, for a while or until the gateway ends.
pub(super) async fn change(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
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
    info!(level = %levels.level, components = %levels.components, "log levels changed");
    let entry = Entry::new(EventType::LogLevels, &by, Timestamp::now()).with("level", levels.level.to_string());
    let entry = entry.with("components", levels.components.to_string());
    admin.policy.audit().note(match until {
        Some(until) => entry.with("until", until.to_string()),
        None => entry,
    });
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
pub(super) async fn reset(State(admin): Shared, Extension(by): Extension<Actor>) -> Response {
    let changed = telemetry::override_levels(None);
    info!("log levels reset");
    admin.policy.audit().note(Entry::new(EventType::LogLevels, &by, Timestamp::now()));
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
