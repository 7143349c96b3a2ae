//! Settings of the endpoints.

use std::time::Duration;

use schemas::Eras;

/// Limits towards clients.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Maximum size of a request body in bytes.
    pub(crate) max_body_bytes: usize,
    /// Timeout for reading a body.
    pub(crate) body_timeout: Duration,
    /// Idle timeout of a session.
    pub(crate) idle_timeout: Duration,
    /// Interval of keep-alive comments on an idle event stream.
    pub(crate) keep_alive: Duration,
    /// Interval of keep-alive comments while a call waits for its answer.
    pub(crate) call_keep_alive: Duration,
    /// Minimum time without a request after which a connection is closed.
    pub(crate) connection_idle_timeout: Duration,
    /// True if usual requests take the fast path instead of hyper.
    pub(crate) has_fast_path: bool,
    /// Maximum number of sessions; the same limit holds for pooled upstream sessions and for listeners.
    pub(crate) max_sessions: usize,
    /// Timeout for a write of which the client accepts nothing.
    pub(crate) write_timeout: Duration,
    /// Maximum size of one event stream's log, kept for resumption: in bytes and in events.
    pub(crate) stream_bytes: usize,
    pub(crate) stream_events: usize,
    /// Maximum total size of all kept streams and parked calls, in bytes.
    pub(crate) kept_bytes: usize,
    /// Time after which an unfinished response becomes an event stream, which legacy clients can resume.
    pub(crate) patience: Duration,
    /// Eras that the endpoint of all upstreams supports.
    pub(crate) eras: Eras,
    /// Base URL for the path in the `endpoint` event, which needs none, and for cards, which otherwise use `Host`.
    pub(crate) base_url: Option<String>,
    /// True if endpoints have server cards.
    pub(crate) server_cards: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30 * 60),
            keep_alive: Duration::from_secs(15),
            call_keep_alive: Duration::from_secs(5),
            connection_idle_timeout: Duration::from_secs(130),
            has_fast_path: true,
            max_sessions: 10_000,
            write_timeout: Duration::from_secs(30),
            stream_bytes: 16 << 20,
            stream_events: 10_000,
            kept_bytes: 192 << 20,
            patience: Duration::from_secs(1),
            eras: Eras::default(),
            base_url: None,
            server_cards: true,
        }
    }
}
