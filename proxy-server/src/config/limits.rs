//! Flags and variables of the gateway's limits, and their mapping to the modules that enforce them.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use schemas::parse_duration;

use super::env::Variables;
use super::{Config, InvalidSetting, word};

const TIME: &str = "a duration above zero, such as `30s`";
const SIZE: &str = "a size from 1 byte on, such as `16MiB` or `16777216`";
const COUNT: &str = "a number from 1 on";

/// Limits of `serve`. The help names the definition's member if a definition can override the limit for its server.
#[derive(Debug, clap::Args, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Maximum silence of a server during a call; progress restarts it. In a definition: callTimeout
    /// [env: MCP_PROXY_CALL_TIMEOUT] [default: 5m]
    #[arg(long, value_name = "DURATION")]
    call_timeout: Option<String>,
    /// Maximum total duration of a call. In a definition: maxCallTimeout
    /// [env: MCP_PROXY_MAX_CALL_TIMEOUT] [default: 1h]
    #[arg(long, value_name = "DURATION")]
    max_call_timeout: Option<String>,
    /// Timeout for reading all pages of one list. In a definition: listTimeout, or timeout if that is longer
    /// [env: MCP_PROXY_LIST_TIMEOUT] [default: 10s]
    #[arg(long, value_name = "DURATION")]
    list_timeout: Option<String>,
    /// Timeout for starting or connecting to a server, with its handshake. In a definition: timeout
    /// [env: MCP_PROXY_START_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "DURATION")]
    start_timeout: Option<String>,
    /// Timeout for opening a connection to a server [env: MCP_PROXY_CONNECT_TIMEOUT] [default: 10s]
    #[arg(long, value_name = "DURATION")]
    connect_timeout: Option<String>,
    /// Maximum time for which a client's handshake waits for a server
    /// [env: MCP_PROXY_INITIALIZE_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "DURATION")]
    initialize_timeout: Option<String>,
    /// Interval for reading the lists of a server that does not announce changes. In a definition: refreshInterval
    /// [env: MCP_PROXY_REFRESH_INTERVAL] [default: 1m]
    #[arg(long, value_name = "DURATION")]
    refresh_interval: Option<String>,
    /// Idle timeout of a client's session [env: MCP_PROXY_SESSION_IDLE_TIMEOUT] [default: 30m]
    #[arg(long, value_name = "DURATION")]
    session_idle_timeout: Option<String>,
    /// Timeout for a client's answer to a question of a server [env: MCP_PROXY_QUESTION_TIMEOUT] [default: 5m]
    #[arg(long, value_name = "DURATION")]
    question_timeout: Option<String>,
    /// Timeout for receiving the body of a request [env: MCP_PROXY_BODY_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "DURATION")]
    body_timeout: Option<String>,
    /// Timeout for writing to a client that reads nothing [env: MCP_PROXY_WRITE_TIMEOUT] [default: 30s]
    #[arg(long, value_name = "DURATION")]
    write_timeout: Option<String>,
    /// Maximum size of a request body [env: MCP_PROXY_MAX_BODY_BYTES] [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    max_body_bytes: Option<String>,
    /// Maximum size of a server's definition [env: MCP_PROXY_MAX_DEFINITION_BYTES] [default: 256KiB]
    #[arg(long, value_name = "SIZE")]
    max_definition_bytes: Option<String>,
    /// Maximum size of a server's message: a line, an event or a body. In a definition: maxMessageBytes
    /// [env: MCP_PROXY_MAX_MESSAGE_BYTES] [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    max_message_bytes: Option<String>,
    /// Maximum size of the messages queued during one call; a server that sends more has to wait (back-pressure)
    /// [env: MCP_PROXY_MAX_QUEUED_BYTES] [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    max_queued_bytes: Option<String>,
    /// Maximum size of the events kept of one stream for a client that resumes it
    /// [env: MCP_PROXY_MAX_STREAM_BYTES] [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    max_stream_bytes: Option<String>,
    /// Maximum number of events kept of one stream [env: MCP_PROXY_MAX_STREAM_EVENTS] [default: 10000]
    #[arg(long, value_name = "COUNT")]
    max_stream_events: Option<String>,
    /// Maximum total size of all kept streams and parked calls [env: MCP_PROXY_MAX_KEPT_BYTES] [default: 192MiB]
    #[arg(long, value_name = "SIZE")]
    max_kept_bytes: Option<String>,
    /// Maximum number of parked calls, which wait for their clients' answers
    /// [env: MCP_PROXY_MAX_PARKED_CALLS] [default: 1000]
    #[arg(long, value_name = "COUNT")]
    max_parked_calls: Option<String>,
    /// Maximum number of client sessions; a new one evicts the one that was idle for longest
    /// [env: MCP_PROXY_MAX_SESSIONS] [default: 10000]
    #[arg(long, value_name = "COUNT")]
    max_sessions: Option<String>,
    /// Maximum number of dedicated processes or HTTP sessions at one server. In a definition: maxSessions
    /// [env: MCP_PROXY_MAX_SERVER_SESSIONS] [default: 1000]
    #[arg(long, value_name = "COUNT")]
    max_server_sessions: Option<String>,
    /// Maximum number of requests in flight to one server. In a definition: maxInFlight
    /// [env: MCP_PROXY_MAX_IN_FLIGHT] [default: 256]
    #[arg(long, value_name = "COUNT")]
    max_in_flight: Option<String>,
    /// Maximum number of client connections [env: MCP_PROXY_MAX_CONNECTIONS] [default: 10000]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<String>,
}

