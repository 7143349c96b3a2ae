//! Documents that authors write: the `mcps:` block and the files that contain it.
//!
//! These types describe the structure; `register-service` checks the meaning, because it knows the positions to
//! report. The JSON Schemas for editors are generated from these types, so their field docs are the hover texts that
//! authors see. Module `form` adds rules that an editor can check beyond types.
//!
//! ```
//! use schemas::workflow::{McpItem, WorkflowDocument};
//!
//! let file = r#"{"id": "support-desk", "mcps": ["shared", {"id": "time", "command": "mcp-server-time"}]}"#;
//! let workflow: WorkflowDocument = serde_json::from_str(file)?;
//! let ids = workflow.mcps.iter().map(|item| match item {
//!     McpItem::Entry(entry) => entry.id.as_deref().unwrap_or_default(),
//!     McpItem::Selector(id) => id,
//! });
//! assert!(ids.eq(["shared", "time"]));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod entry;
mod example;
mod form;
mod keys;
mod scalar;
#[expect(dead_code, reason = "only the schemas of its types are used")]
mod step;

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

pub use crate::workflow::entry::{GATEWAY_SETTINGS_KEYS, GatewaySettings, MCP_ENTRY_KEYS, McpEntry};
pub use crate::workflow::keys::{AGENT_KEYS, WORKFLOW_KEYS};
pub use crate::workflow::scalar::{CommandLine, Text};
use crate::workflow::step::{Action, Task, ToolName};

/// A workflow file. Describes the keys that concern MCP servers; the engine's other keys are ignored.
///
/// ```
/// use schemas::workflow::WorkflowDocument;
///
/// // Ignore the engine's keys, whatever their values are.
/// let file = r#"{"id": "w", "tasks": 7, "schedule": {"cron": "0 9 * * *"}}"#;
/// let workflow: WorkflowDocument = serde_json::from_str(file)?;
/// assert_eq!((workflow.id.as_deref(), workflow.mcps.len()), (Some("w"), 0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Workflow", transform = form::file, transform = form::not_a_project)]
pub struct WorkflowDocument {
    /// Identifier of the workflow.
    #[schemars(with = "Option<Text>", example = &"support-desk")]
    pub id: Option<String>,
    /// MCP servers that the workflow's agents and tasks may use. An item is a server, or the id of a server that
    /// another file declares.
    ///
    /// A server with `use_proxy: true` is registered at the gateway by `register-service sync`.
    #[schemars(example = example::a_server(), example = example::some_ids())]
    pub mcps: Vec<McpItem>,
    /// Agents, each with `mcps` of its own. An item is an agent, or the id of an agent that another file declares.
    pub agents: Vec<AgentItem>,
    /// Variables for the templates of this document, as `{{ .env.NAME }}`. Variables of the process, of an
    /// `--env-file` and of `--set` override them.
    #[schemars(with = "Variables", example = example::some_variables())]
    pub env: IgnoredAny,
    /// Steps of the workflow. `register-service` reads only the tools and agents that tasks name.
    #[schemars(with = "Vec<Task>")]
    pub tasks: IgnoredAny,
}

/// An agent file, or an agent inside a workflow. The engine's other keys are ignored.
///
/// ```
/// use schemas::workflow::AgentDocument;
///
/// let file = r#"{"id": "researcher", "mcps": [{"id": "search", "url": "https://search.example.com/mcp"}],
///     "actions": [{"id": "find", "tool": "$mcp(search#web_search)"}]}"#;
/// let agent: AgentDocument = serde_json::from_str(file)?;
/// assert_eq!((agent.id.as_deref(), agent.mcps.len()), (Some("researcher"), 1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Agent", transform = form::file, transform = form::not_a_project)]
pub struct AgentDocument {
    /// Identifier of the agent, used by workflows and tasks.
    #[schemars(with = "Option<Text>", example = &"researcher")]
    pub id: Option<String>,
    /// MCP servers that this agent may use, in addition to those of its workflow. An item is a server, or the id of a
    /// server that another file declares.
    #[schemars(example = example::a_server(), example = example::some_ids())]
    pub mcps: Vec<McpItem>,
    /// Actions of the agent. An action may name a tool of a server, as `$mcp(server#tool)`.
    #[schemars(with = "Vec<Action>")]
    pub actions: IgnoredAny,
    /// A tool available to every action.
    #[schemars(with = "ToolName")]
    pub tool: IgnoredAny,
    /// Tools available to every action.
    #[schemars(with = "Vec<ToolName>")]
    pub tools: IgnoredAny,
    /// Variables for the templates of this document, as `{{ .env.NAME }}`.
    #[schemars(with = "Variables", example = example::some_variables())]
    pub env: IgnoredAny,
}

