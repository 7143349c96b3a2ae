//! What documents hold besides servers: actions and tasks, as far as they name tools and agents.
//!
//! Nothing here is read into these types, because other programs own those keys. They say what an editor may offer and
//! check; `register-service` looks for references to tools in the text itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::workflow::{example, form};

/// Something that an agent can be asked to do.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub(crate) struct Action {
    /// The action's id, by which tasks name it.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"web-search")]
    id: Option<String>,
    /// What the model is asked. May hold templates such as `{{ .input.query }}`, which the engine fills in.
    #[schemars(example = &"Find information about: {{ .input.query }}")]
    prompt: Option<String>,
    /// The tool that the action uses. `$mcp(server#tool)` is a tool of a server in `mcps`.
    tool: Option<ToolName>,
    /// Several tools.
    tools: Option<Vec<ToolName>>,
    /// The arguments of the tool. `validate --live` checks them against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    with: Option<Value>,
    /// The JSON Schema of what the action is given. `validate --live` looks here for arguments that `with` does not have.
    input: Option<Value>,
}

/// A step of a workflow.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub(crate) struct Task {
    /// The task's id.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"answer")]
    id: Option<String>,
    /// The tool that the task uses. `$mcp(server#tool)` is a tool of a server in `mcps`.
    tool: Option<ToolName>,
    /// Several tools.
    tools: Option<Vec<ToolName>>,
    /// The agent that carries out the task: the id of one in `agents`, or of one that another file declares.
    #[schemars(with = "Option<Value>", example = &"researcher")]
    agent: Option<Value>,
    /// What is selected in the engine's older form.
    #[serde(rename = "$use")]
    #[schemars(transform = form::selector, example = &"agent(local::agents.#(id=\"researcher\"))")]
    select: Option<String>,
    /// What the agent is asked to do: the id of one of its `actions`.
    #[schemars(example = &"answer")]
    action: Option<String>,
    /// The arguments of the tool, or the input of the agent's action. An action that names a tool, and no arguments, passes
    /// its input on to it; `validate --live` checks either against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    with: Option<Value>,
    /// Tasks inside of this one.
    tasks: Option<Vec<Task>>,
    /// The task that is done for each item of a collection.
    task: Option<Box<Task>>,
}

/// The name of a tool. What begins with `$` is a tool of an MCP server, `$mcp(server#tool)`.
#[derive(Debug)]
pub(crate) struct ToolName;

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