/// A positive duration.
struct Time(Duration);

/// A size in bytes: a number with or without a unit.
#[derive(Debug, PartialEq, Eq)]
struct Size(usize);

/// Applies every limit that has a flag or a variable.
pub(super) fn apply(flags: &LimitFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    times(flags, env, config)?;
    sizes(flags, env, config)?;
    counts(flags, env, config)
}

fn times(flags: &LimitFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    let (up, down) = (&mut config.upstream, &mut config.downstream);
    let times = [
        (&mut up.call_timeout, &flags.call_timeout, "--call-timeout", "MCP_PROXY_CALL_TIMEOUT"),
        (&mut up.max_call_timeout, &flags.max_call_timeout, "--max-call-timeout", "MCP_PROXY_MAX_CALL_TIMEOUT"),
        (&mut up.list_timeout, &flags.list_timeout, "--list-timeout", "MCP_PROXY_LIST_TIMEOUT"),
        (&mut up.start_timeout, &flags.start_timeout, "--start-timeout", "MCP_PROXY_START_TIMEOUT"),
        (&mut config.connect_timeout, &flags.connect_timeout, "--connect-timeout", "MCP_PROXY_CONNECT_TIMEOUT"),
        (
            &mut down.initialize_timeout,
            &flags.initialize_timeout,
            "--initialize-timeout",
            "MCP_PROXY_INITIALIZE_TIMEOUT",
        ),
        (&mut up.refresh_interval, &flags.refresh_interval, "--refresh-interval", "MCP_PROXY_REFRESH_INTERVAL"),
        (
            &mut down.idle_timeout,
            &flags.session_idle_timeout,
            "--session-idle-timeout",
            "MCP_PROXY_SESSION_IDLE_TIMEOUT",
        ),
        (&mut down.question_timeout, &flags.question_timeout, "--question-timeout", "MCP_PROXY_QUESTION_TIMEOUT"),
        (&mut down.body_timeout, &flags.body_timeout, "--body-timeout", "MCP_PROXY_BODY_TIMEOUT"),
        (&mut down.write_timeout, &flags.write_timeout, "--write-timeout", "MCP_PROXY_WRITE_TIMEOUT"),
    ];
    for (setting, flag, name, variable) in times {
        if let Some(Time(time)) = word((flag, name), (env, &[variable]), TIME)? {
            *setting = time;
        }
    }
    Ok(())
}

