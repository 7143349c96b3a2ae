//! Header fields of a modern HTTP request: its method, its subject, and the tool arguments that a server wants repeated
//! there, so that intermediaries can route without reading bodies (2026-07-28, transports, "Standard Headers" and
//! "Custom Headers from Tool Parameters").

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use http::HeaderName;
use schemas::ServerName;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tracing::warn;

use crate::http::write::put_text;
use crate::protocol::{self, Message, Object, encode_header};
use crate::sync::lock;

static METHOD: HeaderName = HeaderName::from_static("mcp-method");
static NAME: HeaderName = HeaderName::from_static("mcp-name");
const PREFIX: &str = "mcp-param-";
const ANNOTATION: &str = "x-mcp-header";
/// Initial buffer size, enough for most requests.
const FEW_FIELDS: usize = 128;
/// Maximum number of tools with stored annotations. Others are called without headers, and learned if the server
/// refuses.
const MAX_TOOLS: usize = 20_000;

/// Header annotations of an upstream's tools.
pub(super) struct Parameters {
    upstream: ServerName,
    /// Only tools with annotations.
    tools: Mutex<HashMap<Box<str>, Arc<[Parameter]>>>,
}

/// One argument that is repeated in a header.
#[derive(Debug, PartialEq, Eq)]
struct Parameter {
    header: HeaderName,
    /// Property names from the outermost object inwards.
    path: Vec<Box<str>>,
}

impl Parameters {
    pub(super) fn of(upstream: &ServerName) -> Self {
        Self { upstream: upstream.clone(), tools: Mutex::default() }
    }

    /// Serialises the header fields of this request.
    pub(super) fn fields(&self, request: &Message) -> Vec<u8> {
        let mut fields = Vec::with_capacity(FEW_FIELDS);
        put_text(&mut fields, &METHOD, request.method());
        let about = match request.method() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return fields,
        };
        let Some(name) = request.parameter(about).and_then(protocol::text) else { return fields };
        put_text(&mut fields, &NAME, &encode_header(&name));
        if request.method() == "tools/call" {
            let wanted = self.tools().get(name.as_ref()).cloned();
            for parameter in wanted.iter().flat_map(|wanted| wanted.iter()) {
                if let Some(text) = request.parameter("arguments").and_then(|raw| argument(raw, &parameter.path)) {
                    put_text(&mut fields, &parameter.header, &encode_header(&text));
                }
            }
        }
        fields
    }

    /// Stores the annotations of the tools in a `tools/list` response. Removes tools with invalid annotations, because
    /// a client over HTTP must not offer them.
    pub(super) fn learn(&self, answer: Message) -> Message {
        let Some(raw) = Object::read(answer.body()).ok().and_then(|result| result.get("tools")) else { return answer };
        let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(raw) else { return answer };
        let kept: Vec<&str> = tools.iter().map(|tool| tool.get()).filter(|tool| self.note(tool)).collect();
        if kept.len() == tools.len() {
            return answer;
        }
        let sifted = answer.with(&[(raw, &format!("[{}]", kept.join(",")))]);
        Message::parse(sifted).unwrap_or(answer)
    }

    /// Stores the annotations of one tool. Returns false if they are invalid and the tool must not be offered.
    fn note(&self, tool: &str) -> bool {
        let Some(name) = Object::read(tool).ok().and_then(|tool| tool.text("name").map(|name| name.into_owned()))
        else {
            return true;
        };
        match annotations(tool) {
            Ok(wanted) if wanted.is_empty() => {
                self.tools().remove(name.as_str());
                true
            }
            Ok(wanted) => {
                let mut tools = self.tools();
                if tools.len() < MAX_TOOLS {
                    tools.insert(name.into(), wanted.into());
                }
                true
            }
            Err(reason) => {
                warn!(upstream = %self.upstream, tool = name, reason, "tool dropped: its header annotations are not valid");
                false
            }
        }
    }

    fn tools(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<[Parameter]>>> {
        lock(&self.tools)
    }
}

/// Returns an argument as text; `None` if it is absent, null or not a primitive.
fn argument(raw: &str, path: &[Box<str>]) -> Option<String> {
    let [first, rest @ ..] = path else { return None };
    let arguments = Object::read(raw).ok()?;
    let value = arguments.get(first)?;
    if !rest.is_empty() {
        return argument(value, rest);
    }
    match value.as_bytes().first()? {
        b'"' => arguments.text(first).map(|text| text.into_owned()),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.to_owned()),
    }
}

