//! A tool as a model's API takes it.

use schemas::ServerName;
use schemas::admin::Tool;
use serde_json::{Value, json};

use crate::service::call::address::ToolAddress;
use crate::service::tools::{Naming, name};

/// A tool that a model may call.
///
/// ```no_run
/// use register_service::FunctionForm;
///
/// # fn run(function: register_service::Function) {
/// println!("{} is {}", function.name, function.address());
/// println!("{}", function.to_json(FunctionForm::Anthropic));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Function {
    /// What the model calls it: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// What it does, in the server's words.
    pub description: String,
    /// JSON Schema of its arguments, always that of an object.
    pub parameters: Value,
    /// The server, by the gateway's name for it.
    pub server: ServerName,
    /// The tool, by the server's name for it.
    pub tool: String,
}

/// How a model's API wants a function to be described.
///
/// ```
/// use register_service::FunctionForm;
///
/// assert_ne!(FunctionForm::OpenAi, FunctionForm::Anthropic);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FunctionForm {
    /// `{"type":"function","function":{"name","description","parameters"}}`, as chat completions take it.
    OpenAi,
    /// `{"type":"function","name","description","parameters"}`, as responses take it.
    OpenAiResponses,
    /// `{"name","description","input_schema"}`.
    Anthropic,
}

impl Function {
    pub(super) fn new(server: ServerName, tool: &Tool, naming: Naming) -> Self {
        let parameters = tool.input_schema.as_deref().and_then(|raw| serde_json::from_str(raw.get()).ok());
        Self {
            name: name::name(server.as_str(), &tool.name, naming),
            description: tool.description.clone(),
            parameters: of_object(parameters.unwrap_or_default()),
            server,
            tool: tool.name.clone(),
        }
    }

    /// What it stands for.
    ///
    /// ```no_run
    /// use register_service::{RegisterService, Tools};
    ///
    /// # async fn run(service: RegisterService, tools: Tools) -> Result<(), register_service::CallError> {
    /// // What the model named.
    /// if let Some(function) = tools.find("current_time") {
    ///     let answer = service.call(&function.address(), "{}").await?;
    ///     println!("{}: {}", function.address(), answer.to_text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn address(&self) -> ToolAddress {
        ToolAddress { server: self.server.to_string(), tool: self.tool.clone() }
    }

    /// Its description in one of the forms.
    ///
    /// ```no_run
    /// use register_service::FunctionForm;
    ///
    /// # fn run(function: register_service::Function) {
    /// let shown = function.to_json(FunctionForm::OpenAi);
    /// assert_eq!(shown["function"]["name"], function.name);
    /// assert_eq!(shown["function"]["parameters"]["type"], "object");
    /// # }
    /// ```
    pub fn to_json(&self, form: FunctionForm) -> Value {
        let Self { name, description, parameters, .. } = self;
        match form {
            FunctionForm::OpenAi => json!({
                "type": "function",
                "function": { "name": name, "description": description, "parameters": parameters },
            }),
            FunctionForm::OpenAiResponses => json!({
                "type": "function", "name": name, "description": description, "parameters": parameters,
            }),
            FunctionForm::Anthropic => json!({
                "name": name, "description": description, "input_schema": parameters,
            }),
        }
    }
}

/// The schema of an object that says so: models' APIs refuse one that leaves out its type or properties.
fn of_object(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return json!({ "type": "object", "properties": {} }) };
    schema.entry("type").or_insert_with(|| json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}
