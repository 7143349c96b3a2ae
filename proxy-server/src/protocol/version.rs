//! The legacy protocol revisions: those with an `initialize` handshake.

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
