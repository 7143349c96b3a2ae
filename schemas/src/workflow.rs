//! The documents that authors write: the `mcps:` block and the files it may stand in.
//!
//! These types say what is written, not whether it makes sense: `register-service` checks the meaning, because only
//! it knows the positions to report. The JSON Schemas for editors are generated from here, so the field docs are
//! what an author reads in a hover.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::WireDuration;
use crate::dialect::compozy::FilterDocument;

/// A workflow file: whatever the engine reads there, of which `mcps` and `agents` matter here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Workflow")]
pub struct WorkflowDocument {
    /// The workflow's id.
    pub id: Option<String>,
    /// MCP servers that the workflow's agents may use.
    pub mcps: Vec<McpItem>,
    /// Agents, each with `mcps` of its own.
    pub agents: Vec<AgentItem>,
}

/// An agent file, or an agent inside a workflow.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Agent")]
pub struct AgentDocument {
    /// The agent's id.
    pub id: Option<String>,
    /// MCP servers that this agent may use.
    pub mcps: Vec<McpItem>,
}

/// The project file (`compozy.yaml`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Project")]
pub struct ProjectDocument {
    /// The project's name.
    pub name: Option<String>,
    /// MCP servers that every workflow may use.
    pub mcps: Vec<McpItem>,
    /// Register every entry at the gateway, also those without `use_proxy`.
    pub use_proxy_default: Option<bool>,
}

/// An entry of `mcps`: a server, or the id of one declared elsewhere.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is an entry")]
pub enum McpItem {
    /// A server declared here.
    Entry(McpEntry),
    /// The id of a server declared in another file.
    Selector(String),
}

/// An entry of `agents`: an agent, or the id of one declared elsewhere.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum AgentItem {
    /// An agent declared here.
    Agent(AgentDocument),
    /// The id of an agent declared in another file.
    Selector(String),
}

/// One MCP server, as declared in `mcps:`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "MCP server")]
pub struct McpEntry {
    /// The engine's name for the server, used in `$mcp(id#tool)` and as its name at the gateway.
    pub id: Option<String>,
    /// The resource's name in the engine's store; the id when absent.
    pub resource: Option<String>,
    /// The endpoint of an HTTP server. An address below the gateway's own (`{base}/{name}/sse`) refers to the server
    /// `name` that the gateway already has.
    pub url: Option<String>,
    /// The program of a stdio server, as a shell would split it, or as a list.
    pub command: Option<CommandLine>,
    /// More arguments of the program.
    pub args: Vec<Text>,
    /// Headers sent to an HTTP server with every request. May hold templates such as `{{ .env.TOKEN }}`.
    pub headers: IndexMap<String, Text>,
    /// Environment of a stdio server. May hold templates such as `{{ .env.TOKEN }}`.
    pub env: IndexMap<String, Text>,
    /// The MCP revision the server speaks, as a date.
    pub proto: Option<String>,
    /// `stdio`, `sse` or `streamable-http`; `stdio` when there is a command, else `sse`.
    pub transport: Option<String>,
    /// How long connecting may take, such as `30s`.
    pub start_timeout: Option<WireDuration>,
    /// The most sessions of its own the server is given; 0 or less for the gateway's limit.
    pub max_sessions: Option<i64>,
    /// Register this server at the gateway and use it through there.
    pub use_proxy: Option<bool>,
    /// Never remove the registration because nothing declares it any more; `deregister --force` does.
    pub prevent_destroy: Option<bool>,
    /// What only the gateway knows of a registered server.
    pub gateway: Option<GatewaySettings>,
    /// Another name for `start_timeout`.
    pub timeout: Option<WireDuration>,
    /// Documented by the engine, evaluated by none.
    pub condition: Option<Value>,
    /// Documented by the engine, read by none.
    pub auth: Option<Value>,
    /// Documented by the engine, read by none.
    pub security: Option<Value>,
    /// Documented by the engine, read by none.
    pub tls: Option<Value>,
}

/// The keys of [`McpEntry`], for reports of keys that are none.
pub const MCP_ENTRY_KEYS: [&str; 19] = [
    "id",
    "resource",
    "url",
    "command",
    "args",
    "headers",
    "env",
    "proto",
    "transport",
    "start_timeout",
    "max_sessions",
    "use_proxy",
    "prevent_destroy",
    "gateway",
    "timeout",
    "condition",
    "auth",
    "security",
    "tls",
];

/// What only the gateway knows of a registered server. The engine does not read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewaySettings {
    /// For people.
    pub description: String,
    /// Which of the server's tools are visible and callable; all if absent.
    pub tool_filter: Option<FilterDocument>,
    /// Free words, shown with the registration.
    pub tags: BTreeMap<String, String>,
    /// `auto`, `legacy` (with a handshake) or `modern` (2026-07-28 on): which generation of the protocol is spoken.
    pub era: String,
    /// Who is preferred where several servers have the same tool: the lowest number from 1 on.
    pub priority: i64,
    /// `auto`, `shared` or `dedicated`: whether clients share one session with the server.
    pub session_mode: String,
    /// Connect again by the rules below; without it the gateway never gives up.
    pub auto_reconnect: bool,
    /// Attempts after which the gateway gives up.
    pub max_reconnects: i64,
    /// First delay between attempts, such as `5s`.
    pub reconnect_delay: WireDuration,
    /// Ping the server while it is connected.
    pub health_check_enabled: bool,
    /// How often, such as `30s`.
    pub health_check_interval: WireDuration,
    /// Show the server's own log output in the gateway's log.
    pub log_enabled: bool,
    /// Bearer tokens with which clients may use this server. May hold templates such as `{{ .env.TOKEN }}`.
    pub auth_tokens: Vec<Text>,
    /// Refuse everyone if no token is configured at all.
    pub require_auth: bool,
    /// Addresses and networks of clients that may use this server.
    pub allowed_ips: Vec<String>,
}

/// The keys of [`GatewaySettings`], for reports of keys that are none.
pub const GATEWAY_SETTINGS_KEYS: [&str; 15] = [
    "description",
    "tool_filter",
    "tags",
    "era",
    "priority",
    "session_mode",
    "auto_reconnect",
    "max_reconnects",
    "reconnect_delay",
    "health_check_enabled",
    "health_check_interval",
    "log_enabled",
    "auth_tokens",
    "require_auth",
    "allowed_ips",
];

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum CommandLine {
    /// One text, split as a shell does.
    Text(String),
    /// The words.
    Words(Vec<String>),
}

/// A text where an author may also write a number or a boolean (`PORT: 8080`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a boolean")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Text, E> {
                Ok(Text(flag.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Reads a text in one way and a map or list in the other, with an error that names both.
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
text_or!(CommandLine, "a command, or a list of words", CommandLine::Text, visit_seq, SeqAccess, |words| {
    Vec::deserialize(de::value::SeqAccessDeserializer::new(words)).map(CommandLine::Words)
});

#[cfg(test)]
mod tests {
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
