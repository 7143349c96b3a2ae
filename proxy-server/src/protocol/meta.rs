//! The few members inside `params` that tie messages to one another, and the keys by which modern messages say what a
//! handshake used to say (2026-07-28, basic, "_meta").

use super::object::Object;

pub(crate) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
pub(crate) const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";
pub(crate) const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// The raw `params._meta.progressToken` of a request.
pub(crate) fn progress_token(params: &str) -> Option<&str> {
    meta(params, "progressToken")
}

/// The raw `params.requestId` of `notifications/cancelled`.
pub(crate) fn requested_id(params: &str) -> Option<&str> {
    Object::read(params).ok()?.get("requestId")
}

/// The raw id of the `subscriptions/listen` that a notification, or a result, belongs to.
pub(crate) fn subscription_id(params: &str) -> Option<&str> {
    meta(params, SUBSCRIPTION_KEY)
}

/// A raw member of the object's own `_meta`.
fn meta<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    // Most messages have no such object, and this is cheaper than to read them.
    memchr::memmem::find(text.as_bytes(), b"_meta")?;
    Object::read(Object::read(text).ok()?.get("_meta")?).ok()?.get(key)
}
