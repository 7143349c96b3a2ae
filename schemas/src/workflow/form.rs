//! What an editor can check of a document besides the types of its values: which keys exclude one another, which form a
//! text has.
//!
//! The rules are those of `register-service`, as far as they can be told from one entry alone. Where they depend on more
//! (the gateway's address, the project file), the schemas let the entry be. `errorMessage`, `patternErrorMessage`,
//! `deprecationMessage` and `markdownEnumDescriptions` are words that editors know and validators pass over.

use schemars::Schema;
use serde_json::{Value, json};

use crate::ServerName;
use crate::workflow::{AGENT_KEYS, WORKFLOW_KEYS};

/// An address that may lie below the gateway's own, or cannot be told before a template is rendered.
const AT_GATEWAY: &str = r"\{\{|^[^?#]*://[^/?#]+/([^?#]*/)?[^/?#]+/(sse|stream|mcp)([/?#]|$)";
const ADDRESS: &str = r"^\s*$|\{\{|^\s*[Hh][Tt][Tt][Pp][Ss]?:[/\\]+[^\s/?#]+([/?#]|\s*$)";
const SELECTOR: &str = r#"^\s*([^:(]*\()?[^:(]+::[^()]*\.#\(\s*id\s*=*\s*("[^"]+"|'[^']+')\s*\)\)?\s*$"#;
const DURATION: &str = r"^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// An empty value counts as none, wherever a key is known.
pub(super) fn document(schema: &mut Schema) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (key, property) in properties.into_iter().flatten() {
        let Some(kind) = property.get_mut("type").filter(|_| key != "id") else { continue };
        let kinds = match kind.take() {
            Value::Array(kinds) => kinds,
            kind => vec![kind],
        };
        let others = kinds.into_iter().filter(|kind| kind != "null");
        *kind = others.chain([json!("null")]).collect();
    }
}

/// A file with nothing in it is one too.
pub(super) fn file(schema: &mut Schema) {
    document(schema);
    schema.insert("type".to_owned(), json!(["object", "null"]));
}

/// Keys that were meant as the one that counts in project files alone.
pub(super) fn project(schema: &mut Schema) {
    file(schema);
    let meant = json!({ "type": "null", "errorMessage": "did you mean `use_proxy_default`?" });
    schema.insert("patternProperties".to_owned(), json!({ "^(?!use_proxy_default$)use[-_]?[Pp]roxy": meant }));
}

/// Keys that belong to other files, were meant as `mcps`, or are none of a workflow or agent.
pub(super) fn not_a_project(schema: &mut Schema) {
    let never = |message: &str| json!({ "type": "null", "errorMessage": message });
    let known: Vec<&str> = WORKFLOW_KEYS.into_iter().chain(AGENT_KEYS).collect();
    let patterns = json!({
        "^([Mm][Cc][Pp]|[Mm][Cc][Pp]_?-?[Ss]ervers)$": never("MCP servers are declared below `mcps`"),
        "^use_proxy_default$": never("`use_proxy_default` is read in `compozy.yaml` only; write `use_proxy: true` in the entries"),
        // What the engine reads and this schema does not describe, and keys of an author's own.
        (format!("^({})$|^x-|^\\$|^<<$", known.join("|"))): true,
    });
    schema.insert("patternProperties".to_owned(), patterns);
    schema.insert("additionalProperties".to_owned(), json!(false));
}

/// What goes with which transport, and which ids can be registered.
pub(super) fn server(schema: &mut Schema) {
    schema.insert("required".to_owned(), json!(["id"]));
    schema.insert("additionalProperties".to_owned(), json!(false));
    let at_gateway = json!({
        "required": ["url"],
        "properties": { "url": { "pattern": AT_GATEWAY }, "use_proxy": { "not": { "const": false } } },
    });
    let is_program = json!({ "anyOf": [
        { "required": ["transport"], "properties": { "transport": { "const": "stdio" } } },
        { "allOf": [written("command"), { "not": { "required": ["transport"] } }] },
    ] });
    let program = json!({ "allOf": [
        { "required": ["command"], "errorMessage": "a server with transport `stdio` needs a `command`" },
        excluded("url", written("url"), "`url` cannot be used with a program: leave out `url`, or `command`"),
        excluded("headers", filled("headers", "minProperties"), "`headers` cannot be used with a program, which takes its secrets from `env`"),
    ] });
    let endpoint = json!({ "allOf": [
        { "required": ["url"], "errorMessage": "a server needs a `url` or a `command`" },
        excluded("command", written("command"), "`command` cannot be used with transport `sse` or `streamable-http`"),
        excluded("args", filled("args", "minItems"), "`args` cannot be used with transport `sse` or `streamable-http`"),
    ] });
    let is_registered = json!({
        "required": ["use_proxy"],
        "properties": { "use_proxy": { "const": true } },
        "not": at_gateway,
    });
    let rules = json!([
        { "if": at_gateway, "else": { "if": is_program, "then": program, "else": endpoint } },
        { "if": is_registered, "then": { "properties": { "id": {
            "pattern": ServerName::pattern(),
            "patternErrorMessage": "the id is the name at the gateway: 1 to 64 letters, digits, `.`, `_` and `-`, and none of its own paths",
        } } } },
    ]);
    schema.insert("allOf".to_owned(), rules);
}

