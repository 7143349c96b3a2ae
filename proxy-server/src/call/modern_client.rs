//! Facts about a client that each modern request carries, in place of a handshake.

/// Metadata of a modern request.
pub(crate) struct ModernClient {
    /// Raw client capabilities.
    pub(crate) capabilities: Box<str>,
    /// Minimum severity of log messages that the client requested, if any.
    pub(crate) log_level: Option<Box<str>>,
}
