//! Properties of a tool that the gateway needs before it forwards a call.

use crate::protocol::Object;

const MAX_DEPTH: usize = 16;

/// Properties of one tool.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Arguments that are also sent as headers.
    pub(crate) mirrored: Vec<Mirrored>,
    /// True if calling the tool twice has the same effect as calling it once.
    pub(crate) is_repeatable: bool,
    /// True if the tool can only run as a task of the legacy era.
    pub(crate) needs_task: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirrored {
    /// Member names that lead to the argument.
    pub(crate) path: Vec<String>,
    /// Name of the header, in lower case.
    pub(crate) header: String,
}

impl Tool {
    /// Reads the properties of a tool from its entry in the upstream's list.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let tool = Object::read(raw).ok()?;
        let inner = |name: &str| tool.get(name).and_then(|raw| Object::read(raw).ok());
        let is_true = |name| inner("annotations").is_some_and(|annotations| annotations.get(name) == Some("true"));
        let support = inner("execution").and_then(|execution| execution.text("taskSupport").map(String::from));
        let mut mirrored = Vec::new();
        if let Some(schema) = tool.get("inputSchema") {
            collect(schema, &mut Vec::new(), &mut mirrored);
        }
        let is_repeatable = is_true("readOnlyHint") || is_true("idempotentHint");
        let needs_task = support.as_deref() == Some("required");
        Some(Self { mirrored, is_repeatable, needs_task })
    }
}

/// Finds annotated parameters, through `properties` only (revision 2026-07-28, tools, "x-mcp-header").
fn collect(schema: &str, path: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    // Skip schemas without annotations, which are most: searching is cheaper than parsing.
    if path.len() == MAX_DEPTH || memchr::memmem::find(schema.as_bytes(), b"x-mcp-header").is_none() {
        return;
    }
    let properties = Object::read(schema).ok().and_then(|schema| Object::read(schema.get("properties")?).ok());
    let Some(properties) = properties else { return };
    for (name, raw) in properties.members() {
        let Ok(property) = Object::read(raw) else { continue };
        path.push(name.to_owned());
        let kind = property.text("type");
        let is_plain = matches!(kind.as_deref(), Some("string" | "integer" | "boolean"));
        if let Some(header) = property.text("x-mcp-header").filter(|_| is_plain) {
            let header = format!("mcp-param-{}", header.to_ascii_lowercase());
            found.push(Mirrored { path: path.clone(), header });
        }
        collect(raw, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: Tool) {
        assert_eq!(Tool::read(raw), Some(expected), "{raw}");
    }

    #[test]
    fn reads_what_matters_of_a_tool() {
        check(r#"{"name":"a"}"#, Tool::default());
        check(r#"{"name":"a","annotations":{"readOnlyHint":true}}"#, Tool { is_repeatable: true, ..Tool::default() });
        check(r#"{"name":"a","annotations":{"idempotentHint":true}}"#, Tool { is_repeatable: true, ..Tool::default() });
        check(r#"{"name":"a","annotations":{"readOnlyHint":"true"}}"#, Tool::default());
        check(r#"{"name":"a","execution":{"taskSupport":"required"}}"#, Tool { needs_task: true, ..Tool::default() });
        check(r#"{"name":"a","execution":{"taskSupport":"optional"}}"#, Tool::default());
    }

    #[test]
    fn finds_annotated_parameters_through_properties_only() {
        let schema = r#"{"name":"a","inputSchema":{"properties":{
            "r":{"type":"string","x-mcp-header":"Region"},
            "l":{"type":"array","items":{"properties":{"n":{"type":"string","x-mcp-header":"No"}}}},
            "f":{"type":"number","x-mcp-header":"No"},
            "o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}"#;
        let mirrored = |path: &[&str], header: &str| Mirrored {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            header: header.to_owned(),
        };
        let mirrored = vec![mirrored(&["r"], "mcp-param-region"), mirrored(&["o", "n"], "mcp-param-n")];
        check(schema, Tool { mirrored, ..Tool::default() });
    }
}
