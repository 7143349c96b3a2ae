//! Functions in the forms of models' APIs.

use schemas::ServerName;
use schemas::admin::Tool;
use serde_json::{Value, json};

use crate::service::call::address::ToolAddress;
use crate::service::tools::name;
use crate::service::tools::selection::Naming;

/// A tool that a model may call.
///
/// ```no_run
/// use register_service::worker::FunctionForm;
///
/// # fn run(function: register_service::worker::Function) {
/// println!("{} is {}", function.name, function.address());
/// println!("{}", function.to_json(FunctionForm::Anthropic));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Function {
    /// Name for the model: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// Description of the tool, from the server.
    pub description: String,
    /// JSON Schema of the arguments, always of type object.
    pub parameters: Value,
    /// Name of the server at the gateway.
    pub server: ServerName,
    /// Name of the tool at the server.
    pub tool: String,
}

/// Form of a function's description in a model's API.
///
/// ```
/// use register_service::worker::FunctionForm;
///
/// assert_ne!(FunctionForm::OpenAi, FunctionForm::Anthropic);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FunctionForm {
    /// `{"type":"function","function":{"name","description","parameters"}}`, for OpenAI's Chat Completions API.
    OpenAi,
    /// `{"type":"function","name","description","parameters"}`, for OpenAI's Responses API.
    OpenAiResponses,
    /// `{"name","description","input_schema"}`, for Anthropic's Messages API.
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

    /// Returns the address of the tool.
    ///
    /// ```no_run
    /// use register_service::worker::Tools;
    /// use register_service::RegisterService;
    ///
    /// # async fn run(service: RegisterService, tools: Tools) -> Result<(), register_service::worker::CallError> {
    /// // Look up the function that the model named.
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

    /// Returns the description of the function in one of the forms.
    ///
    /// ```no_run
    /// use register_service::worker::FunctionForm;
    ///
    /// # fn run(function: register_service::worker::Function) {
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

/// Adds the type and properties of an object to a schema, if missing: models' APIs require them.
fn of_object(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return json!({ "type": "object", "properties": {} }) };
    schema.entry("type").or_insert_with(|| json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}