/// That a key has a value that is not empty.
fn written(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "enum": [null, ""] } } } })
}

/// That a list or mapping has something in it.
fn filled(key: &str, count: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "type": ["array", "object"], count: 1 } } })
}

fn excluded(key: &str, present: Value, message: &str) -> Value {
    json!({ "if": present, "then": { "properties": { key: false }, "errorMessage": message } })
}

/// The older form, as a third way to write an item.
pub(super) fn or_reference(schema: &mut Schema) {
    if let Some(ways) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        let text = json!({ "type": "string", "pattern": SELECTOR });
        let keys = json!({ "$use": text, "$ref": text });
        ways.push(json!({
            "title": "Reference",
            "description": "A server declared elsewhere, in the engine's older form.",
            "type": "object",
            "properties": keys,
            "anyOf": [{ "required": ["$use"] }, { "required": ["$ref"] }],
        }));
    }
}

pub(super) fn selector(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "pattern": SELECTOR,
            "patternErrorMessage": "a selector is `agent(local::agents.#(id=\"the-id\"))`",
        }),
    );
}

pub(super) fn address(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "pattern": ADDRESS,
            "patternErrorMessage": "an address looks like `https://example.com/mcp`",
        }),
    );
}

pub(super) fn date(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
            "patternErrorMessage": "a revision is a date such as `2025-03-26`",
        }),
    );
}

pub(super) fn not_negative(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "pattern": DURATION,
            "patternErrorMessage": "a duration looks like `30s`, `1m30s` or `500ms`",
            "minimum": 0,
        }),
    );
}

/// A duration that the engine reads too: it takes no number.
pub(super) fn with_a_unit(schema: &mut Schema) {
    not_negative(schema);
    schema.remove("minimum");
    schema.insert("type".to_owned(), json!(["string", "null"]));
}

/// A list in which an item may be left empty, and does not count then.
pub(super) fn with_gaps(schema: &mut Schema) {
    or_nothing(schema, "items");
}

/// Lets the values below a key be empty.
fn or_nothing(schema: &mut Schema, key: &str) {
    let types = schema.get_mut(key).and_then(|values| values.get_mut("type")).and_then(Value::as_array_mut);
    if let Some(types) = types {
        types.push(json!("null"));
    }
}

pub(super) fn transport(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "enum": ["stdio", "streamable-http", "sse"],
            "markdownEnumDescriptions": [
                "A program that speaks MCP on its standard streams. Needs `command`.",
                "HTTP, as of the revision 2025-03-26 and later. Needs `url`.",
                "HTTP with a separate event stream, as of 2024-11-05; deprecated by the specification. Needs `url`.",
            ],
        }),
    );
}

pub(super) fn header_names(schema: &mut Schema) {
    let names = json!({
        "pattern": r"^<<$|^\s*(?!([Hh]ost|[Cc]ontent-[Ll]ength|[Cc]onnection|[Tt]ransfer-[Ee]ncoding)\s*$)[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*$",
        "patternErrorMessage": "HTTP does not allow a header of this name, or the gateway sets it itself",
    });
    schema.insert("propertyNames".to_owned(), names);
    or_nothing(schema, "additionalProperties");
}

pub(super) fn variable_names(schema: &mut Schema) {
    let names = json!({ "pattern": "^[^=]+$", "patternErrorMessage": "a variable's name cannot hold `=`" });
    schema.insert("propertyNames".to_owned(), names);
    or_nothing(schema, "additionalProperties");
}

pub(super) fn free_tags(schema: &mut Schema) {
    let names = json!({
        "pattern": "^(?!(owner|source|prevent_destroy)$)",
        "patternErrorMessage": "this tag is set by `register-service`",
    });
    schema.insert("propertyNames".to_owned(), names);
}

pub(super) fn at_least_one_tool(schema: &mut Schema) {
    let list = schema.get_mut("properties").and_then(|it| it.get_mut("list")).and_then(Value::as_object_mut);
    if let Some(list) = list {
        list.insert("minItems".to_owned(), json!(1));
    }
}

pub(super) fn documented_only(schema: &mut Schema) {
    insert(
        schema,
        json!({
            "deprecated": true,
            "deprecationMessage": "this key is documented by the engine but not used",
        }),
    );
}

fn insert(schema: &mut Schema, more: Value) {
    let Value::Object(more) = more else { return };
    for (key, value) in more {
        schema.insert(key, value);
    }
}
