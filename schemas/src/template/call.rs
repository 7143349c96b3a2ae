//! Checks the arguments of functions, both their number and their types, as Go does.

use crate::template::function::{Function, Parameter};
use crate::template::literal::Number;
use crate::template::problem::Problem;
use crate::template::value::{Integer, Of, Value};

/// Checks the number of a function's arguments.
pub(super) fn check_count(function: &Function, count: usize) -> Result<(), Problem> {
    let fixed = function.fixed.len();
    let (name, values) = (function.name, if fixed == 1 { "value" } else { "values" });
    match function.rest {
        Some(_) if count < fixed => {
            Err(Problem::Error(format!("`{name}` takes at least {fixed} {values}, not {count}")))
        }
        None if count != fixed => Err(Problem::Error(format!("`{name}` takes {fixed} {values}, not {count}"))),
        _ => Ok(()),
    }
}

/// Converts a number literal for an integer or fraction parameter. `None` for other parameters, and for a literal
/// without such a value.
pub(super) fn constant(number: Number, parameter: Parameter) -> Option<Value> {
    match parameter {
        Parameter::Int => number.integer.map(Value::int),
        Parameter::Float => number.fraction.map(Value::Float),
        _ => None,
    }
}

/// Converts an argument to the type of the function's parameter at that position.
pub(super) fn converted(function: &Function, at: usize, value: Value) -> Result<Value, Problem> {
    let Some(parameter) = function.parameter(at) else { return Ok(value) };
    if let Value::Unset(unset) = &value {
        return match function.tolerates_unset() {
            true => Ok(value),
            false => Err(Problem::Unset(unset.0.clone(), unset.1.clone())),
        };
    }
    let wanted = match (parameter, &value) {
        (_, Value::List(list)) if list.is_unordered && list.items.len() > 1 && !function.takes_any_order() => {
            return Err(Problem::unordered());
        }
        (Parameter::Any, Value::Root) if function.name != "index" => return Err(Problem::root()),
        (Parameter::Any, _) => return Ok(value),
        (Parameter::Text, Value::Text(_))
        | (Parameter::Int, Value::Int(_, Integer::Int))
        | (Parameter::Float, Value::Float(_))
        | (Parameter::Bool, Value::Bool(_)) => return Ok(value),
        (Parameter::Dict, Value::Map(map)) if map.of == Of::Any => return Ok(value),
        (Parameter::Dict, Value::Nil) => {
            return Err(Problem::Refused(format!("`{}` of nothing is not computed here", function.name)));
        }
        (Parameter::Dict, Value::Map(map)) if map.of == Of::Environment => {
            let message =
                "`.env` holds texts only, and this function takes a `dict`: the engine's last builds refuse it";
            return Err(Problem::Error(message.to_owned()));
        }
        (Parameter::Text, _) => "a text",
        (Parameter::Int, _) => "an integer (int)",
        (Parameter::Float, _) => "a fraction",
        (Parameter::Bool, _) => "a truth value",
        (Parameter::Dict, _) => "a dict",
    };
    Err(Problem::Error(format!("`{}` takes {wanted} there, not a value of type {}", function.name, value.type_name())))
}
