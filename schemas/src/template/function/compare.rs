//! Go's comparisons, `len` and `index`.

use std::cmp::Ordering;

use crate::template::budget::Budget;
use crate::template::function::{Outcome, any, count};
use crate::template::problem::Problem;
use crate::template::value::{Integer, Of, Value};

/// Kinds of values that can be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Uint,
    Float,
    Text,
    Other,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Int(_, Integer::Int | Integer::Int64) => Kind::Int,
        Value::Int(_, Integer::Uint8 | Integer::Uint64) => Kind::Uint,
        Value::Float(_) => Kind::Float,
        Value::Text(_) => Kind::Text,
        _ => Kind::Other,
    }
}

/// True if the first value equals any of the others.
pub(super) fn eq(values: &[Value], _: &mut Budget) -> Outcome {
    let Some((first, rest)) = values.split_first() else { return Err(missing()) };
    if rest.is_empty() {
        return Err(missing());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(values: &[Value], budget: &mut Budget) -> Outcome {
    match eq(values, budget)? {
        Value::Bool(equal) => Ok(Value::Bool(!equal)),
        other => Ok(other),
    }
}

pub(super) fn lt(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(ordered(values)? == Some(Ordering::Less)))
}

pub(super) fn le(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(matches!(ordered(values)?, Some(Ordering::Less | Ordering::Equal))))
}

pub(super) fn gt(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(!matches!(ordered(values)?, Some(Ordering::Less | Ordering::Equal))))
}

pub(super) fn ge(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(ordered(values)? != Some(Ordering::Less)))
}

pub(super) fn not(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(!any(values, 0).is_true()))
}

fn missing() -> Problem {
    Problem::Error("a value to compare with is missing".to_owned())
}

fn incompatible(one: &Value, other: &Value) -> Problem {
    let (one, other) = (one.type_name(), other.type_name());
    Problem::Error(format!("values of type {one} and {other} cannot be compared"))
}

fn equal(one: &Value, other: &Value) -> Result<bool, Problem> {
    // An unset variable, if tolerated, compares like an empty string.
    let empty = Value::text("");
    let one = if matches!(one, Value::Unset(_)) { &empty } else { one };
    let other = if matches!(other, Value::Unset(_)) { &empty } else { other };
    match (one, other) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, other) | (other, Value::Nil) => match other {
            Value::List(list) => Ok(list.is_nil),
            _ => Ok(false),
        },
        (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
        (Value::Float(one), Value::Float(other)) => Ok(one == other),
        (Value::Text(one), Value::Text(other)) => Ok(one == other),
        (Value::Int(one, _), Value::Int(other, _)) => Ok(one == other),
        (Value::List(one), Value::List(other)) if one.is_nil || other.is_nil => Ok(one.is_nil == other.is_nil),
        (Value::Version(_), Value::Version(_)) | (Value::Time(_), Value::Time(_)) => {
            Err(Problem::Refused("versions and times are not compared with `eq` here".to_owned()))
        }
        _ => Err(incompatible(one, other)),
    }
}

/// Compares two values; `None` if one of them is NaN.
fn ordered(values: &[Value]) -> Result<Option<Ordering>, Problem> {
    let (one, other) = (any(values, 0), any(values, 1));
    match (&one, &other) {
        (Value::Int(one, _), Value::Int(other, _)) => Ok(Some(one.cmp(other))),
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other)),
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        _ if kind(&one) == Kind::Bool && kind(&other) == Kind::Bool => {
            Err(Problem::Error("truth values have no order".to_owned()))
        }
        _ => Err(incompatible(&one, &other)),
    }
}

pub(super) fn len(values: &[Value], _: &mut Budget) -> Outcome {
    match values.first() {
        Some(Value::Text(text)) => Ok(Value::int(count(text.len()))),
        Some(Value::List(list)) => Ok(Value::int(count(list.items.len()))),
        Some(Value::Map(map)) => Ok(Value::int(count(map.entries.borrow().len()))),
        Some(other) => Err(Problem::Error(format!("`len` of a value of type {}", other.type_name()))),
        None => Err(Problem::Error("`len` of nothing".to_owned())),
    }
}

/// Returns an item of a list, an entry of a dict, or a byte of a string.
pub(super) fn index(values: &[Value], _: &mut Budget) -> Outcome {
    let Some((first, indices)) = values.split_first() else {
        return Err(Problem::Error("`index` of nothing".to_owned()));
    };
    let mut item = first.clone();
    if matches!(item, Value::Nil) {
        return Err(Problem::Error("`index` of nothing".to_owned()));
    }
    for key in indices {
        item = match (&item, key) {
            (Value::Root, _) => return Err(Problem::root()),
            (Value::List(list), Value::Int(at, _)) => {
                let found = usize::try_from(*at).ok().and_then(|at| list.items.get(at));
                found.cloned().ok_or_else(out_of_range)?
            }
            (Value::Text(text), Value::Int(at, _)) => {
                let found = usize::try_from(*at).ok().and_then(|at| text.get(at));
                Value::byte(*found.ok_or_else(out_of_range)?)
            }
            (Value::Map(map), Value::Text(key)) => match map.entries.borrow().get(key) {
                Some(value) => value.clone(),
                None if map.of == Of::Environment => {
                    return Err(Problem::Missing(String::from_utf8_lossy(key).into_owned()));
                }
                None if map.of == Of::Text => Value::text(""),
                None => Value::Nil,
            },
            (Value::List(_) | Value::Text(_), other) => {
                return Err(Problem::Error(format!(
                    "an index is an integer, not a value of type {}",
                    other.type_name()
                )));
            }
            (Value::Map(_), other) => {
                return Err(Problem::Error(format!("a key is a text, not a value of type {}", other.type_name())));
            }
            (other, _) => return Err(Problem::Error(format!("`index` of a value of type {}", other.type_name()))),
        };
    }
    Ok(item)
}

fn out_of_range() -> Problem {
    Problem::Error("an index is beyond the end".to_owned())
}
