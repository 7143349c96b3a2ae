//! Arguments against the JSON Schema of a tool's input, before anything is sent.
//!
//! What is refused here would be wrong for the server too. What the schema says in words that are not understood here
//! (patterns, dynamic references) is for the server to check: a verdict is *met*, *unmet* or *unknown*, so that a `not`
//! around something unknown refuses nothing.

mod compare;
mod keyword;

use std::cell::Cell;
use std::fmt;

use schemas::admin::Tool;
use serde_json::Value;
use serde_json::value::RawValue;

/// Schemas that lead to themselves without an end are not followed further.
const MAX_DEPTH: usize = 48;
/// How much of a schema is looked at: one that refers to itself twice at each level has no end either.
const MAX_STEPS: u32 = 10_000;
const MAX_PROBLEMS: usize = 20;

/// What is wrong with the arguments of a call.
///
/// ```no_run
/// # fn run(error: register_service::CallError) {
/// if let register_service::CallError::Arguments { problems, .. } = error {
///     for problem in problems {
///         println!("{}: {}", problem.path, problem.message);
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Which argument, such as `filter.tags[0]`; empty for all of them together.
    pub path: String,
    /// What is wrong with it.
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

/// Whether a value is what a schema asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Met,
    Unknown,
    Unmet(Vec<Problem>),
}

impl Verdict {
    /// Both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unmet(mut problems), Self::Unmet(more)) => {
                problems.extend(more);
                Self::Unmet(problems)
            }
            (Self::Unmet(problems), _) | (_, Self::Unmet(problems)) => Self::Unmet(problems),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Met, Self::Met) => Self::Met,
        }
    }
}

/// Nothing, or what is wrong with the arguments of this tool.
pub(super) fn check(arguments: &RawValue, tool: &Tool) -> Result<(), Vec<Problem>> {
    let arguments: Value = serde_json::from_str(arguments.get()).map_err(|error| vec![Problem::of_text(&error)])?;
    if !arguments.is_object() {
        return Err(vec![Problem { path: String::new(), message: "arguments are a JSON object".to_owned() }]);
    }
    let schema = tool.input_schema.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let Some(schema) = schema else { return Ok(()) };
    match Check::new(&schema).value(&arguments, &schema, "", 0) {
        Verdict::Unmet(mut problems) => {
            problems.truncate(MAX_PROBLEMS);
            Err(problems)
        }
        Verdict::Met | Verdict::Unknown => Ok(()),
    }
}

/// One check; `root` is what references inside the schema start from.
struct Check<'a> {
    root: &'a Value,
    /// In drafts before 2019-09 nothing beside `$ref` counts.
    ref_stands_alone: bool,
    /// A schema with an id inside is where its own references start from, which is not followed here.
    has_islands: bool,
    steps: Cell<u32>,
}

impl<'a> Check<'a> {
    fn new(root: &'a Value) -> Self {
        let draft = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let inner = |root: &Value| {
            let parts = root.as_object().into_iter().flat_map(|it| it.values());
            parts.into_iter().any(|part| holds_id(part, 0))
        };
        Self { root, ref_stands_alone: draft.contains("/draft-0"), has_islands: inner(root), steps: Cell::new(0) }
    }

    fn value(&self, value: &Value, schema: &Value, path: &str, depth: usize) -> Verdict {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(true) => return Verdict::Met,
            Value::Bool(false) => return unmet(path, "is not allowed"),
            _ => return Verdict::Unknown,
        };
        self.steps.set(self.steps.get().saturating_add(1));
        if depth > MAX_DEPTH || self.steps.get() > MAX_STEPS {
            return Verdict::Unknown;
        }
        let mut verdict = Verdict::Met;
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            verdict = match self.target(reference) {
                Some(target) => self.value(value, target, path, depth + 1),
                None => Verdict::Unknown,
            };
            if self.ref_stands_alone {
                return verdict;
            }
        }
        if schema.keys().any(|key| UNKNOWN.contains(&key.as_str())) {
            verdict = verdict.and(Verdict::Unknown);
        }
        let here = keyword::Place { value, path, depth: depth + 1 };
        let all = [keyword::plain, keyword::combined, keyword::object, keyword::array];
        all.iter().fold(verdict, |verdict, check| verdict.and(check(self, schema, &here)))
    }

    /// What a reference within the schema leads to.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#').filter(|it| !it.contains('%') && !self.has_islands)?;
        (pointer.is_empty() || pointer.starts_with('/')).then(|| self.root.pointer(pointer)).flatten()
    }
}

/// Words whose meaning is not known here and could refuse a value.
const UNKNOWN: [&str; 8] = [
    "pattern",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    "dependencies",
    "dependentSchemas",
];

fn unmet(path: &str, message: impl Into<String>) -> Verdict {
    Verdict::Unmet(vec![Problem { path: path.to_owned(), message: message.into() }])
}

fn holds_id(schema: &Value, depth: usize) -> bool {
    match schema {
        Value::Object(members) => {
            let own = members.get("$id").or_else(|| members.get("id")).is_some_and(Value::is_string);
            own || depth > MAX_DEPTH || members.values().any(|part| holds_id(part, depth + 1))
        }
        Value::Array(parts) => parts.iter().any(|part| holds_id(part, depth + 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
