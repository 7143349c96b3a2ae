//! Settings of the gateway's limits. The help names the definition's member if a definition can override the limit for
//! its server.

use super::setting::{Setting, flag, live_flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_CALL_TIMEOUT"],
        help: "Maximum silence of a server during a call; progress restarts it. In a definition: callTimeout",
        ..live_flag("call-timeout", |config| Field::Time(&mut config.upstream.call_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_CALL_TIMEOUT"],
        help: "Maximum total duration of a call. In a definition: maxCallTimeout",
        ..live_flag("max-call-timeout", |config| Field::Time(&mut config.upstream.max_call_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_LIST_TIMEOUT"],
        help: "Timeout for reading all pages of one list. In a definition: listTimeout, or timeout if that is \
               longer",
        ..live_flag("list-timeout", |config| Field::Time(&mut config.upstream.list_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_START_TIMEOUT"],
        help: "Timeout for starting or connecting to a server, with its handshake. In a definition: timeout",
        ..live_flag("start-timeout", |config| Field::Time(&mut config.upstream.start_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_CONNECT_TIMEOUT"],
        help: "Timeout for opening a connection to a server",
        ..flag("connect-timeout", |config| Field::Time(&mut config.connect_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_INITIALIZE_TIMEOUT"],
        help: "Maximum time for which a client's handshake waits for a server",
        ..live_flag("initialize-timeout", |config| Field::Time(&mut config.calls.initialize_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_REFRESH_INTERVAL"],
        help: "Interval for reading the lists of a server that does not announce changes. In a definition: \
               refreshInterval",
        ..live_flag("refresh-interval", |config| Field::Time(&mut config.upstream.refresh_interval))
    },
    Setting {
        variables: &["MCP_PROXY_SESSION_IDLE_TIMEOUT"],
        help: "Idle timeout of a client's session",
        ..live_flag("session-idle-timeout", |config| Field::Time(&mut config.downstream.idle_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_QUESTION_TIMEOUT"],
        help: "Timeout for a client's answer to a question of a server",
        ..flag("question-timeout", |config| Field::Time(&mut config.calls.question_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_BODY_TIMEOUT"],
        help: "Timeout for receiving the body of a request",
        ..live_flag("body-timeout", |config| Field::Time(&mut config.downstream.body_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_WRITE_TIMEOUT"],
        help: "Timeout for writing to a client that reads nothing",
        ..flag("write-timeout", |config| Field::Time(&mut config.downstream.write_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_BODY_BYTES"],
        help: "Maximum size of a request body",
        ..flag("max-body-bytes", |config| Field::Size(&mut config.downstream.max_body_bytes))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_DEFINITION_BYTES"],
        help: "Maximum size of a server's definition",
        ..flag("max-definition-bytes", |config| Field::Size(&mut config.max_definition_bytes))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_MESSAGE_BYTES"],
        help: "Maximum size of a server's message: a line, an event or a body. In a definition: maxMessageBytes",
        ..flag("max-message-bytes", |config| Field::Size(&mut config.upstream.message_limit))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_QUEUED_BYTES"],
        help: "Maximum size of the messages queued during one call; a server that sends more has to wait \
               (back-pressure)",
        ..flag("max-queued-bytes", |config| Field::Size(&mut config.upstream.queued_bytes))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_STREAM_BYTES"],
        help: "Maximum size of the events kept of one stream for a client that resumes it",
        ..flag("max-stream-bytes", |config| Field::Size(&mut config.downstream.stream_bytes))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_STREAM_EVENTS"],
        help: "Maximum number of events kept of one stream",
        ..flag("max-stream-events", |config| Field::Count(&mut config.downstream.stream_events))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_KEPT_BYTES"],
        help: "Maximum total size of all kept streams and parked calls",
        ..flag("max-kept-bytes", |config| Field::Size(&mut config.downstream.kept_bytes))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_PARKED_CALLS"],
        help: "Maximum number of parked calls, which wait for their clients' answers",
        ..flag("max-parked-calls", |config| Field::Count(&mut config.calls.parked_calls))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_SESSIONS"],
        help: "Maximum number of client sessions; a new one evicts the one that was idle for longest",
        ..flag("max-sessions", |config| Field::Count(&mut config.downstream.max_sessions))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_SERVER_SESSIONS"],
        help: "Maximum number of dedicated processes or HTTP sessions at one server. In a definition: maxSessions",
        ..flag("max-server-sessions", |config| Field::Count(&mut config.upstream.dedicated_sessions))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_IN_FLIGHT"],
        help: "Maximum number of requests in flight to one server. In a definition: maxInFlight",
        ..live_flag("max-in-flight", |config| Field::Count(&mut config.upstream.in_flight))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_CONNECTIONS"],
        help: "Maximum number of client connections",
        ..flag("max-connections", |config| Field::Count(&mut config.max_connections))
    },
];
