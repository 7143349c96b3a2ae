//! Adds the metadata of a legacy client's handshake to each request for a modern upstream, and removes members that
//! legacy clients do not expect from the responses (2026-07-28, basic, "_meta").

use bytes::Bytes;

use super::invalid::Invalid;
use super::keys::{CAPABILITIES_KEY, CLIENT_KEY, LOG_LEVEL_KEY, VERSION_KEY};
use super::message::Message;
use super::object::Object;
use super::version::LATEST_MODERN;

const OWN_KEYS: [&str; 4] = [VERSION_KEY, CAPABILITIES_KEY, CLIENT_KEY, LOG_LEVEL_KEY];

/// Client metadata for modern requests: the raw client info and capabilities.
#[derive(Debug, Clone)]
pub(crate) struct ClientMeta {
    capabilities: Box<str>,
    client: Box<str>,
}

impl ClientMeta {
    /// Returns the metadata of the gateway itself, which declares no capabilities.
    pub(crate) fn own() -> Self {
        let client = format!(r#"{{"name":"mcp-proxy","version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
        Self { capabilities: "{}".into(), client: client.into() }
    }

    /// Reads the metadata from raw `initialize` parameters. Capabilities that exist only in the legacy era are left
    /// out.
    pub(crate) fn of(hello: &str) -> Self {
        let own = Self::own();
        let Ok(hello) = Object::read(hello) else { return own };
        let capabilities = hello.get("capabilities").and_then(transferable);
        let client = hello.get("clientInfo").filter(|raw| Object::read(raw).is_ok());
        Self {
            capabilities: capabilities.map_or(own.capabilities, String::into_boxed_str),
            client: client.map_or(own.client, Into::into),
        }
    }

    /// Returns the raw capabilities.
    pub(crate) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    /// Converts a legacy request to a modern one, with more raw members in `params`. Replaces members of `_meta` that
    /// use the protocol's own keys.
    pub(crate) fn apply(
        &self,
        request: &Message,
        level: Option<&str>,
        members: &[(&str, &str)],
    ) -> Result<Message, Invalid> {
        let level = level.map(|level| format!(r#","{LOG_LEVEL_KEY}":"{level}""#)).unwrap_or_default();
        let mut said = format!(
            r#""{VERSION_KEY}":"{LATEST_MODERN}","{CAPABILITIES_KEY}":{},"{CLIENT_KEY}":{}{level}"#,
            self.capabilities, self.client
        );
        let mut added: String = members.iter().map(|(name, value)| format!(r#""{name}":{value},"#)).collect();
        let raw = request.params();
        if raw.is_empty() {
            added = format!(r#""params":{{{added}"_meta":{{{said}}}}},"#);
            return Message::parse(request.with(&[(request.opening(), &added)]));
        }
        let params = Object::read(raw)?;
        let meta = params.get("_meta").and_then(|raw| Some((raw, Object::read(raw).ok()?)));
        let mut edits = Vec::new();
        let kept;
        match &meta {
            Some((raw, meta)) => {
                kept = without(raw, meta, &OWN_KEYS);
                if kept.len() > 2 {
                    said.push(',');
                }
                said.push_str(kept.get(1..).unwrap_or("}"));
                said.insert(0, '{');
                edits.push((*raw, said.as_str()));
            }
            None => {
                let comma = if params.is_empty() { "" } else { "," };
                added = format!(r#"{added}"_meta":{{{said}}}{comma}"#);
            }
        }
        // Legacy tasks do not exist in the modern era; a server without tasks runs the tool synchronously anyway.
        if let Some(task) = params.cut(raw, "task").filter(|_| request.method() == "tools/call") {
            edits.push((task, ""));
        }
        edits.push((Object::opening(raw), &added));
        Message::parse(request.with(&edits))
    }
}

/// Removes `resultType` from an answer to a legacy client's request; `None` if there is none.
pub(crate) fn unstamped(answer: &Message) -> Option<Bytes> {
    let result = Object::read(answer.body()).ok()?;
    Some(answer.with(&[(result.cut(answer.body(), "resultType")?, "")]))
}

/// Returns the output schema of a tool if it does not describe an object, which legacy clients refuse.
pub(crate) fn odd_schema(tool: &str) -> Option<&str> {
    memchr::memmem::find(tool.as_bytes(), b"outputSchema")?;
    let members = Object::read(tool).ok()?;
    let schema = Object::read(members.get("outputSchema")?).ok();
    let is_object = schema.is_some_and(|schema| schema.text("type").is_some_and(|kind| kind == "object"));
    if is_object { None } else { members.cut(tool, "outputSchema") }
}

/// Keeps the client capabilities that mean the same in both eras.
fn transferable(raw: &str) -> Option<String> {
    let capabilities = Object::read(raw).ok()?;
    let kept = without(raw, &capabilities, &["tasks"]);
    let roots = Object::read(&kept).ok()?.get("roots").map(str::to_owned);
    let Some(roots) = roots else { return Some(kept) };
    let members = Object::read(&roots).ok()?;
    let fewer = without(&roots, &members, &["listChanged"]);
    Some(kept.replacen(&roots, &fewer, 1))
}

/// Returns the text of an object without the named members.
fn without(raw: &str, object: &Object<'_>, names: &[&str]) -> String {
    let kept = object.members().filter(|(name, _)| !names.contains(name));
    let kept: Vec<String> = kept.map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name))).collect();
    if kept.len() == object.members().count() { raw.to_owned() } else { format!("{{{}}}", kept.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"tasks":{},"sampling":{}},"clientInfo":{"name":"c"}}"#;
    const SAID: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{},"sampling":{}},"io.modelcontextprotocol/clientInfo":{"name":"c"}"#;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message")
    }

    fn check(params: &str, expected: &str) {
        let request = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"{params}}}"#));
        let stamped = ClientMeta::of(HELLO).apply(&request, None, &[]).expect("a request");
        assert_eq!(stamped.params(), expected.replace("SAID", SAID), "{params}");
        assert_eq!((stamped.id(), stamped.method()), ("1", "tools/call"));
    }

    #[test]
    fn a_request_says_what_the_handshake_said() {
        check("", r#"{"_meta":{SAID}}"#);
        check(r#","params":{}"#, r#"{"_meta":{SAID}}"#);
        check(r#","params":{"name":"a"}"#, r#"{"_meta":{SAID},"name":"a"}"#);
        check(r#","params":{"name":"a","_meta":{}}"#, r#"{"name":"a","_meta":{SAID}}"#);
        check(
            r#","params":{"_meta":{"progressToken":7,"vendor/x":1.10}}"#,
            r#"{"_meta":{SAID,"progressToken":7,"vendor/x":1.10}}"#,
        );
    }

    #[test]
    fn what_only_looks_like_the_protocols_own_gives_way() {
        check(
            r#","params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"other"},"a":1}}"#,
            r#"{"_meta":{SAID,"a":1}}"#,
        );
        check(r#","params":{"name":"a","task":{"ttl":1}}"#, r#"{"_meta":{SAID},"name":"a"}"#);
    }

    #[test]
    fn rounds_add_members() {
        let request = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#);
        let stamped = ClientMeta::of(HELLO).apply(&request, Some("info"), &[("requestState", r#""s""#)]);
        let params = stamped.expect("a request").params().to_owned();
        assert!(params.starts_with(r#"{"requestState":"s","_meta":{"#), "{params}");
        assert!(params.contains(r#""io.modelcontextprotocol/logLevel":"info"},"name":"a"}"#), "{params}");
    }

    #[test]
    fn answers_lose_their_kind_and_nothing_else() {
        let answer = message(r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","x": 1.10}}"#);
        assert_eq!(unstamped(&answer).as_deref(), Some(&br#"{"jsonrpc":"2.0","id":1,"result":{"x": 1.10}}"#[..]));
    }
}
