//! Reads the client metadata in a modern request's `_meta`, and removes it for a legacy upstream (2026-07-28, basic,
//! "_meta").

use std::borrow::Cow;

use super::invalid::Invalid;
use super::keys::{CAPABILITIES_KEY, CLIENT_KEY, LOG_LEVEL_KEY, VERSION_KEY};
use super::message::Message;
use super::object::Object;
use super::scan::text;
use super::version::LATEST_LEGACY;

/// Metadata between the client and the gateway.
const OWN_KEYS: [&str; 4] = [VERSION_KEY, CAPABILITIES_KEY, CLIENT_KEY, LOG_LEVEL_KEY];
/// Parameters of a second `input_required` round, unknown to legacy upstreams, and `task`, which would make the call a
/// legacy task.
const OWN_PARAMS: [&str; 3] = ["inputResponses", "requestState", "task"];
/// The extension for calls that continue as tasks. Legacy tasks differ, and modern clients do not understand them.
pub(crate) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The client metadata of a modern request.
#[derive(Debug)]
pub(crate) struct RequestMeta<'a> {
    pub(crate) version: Cow<'a, str>,
    /// The raw client capabilities.
    pub(crate) capabilities: &'a str,
    pub(crate) log_level: Option<Cow<'a, str>>,
}

impl<'a> RequestMeta<'a> {
    /// Reads the metadata. The error names the missing member.
    pub(crate) fn of(request: &'a Message) -> Result<Self, &'static str> {
        let [version, capabilities, log_level, _] = request.own_meta().ok_or("`params._meta` is required")?;
        let version = version.and_then(text).ok_or("`_meta` must name the protocol version")?;
        let capabilities = capabilities.filter(|raw| Object::pick(raw, []).is_ok());
        let capabilities = capabilities.ok_or("`_meta` must name the client's capabilities")?;
        Ok(Self { version, capabilities, log_level: log_level.and_then(text) })
    }
}

/// True if a modern request asks for log messages.
pub(crate) fn asks_for_logs(request: &Message) -> bool {
    RequestMeta::of(request).is_ok_and(|meta| meta.log_level.is_some())
}

/// True if a message carries the protocol version in `_meta`, which only modern messages do.
pub(crate) fn names_a_version(message: &Message) -> bool {
    message.own_meta().is_some_and(|[version, ..]| version.is_some())
}

/// Removes the members that only a modern server understands. The rest of the request stays unchanged.
pub(crate) fn plain(request: &Message) -> Result<Message, Invalid> {
    let raw = request.params();
    let params = Object::read(raw)?;
    let meta = params.get("_meta").and_then(|raw| Some((raw, without(&Object::read(raw).ok()?, &OWN_KEYS))));
    if OWN_PARAMS.iter().all(|name| params.get(name).is_none()) {
        let edits: Vec<_> = meta.iter().map(|(raw, kept)| (*raw, kept.as_str())).collect();
        return Message::parse(request.with(&edits));
    }
    let kept = params.members().filter(|(name, _)| !OWN_PARAMS.contains(name));
    let kept = kept.map(|(name, value)| match &meta {
        Some((_, meta)) if name == "_meta" => member(name, meta),
        Some(_) | None => member(name, value),
    });
    let kept = kept.collect::<Vec<_>>().join(",");
    Message::parse(request.with(&[(raw, &format!("{{{kept}}}"))]))
}

/// The notification that completes a legacy handshake.
pub(crate) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Builds the raw `initialize` parameters of a session for a client with these capabilities, without those that the
/// gateway cannot carry to a legacy upstream.
pub(crate) fn hello(capabilities: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let kept = bridged(capabilities).unwrap_or_else(|| "{}".to_owned());
    format!(
        r#"{{"protocolVersion":"{LATEST_LEGACY}","capabilities":{kept},"clientInfo":{{"name":"mcp-proxy","version":"{version}"}}}}"#
    )
}

/// True if these raw client capabilities declare tasks.
pub(crate) fn declares_tasks(capabilities: &str) -> bool {
    let capabilities = Object::read(capabilities).ok();
    let extensions = capabilities.and_then(|all| Object::read(all.get("extensions")?).ok());
    extensions.is_some_and(|all| all.get(TASKS_EXTENSION).is_some())
}

/// True if these raw client capabilities allow any server request.
pub(crate) fn can_answer_anything(capabilities: &str) -> bool {
    let capabilities = Object::read(capabilities).ok();
    capabilities.is_some_and(|all| ["sampling", "elicitation", "roots"].iter().any(|name| all.get(name).is_some()))
}

/// True if these raw client capabilities allow this server request.
pub(crate) fn can_answer(capabilities: &str, method: &str, params: &str) -> bool {
    let Ok(capabilities) = Object::read(capabilities) else { return false };
    match method {
        "sampling/createMessage" => capabilities.get("sampling").is_some(),
        "roots/list" => capabilities.get("roots").is_some(),
        "elicitation/create" => {
            let Some(modes) = capabilities.get("elicitation").and_then(|raw| Object::read(raw).ok()) else {
                return false;
            };
            let mode = Object::read(params).ok().and_then(|params| params.text("mode").map(Cow::into_owned));
            match mode.as_deref() {
                Some("url") => modes.get("url").is_some(),
                // A missing mode means the older one, `form` (2025-11-25, elicitation, "Capabilities").
                Some(_) | None => modes.get("form").is_some() || modes.get("url").is_none(),
            }
        }
        _ => false,
    }
}

fn bridged(raw: &str) -> Option<String> {
    let capabilities = Object::read(raw).ok()?;
    let kept = capabilities.members().filter(|(name, _)| *name != "tasks").map(|(name, value)| {
        let fewer = |names: &[&str]| Object::read(value).map(|inner| without(&inner, names));
        match name {
            // A modern client cannot announce a change of its roots.
            "roots" => fewer(&["listChanged"]).map(|kept| member(name, &kept)),
            "extensions" => fewer(&[TASKS_EXTENSION]).map(|kept| member(name, &kept)),
            _ => Ok(member(name, value)),
        }
    });
    Some(format!("{{{}}}", kept.collect::<Result<Vec<_>, _>>().ok()?.join(",")))
}

/// Returns the text of an object without the named members.
pub(crate) fn without(object: &Object<'_>, names: &[&str]) -> String {
    let kept = object.members().filter(|(name, _)| !names.contains(name));
    format!("{{{}}}", kept.map(|(name, value)| member(name, value)).collect::<Vec<_>>().join(","))
}

fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", serde_json::Value::from(name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn check_plain(params: &str, expected: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let request = Message::parse(Bytes::from(text)).expect(params);
        assert_eq!(plain(&request).expect(params).params(), expected, "{params}");
    }

    #[test]
    fn a_legacy_upstream_sees_what_is_not_the_protocols_own() {
        let own = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/logLevel":"info""#;
        check_plain(&format!(r#"{{"_meta":{{{own}}},"name":"a"}}"#), r#"{"_meta":{},"name":"a"}"#);
        check_plain(
            &format!(r#"{{"name": "a","_meta":{{"progressToken":7,{own},"vendor/x":1.10,"traceparent":"t"}}}}"#),
            r#"{"name": "a","_meta":{"progressToken":7,"vendor/x":1.10,"traceparent":"t"}}"#,
        );
        check_plain(
            &format!(
                r#"{{"arguments":{{"n": 1e3}},"requestState":"s","inputResponses":{{}},"task":{{}},"_meta":{{{own}}}}}"#
            ),
            r#"{"arguments":{"n": 1e3},"_meta":{}}"#,
        );
    }

    #[test]
    fn a_session_declares_what_can_be_carried() {
        let check = |declared: &str, expected: &str| {
            let hello = hello(declared);
            assert_eq!(Object::read(&hello).expect("an object").get("capabilities"), Some(expected), "{declared}");
        };
        check("{}", "{}");
        check(r#"{"roots":{"listChanged":true},"sampling":{},"tasks":{}}"#, r#"{"roots":{},"sampling":{}}"#);
        check(
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{"a":1.0}}}"#,
            r#"{"extensions":{"x/y":{"a":1.0}}}"#,
        );
    }

    #[test]
    fn a_client_is_asked_what_it_declared() {
        let check = |declared: &str, method: &str, params: &str, expected: bool| {
            assert_eq!(can_answer(declared, method, params), expected, "{declared} {method} {params}");
        };
        check("{}", "roots/list", "{}", false);
        check(r#"{"roots":{}}"#, "roots/list", "", true);
        check(r#"{"roots":{}}"#, "sampling/createMessage", "{}", false);
        check(r#"{"elicitation":{}}"#, "elicitation/create", "{}", true);
        check(r#"{"elicitation":{}}"#, "elicitation/create", r#"{"mode":"url"}"#, false);
        check(r#"{"elicitation":{"url":{}}}"#, "elicitation/create", r#"{"mode":"url"}"#, true);
        check(r#"{"elicitation":{"url":{}}}"#, "elicitation/create", r#"{"mode":"form"}"#, false);
        check(r#"{"roots":{}}"#, "vendor/ask", "{}", false);
    }
}
