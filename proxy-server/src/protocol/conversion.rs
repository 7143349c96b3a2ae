//! Converts a legacy upstream's responses to the modern era (2026-07-28, basic, "Results" and "Caching").

use bytes::Bytes;

use super::code::{INVALID_PARAMS, RESOURCE_NOT_FOUND};
use super::keys::{SERVER_KEY, SUBSCRIPTION_KEY};
use super::message::{Kind, Message, result_response};
use super::object::Object;
use super::request_meta::without;
use super::splice::quote;
use super::version::LATEST_MODERN;
use crate::pieces::Pieces;

/// Methods whose results carry cache hints.
const CACHEABLE: [&str; 8] = [
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "skills/list",
    "skills/get",
];
/// No caching: a legacy upstream's result may change without a notice, and may be specific to one client.
const HINTS: &str = r#""ttlMs":0,"cacheScope":"private","#;

/// Converts the upstream's answer to `request`, the client's own request, and applies the replacements in `more`.
/// `server` is the upstream's raw `serverInfo`.
pub(crate) fn completed(request: &Message, answer: &Message, server: &str, more: &[(&str, &str)]) -> Bytes {
    let edited = match answer.kind() {
        Kind::Result => complete(request, answer, server, more),
        Kind::Error => not_found(request, answer, more),
        Kind::Request | Kind::Notification => None,
    };
    edited.unwrap_or_else(|| answer.with_id(request.id(), more))
}

