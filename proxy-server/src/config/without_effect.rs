//! Variables of the predecessors that have no effect here, each with the reason.

use super::env::Variables;

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

/// Returns those of the variables that are set, each with the reason why it has no effect.
pub(super) fn without_effect(variables: &Variables) -> Vec<(&'static str, &'static str)> {
    VARIABLES.into_iter().filter(|(name, _)| variables.raw(name).is_some()).collect()
}