fn sizes(flags: &LimitFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    let (up, down) = (&mut config.upstream, &mut config.downstream);
    let sizes = [
        (&mut down.max_body_bytes, &flags.max_body_bytes, "--max-body-bytes", "MCP_PROXY_MAX_BODY_BYTES"),
        (
            &mut config.max_definition_bytes,
            &flags.max_definition_bytes,
            "--max-definition-bytes",
            "MCP_PROXY_MAX_DEFINITION_BYTES",
        ),
        (&mut up.message_limit, &flags.max_message_bytes, "--max-message-bytes", "MCP_PROXY_MAX_MESSAGE_BYTES"),
        (&mut up.queued_bytes, &flags.max_queued_bytes, "--max-queued-bytes", "MCP_PROXY_MAX_QUEUED_BYTES"),
        (&mut down.stream_bytes, &flags.max_stream_bytes, "--max-stream-bytes", "MCP_PROXY_MAX_STREAM_BYTES"),
        (&mut down.kept_bytes, &flags.max_kept_bytes, "--max-kept-bytes", "MCP_PROXY_MAX_KEPT_BYTES"),
    ];
    for (setting, flag, name, variable) in sizes {
        if let Some(Size(size)) = word((flag, name), (env, &[variable]), SIZE)? {
            *setting = size;
        }
    }
    Ok(())
}

fn counts(flags: &LimitFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    let (up, down) = (&mut config.upstream, &mut config.downstream);
    let counts = [
        (&mut down.stream_events, &flags.max_stream_events, "--max-stream-events", "MCP_PROXY_MAX_STREAM_EVENTS"),
        (&mut down.parked_calls, &flags.max_parked_calls, "--max-parked-calls", "MCP_PROXY_MAX_PARKED_CALLS"),
        (&mut down.max_sessions, &flags.max_sessions, "--max-sessions", "MCP_PROXY_MAX_SESSIONS"),
        (
            &mut up.dedicated_sessions,
            &flags.max_server_sessions,
            "--max-server-sessions",
            "MCP_PROXY_MAX_SERVER_SESSIONS",
        ),
        (&mut up.in_flight, &flags.max_in_flight, "--max-in-flight", "MCP_PROXY_MAX_IN_FLIGHT"),
        (&mut config.max_connections, &flags.max_connections, "--max-connections", "MCP_PROXY_MAX_CONNECTIONS"),
    ];
    for (setting, flag, name, variable) in counts {
        if let Some(count) = word::<NonZeroUsize>((flag, name), (env, &[variable]), COUNT)? {
            // Tokio's semaphore has a maximum.
            *setting = count.get().min(tokio::sync::Semaphore::MAX_PERMITS);
        }
    }
    Ok(())
}

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_duration(text).ok().filter(|time| !time.is_zero()).map(Self).ok_or(())
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
        let unit: usize = match text.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(()),
        };
        let size = digits.parse().ok().and_then(|number: usize| number.checked_mul(unit));
        size.filter(|size| *size > 0).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<usize>) {
        assert_eq!(text.parse().ok(), expected.map(Size), "{text:?}");
    }

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_unit() {
        check("1", Some(1));
        check("16777216", Some(16 << 20));
        check("16MiB", Some(16 << 20));
        check("256 kib", Some(256 << 10));
        check("1G", Some(1 << 30));
        for refused in ["", "0", "0MiB", "-1", "1.5MiB", "MiB", "1TiB", "99999999999999999999", "18446744073709551615k"]
        {
            check(refused, None);
        }
    }

    #[test]
    fn no_limit_in_time_is_zero() {
        let time = |text: &str| text.parse::<Time>().map(|Time(time)| time.as_secs()).ok();
        assert_eq!(["90s", "1h", "0s", "-1s", ""].map(time), [Some(90), Some(3600), None, None, None]);
    }
}
