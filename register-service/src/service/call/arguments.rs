//! Validation of a call's arguments before sending.

use std::fmt;

use schemas::admin::Tool;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::arguments::{self, Fault, Instance, Schema, Wrong};

const MAX_PROBLEMS: usize = 20;
const MAX_CHOICES: usize = 20;

/// A problem of a call's arguments.
///
/// ```no_run
/// # fn run(error: register_service::worker::CallError) {
/// if let register_service::worker::CallError::Arguments { problems, .. } = error {
///     for problem in problems {
///         println!("{}: {}", problem.path, problem.message);
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Path of the argument, such as `filter.tags[0]`; empty for the arguments as a whole.
    pub path: String,
    /// Description of the problem.
    pub message: String,
}

impl Problem {
    pub(super) fn of_text(error: &serde_json::Error) -> Self {
        Self { path: String::new(), message: format!("not JSON: {error}") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

/// Validates arguments against the tool's input schema. Returns all problems, 20 at most.
pub(super) fn check(arguments: &RawValue, tool: &Tool) -> Result<(), Vec<Problem>> {
    let arguments: Value = serde_json::from_str(arguments.get()).map_err(|error| vec![Problem::of_text(&error)])?;
    if !arguments.is_object() {
        return Err(vec![Problem { path: String::new(), message: "arguments are a JSON object".to_owned() }]);
    }
    let schema = tool.input_schema.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let Some(schema) = schema else { return Ok(()) };
    let faults = arguments::check(Instance::Json(&arguments), &schema);
    let problems: Vec<Problem> = faults.into_iter().take(MAX_PROBLEMS).map(Problem::from).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

impl From<Fault<'_>> for Problem {
    fn from(fault: Fault<'_>) -> Self {
        let message = match fault.wrong {
            Wrong::Missing { .. } => "is missing".to_owned(),
            Wrong::Unknown { properties, .. } => {
                let known = properties.into_iter().flat_map(Schema::keys).map(|name| format!("`{name}`"));
                format!("is not known; known are {}", known.collect::<Vec<_>>().join(", "))
            }
            Wrong::Type { found, wanted } => format!("is of type {found} where {} is wanted", wanted.join(" or ")),
            Wrong::Choice(choices) => {
                let shown: Vec<String> = choices.iter().take(MAX_CHOICES).map(Value::to_string).collect();
                format!("is not one of {}", shown.join(", "))
            }
            Wrong::Bound { words, bound } => format!("is to be {words} {bound}"),
            Wrong::Form(message) => message,
        };
        Self { path: fault.path, message }
    }
}

#[cfg(test)]
mod tests;
