//! What documents hold besides servers: actions and tasks, as far as they name tools and agents.
//!
//! Nothing here is read into these types, because other programs own those keys. They say what an editor may offer and
//! check; `register-service` looks for references to tools in the text itself.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::workflow::{example, form};

/// A key whose value should look like a `T`, and is passed over whatever it is.
pub struct Shape<T>(PhantomData<fn() -> T>);

/// Something that an agent can be asked to do.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub struct Action {
    /// The action's id, by which tasks name it.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"web-search")]
    pub id: Option<String>,
    /// What the model is asked. May hold templates such as `{{ .input.query }}`, which the engine fills in.
    #[schemars(example = &"Find information about: {{ .input.query }}")]
    pub prompt: Option<String>,
    /// The tool that the action uses. `$mcp(server#tool)` is a tool of a server in `mcps`.
    pub tool: Option<ToolName>,
    /// Several tools.
    pub tools: Option<Vec<ToolName>>,
    /// The arguments of the tool. `validate --live` checks them against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    pub with: Option<Value>,
    /// The JSON Schema of what the action is given. `validate --live` looks here for arguments that `with` does not have.
    pub input: Option<Value>,
}

/// A step of a workflow.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub struct Task {
    /// The task's id.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"answer")]
    pub id: Option<String>,
    /// The tool that the task uses. `$mcp(server#tool)` is a tool of a server in `mcps`.
    pub tool: Option<ToolName>,
    /// Several tools.
    pub tools: Option<Vec<ToolName>>,
    /// The agent that carries out the task: the id of one in `agents`, or of one that another file declares.
    #[schemars(with = "Option<Value>", example = &"researcher")]
    pub agent: Option<Value>,
    /// What is selected in the engine's older form.
    #[serde(rename = "$use")]
    #[schemars(transform = form::selector, example = &"agent(local::agents.#(id=\"researcher\"))")]
    pub select: Option<String>,
    /// What the agent is asked to do: the id of one of its `actions`.
    #[schemars(example = &"answer")]
    pub action: Option<String>,
    /// The arguments of the tool, or the input of the agent's action. An action that names a tool, and no arguments, passes
    /// its input on to it; `validate --live` checks either against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    pub with: Option<Value>,
    /// Tasks inside of this one.
    pub tasks: Option<Vec<Task>>,
    /// The task that is done for each item of a collection.
    pub task: Option<Box<Task>>,
}

/// The name of a tool. What begins with `$` is a tool of an MCP server, `$mcp(server#tool)`.
#[derive(Debug)]
pub struct ToolName(pub String);

impl<T> Clone for Shape<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> Default for Shape<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Shape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl<'de, T> Deserialize<'de> for Shape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self::default())
    }
}

impl<T: JsonSchema> JsonSchema for Shape<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for ToolName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ToolName".into()
    }

    /// A tool of another kind may be written in other ways, so no type is demanded.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "pattern": r"\{\{|^\s*\$mcp\(\s*[^#)\s][^#)]*#\s*[^)\s][^)]*\)\s*$|^(?!\s*(\$|mcp\())",
            "patternErrorMessage": "a tool of an MCP server is `$mcp(server#tool)`; behind a space, `#` begins a comment",
            "examples": ["$mcp(search#web_search)"],
        })
    }
}
