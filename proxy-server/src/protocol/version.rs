//! Protocol revisions: legacy ones with an `initialize` handshake, and the modern one without.

/// A generation of the protocol. The eras differ in the handshake, and in how a server asks the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// An `initialize` handshake, and requests in both directions: 2024-11-05 to 2025-11-25.
    Legacy,
    /// Metadata in every request, and server questions inside of responses (`input_required`): 2026-07-28 on.
    Modern,
}

impl Era {
    /// Returns the word for logs and statuses.
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

/// The revisions that an endpoint speaks to clients, the newest last.
pub(crate) fn versions(is_modern: bool) -> Vec<&'static str> {
    LEGACY.into_iter().chain(is_modern.then_some(LATEST_MODERN)).collect()
}

/// True if this revision is valid in `MCP-Protocol-Version` of a legacy request.
pub(crate) fn is_known(version: &str) -> bool {
    LEGACY.contains(&version)
}

/// Chooses the revision for the response to `initialize`: the client's if known, otherwise the newest (2025-11-25,
/// lifecycle, "Version Negotiation").
pub(crate) fn negotiate(requested: &str) -> &'static str {
    LEGACY.into_iter().find(|known| *known == requested).unwrap_or(LATEST_LEGACY)
}