/// Reads the annotations of a tool. The error says why they are invalid.
fn annotations(tool: &str) -> Result<Vec<Parameter>, String> {
    if memchr::memmem::find(tool.as_bytes(), ANNOTATION.as_bytes()).is_none() {
        return Ok(Vec::new());
    }
    let schema = Object::read(tool).ok().and_then(|tool| tool.get("inputSchema"));
    let Some(Ok(Value::Object(schema))) = schema.map(serde_json::from_str) else { return Ok(Vec::new()) };
    let mut wanted = Vec::new();
    collect(&schema, &mut Vec::new(), &mut wanted)?;
    let total = count(&Value::Object(schema));
    if wanted.len() < total {
        return Err(format!("`{ANNOTATION}` stands where no argument can be told from"));
    }
    let mut seen = HashSet::new();
    match wanted.iter().find(|parameter| !seen.insert(parameter.header.clone())) {
        Some(twice) => Err(format!("`{}` is wanted twice", twice.header)),
        None => Ok(wanted),
    }
}

/// Collects annotations along `properties` only, because elsewhere the position of the argument is ambiguous.
fn collect(schema: &Map<String, Value>, path: &mut Vec<Box<str>>, wanted: &mut Vec<Parameter>) -> Result<(), String> {
    let Some(Value::Object(properties)) = schema.get("properties") else { return Ok(()) };
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        path.push(name.as_str().into());
        if let Some(annotation) = property.get(ANNOTATION) {
            wanted.push(Parameter { header: header(name, annotation, property.get("type"))?, path: path.clone() });
        }
        collect(property, path, wanted)?;
        path.pop();
    }
    Ok(())
}

fn header(property: &str, annotation: &Value, kind: Option<&Value>) -> Result<HeaderName, String> {
    if !matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
        return Err(format!("`{property}` is no text, whole number or truth value"));
    }
    let suffix = annotation.as_str().filter(|suffix| !suffix.is_empty());
    let suffix = suffix.ok_or_else(|| format!("`{ANNOTATION}` of `{property}` is not a text"))?;
    HeaderName::from_bytes(format!("{PREFIX}{suffix}").as_bytes())
        .map_err(|_| format!("`{suffix}` of `{property}` cannot be part of a header's name"))
}

/// Counts annotations anywhere in a schema, except in plain data such as examples.
fn count(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match name.as_str() {
                ANNOTATION => 1,
                "default" | "const" | "enum" | "examples" => 0,
                _ => count(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(properties: &str, expected: Result<&[(&str, &str)], &str>) {
        let tool = format!(r#"{{"name":"t","inputSchema":{{"type":"object","properties":{properties}}}}}"#);
        let found = annotations(&tool);
        let found = found.map(|all| all.iter().map(|p| (p.header.to_string(), p.path.join("."))).collect::<Vec<_>>());
        let expected = expected.map(|all| all.iter().map(|(h, p)| ((*h).to_owned(), (*p).to_owned())).collect());
        assert_eq!(found, expected.map_err(str::to_owned), "{properties}");
    }

    #[test]
    fn reads_annotations_along_properties() {
        check(r#"{"a":{"type":"string"}}"#, Ok(&[]));
        check(r#"{"a":{"type":"string","x-mcp-header":"Region"}}"#, Ok(&[("mcp-param-region", "a")]));
        check(
            r#"{"a":{"type":"object","properties":{"b":{"type":"integer","x-mcp-header":"B"}}}}"#,
            Ok(&[("mcp-param-b", "a.b")]),
        );
        check(r#"{"a":{"type":"string","default":{"x-mcp-header":"X"}}}"#, Ok(&[]));
    }

    #[test]
    fn refuses_annotations_that_are_not_valid() {
        check(r#"{"a":{"type":"number","x-mcp-header":"A"}}"#, Err("`a` is no text, whole number or truth value"));
        check(r#"{"a":{"type":"string","x-mcp-header":""}}"#, Err("`x-mcp-header` of `a` is not a text"));
        check(r#"{"a":{"type":"string","x-mcp-header":"A B"}}"#, Err("`A B` of `a` cannot be part of a header's name"));
        check(
            r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
            Err("`mcp-param-a` is wanted twice"),
        );
        check(
            r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#,
            Err("`x-mcp-header` stands where no argument can be told from"),
        );
    }

    #[test]
    fn repeats_what_is_wanted() {
        let parameters = Parameters::of(&"a".parse().expect("a name"));
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"R"},"n":{"type":"integer","x-mcp-header":"N"}}}},{"name":"u","inputSchema":{"properties":{"r":{"type":"number","x-mcp-header":"R"}}}}]}}"#;
        let learned = parameters.learn(Message::parse(list.into()).expect("a list"));
        assert!(!learned.body().contains(r#""u""#) && learned.body().contains(r#""t""#));
        let call =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"r":"é","n":-7}}}"#;
        let fields = parameters.fields(&Message::parse(call.into()).expect("a request"));
        let expected = "mcp-method: tools/call\r\nmcp-name: t\r\nmcp-param-r: =?base64?w6k=?=\r\nmcp-param-n: -7\r\n";
        assert_eq!(String::from_utf8_lossy(&fields), expected);
    }
}
