//! Errors on the path of a request: a kind to branch on, and a cause for the log.
//!
//! Causes never reach a client; `downstream::error_response` maps each kind to public words.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use schemas::{ServerName, format_duration};

/// Maximum number of characters of a requested name that an error repeats.
const LONGEST_NAME: usize = 200;
/// Maximum number of known names that are compared with an unknown one.
const MOST_CANDIDATES: usize = 1_000;

/// A failure on the path of a request.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    upstream: Option<ServerName>,
    limit: Option<Box<Limit>>,
    /// The unknown name, with similar names that the caller may see.
    unknown: Option<Box<Unknown>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A name that does not exist, and similar ones.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) name: String,
    pub(crate) near: Vec<String>,
}

/// A limit that was reached, with the flag and the member that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    allowed: String,
    flag: &'static str,
    /// The member of a definition that sets the limit for one server.
    member: Option<&'static str>,
}

/// The kind of failure, as fine as a caller's next step requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body is not JSON, or breaks a limit on its form.
    Malformed,
    /// JSON, but not a message of this protocol; the text gives the reason.
    InvalidRequest(&'static str),
    /// A request with parameters that the gateway must read and cannot; the text gives the reason.
    InvalidParams(&'static str),
    /// A tool that does not exist, or that this caller may not see.
    UnknownTool,
    /// A prompt that does not exist.
    UnknownPrompt,
    /// A resource that no upstream has.
    UnknownResource,
    /// A qualified name whose upstream does not exist, or is hidden from this caller.
    UnknownUpstream,
    /// A method that the endpoint of all upstreams does not offer.
    UnknownMethod,
    /// The upstream has no session now. Nothing was sent.
    NotReady,
    /// The upstream, or the gateway, is at its session limit. Nothing was sent.
    TooManySessions,
    /// The upstream is at its limit of requests in flight. Nothing was sent.
    Busy,
    /// The connection to the upstream failed. Nothing was sent.
    Unreachable,
    /// The upstream refused the request with an HTTP status. It was not executed.
    UpstreamStatus(u16),
    /// The upstream no longer knows its session (404). The request was not executed.
    SessionLost,
    /// The connection ended after the request was sent. The request may have been executed.
    ConnectionLost,
    /// No response within the deadline. The request may have been executed.
    TimedOut,
    /// The upstream's response is invalid.
    InvalidResponse,
    /// The caller cancelled the request.
    Cancelled,
}

/// The side at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Downstream,
    Upstream,
    Gateway,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, upstream: None, limit: None, unknown: None, source: None }
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn at(mut self, upstream: &ServerName) -> Self {
        self.upstream = Some(upstream.clone());
        self
    }

    /// Attaches the limit that was reached.
    pub(crate) fn limited(mut self, limit: Option<Limit>) -> Self {
        self.limit = limit.map(Box::new);
        self
    }

    /// Returns the limit that was reached.
    pub(crate) fn limit(&self) -> Option<&Limit> {
        self.limit.as_deref()
    }

    /// Attaches the requested name and similar ones. Pass only candidates that the caller may see.
    pub(crate) fn asked<'n>(mut self, name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Self {
        // Bound the search: it serves only an error message.
        let candidates = candidates.into_iter().take(if name.len() > LONGEST_NAME { 0 } else { MOST_CANDIDATES });
        let near = schemas::near(name, candidates).into_iter().map(str::to_owned).collect();
        let name = name.chars().take(LONGEST_NAME).collect();
        self.unknown = Some(Box::new(Unknown { name, near }));
        self
    }

    pub(crate) fn unknown(&self) -> Option<&Unknown> {
        self.unknown.as_deref()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn upstream(&self) -> Option<&ServerName> {
        self.upstream.as_ref()
    }
}

impl Limit {
    pub(crate) fn time(allowed: Duration, flag: &'static str, member: impl Into<Option<&'static str>>) -> Self {
        Self { allowed: format_duration(allowed), flag, member: member.into() }
    }

    pub(crate) fn bytes(allowed: usize, flag: &'static str, member: impl Into<Option<&'static str>>) -> Self {
        Self { allowed: format!("{allowed} bytes"), flag, member: member.into() }
    }

    /// Limit of which a part is kept for other clients.
    pub(crate) fn shared(allowed: usize, flag: &'static str, member: &'static str) -> Self {
        let allowed = format!("{allowed}, of which a part is kept for other clients");
        Self { allowed, flag, member: Some(member) }
    }

