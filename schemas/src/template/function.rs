//! Functions of templates: Go's own, and those of Sprig that depend on nothing but their arguments.

mod compare;
mod dates;
mod dicts;
mod encoding;
mod escape;
mod json;
mod lists;
mod numbers;
mod paths;
mod strings;
pub(super) mod table;
pub(super) mod versions;
mod words;

use std::rc::Rc;

use crate::template::budget::Budget;
use crate::template::problem::Problem;
use crate::template::value::{List, Map, Text, Value};

/// Result of a function, or the reason why it has none.
pub(super) type Outcome = Result<Value, Problem>;

/// Function that templates can call.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) fixed: &'static [Parameter],
    /// Type of the variadic parameter behind the fixed ones.
    pub(super) rest: Option<Parameter>,
    pub(super) apply: fn(&[Value], &mut Budget) -> Outcome,
}

/// The Go type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Any,
    Text,
    Int,
    Float,
    Bool,
    Dict,
}

impl Function {
    /// Returns the type of the parameter at that position.
    pub(super) fn parameter(&self, at: usize) -> Option<Parameter> {
        self.fixed.get(at).copied().or(self.rest)
    }

    /// True if later arguments are evaluated only while the earlier ones do not decide.
    pub(super) fn is_short_circuit(&self) -> bool {
        matches!(self.name, "and" | "or")
    }

    /// True if the function may treat an unset variable as an empty one.
    pub(super) fn tolerates_unset(&self) -> bool {
        matches!(
            self.name,
            "default" | "coalesce" | "empty" | "ternary" | "and" | "or" | "not" | "eq" | "ne" | "all" | "any"
        )
    }

    /// True if the result does not depend on the order of a list's items.
    pub(super) fn takes_any_order(&self) -> bool {
        matches!(self.name, "sortAlpha" | "len" | "empty" | "not" | "kindOf" | "typeOf" | "kindIs" | "typeIs")
    }
}

/// Returns the string at that position; the function table guarantees the type.
fn text(values: &[Value], at: usize) -> &[u8] {
    match values.get(at) {
        Some(Value::Text(text)) => text,
        _ => &[],
    }
}

/// Returns the string at that position, if it is UTF-8.
fn utf8(values: &[Value], at: usize) -> Result<&str, Problem> {
    let problem = |_| Problem::Refused("a text that is not UTF-8 is not computed with here".to_owned());
    std::str::from_utf8(text(values, at)).map_err(problem)
}

fn int(values: &[Value], at: usize) -> i64 {
    match values.get(at) {
        Some(Value::Int(number, _)) => *number,
        _ => 0,
    }
}

fn flag(values: &[Value], at: usize) -> bool {
    matches!(values.get(at), Some(Value::Bool(true)))
}

fn any(values: &[Value], at: usize) -> Value {
    values.get(at).cloned().unwrap_or(Value::Nil)
}

fn dict(values: &[Value], at: usize) -> Result<&Rc<Map>, Problem> {
    match values.get(at) {
        Some(Value::Map(map)) => Ok(map),
        _ => Err(Problem::Error("a dict is missing".to_owned())),
    }
}

/// Returns the list at that position, whose parameter accepts any type.
fn list<'v>(values: &'v [Value], at: usize, name: &str) -> Result<&'v Rc<List>, Problem> {
    match values.get(at) {
        Some(Value::List(list)) => Ok(list),
        Some(other) => Err(Problem::Error(format!("`{name}` takes a list, not a value of type {}", other.type_name()))),
        None => Err(Problem::Error(format!("`{name}` takes a list"))),
    }
}

fn done(text: impl AsRef<[u8]>) -> Outcome {
    Ok(Value::text(text))
}

/// Converts a value to a string as Sprig's string functions do.
fn as_text(value: &Value) -> Result<Text, Problem> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        value => Ok(crate::template::format::print(std::slice::from_ref(value))?.into()),
    }
}

/// Converts a length or index to Go's `int`.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
