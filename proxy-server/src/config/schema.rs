//! JSON Schema of the gateway's own file, from the declarations of the settings and the type of a definition.

use serde_json::{Map, Value, json};

use super::value::{Field, Reading};
use super::{Config, flags, secret};

/// Members of a definition that a file does not have.
const NOT_IN_FILES: [&str; 4] = ["name", "createdAt", "updatedAt", "startup_args"];

/// Returns the schema, in draft 7, which editors read best, with a final newline.
pub(crate) fn schema() -> String {
    let mut properties = Map::new();
    properties.insert("$schema".to_owned(), json!({ "type": "string" }));
    let mut defaults = Config::default();
    for setting in flags::settings() {
        let field = (setting.field)(&mut defaults);
        let key = setting.key();
        if properties.contains_key(key) {
            continue;
        }
        let is_secret = field.is_secret();
        properties.insert(key.to_owned(), property(setting.help, &field));
        if is_secret {
            let description =
                format!("File with the value of `{key}`, such as a mounted secret; relative to this file");
            properties.insert(secret::key(key), json!({ "type": "string", "description": description }));
        }
    }
    let (server, definitions) = server();
    properties.insert(
        "servers".to_owned(),
        json!({
            "type": "object",
            "description": "Servers by name. The file owns them: what is not here any more is deregistered",
            "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,64}$" },
            "additionalProperties": server,
        }),
    );
    let text = json!({ "type": "string" });
    properties.insert(
        "include".to_owned(),
        json!({
            "description": "Files, and folders of files, whose servers and settings are added; relative to this file",
            "oneOf": [text, { "type": "array", "items": text }],
        }),
    );
    properties.insert(
        "profiles".to_owned(),
        json!({ "type": "object", "description": "Reserved for a later version", "maxProperties": 0 }),
    );
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mcp-proxy",
        "description": "Configuration file of the gateway. A text has variables as ${NAME}, ${NAME:-default} and \
                        ${file:PATH}, or templates as {{ .env.NAME }}",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "definitions": definitions,
    });
    format!("{schema:#}\n")
}

fn property(help: &str, field: &Field<'_>) -> Value {
    let scalar = |kind: Value| json!({ "description": help, "type": kind });
    match (field.reading(), field) {
        (Reading::All | Reading::AllAndEmpty, _) => {
            let text = json!({ "type": "string" });
            json!({ "description": help, "oneOf": [text, { "type": "array", "items": text }] })
        }
        // A text may hold a variable.
        (Reading::Truth, _) => scalar(json!(["boolean", "string"])),
        (_, Field::OnOff(_)) => json!({ "description": help, "enum": ["on", "off"] }),
        (_, Field::Port(_) | Field::Size(_) | Field::Count(_) | Field::Number(_)) => {
            scalar(json!(["integer", "string"]))
        }
        _ => scalar(json!("string")),
    }
}

/// Returns the schema of a server, and the definitions that it refers to.
fn server() -> (Value, Value) {
    let mut server: Map<String, Value> = serde_json::from_str(schemas::DEFINITION_SCHEMA).unwrap_or_default();
    let definitions = server.remove("definitions").unwrap_or_else(|| json!({}));
    for key in ["$schema", "title", "required"] {
        server.remove(key);
    }
    if let Some(properties) = server.get_mut("properties").and_then(Value::as_object_mut) {
        NOT_IN_FILES.iter().for_each(|key| drop(properties.remove(*key)));
        let description = "True if the server is not registered";
        properties.insert("disabled".to_owned(), json!({ "type": ["boolean", "string"], "description": description }));
    }
    server.insert("additionalProperties".to_owned(), false.into());
    server.insert("anyOf".to_owned(), json!([{ "required": ["command"] }, { "required": ["url"] }]));
    (server.into(), definitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_that_of_the_settings() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json/mcp-proxy.schema.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == schema(), "mcp-proxy.schema.json is stale: run `tests/run --bless`");
    }
}
