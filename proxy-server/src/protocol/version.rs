//! The protocol revisions: the legacy ones with an `initialize` handshake, and the modern one without.

/// The generations of the protocol: what differs between them is how a client introduces itself, and which side asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// An `initialize` handshake and requests in both directions: 2024-11-05 to 2025-11-25.
    Legacy,
    /// Metadata in every request, and questions inside of answers: 2026-07-28 on.
    Modern,
}

impl Era {
    /// The word for logs and statuses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// The newest modern revision.
pub(crate) const LATEST_MODERN: &str = "2026-07-28";

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The newest revision with a handshake, offered to upstreams.
pub(crate) const LATEST_LEGACY: &str = "2025-11-25";

/// Whether a request may name this revision in `MCP-Protocol-Version`.
pub(crate) fn is_known(version: &str) -> bool {
    LEGACY.contains(&version)
}

/// The revision to answer a client's `initialize` with: its own if known, else the newest
/// (2025-11-25, lifecycle, "Version Negotiation").
pub(crate) fn negotiate(requested: &str) -> &'static str {
    LEGACY.into_iter().find(|known| *known == requested).unwrap_or(LATEST_LEGACY)
}
