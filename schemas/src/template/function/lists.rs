//! Sprig's functions for lists, for empty values, and for types.

use std::rc::Rc;

use crate::template::budget::Budget;
use crate::template::function::numbers::integer;
use crate::template::function::{Outcome, any, as_text, count, done, flag, int, list, text};
use crate::template::problem::Problem;
use crate::template::value::{MAX_DEPTH, Of, Text, Value};

/// Returns a list or dict, unless it is nested too deeply.
pub(super) fn bounded(value: Value) -> Outcome {
    match value.depth() > MAX_DEPTH {
        true => Err(Problem::Refused(format!("lists and dicts are nested more than {MAX_DEPTH} deep"))),
        false => Ok(value),
    }
}

pub(super) fn new(values: &[Value], _: &mut Budget) -> Outcome {
    bounded(Value::list(values.to_vec()))
}

pub(super) fn append(values: &[Value], _: &mut Budget) -> Outcome {
    let mut items = list(values, 0, "append")?.items.clone();
    items.push(any(values, 1));
    bounded(Value::list(items))
}

pub(super) fn prepend(values: &[Value], _: &mut Budget) -> Outcome {
    let mut items = vec![any(values, 1)];
    items.extend(list(values, 0, "prepend")?.items.iter().cloned());
    bounded(Value::list(items))
}

pub(super) fn first(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(list(values, 0, "first")?.items.first().cloned().unwrap_or(Value::Nil))
}

pub(super) fn last(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(list(values, 0, "last")?.items.last().cloned().unwrap_or(Value::Nil))
}

pub(super) fn rest(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(match list(values, 0, "rest")?.items.split_first() {
        Some((_, rest)) => Value::list(rest.to_vec()),
        None => Value::list_or_nil(Vec::new()),
    })
}

pub(super) fn initial(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(match list(values, 0, "initial")?.items.split_last() {
        Some((_, rest)) => Value::list(rest.to_vec()),
        None => Value::list_or_nil(Vec::new()),
    })
}

pub(super) fn reverse(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::list(list(values, 0, "reverse")?.items.iter().rev().cloned().collect()))
}

pub(super) fn compact(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::list(list(values, 0, "compact")?.items.iter().filter(|item| item.is_true()).cloned().collect()))
}

/// True if `values` contain a value. Each comparison is subtracted from the budget.
fn is_among(wanted: &Value, values: &[Value], budget: &mut Budget) -> Result<bool, Problem> {
    budget.take(values.len())?;
    Ok(values.iter().any(|value| value.deep_equals(wanted)))
}

pub(super) fn uniq(values: &[Value], budget: &mut Budget) -> Outcome {
    let mut found = Vec::new();
    for item in &list(values, 0, "uniq")?.items {
        if !is_among(item, &found, budget)? {
            found.push(item.clone());
        }
    }
    Ok(Value::list(found))
}

pub(super) fn without(values: &[Value], budget: &mut Budget) -> Outcome {
    let omitted = values.get(1..).unwrap_or_default();
    let mut kept = Vec::new();
    for item in &list(values, 0, "without")?.items {
        if !is_among(item, omitted, budget)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

pub(super) fn has(values: &[Value], budget: &mut Budget) -> Outcome {
    match values.get(1) {
        None | Some(Value::Nil) => Ok(Value::Bool(false)),
        Some(_) => Ok(Value::Bool(is_among(&any(values, 0), &list(values, 1, "has")?.items, budget)?)),
    }
}

pub(super) fn slice(values: &[Value], _: &mut Budget) -> Outcome {
    let list = list(values, 0, "slice")?;
    if list.items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = values.get(1).map_or(Ok(0), integer)?;
    let end = values.get(2).map_or(Ok(count(list.items.len())), integer)?;
    if end > count(list.items.len()) {
        return Err(Problem::Refused("`slice` goes beyond the end of the list".to_owned()));
    }
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let found = range.and_then(|(start, end)| list.items.get(start..end));
    let found = found.ok_or_else(|| Problem::Error("`slice` goes beyond the list".to_owned()))?;
    Ok(Value::list_of(found.to_vec(), list.of))
}

pub(super) fn concat(values: &[Value], budget: &mut Budget) -> Outcome {
    let mut items = Vec::new();
    for at in 0..values.len() {
        let more = &list(values, at, "concat")?.items;
        budget.take(more.len().saturating_mul(16))?;
        items.extend(more.iter().cloned());
    }
    Ok(Value::list_or_nil(items))
}

pub(super) fn chunk(values: &[Value], _: &mut Budget) -> Outcome {
    let size = usize::try_from(int(values, 0)).unwrap_or_default();
    if size == 0 {
        return Err(Problem::Refused("`chunk` takes a size of one or more".to_owned()));
    }
    let chunks = list(values, 1, "chunk")?.items.chunks(size).map(|items| Value::list(items.to_vec()));
    bounded(Value::list_of(chunks.collect(), Of::Lists))
}

/// Converts the items of a list to strings; any other value becomes a list of one.
pub(super) fn as_texts(value: &Value) -> Result<Vec<Text>, Problem> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) => list.items.iter().filter(|item| !matches!(item, Value::Nil)).map(as_text).collect(),
        other => Ok(vec![as_text(other)?]),
    }
}

