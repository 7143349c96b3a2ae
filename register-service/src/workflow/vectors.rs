//! Reads YAML documents into the form in which `tests/templates/oracle.go` prints those of the engine's parser.

use schemas::document::Node;
use schemas::workflow::{CommandLine, McpEntry, McpItem};
use serde_json::{Value, json};

use crate::diagnostic::Code;
use crate::source::File;
use crate::workflow::{Engine, document};

/// Returns the entries of a document's `mcps:`, or the reason why there are none, with true if it is refused for a
/// known reason.
pub(crate) fn document(text: &str) -> Result<Value, (bool, String)> {
    let (file, mut diagnostics) = File::parse("w.yaml", "w.yaml", text);
    let mut files = vec![file];
    document::keep_first(&mut files, &mut diagnostics);
    let items = document::collect(&mut files, Engine::Compozy, &mut diagnostics);
    let id = files[0].documents.first().and_then(|it| it.get("id")?.literal()).unwrap_or_default().to_owned();
    if let Some(error) = diagnostics.iter().find(|it| it.is_error()) {
        // The parser implements YAML 1.2, and a boolean is `true` or `false`; what go-yaml accepts beyond that is
        // refused.
        let is_refusal = error.code == Code::Syntax
            || error.message.contains("expected a boolean")
            || error.message.contains("for a line break")
            || error.message.contains("in brackets")
            || error.message.contains("expected a map");
        return Err((is_refusal, format!("{}: {}", error.code, error.message)));
    }
    let agents = files[0].documents.first().and_then(|it| it.get("agents")).map(Node::items).unwrap_or_default();
    let (mut entries, mut of_agents) = (Vec::new(), vec![Vec::new(); agents.len()]);
    for (place, item) in &items {
        let McpItem::Entry(entry) = item else { return Err((true, "an id in the place of an entry".to_owned())) };
        let node = place.node(&files).expect("a node");
        if matches!(&entry.command, Some(CommandLine::Words(_))) {
            return Err((false, "a list as a command".to_owned()));
        }
        let is_number = |key| node.get(key).is_some_and(|it| matches!(it.value, schemas::document::Value::Number(..)));
        if is_number("start_timeout") {
            return Err((false, "a duration without a unit".to_owned()));
        }
        place.agent.map_or(&mut entries, |agent| &mut of_agents[agent]).push(told(entry, node));
    }
    let list = |entries: Vec<Value>| if entries.is_empty() { Value::Null } else { entries.into() };
    let mut document = json!({ "ID": id, "MCPs": list(entries) });
    if !agents.is_empty() {
        let id = |agent: &Node| agent.get("id").unwrap_or(agent).literal().unwrap_or_default().to_owned();
        let agents = agents.iter().zip(of_agents);
        document["Agents"] = agents.map(|(agent, of)| json!({ "ID": id(agent), "MCPs": list(of) })).collect();
    }
    Ok(document)
}

fn told(entry: &McpEntry, node: &Node) -> Value {
    let text = |key: &str| node.get(key).and_then(Node::literal).unwrap_or_default();
    let texts = |key: &str| {
        let entries = node.get(key).and_then(Node::as_map).map(|map| map.entries.as_slice()).unwrap_or_default();
        let pair = |(name, _, value): &(String, _, Node)| (name.clone(), json!(value.literal()));
        entries.iter().map(pair).collect::<serde_json::Map<_, _>>()
    };
    let arguments = node.get("args").map(Node::items).unwrap_or_default();
    json!({
        "ID": text("id"),
        "Command": text("command"),
        "Args": arguments.iter().map(Node::literal).collect::<Vec<_>>(),
        "URL": text("url"),
        "Transport": text("transport"),
        "Proto": text("proto"),
        "Env": texts("env"),
        "Headers": texts("headers"),
        "StartTimeout": entry.start_timeout.map_or(json!(0), |it| json!(it)),
        "MaxSessions": entry.max_sessions.unwrap_or_default(),
        "UseProxy": entry.use_proxy.unwrap_or_default(),
    })
}