fn complete(request: &Message, answer: &Message, server: &str, more: &[(&str, &str)]) -> Option<Bytes> {
    let raw = answer.body();
    let result = Object::read(raw).ok()?;
    let mut first = String::new();
    if result.get("resultType").is_none() {
        first.push_str(r#""resultType":"complete","#);
    }
    if CACHEABLE.contains(&request.method()) && result.get("ttlMs").is_none() && result.get("cacheScope").is_none() {
        first.push_str(HINTS);
    }
    let named;
    let mut edits = Vec::with_capacity(2);
    let meta = result.get("_meta").and_then(|raw| Some((raw, Object::read(raw).ok()?)));
    match &meta {
        Some((_, meta)) if meta.get(SERVER_KEY).is_some() => {}
        Some((raw, meta)) => {
            named = format!("\"{SERVER_KEY}\":{server}{}", if meta.is_empty() { "" } else { "," });
            edits.push((Object::opening(raw), named.as_str()));
        }
        None => first.push_str(&format!(r#""_meta":{{"{SERVER_KEY}":{server}}},"#)),
    }
    if result.is_empty() {
        first.pop();
    }
    edits.push((Object::opening(raw), &first));
    edits.extend(more);
    Some(answer.with_id(request.id(), &edits))
}

/// Converts "resource not found" to the modern invalid-params error that names the URI.
fn not_found(request: &Message, answer: &Message, more: &[(&str, &str)]) -> Option<Bytes> {
    let error = Object::read(answer.body()).ok()?;
    let code = error.get("code").filter(|code| code.parse() == Ok(RESOURCE_NOT_FOUND))?;
    let new_code = INVALID_PARAMS.to_string();
    let params = Object::read(request.params()).ok();
    let uri = params.as_ref().and_then(|params| params.get("uri")).unwrap_or("null");
    let data = error.get("data");
    let known = data.and_then(|data| Object::read(data).ok());
    let added;
    let mut edits = vec![(code, new_code.as_str())];
    match (data, known) {
        (_, Some(known)) if known.get("uri").is_some() => {}
        (Some(raw), Some(known)) => {
            added = format!("\"uri\":{uri}{}", if known.is_empty() { "" } else { "," });
            edits.push((Object::opening(raw), added.as_str()));
        }
        (Some(raw), None) => {
            added = format!(r#"{{"uri":{uri}}}"#);
            edits.push((raw, added.as_str()));
        }
        (None, _) => {
            added = format!(r#""data":{{"uri":{uri}}},"#);
            edits.push((Object::opening(answer.body()), added.as_str()));
        }
    }
    edits.extend(more);
    Some(answer.with_id(request.id(), &edits))
}

/// Opening of every result that the gateway itself composes for a modern client.
const OWN_OPENING: &str = concat!(
    r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":"#,
    r#"{"name":"mcp-proxy","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}},"#
);

/// Builds a modern client's list response from a stored legacy result without copying it.
pub(crate) fn own_list(id: &str, result: &Bytes) -> Pieces {
    let before = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{OWN_OPENING}"#);
    Pieces::new([before.into(), result.slice(1.min(result.len())..), Bytes::from_static(b"}")])
}

/// Builds a legacy client's list response with cache hints, for extensions that require them in any era.
pub(crate) fn own_legacy_list(id: &str, result: &Bytes) -> Pieces {
    let before = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{HINTS}"#);
    Pieces::new([before.into(), result.slice(1.min(result.len())..), Bytes::from_static(b"}")])
}

/// Builds the raw result of `server/discover` for the endpoint of all upstreams.
pub(crate) fn own_discovery(capabilities: &str, instructions: Option<&str>) -> String {
    let server = format!(r#"{{"name":"mcp-proxy","version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
    discovered(capabilities, instructions.map(quote).as_deref(), &server)
}

/// Builds the raw result of `server/discover` from an upstream's response to `initialize`.
pub(crate) fn discovery(handshake: &Message) -> String {
    let hello = Object::read(handshake.body()).ok();
    let get = |name| hello.as_ref().and_then(|hello| hello.get(name));
    // Legacy tasks are incompatible with modern ones.
    let capabilities = get("capabilities").and_then(|raw| Object::read(raw).ok());
    let capabilities = capabilities.map_or_else(|| "{}".to_owned(), |all| without(&all, &["tasks"]));
    discovered(&capabilities, get("instructions"), server_info(handshake))
}

/// Builds the result from raw members.
fn discovered(capabilities: &str, instructions: Option<&str>, server: &str) -> String {
    let instructions = instructions.map(|text| format!(r#""instructions":{text},"#)).unwrap_or_default();
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{LATEST_MODERN}"],"capabilities":{capabilities},{instructions}"ttlMs":5000,"cacheScope":"private","_meta":{{"{SERVER_KEY}":{server}}}}}"#
    )
}

/// Returns the raw `serverInfo` of an upstream's response to `initialize`.
pub(crate) fn server_info(handshake: &Message) -> &str {
    let hello = Object::read(handshake.body()).ok();
    hello.and_then(|hello| hello.get("serverInfo")).unwrap_or(r#"{"name":"mcp-proxy","version":"0"}"#)
}

/// Adds the raw id of the `subscriptions/listen` to a notification that belongs to it.
pub(crate) fn subscribed(notification: &Message, id: &str) -> Bytes {
    let mark = format!("\"{SUBSCRIPTION_KEY}\":{id}");
    let raw = notification.params();
    let Ok(params) = Object::read(raw) else {
        let added = format!(r#""params":{{"_meta":{{{mark}}}}},"#);
        return notification.with(&[(notification.opening(), &added)]);
    };
    let meta = params.get("_meta").and_then(|raw| Some((raw, Object::read(raw).ok()?)));
    let (at, mark, is_alone) = match meta {
        Some((raw, meta)) => (Object::opening(raw), mark, meta.is_empty()),
        None => (Object::opening(raw), format!(r#""_meta":{{{mark}}}"#), params.is_empty()),
    };
    notification.with(&[(at, &format!("{mark}{}", if is_alone { "" } else { "," }))])
}

/// Builds the response that ends the `subscriptions/listen` with this raw id.
pub(crate) fn listening_ended(id: &str) -> Bytes {
    result_response(id, &format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_KEY}":{id}}}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
    }

    fn check(method: &str, answer: &str, expected: &str) {
        let params = r#"{"uri":"a://b"}"#;
        let request = message(&format!(r#"{{"jsonrpc":"2.0","id":"x","method":"{method}","params":{params}}}"#));
        let answer = message(&format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#));
        let found = completed(&request, &answer, r#"{"name":"s"}"#, &[]);
        let expected = expected.replace("SERVER", r#""io.modelcontextprotocol/serverInfo":{"name":"s"}"#);
        assert_eq!(String::from_utf8_lossy(&found), format!(r#"{{"jsonrpc":"2.0","id":"x",{expected}}}"#));
    }

    #[test]
    fn results_say_that_they_are_complete_and_whose() {
        check("tools/call", r#""result":{}"#, r#""result":{"resultType":"complete","_meta":{SERVER}}"#);
        check(
            "tools/call",
            r#""result":{"content":[ 1.10 ]}"#,
            r#""result":{"resultType":"complete","_meta":{SERVER},"content":[ 1.10 ]}"#,
        );
        check(
            "tools/call",
            r#""result":{"_meta":{"a":1},"x":2}"#,
            r#""result":{"resultType":"complete","_meta":{SERVER,"a":1},"x":2}"#,
        );
        check("tools/call", r#""result":{"_meta":{}}"#, r#""result":{"resultType":"complete","_meta":{SERVER}}"#);
    }

    #[test]
    fn lists_say_that_they_cannot_be_kept() {
        check(
            "tools/list",
            r#""result":{"tools":[]}"#,
            r#""result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{SERVER},"tools":[]}"#,
        );
    }

    #[test]
    fn a_list_of_the_gateways_own_is_told_as_every_list() {
        let list = own_list("7", &Bytes::from_static(br#"{"tools":[{"x":1.10}],"nextCursor":"1"}"#));
        let told = message(&String::from_utf8_lossy(&Bytes::from(list)));
        let result = Object::read(told.body()).expect("an object");
        assert_eq!((told.id(), result.text("resultType").as_deref()), ("7", Some("complete")));
        assert_eq!((result.get("tools"), result.get("nextCursor")), (Some(r#"[{"x":1.10}]"#), Some("\"1\"")));
        assert_eq!((result.get("ttlMs"), result.get("cacheScope")), (Some("0"), Some("\"private\"")));
    }

    #[test]
    fn a_missing_resource_has_the_code_of_this_era() {
        let check = |error, expected| check("resources/read", error, expected);
        check(
            r#""error":{"code":-32002,"message":"no"}"#,
            r#""error":{"data":{"uri":"a://b"},"code":-32602,"message":"no"}"#,
        );
        check(
            r#""error":{"code":-32002,"message":"no","data":{"uri":"c"}}"#,
            r#""error":{"code":-32602,"message":"no","data":{"uri":"c"}}"#,
        );
        check(
            r#""error":{"code":-32002,"message":"no","data":{"x":1}}"#,
            r#""error":{"code":-32602,"message":"no","data":{"uri":"a://b","x":1}}"#,
        );
        check(r#""error":{"code":-32000,"message":"no"}"#, r#""error":{"code":-32000,"message":"no"}"#);
    }

    #[test]
    fn a_listeners_messages_carry_its_id() {
        let check = |params: &str, expected: &str| {
            let told = message(&format!(r#"{{"jsonrpc":"2.0","method":"n"{params}}}"#));
            let found = message(&String::from_utf8_lossy(&subscribed(&told, "7")));
            assert_eq!(found.params(), expected.replace("ID", r#""io.modelcontextprotocol/subscriptionId":7"#));
        };
        check("", r#"{"_meta":{ID}}"#);
        check(r#","params":{}"#, r#"{"_meta":{ID}}"#);
        check(r#","params":{"uri":"a"}"#, r#"{"_meta":{ID},"uri":"a"}"#);
        check(r#","params":{"_meta":{"x":1}}"#, r#"{"_meta":{ID,"x":1}}"#);
    }

    #[test]
    fn a_discovery_tells_what_the_handshake_told() {
        let handshake = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"x":1.0},"tasks":{}},"serverInfo":{"name":"s"},"instructions":"do"}}"#,
        );
        assert_eq!(
            discovery(&handshake),
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"x":1.0}},"instructions":"do","ttlMs":5000,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#
        );
    }
}
