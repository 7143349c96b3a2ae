//! Writes `schemas/json/*.schema.json`, the JSON Schemas that editors use, from the types of this package.

use std::path::Path;
use std::{fs, io};

use schemars::generate::SchemaSettings;
use schemas::dialect::compozy::DefinitionDocument;
use schemas::workflow::{AgentDocument, McpEntry, ProjectDocument, WorkflowDocument};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    fs::create_dir_all(&folder)?;
    for (name, text) in documents() {
        fs::write(folder.join(format!("{name}.schema.json")), text)?;
    }
    Ok(())
}

fn documents() -> [(&'static str, String); 5] {
    [
        ("mcp", schema::<McpEntry>()),
        ("workflow", schema::<WorkflowDocument>()),
        ("agent", schema::<AgentDocument>()),
        ("project", schema::<ProjectDocument>()),
        ("definition", schema::<DefinitionDocument>()),
    ]
}

/// Draft 7 is what editors' YAML support reads best.
fn schema<T: schemars::JsonSchema>() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
        for (name, text) in documents() {
            let committed = fs::read_to_string(folder.join(format!("{name}.schema.json"))).unwrap_or_default();
            assert!(committed == text, "{name}.schema.json is stale: run `tests/run --bless`");
        }
    }
}
