//! Members inside `params` that link messages to one another, and a server's description of itself.

use super::keys::{SERVER_KEY, SUBSCRIPTION_KEY};
use super::message::Message;
use super::object::Object;

/// Returns the raw `params._meta.progressToken` of a request.
pub(crate) fn progress_token(request: &Message) -> Option<&str> {
    let [.., token] = request.own_meta()?;
    token
}

/// Returns the raw `params.requestId` of `notifications/cancelled`.
pub(crate) fn requested_id(params: &str) -> Option<&str> {
    Object::read(params).ok()?.get("requestId")
}

/// Returns the raw id of the `subscriptions/listen` that a notification belongs to.
pub(crate) fn subscription_id(notification: &Message) -> Option<&str> {
    Object::read(notification.meta()?).ok()?.get(SUBSCRIPTION_KEY)
}

/// Returns the raw subscription id in a result that ends a `subscriptions/listen`.
pub(crate) fn ended_subscription(result: &str) -> Option<&str> {
    Object::read(Object::read(result).ok()?.get("_meta")?).ok()?.get(SUBSCRIPTION_KEY)
}

/// Returns the server's description of itself in the raw result of a handshake of either era: `serverInfo`, or the member
/// of `_meta` that replaces it.
pub(crate) fn server_of(handshake: &str) -> Option<Object<'_>> {
    let result = Object::read(handshake).ok()?;
    let meta = || Object::read(result.get("_meta")?).ok()?.get(SERVER_KEY);
    Object::read(result.get("serverInfo").or_else(meta)?).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn check(found: fn(&Message) -> Option<&str>, params: &str, expected: Option<&str>) {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"x","params":{params}}}"#);
        let message = Message::parse(Bytes::from(text)).expect("a message");
        assert_eq!(found(&message), expected, "{params}");
    }

    #[test]
    fn finds_a_token_however_its_name_is_written() {
        check(progress_token, r#"{"_meta":{"progressToken":7}}"#, Some("7"));
        check(progress_token, r#"{"_me\u0074a":{"progress\u0054oken":"a"}}"#, Some("\"a\""));
        check(progress_token, r#"{"a":"progressToken","_meta":{}}"#, None);
        check(progress_token, r#"{"a":1}"#, None);
        check(progress_token, "[]", None);
        let many: String = (0..20).map(|number| format!(r#""{number}":0,"#)).collect();
        check(progress_token, &format!(r#"{{{many}"_meta":{{"progressToken":7}}}}"#), Some("7"));
        check(progress_token, &format!(r#"{{"_meta":{{{many}"progressToken":7}}}}"#), Some("7"));
        check(progress_token, r#"{"_meta":{"progressToken":7},"_meta":{}}"#, None);
        check(progress_token, r#"{"_meta":{"progressToken":7,"a":1,"a":1}}"#, None);
        check(progress_token, r#"{"_meta":["progressToken",7]}"#, None);
        check(subscription_id, r#"{"_meta":{"io.modelcontextprotocol\/subscriptionId":3}}"#, Some("3"));
    }
}
