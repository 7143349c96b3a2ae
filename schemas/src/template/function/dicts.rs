//! Sprig's functions for dicts.

use std::rc::Rc;

use crate::template::budget::Budget;
use crate::template::function::lists::bounded;
use crate::template::function::{Outcome, any, as_text, dict, text};
use crate::template::problem::Problem;
use crate::template::value::{Entries, List, Map, Of, Value};

pub(super) fn new(values: &[Value], _: &mut Budget) -> Outcome {
    let mut entries = Entries::new();
    for pair in values.chunks(2) {
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
        entries.insert(as_text(&any(pair, 0))?, value);
    }
    bounded(Value::map(entries))
}

pub(super) fn get(values: &[Value], _: &mut Budget) -> Outcome {
    let found = dict(values, 0)?.entries.borrow().get(text(values, 1)).cloned();
    Ok(found.unwrap_or_else(|| Value::text("")))
}

pub(super) fn has_key(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Bool(dict(values, 0)?.entries.borrow().contains_key(text(values, 1))))
}

/// Puts a value into a dict, unless that makes the dict contain itself or nest too deeply.
fn put(map: &Rc<Map>, key: &[u8], value: Value, budget: &mut Budget) -> Result<(), Problem> {
    budget.take(32)?;
    if matches!(value, Value::List(_) | Value::Map(_)) {
        budget.change()?;
        if value.holds(map) {
            return Err(Problem::Refused("a dict cannot hold itself".to_owned()));
        }
        bounded(value.clone())?;
        // The dict's own containers may be deep already. With few changes of at most this depth, the total stays
        // bounded.
        if value.depth() > 8 {
            return Err(Problem::Refused("a dict is given what is nested too deeply".to_owned()));
        }
    }
    map.entries.borrow_mut().insert(key.into(), value);
    Ok(())
}

pub(super) fn set(values: &[Value], budget: &mut Budget) -> Outcome {
    put(dict(values, 0)?, text(values, 1), any(values, 2), budget)?;
    Ok(any(values, 0))
}

pub(super) fn unset(values: &[Value], _: &mut Budget) -> Outcome {
    dict(values, 0)?.entries.borrow_mut().remove(text(values, 1));
    Ok(any(values, 0))
}

pub(super) fn pluck(values: &[Value], _: &mut Budget) -> Outcome {
    let mut found = Vec::new();
    for at in 1..values.len() {
        found.extend(dict(values, at)?.entries.borrow().get(text(values, 0)).cloned());
    }
    bounded(Value::list(found))
}

fn unordered(items: Vec<Value>, of: Of) -> Value {
    let is_unordered = items.len() > 1;
    Value::List(Rc::new(List { items, of, is_nil: false, is_unordered }))
}

pub(super) fn keys(values: &[Value], _: &mut Budget) -> Outcome {
    let mut found = Vec::new();
    for at in 0..values.len() {
        found.extend(dict(values, at)?.entries.borrow().keys().cloned().map(Value::Text));
    }
    Ok(unordered(found, Of::Text))
}

pub(super) fn values(values: &[Value], _: &mut Budget) -> Outcome {
    let found = dict(values, 0)?.entries.borrow().values().cloned().collect();
    bounded(unordered(found, Of::Any))
}

fn chosen(values: &[Value], is_chosen: impl Fn(&[u8]) -> bool) -> Outcome {
    let entries = dict(values, 0)?.entries.borrow();
    let kept = entries.iter().filter(|(key, _)| is_chosen(key));
    Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
}

fn names(values: &[Value]) -> Vec<&[u8]> {
    (1..values.len()).map(|at| text(values, at)).collect()
}

pub(super) fn pick(values: &[Value], _: &mut Budget) -> Outcome {
    let names = names(values);
    chosen(values, |key| names.contains(&key))
}

pub(super) fn omit(values: &[Value], _: &mut Budget) -> Outcome {
    let names = names(values);
    chosen(values, |key| !names.contains(&key))
}

/// `dig "a" "b" DEFAULT DICT`
pub(super) fn dig(values: &[Value], _: &mut Budget) -> Outcome {
    let wrong = |what: &str| Problem::Error(format!("`dig` takes names, a default and a dict: {what}"));
    let (Some((last, front)), true) = (values.split_last(), values.len() >= 3) else {
        return Err(wrong("there are fewer than three values"));
    };
    let Some((default, path)) = front.split_last() else { return Err(wrong("no default is given")) };
    // Sprig checks every name before it looks any up.
    if !path.iter().all(|key| matches!(key, Value::Text(_))) {
        return Err(wrong("something else is there"));
    }
    let mut value = last.clone();
    for key in path {
        let (Value::Map(map), Value::Text(key)) = (&value, key) else { return Err(wrong("something else is there")) };
        if map.of != Of::Any {
            return Err(wrong("it goes through dicts made by `dict` only"));
        }
        let found = map.entries.borrow().get(key).cloned();
        match found {
            Some(found) => value = found,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

pub(super) fn merge(values: &[Value], budget: &mut Budget) -> Outcome {
    merged(values, false, budget)
}

pub(super) fn merge_overwrite(values: &[Value], budget: &mut Budget) -> Outcome {
    merged(values, true, budget)
}

fn merged(values: &[Value], overwrites: bool, budget: &mut Budget) -> Outcome {
    for at in 1..values.len() {
        into(dict(values, 0)?, dict(values, at)?, overwrites, budget)?;
    }
    Ok(any(values, 0))
}

/// Merges the entries of one dict into another, level by level where both have a dict.
fn into(target: &Rc<Map>, source: &Rc<Map>, overwrites: bool, budget: &mut Budget) -> Result<(), Problem> {
    if Rc::ptr_eq(target, source) {
        return Ok(());
    }
    if target.of != Of::Any || source.of != Of::Any {
        return Err(Problem::Refused("dicts of texts are not merged here".to_owned()));
    }
    let entries: Vec<_> = source.entries.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in entries {
        let there = target.entries.borrow().get(&key).cloned();
        match (&there, &value) {
            (_, Value::Nil) if !overwrites => continue,
            (_, Value::List(list)) if list.is_nil => {
                return Err(Problem::Refused("a nil list is not merged here".to_owned()));
            }
            (Some(Value::Map(inner)), Value::Map(value)) if there.as_ref().is_some_and(Value::is_true) => {
                budget.change()?;
                into(inner, value, overwrites, budget)?;
                continue;
            }
            // Go keeps a non-empty value when a dict would replace it.
            (Some(there), Value::Map(_)) if there.is_true() => continue,
            (Some(there), _) if there.is_true() && !overwrites => continue,
            (Some(Value::Time(_) | Value::Version(_)), _) | (_, Value::Time(_) | Value::Version(_)) => {
                return Err(Problem::Refused("times and versions are not merged here".to_owned()));
            }
            _ => {}
        }
        put(target, &key, value, budget)?;
    }
    Ok(())
}