/// The project file, `compozy.yaml`. It applies to all files in its folder and below.
///
/// ```
/// use schemas::workflow::ProjectDocument;
///
/// let project: ProjectDocument = serde_json::from_str(r#"{"name": "shop", "use_proxy_default": true}"#)?;
/// assert_eq!((project.name.as_deref(), project.use_proxy_default), (Some("shop"), Some(true)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Project", transform = form::project)]
pub struct ProjectDocument {
    /// Name of the project. Default owner of the registrations that `register-service sync` makes; `--owner` overrides
    /// it.
    #[schemars(with = "Option<Text>", example = &"shop")]
    pub name: Option<String>,
    /// MCP servers that every workflow and agent of the project may use.
    #[schemars(example = example::a_server())]
    pub mcps: Vec<McpItem>,
    /// True to register every entry of the project's files at the gateway, except those with `use_proxy: false`.
    #[schemars(example = true)]
    pub use_proxy_default: Option<bool>,
    /// Variables for the templates of all documents of the project, as `{{ .env.NAME }}`. A document's own variables
    /// override them.
    #[schemars(with = "Variables", example = example::some_variables())]
    pub env: IgnoredAny,
}

/// Variables by name.
type Variables = std::collections::BTreeMap<String, Option<Text>>;

/// An item of `mcps`: a server, or the id of a server declared elsewhere.
///
/// ```
/// use schemas::workflow::McpItem;
///
/// let here: McpItem = serde_json::from_str(r#"{"id": "time", "command": "mcp-server-time"}"#)?;
/// assert!(matches!(here, McpItem::Entry(entry) if entry.id.as_deref() == Some("time")));
/// let elsewhere: McpItem = serde_json::from_str(r#""time""#)?;
/// assert!(matches!(elsewhere, McpItem::Selector(id) if id == "time"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged, transform = form::or_reference)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is an entry")]
pub enum McpItem {
    /// A server declared here.
    Entry(McpEntry),
    /// Id of a server declared in another file.
    Selector(String),
}

/// An item of `agents`: an agent, or the id of an agent declared elsewhere.
///
/// ```
/// use schemas::workflow::{AgentItem, WorkflowDocument};
///
/// let workflow: WorkflowDocument = serde_json::from_str(r#"{"agents": ["reviewer", {"id": "researcher"}]}"#)?;
/// let declared_here = workflow.agents.iter().filter(|item| matches!(item, AgentItem::Agent(_)));
/// assert_eq!(declared_here.count(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum AgentItem {
    /// An agent declared here.
    Agent(AgentDocument),
    /// Id of an agent declared in another file.
    Selector(String),
}

/// Implements `Deserialize` for a text or a map, with an error that names both.
macro_rules! text_or {
    ($type:ty, $expecting:literal, $text:expr, $visit:ident, $access:ident, $other:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl<'de> Visitor<'de> for Either {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        Ok($text(text.to_owned()))
                    }

                    fn $visit<A: de::$access<'de>>(self, access: A) -> Result<$type, A::Error> {
                        ($other)(access)
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }
    };
}

text_or!(McpItem, "an MCP server, or the id of one", McpItem::Selector, visit_map, MapAccess, |map| {
    McpEntry::deserialize(de::value::MapAccessDeserializer::new(map)).map(McpItem::Entry)
});
text_or!(AgentItem, "an agent, or the id of one", AgentItem::Selector, visit_map, MapAccess, |map| {
    AgentDocument::deserialize(de::value::MapAccessDeserializer::new(map)).map(AgentItem::Agent)
});

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn reads_every_field_of_an_entry_and_a_selector() -> Result<(), serde_json::Error> {
        let workflow: WorkflowDocument = serde_json::from_str(
            r#"{"id":"w","tasks":[],"mcps":["shared",{"id":"fs","command":"npx -y pkg","args":["/tmp",3],
            "env":{"PORT":8080,"DEBUG":true},"start_timeout":"10s","use_proxy":true}],
            "agents":["a",{"id":"b","mcps":[{"id":"x","command":["python","s.py"]}]}]}"#,
        )?;
        assert!(matches!(&workflow.mcps[0], McpItem::Selector(id) if id == "shared"));
        let McpItem::Entry(entry) = &workflow.mcps[1] else { panic!("an entry") };
        assert_eq!(entry.command, Some(CommandLine::Text("npx -y pkg".into())));
        assert_eq!(entry.env.get("PORT"), Some(&Text("8080".into())));
        let AgentItem::Agent(agent) = &workflow.agents[1] else { panic!("an agent") };
        assert!(
            matches!(&agent.mcps[0], McpItem::Entry(one) if one.command == Some(CommandLine::Words(vec!["python".into(), "s.py".into()])))
        );
        Ok(())
    }

    #[test]
    fn the_key_tables_are_those_of_the_schemas() {
        let entry = (schemars::schema_for!(McpEntry), MCP_ENTRY_KEYS.to_vec());
        let gateway = (schemars::schema_for!(GatewaySettings), GATEWAY_SETTINGS_KEYS.to_vec());
        for (schema, mut keys) in [entry, gateway] {
            let properties = schema.get("properties").and_then(Value::as_object).expect("properties");
            keys.sort_unstable();
            let mut declared: Vec<&str> = properties.keys().map(String::as_str).collect();
            declared.sort_unstable();
            assert_eq!(keys, declared);
        }
    }

    #[test]
    fn says_what_it_expected() {
        let error = serde_json::from_str::<McpItem>("3").expect_err("a number");
        assert_eq!(
            error.to_string(),
            "invalid type: integer `3`, expected an MCP server, or the id of one at line 1 column 1"
        );
    }
}
