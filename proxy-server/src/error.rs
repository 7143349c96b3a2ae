//! What can go wrong on the path of a request: a kind to branch on, and a cause for the log.
//!
//! Causes never reach a client; `downstream::respond` finds the public words for each kind.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use schemas::{ServerName, format_duration};

/// How much of a name that somebody asked for is repeated.
const LONGEST_NAME: usize = 200;
/// How many names are compared with one that is unknown.
const MOST_CANDIDATES: usize = 1_000;

/// A failure on the path of a request.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    upstream: Option<ServerName>,
    limit: Option<Box<Limit>>,
    /// The name that was asked for, and those that the caller may see and may have meant.
    unknown: Option<Box<Unknown>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A name that stands for nothing, and those near it.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) name: String,
    pub(crate) near: Vec<String>,
}

/// A limit that was reached, and how to set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    allowed: String,
    flag: &'static str,
    /// The member of a definition that sets it for one server.
    member: Option<&'static str>,
}

/// What happened, as far as a caller's next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body is not JSON, or breaks a limit on its form.
    Malformed,
    /// JSON, but no message that this protocol knows; the text says why.
    InvalidRequest(&'static str),
    /// A request whose parameters the gateway has to read and cannot; the text says why.
    InvalidParams(&'static str),
    /// A tool that does not exist, or that this caller may not see.
    UnknownTool,
    /// A prompt that does not exist.
    UnknownPrompt,
    /// A resource that no upstream has.
    UnknownResource,
    /// A name that begins with that of an upstream which does not exist, or which this caller may not use.
    UnknownUpstream,
    /// A method that the endpoint of all upstreams does not have.
    UnknownMethod,
    /// The upstream has no session at the moment. Nothing was sent.
    NotReady,
    /// The upstream, or the gateway, has as many sessions as it may. Nothing was sent.
    TooManySessions,
    /// The upstream has as many requests in flight as it may. Nothing was sent.
    Busy,
    /// No connection to the upstream could be made. Nothing was sent.
    Unreachable,
    /// The upstream refused the request with an HTTP status. It was not executed.
    Refused(u16),
    /// The upstream no longer knows its session. The request was not executed.
    SessionLost,
    /// The connection ended after the request was sent. Whether it was executed is not known.
    Lost,
    /// No answer within the deadline. Whether it was executed is not known.
    TimedOut,
    /// The upstream answered something that is no answer.
    BadAnswer,
    /// The caller withdrew the request.
    Cancelled,
}

/// Whose fault it is.
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

    /// Names the limit that was reached.
    pub(crate) fn limited(mut self, limit: Option<Limit>) -> Self {
        self.limit = limit.map(Box::new);
        self
    }

    /// The limit that was reached.
    pub(crate) fn limit(&self) -> Option<&Limit> {
        self.limit.as_deref()
    }

    /// Names what was asked for. `candidates` are names that this caller may see; no others may be passed.
    pub(crate) fn asked<'n>(mut self, name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Self {
        // A search through everything that is listed, for nothing but a mistake, has a bound.
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
            | Self::Refused(_)
            | Self::SessionLost
            | Self::Lost
            | Self::TimedOut
            | Self::BadAnswer => Blame::Upstream,
            Self::TooManySessions | Self::Busy => Blame::Gateway,
        }
    }

    /// Whether the request provably had no effect, so that sending it again is safe.
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
            | Self::Refused(_)
            | Self::SessionLost => true,
            Self::Lost | Self::TimedOut | Self::BadAnswer | Self::Cancelled => false,
        }
    }

    /// A stable word for logs and for `data.kind` of an error answer.
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
            Self::Refused(_) => "upstream_refused",
            Self::SessionLost => "upstream_session_lost",
            Self::Lost => "upstream_lost",
            Self::TimedOut => "upstream_timed_out",
            Self::BadAnswer => "upstream_bad_answer",
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
            Self::Refused(status) => write!(f, "the upstream refused with status {status}"),
            Self::SessionLost => f.write_str("the upstream no longer knows the session"),
            Self::Lost => f.write_str("the upstream's connection ended before its answer"),
            Self::TimedOut => f.write_str("no answer from the upstream within the deadline"),
            Self::BadAnswer => f.write_str("the upstream's answer is not valid"),
            Self::Cancelled => f.write_str("the caller withdrew the request"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A cause of which a part may be shown to a client: it says what to look at, and holds no secret.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The cause for the log and the status.
    pub(crate) cause: String,
    /// The part for the client.
    pub(crate) part: String,
}

impl Shown {
    /// A cause that may be shown whole.
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
    /// The part of the cause that a client may see; empty if there is none.
    pub(crate) fn shown(&self) -> &str {
        let shown = self.source.as_ref().and_then(|source| source.downcast_ref::<Shown>());
        shown.map_or("", |shown| &shown.part)
    }
}

/// Prints an error with its causes, outermost first: the one way errors get into logs and status texts.
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
