//! Writes `schemas/json/*.schema.json`, the JSON Schemas that editors use, from the types of this package.

use std::path::Path;
use std::{fs, io};

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemas::dialect::compozy::DefinitionDocument;
use schemas::dialect::desktop;
use schemas::plan::SavedPlan;
use schemas::workflow::{AgentDocument, McpEntry, ProjectDocument, WorkflowDocument};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    fs::create_dir_all(&folder)?;
    for (name, text) in documents() {
        fs::write(folder.join(format!("{name}.schema.json")), text)?;
    }
    Ok(())
}

fn documents() -> [(&'static str, String); 7] {
    [
        ("mcp", schema::<McpEntry>()),
        ("workflow", schema::<WorkflowDocument>()),
        ("agent", schema::<AgentDocument>()),
        ("project", schema::<ProjectDocument>()),
        ("proxy-config", schema::<desktop::Document>()),
        ("plan", schema::<SavedPlan>()),
        ("definition", schema::<DefinitionDocument>()),
    ]
}

/// Generates the JSON Schema of a type, in draft 7: editors' YAML support reads it best.
fn schema<T: schemars::JsonSchema>() -> String {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(readable).transform(&mut schema);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Prepares a schema for display in editors: adds Markdown descriptions, turns a choice of words into one `enum`,
/// removes empty defaults.
fn readable(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get("description").cloned() {
        let text = description(&text);
        if text.contains('`') {
            schema.insert("markdownDescription".to_owned(), text.as_str().into());
        }
        schema.insert("description".to_owned(), text.into());
    }
    if let Some((words, descriptions)) = schema.get("oneOf").and_then(choice) {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), words);
        schema.insert("markdownEnumDescriptions".to_owned(), descriptions);
    }
    let empty = [Value::Null, json!(""), json!(0), json!([]), json!({})];
    if schema.get("default").is_some_and(|default| empty.contains(default)) {
        schema.remove("default");
    }
}

/// Returns the prose of a doc comment without its Rust examples, which are of no use to authors of YAML or JSON.
fn description(doc: &str) -> String {
    let prose: String = doc.split("```").step_by(2).collect();
    let paragraphs = prose.split("\n\n").map(|it| it.trim().replace('\n', " "));
    paragraphs.filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Splits a `oneOf` of described constants into the constants and their descriptions; `None` for any other `oneOf`.
fn choice(alternatives: &Value) -> Option<(Value, Value)> {
    let alternatives = alternatives.as_array()?;
    let pairs = alternatives.iter().map(|it| Some((it.get("const")?.clone(), it.get("description")?.clone())));
    let pairs: Option<Vec<(Value, Value)>> = pairs.collect();
    let (words, descriptions): (Vec<Value>, Vec<Value>) = pairs?.into_iter().unzip();
    Some((words.into(), descriptions.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_no_rust_in_it() {
        let doc = "A `name`\nof many.\n\n```\nlet a = 1;\n\nlet b = 2;\n```\n\nMore.";
        assert_eq!(description(doc), "A `name` of many.\n\nMore.");
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
        for (name, text) in documents() {
            let committed = fs::read_to_string(folder.join(format!("{name}.schema.json"))).unwrap_or_default();
            assert!(committed == text, "{name}.schema.json is stale: run `tests/run --bless`");
        }
    }
}
