//! Keys of `_meta` that replace the handshake in modern messages (2026-07-28, basic, "_meta").

pub(crate) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
pub(crate) const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";
pub(crate) const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// Members of `params._meta` that the gateway reads.
pub(super) const OWN_NAMES: [&str; 4] = [VERSION_KEY, CAPABILITIES_KEY, LOG_LEVEL_KEY, "progressToken"];