    pub(crate) fn count(allowed: usize, flag: &'static str, member: impl Into<Option<&'static str>>) -> Self {
        Self { allowed: allowed.to_string(), flag, member: member.into() }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit is {} ({}", self.allowed, self.flag)?;
        match self.member {
            Some(member) => write!(f, ", or `{member}` in the server's definition)"),
            None => f.write_str(")"),
        }
    }
}

impl Unknown {
    /// Builds the text that follows "unknown tool", if a known name is near.
    pub(crate) fn hint(&self) -> String {
        if self.near.is_empty() {
            return String::new();
        }
        format!(" `{}`; did you mean `{}`?", self.name, self.near.join("`, `"))
    }
}

impl Kind {
    pub(crate) fn blame(self) -> Blame {
        match self {
            Self::Malformed
            | Self::InvalidRequest(_)
            | Self::InvalidParams(_)
            | Self::UnknownTool
            | Self::UnknownPrompt
            | Self::UnknownResource
            | Self::UnknownUpstream
            | Self::UnknownMethod
            | Self::Cancelled => Blame::Downstream,
            Self::NotReady
            | Self::Unreachable
            | Self::UpstreamStatus(_)
            | Self::SessionLost
            | Self::ConnectionLost
            | Self::TimedOut
            | Self::InvalidResponse => Blame::Upstream,
            Self::TooManySessions | Self::Busy => Blame::Gateway,
        }
    }

    /// True if the request provably had no effect, so that it is safe to send it again.
    pub(crate) fn had_no_effect(self) -> bool {
        match self {
            Self::Malformed
            | Self::InvalidRequest(_)
            | Self::InvalidParams(_)
            | Self::UnknownTool
            | Self::UnknownPrompt
            | Self::UnknownResource
            | Self::UnknownUpstream
            | Self::UnknownMethod
            | Self::NotReady
            | Self::TooManySessions
            | Self::Busy
            | Self::Unreachable
            | Self::UpstreamStatus(_)
            | Self::SessionLost => true,
            Self::ConnectionLost | Self::TimedOut | Self::InvalidResponse | Self::Cancelled => false,
        }
    }

    /// Returns a stable identifier for logs and for `data.kind` of an error response.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidParams(_) => "invalid_params",
            Self::UnknownTool => "unknown_tool",
            Self::UnknownPrompt => "unknown_prompt",
            Self::UnknownResource => "unknown_resource",
            Self::UnknownUpstream => "unknown_upstream",
            Self::UnknownMethod => "unknown_method",
            Self::NotReady => "upstream_not_ready",
            Self::TooManySessions => "too_many_sessions",
            Self::Busy => "upstream_busy",
            Self::Unreachable => "upstream_unreachable",
            Self::UpstreamStatus(_) => "upstream_refused",
            Self::SessionLost => "upstream_session_lost",
            Self::ConnectionLost => "upstream_lost",
            Self::TimedOut => "upstream_timed_out",
            Self::InvalidResponse => "upstream_bad_answer",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match &self.limit {
            Some(limit) => write!(f, "; {limit}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the message is malformed"),
            Self::InvalidRequest(why) | Self::InvalidParams(why) => f.write_str(why),
            Self::UnknownTool => f.write_str("unknown tool"),
            Self::UnknownPrompt => f.write_str("unknown prompt"),
            Self::UnknownResource => f.write_str("unknown resource"),
            Self::UnknownUpstream => f.write_str("unknown upstream"),
            Self::UnknownMethod => f.write_str("unknown method"),
            Self::NotReady => f.write_str("the upstream is not connected"),
            Self::TooManySessions => f.write_str("too many sessions"),
            Self::Busy => f.write_str("too many requests in flight"),
            Self::Unreachable => f.write_str("cannot connect to the upstream"),
            Self::UpstreamStatus(status) => write!(f, "the upstream refused with status {status}"),
            Self::SessionLost => f.write_str("the upstream no longer knows the session"),
            Self::ConnectionLost => f.write_str("the upstream's connection ended before its answer"),
            Self::TimedOut => f.write_str("no answer from the upstream within the deadline"),
            Self::InvalidResponse => f.write_str("the upstream's answer is not valid"),
            Self::Cancelled => f.write_str("the caller withdrew the request"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A cause of which a part is safe to show to a client: the part helps to find the mistake and holds no secret.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The whole cause, for the log and the status.
    pub(crate) cause: String,
    /// The part for the client.
    pub(crate) part: String,
}

impl Shown {
    /// Creates a cause that may be shown whole.
    pub(crate) fn whole(cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        Self { part: cause.clone(), cause }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl StdError for Shown {}

impl Error {
    /// Returns the part of the cause that a client may see; empty if there is none.
    pub(crate) fn shown(&self) -> &str {
        let shown = self.source.as_ref().and_then(|source| source.downcast_ref::<Shown>());
        shown.map_or("", |shown| &shown.part)
    }
}

/// Prints an error with its causes, outermost first. Logs and status texts print errors only through this type.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
