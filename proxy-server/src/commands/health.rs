//! `health`: the health check of containers and service managers.

use std::io::Write;

use anyhow::{Context, bail};
use http::StatusCode;

use super::ask::{Question, get};
use crate::cli::HealthFlags;
use crate::config::{Config, process_environment};

/// Asks the gateway that runs with these flags, variables and file. Fails if it does not answer with 200.
pub(super) async fn health(flags: &HealthFlags) -> anyhow::Result<()> {
    let (loaded, _) = Config::load(&flags.serve, &process_environment());
    let config = loaded?.config;
    let path = if flags.ready { "/readyz" } else { "/healthz" };
    let answer = get(Question { config: &config, path, is_admin: false }, config.place(), flags.timeout).await;
    let (status, body) = answer.with_context(|| format!("no answer from {path}"))?;
    if status != StatusCode::OK {
        bail!("{path} answers {status}: {}", String::from_utf8_lossy(&body).trim_end());
    }
    Ok(writeln!(std::io::stdout(), "ok")?)
}
