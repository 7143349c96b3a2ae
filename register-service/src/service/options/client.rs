//! The client of a worker, configured by the variables that Compozy's engine reads.

use std::time::Duration;

use proxy_client::ClientBuilder;
use tracing::warn;

use crate::service::options::{InvalidSetting, Variables, invalid};

/// Default first and longest delay between retries, those of the engine's own client.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Returns a client builder configured by variables; `None` without `MCP_PROXY_URL`, which means that there is no
/// gateway.
pub(in crate::service) fn client(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Option<ClientBuilder>, InvalidSetting> {
    let read = Variables(lookup);
    if read.text("MCP_PROXY_URL").is_none() {
        return Ok(None);
    }
    let builder = ClientBuilder::from_lookup(lookup).map_err(|error| invalid("MCP_CLIENT_TIMEOUT", error))?;
    pooled(retrying(builder, &read)?, &read).map(Some)
}

fn retrying<F: Fn(&str) -> Option<String>>(
    builder: ClientBuilder,
    read: &Variables<'_, F>,
) -> Result<ClientBuilder, InvalidSetting> {
    let (base, cap) = (read.duration("LLM_RETRY_BACKOFF_BASE")?, read.duration("LLM_RETRY_BACKOFF_MAX")?);
    let builder = builder.backoff(base.unwrap_or(BACKOFF.0), cap.unwrap_or(BACKOFF.1));
    let builder = match read.number("LLM_RETRY_ATTEMPTS")? {
        Some(attempts) => builder.retries(attempts),
        None => builder,
    };
    let percent = read.number("LLM_RETRY_JITTER_PERCENT")?;
    match (read.flag("LLM_RETRY_JITTER")?, percent) {
        (Some(false), _) => Ok(builder.jitter(0)),
        (_, Some(percent)) if percent > 100 => {
            Err(invalid("LLM_RETRY_JITTER_PERCENT", format!("`{percent}` is more than 100")))
        }
        (_, Some(percent)) => Ok(builder.jitter(percent)),
        (_, None) => Ok(builder),
    }
}

/// Applies the lower of both limits on idle connections, because there is only one host.
fn pooled<F: Fn(&str) -> Option<String>>(
    builder: ClientBuilder,
    read: &Variables<'_, F>,
) -> Result<ClientBuilder, InvalidSetting> {
    let all = read.count("MCP_PROXY_MAX_IDLE_CONNS")?;
    let per_host = read.count("MCP_PROXY_MAX_IDLE_CONNS_PER_HOST")?;
    let builder = match all.into_iter().chain(per_host).min() {
        Some(idle) => builder.max_idle_connections(idle),
        None => builder,
    };
    if let Some(limit) = read.count("MCP_PROXY_MAX_CONNS_PER_HOST")? {
        warn!(limit, "MCP_PROXY_MAX_CONNS_PER_HOST has no effect: LLM_MAX_CONCURRENT_TOOLS bounds what is under way");
    }
    Ok(match read.duration("MCP_PROXY_IDLE_CONN_TIMEOUT")? {
        Some(timeout) => builder.idle_timeout(timeout),
        None => builder,
    })
}
