//! Variables that have no effect: those of the predecessors, and misspelt ones of the gateway, each with the reason.

use schemas::nearest;

use super::env::Variables;
use super::model::Config;
use super::secret;
use super::setting::Setting;

const POOL: &str = "the gateway uses two connections to Redis and no pool";
const CONSOLE: &str = "the gateway has no web console yet";
const TOOLS: &str = "the gateway installs nothing; name the installed program in `command`";
const RETRIES: &str = "the gateway repeats calls by its own rules: those that provably had no effect";

const VARIABLES: [(&str, &str); 21] = [
    ("REDIS_POOL_SIZE", POOL),
    ("REDIS_MIN_IDLE_CONNS", POOL),
    ("REDIS_MAX_RETRIES", POOL),
    ("REDIS_POOL_TIMEOUT", POOL),
    ("REDIS_MIN_RETRY_BACKOFF", POOL),
    ("REDIS_MAX_RETRY_BACKOFF", POOL),
    ("ENABLE_ADMIN_UI", CONSOLE),
    ("ADMIN_USERNAME", CONSOLE),
    ("ADMIN_PASSWORD", CONSOLE),
    ("SESSION_SECRET", CONSOLE),
    ("TOOLS_FOLDER", TOOLS),
    ("RETRY_SSE_TOOL_CALL", RETRIES),
    ("RETRY_HTTP_TOOL_CALL", RETRIES),
    ("RETRY_STDIO_TOOL_CALL", RETRIES),
    ("SSE_TOOL_CALL_MAX_RETRIES", RETRIES),
    ("HTTP_TOOL_CALL_MAX_RETRIES", RETRIES),
    ("STDIO_TOOL_CALL_MAX_RETRIES", RETRIES),
    ("SSE_TOOL_CALL_RETRY_DELAY_BASE_MS", RETRIES),
    ("HTTP_TOOL_CALL_RETRY_DELAY_BASE_MS", RETRIES),
    ("STDIO_TOOL_CALL_RETRY_DELAY_BASE_MS", RETRIES),
    ("RETRY_SSE_TOOL_CALL_ON_DISCONNECT", RETRIES),
];

/// Variables with the gateway's prefix that belong to its clients, or to a part of it other than `serve`.
const OTHERS: [&str; 3] = ["MCP_PROXY_CONFIG", "MCP_PROXY_TOKEN", "MCP_PROXY_URL"];
const PREFIX: &str = "MCP_PROXY_";

/// Returns the variables that are set for the gateway or a predecessor and have no effect, each with the reason.
pub(super) fn without_effect<'v>(
    variables: &'v Variables,
    settings: impl Iterator<Item = &'static Setting>,
) -> Vec<(&'v str, String)> {
    let mut known: Vec<&str> = OTHERS.to_vec();
    let mut of_files = Vec::new();
    let mut defaults = Config::default();
    for setting in settings {
        known.extend(setting.variables);
        known.extend(setting.short.iter().flat_map(|short| short.variables));
        if (setting.field)(&mut defaults).is_secret() {
            of_files.extend(setting.variables.iter().map(|variable| secret::variable(variable)));
        }
    }
    let is_known = |name: &str| known.contains(&name) || of_files.iter().any(|known| known == name);
    let reason = |name: &'v str| match VARIABLES.iter().find(|(variable, _)| *variable == name) {
        Some((_, reason)) => Some((name, (*reason).to_owned())),
        None if !name.starts_with(PREFIX) || is_known(name) => None,
        None => Some((
            name,
            match nearest(name, known.iter().copied()) {
                Some(near) => format!("there is no such setting; did you mean `{near}`?"),
                None => "there is no such setting".to_owned(),
            },
        )),
    };
    variables.names().filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flags;

    #[test]
    fn misspelt_variables_and_those_of_predecessors_are_told() {
        let set = [
            ("MCP_PROXY_ADMIN_TOKNE", "x"),
            ("MCP_PROXY_LOG_COMPONENTS", "router"),
            ("MCP_PROXY_ADMIN_TOKENS_FILE", "/x"),
            ("MCP_PROXY_DEBUG", "1"),
            ("MCP_PROXY_REDIS_CA_FILE", "/x"),
            ("MCP_PROXY_UPSTREAM_CA_FILE", "/x"),
            ("MCP_PROXY_PORT_FILE", "/x"),
            ("ADMIN_PASSWORD", "x"),
            ("ADMIN_OTHER", "x"),
        ];
        let variables = set.into();
        let told: Vec<String> = without_effect(&variables, flags::settings())
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}"))
            .collect();
        assert_eq!(
            told,
            [
                "ADMIN_PASSWORD: the gateway has no web console yet",
                "MCP_PROXY_ADMIN_TOKNE: there is no such setting; did you mean `MCP_PROXY_ADMIN_TOKEN`?",
                "MCP_PROXY_PORT_FILE: there is no such setting; did you mean `MCP_PROXY_PORT`?",
            ]
        );
    }
}
