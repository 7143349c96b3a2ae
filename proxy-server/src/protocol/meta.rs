//! The few members inside `params` that tie messages to one another, and the keys by which modern messages say what a
//! handshake used to say (2026-07-28, basic, "_meta").

use memchr::memmem;

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
    // Most messages have none, and to see that takes far less time than to read all of what may be large.
    if !may_name(text, key.as_bytes()) {
        return None;
    }
    Object::read(Object::read(text).ok()?.get("_meta")?).ok()?.get(key)
}

/// Whether a member may be called this. A name can also be written with escapes.
fn may_name(text: &str, name: &[u8]) -> bool {
    let occurs = |needle| memmem::find(text.as_bytes(), needle).is_some();
    occurs(name) || occurs(b"\\u") || occurs(b"\\/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_token_however_its_name_is_written() {
        assert_eq!(progress_token(r#"{"_meta":{"progressToken":7}}"#), Some("7"));
        assert_eq!(progress_token(r#"{"_meta":{"progress\u0054oken":"a"}}"#), Some("\"a\""));
        assert_eq!(progress_token(r#"{"a":"progressToken","_meta":{}}"#), None);
        assert_eq!(progress_token(r#"{"a":1}"#), None);
        assert_eq!(subscription_id(r#"{"_meta":{"io.modelcontextprotocol\/subscriptionId":3}}"#), Some("3"));
    }
}