pub(super) fn to_strings(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::texts(as_texts(&any(values, 0))?))
}

pub(super) fn join(values: &[Value], budget: &mut Budget) -> Outcome {
    let texts = as_texts(&any(values, 1))?;
    budget.take(text(values, 0).len().saturating_mul(texts.len()))?;
    done(texts.join(text(values, 0)))
}

pub(super) fn sort_alpha(values: &[Value], _: &mut Budget) -> Outcome {
    let value = any(values, 0);
    let mut texts = match value {
        Value::Nil => vec![as_text(&value)?],
        _ => as_texts(&value)?,
    };
    texts.sort();
    Ok(Value::texts(texts))
}

pub(super) fn default(values: &[Value], _: &mut Budget) -> Outcome {
    let fallback = any(values, 0);
    match values.get(1) {
        Some(given) if given.is_true() => Ok(given.clone()),
        // If the fallback is unset too, the fault names the fallback.
        _ => Ok(fallback),
    }
}

pub(super) fn coalesce(values: &[Value], _: &mut Budget) -> Outcome {
    let found = values.iter().find(|value| value.is_true());
    let unset = || values.last().filter(|value| matches!(value, Value::Unset(_)));
    Ok(found.or_else(unset).cloned().unwrap_or(Value::Nil))
}

pub(super) fn empty(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(!any(values, 0).is_true()))
}

pub(super) fn all(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(values.iter().all(Value::is_true)))
}

pub(super) fn any_of(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(values.iter().any(Value::is_true)))
}

pub(super) fn ternary(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(any(values, usize::from(!flag(values, 2))))
}

pub(super) fn type_of(values: &[Value], _: &mut Budget) -> Outcome {
    done(any(values, 0).type_name())
}

pub(super) fn type_is(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(text(values, 0) == any(values, 1).type_name().as_bytes()))
}

pub(super) fn type_is_like(values: &[Value], _: &mut Budget) -> Outcome {
    let (wanted, name) = (text(values, 0), any(values, 1).type_name().as_bytes());
    Ok(Value::Bool(wanted == name || name.strip_prefix(b"*") == Some(wanted)))
}

pub(super) fn kind_of(values: &[Value], _: &mut Budget) -> Outcome {
    done(any(values, 0).kind_name())
}

pub(super) fn kind_is(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(text(values, 0) == any(values, 1).kind_name().as_bytes()))
}

pub(super) fn deep_equal(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(any(values, 0).deep_equals(&any(values, 1))))
}

/// Fails without showing its message, which may contain a variable's value.
pub(super) fn fail(_: &[Value], _: &mut Budget) -> Outcome {
    Err(Problem::Error("`fail` is reached".to_owned()))
}

pub(super) fn hello(_: &[Value], _: &mut Budget) -> Outcome {
    done("Hello!")
}

/// Returns a copy that shares no dict with the original.
pub(super) fn deep_copy(values: &[Value], budget: &mut Budget) -> Outcome {
    match values.first() {
        None | Some(Value::Nil) => Err(Problem::Error("`deepCopy` of nothing".to_owned())),
        Some(value) => copied(value, budget),
    }
}

fn copied(value: &Value, budget: &mut Budget) -> Outcome {
    budget.take(16)?;
    Ok(match value {
        Value::List(list) if !list.is_nil => {
            let items = list.items.iter().map(|item| copied(item, budget)).collect::<Result<_, _>>()?;
            Value::list_of(items, list.of)
        }
        Value::Map(map) => {
            let entries = map.entries.borrow();
            let copies = entries.iter().map(|(key, value)| Ok((Rc::clone(key), copied(value, budget)?)));
            Value::map_of(copies.collect::<Result<_, Problem>>()?, map.of)
        }
        other => other.clone(),
    })
}
