//! Schemas of actions and tasks, as far as they name tools and agents.
//!
//! Used for editors only and never deserialised, because other programs own these keys. `register-service` finds
//! references to tools in the text itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::workflow::{example, form};

/// An action of an agent.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub(crate) struct Action {
    /// Identifier of the action, used by tasks.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"web-search")]
    id: Option<String>,
    /// Prompt for the model. May contain templates such as `{{ .input.query }}`, which the engine fills in.
    #[schemars(example = &"Find information about: {{ .input.query }}")]
    prompt: Option<String>,
    /// Tool of the action. `$mcp(server#tool)` is a tool of a server in `mcps`.
    tool: Option<ToolName>,
    /// Several tools of the action.
    tools: Option<Vec<ToolName>>,
    /// Arguments of the tool. `validate --live` checks them against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    with: Option<Value>,
    /// JSON Schema of the action's input. `validate --live` searches it for arguments that `with` does not set.
    input: Option<Value>,
}

/// A step of a workflow.
#[derive(Debug, JsonSchema)]
#[schemars(transform = form::document)]
pub(crate) struct Task {
    /// Identifier of the task.
    #[schemars(with = "Option<crate::workflow::Text>", example = &"answer")]
    id: Option<String>,
    /// Tool of the task. `$mcp(server#tool)` is a tool of a server in `mcps`.
    tool: Option<ToolName>,
    /// Several tools of the task.
    tools: Option<Vec<ToolName>>,
    /// Agent that carries out the task: the id of an agent in `agents`, or of one that another file declares.
    #[schemars(with = "Option<Value>", example = &"researcher")]
    agent: Option<Value>,
    /// Agent of the task, in the engine's older selector form.
    #[serde(rename = "$use")]
    #[schemars(transform = form::selector, example = &"agent(local::agents.#(id=\"researcher\"))")]
    select: Option<String>,
    /// Action of the agent: the id of one of its `actions`.
    #[schemars(example = &"answer")]
    action: Option<String>,
    /// Arguments of the tool, or the input of the agent's action. An action that names a tool and no arguments passes
    /// its input to the tool; `validate --live` checks both against the tool's own schema.
    #[schemars(example = example::some_arguments())]
    with: Option<Value>,
    /// Subtasks of this task.
    tasks: Option<Vec<Task>>,
    /// Task to run for each item of a collection.
    task: Option<Box<Task>>,
}

/// Name of a tool. A name that starts with `$` is a tool of an MCP server, `$mcp(server#tool)`.
#[derive(Debug)]
pub(crate) struct ToolName;

impl JsonSchema for ToolName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ToolName".into()
    }

    /// Sets no type: tools of other kinds may be written in other ways.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "pattern": r"\{\{|^\s*\$mcp\(\s*[^#)\s][^#)]*#\s*[^)\s][^)]*\)\s*$|^(?!\s*(\$|mcp\())",
            "patternErrorMessage": "a tool of an MCP server is `$mcp(server#tool)`; behind a space, `#` begins a comment",
            "examples": ["$mcp(search#web_search)"],
        })
    }
}
