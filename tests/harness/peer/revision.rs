//! The protocol revisions, and what differs between them for a client.

use std::fmt::{self, Display};

/// A protocol revision, by its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(&'static str);

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP with a separate event stream, as in 2024-11-05.
    Sse,
    /// Streamable HTTP.
    Stream,
    /// JSON lines through the pipes of a child process.
    Stdio,
}

impl Revision {
    /// The last that begins with a handshake.
    pub const LAST_LEGACY: Self = Self("2025-11-25");
    /// The first, and so far the only one, whose requests each say all there is to know.
    pub const MODERN: Self = Self("2026-07-28");
    /// All of them, the oldest first.
    pub const ALL: [Self; 5] =
        [Self("2024-11-05"), Self("2025-03-26"), Self("2025-06-18"), Self::LAST_LEGACY, Self::MODERN];

    /// As it is written in messages.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.0
    }

    /// Whether there is neither a handshake nor a session.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self >= Self::MODERN
    }

    /// Whether a server may ask the user.
    #[must_use]
    pub fn has_elicitation(self) -> bool {
        self >= Self("2025-06-18")
    }

    /// Whether requests over HTTP say in a header which revision they speak.
    #[must_use]
    pub fn has_version_header(self) -> bool {
        self >= Self("2025-06-18")
    }

    /// Why a client of this revision cannot use a transport, where it cannot.
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
    /// All of them.
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
