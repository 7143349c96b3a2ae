//! The protocol revisions, and their differences for a client.

use std::fmt::{self, Display};

/// A protocol revision, by its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(&'static str);

/// Transport of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP with a separate event stream, as in 2024-11-05.
    Sse,
    /// Streamable HTTP.
    Stream,
    /// JSON lines over the stdin and stdout of a child process.
    Stdio,
}

impl Revision {
    /// The last revision with an `initialize` handshake.
    pub const LAST_LEGACY: Self = Self("2025-11-25");
    /// The first modern revision, in which each request carries all metadata.
    pub const MODERN: Self = Self("2026-07-28");
    /// All revisions, the oldest first.
    pub const ALL: [Self; 5] =
        [Self("2024-11-05"), Self("2025-03-26"), Self("2025-06-18"), Self::LAST_LEGACY, Self::MODERN];

    /// Returns the revision as written in messages.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.0
    }

    /// Returns true if the revision has neither a handshake nor sessions.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self >= Self::MODERN
    }

    /// Returns true if a server may send elicitation requests.
    #[must_use]
    pub fn has_elicitation(self) -> bool {
        self >= Self("2025-06-18")
    }

    /// Returns true if HTTP requests carry the revision in a header.
    #[must_use]
    pub fn has_version_header(self) -> bool {
        self >= Self("2025-06-18")
    }

    /// Returns the reason why a client of this revision cannot use a transport, if any.
    #[must_use]
    pub fn lacks(self, transport: Transport) -> Option<&'static str> {
        match transport {
            Transport::Stream if self < Self("2025-03-26") => Some("Streamable HTTP came with 2025-03-26"),
            Transport::Sse if self.is_modern() => Some("the modern era has no SSE transport"),
            _ => None,
        }
    }
}

impl Transport {
    /// All transports.
    pub const ALL: [Self; 3] = [Self::Sse, Self::Stream, Self::Stdio];
}

impl Display for Revision {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.0)
    }
}

impl Display for Transport {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(match self {
            Self::Sse => "SSE",
            Self::Stream => "streamable",
            Self::Stdio => "stdio",
        })
    }
}
