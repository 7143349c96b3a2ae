//! Rules for editors beyond the types of values: keys that exclude one another, and patterns of texts.
//!
//! The rules are those of `register-service` that need only one entry. Where a rule depends on more (the gateway's
//! URL, the project file), the schema accepts the entry. Editors know `errorMessage`, `patternErrorMessage`,
//! `deprecationMessage` and `markdownEnumDescriptions`; validators ignore these keywords.

use schemars::Schema;
use serde_json::{Value, json};

use crate::ServerName;
use crate::workflow::keys::{AGENT_KEYS, WORKFLOW_KEYS};

/// Pattern of a URL that may be one of the gateway's own, or that is unknown until a template is rendered.
const AT_GATEWAY: &str = r"\{\{|^[^?#]*://[^/?#]+/([^?#]*/)?[^/?#]+/(sse|stream|mcp)([/?#]|$)";
const ADDRESS: &str = r"^\s*$|\{\{|^\s*[Hh][Tt][Tt][Pp][Ss]?:[/\\]+[^\s/?#]+([/?#]|\s*$)";
const SELECTOR: &str = r#"^\s*([^:(]*\()?[^:(]+::[^()]*\.#\(\s*id\s*=*\s*("[^"]+"|'[^']+')\s*\)\)?\s*$"#;
const DURATION: &str = r"^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// Allows `null` as the value of every key except `id`: it counts as absent.
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

/// Allows an empty file.
pub(super) fn file(schema: &mut Schema) {
    document(schema);
    schema.insert("type".to_owned(), json!(["object", "null"]));
}

/// Reports misspellings of `use_proxy_default`, which only project files have.
pub(super) fn project(schema: &mut Schema) {
    file(schema);
    let meant = json!({ "type": "null", "errorMessage": "did you mean `use_proxy_default`?" });
    schema.insert("patternProperties".to_owned(), json!({ "^(?!use_proxy_default$)use[-_]?[Pp]roxy": meant }));
}

/// Reports keys that belong to project files, that were meant as `mcps`, or that no workflow or agent has.
pub(super) fn not_a_project(schema: &mut Schema) {
    let never = |message: &str| json!({ "type": "null", "errorMessage": message });
    let known: Vec<&str> = WORKFLOW_KEYS.into_iter().chain(AGENT_KEYS).collect();
    let patterns = json!({
        "^([Mm][Cc][Pp]|[Mm][Cc][Pp]_?-?[Ss]ervers)$": never("MCP servers are declared below `mcps`"),
        "^use_proxy_default$": never("`use_proxy_default` is read in `compozy.yaml` only; write `use_proxy: true` in the entries"),
        // Allow the engine's keys that this schema does not describe, and authors' own keys.
        (format!("^({})$|^x-|^\\$|^<<$", known.join("|"))): true,
    });
    schema.insert("patternProperties".to_owned(), patterns);
    schema.insert("additionalProperties".to_owned(), json!(false));
}

/// Adds the rules about keys per transport, and about ids that can be registered.
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

/// Builds the condition that a key has a non-empty value.
fn written(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "enum": [null, ""] } } } })
}

/// Builds the condition that a list or mapping has at least one item.
fn filled(key: &str, count: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "type": ["array", "object"], count: 1 } } })
}

fn excluded(key: &str, present: Value, message: &str) -> Value {
    json!({ "if": present, "then": { "properties": { key: false }, "errorMessage": message } })
}

/// Adds the engine's older reference form as a third alternative.
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

/// Restricts a duration to texts, because the engine, which reads it too, takes no number.
pub(super) fn with_a_unit(schema: &mut Schema) {
    not_negative(schema);
    schema.remove("minimum");
    schema.insert("type".to_owned(), json!(["string", "null"]));
}

/// Allows empty items in a list, which are ignored.
pub(super) fn with_gaps(schema: &mut Schema) {
    or_nothing(schema, "items");
}

/// Allows `null` for the values below a key.
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
