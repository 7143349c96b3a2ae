//! What each word of a schema asks of a value.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::service::call::arguments::compare::{is_same, kind, order, whole};
use crate::service::call::arguments::{Check, Verdict, unmet};

type Schema = Map<String, Value>;

/// A value, and where it stands.
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    pub(super) path: &'a str,
    pub(super) depth: usize,
}

impl Place<'_> {
    fn inside(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&self, message: impl Into<String>) -> Verdict {
        unmet(self.path, message)
    }
}

/// Types, choices, and what numbers and texts are bounded by.
pub(super) fn plain(_: &Check<'_>, schema: &Schema, at: &Place<'_>) -> Verdict {
    let mut verdict = Verdict::Met;
    let wanted: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let found = kind(at.value);
    if !wanted.is_empty() && !wanted.iter().any(|it| *it == found || (*it == "number" && found == "integer")) {
        return at.wrong(format!("is of type {found} where {} is wanted", wanted.join(" or ")));
    }
    let choices = schema.get("const").map(std::slice::from_ref);
    let choices = choices.or_else(|| schema.get("enum").and_then(Value::as_array).map(Vec::as_slice));
    if let Some(choices) = choices
        && !choices.iter().any(|it| is_same(it, at.value))
    {
        let shown: Vec<String> = choices.iter().take(20).map(Value::to_string).collect();
        verdict = verdict.and(at.wrong(format!("is not one of {}", shown.join(", "))));
    }
    match at.value {
        Value::Number(number) => verdict.and(bounds(number, schema, at)),
        Value::String(text) => verdict.and(sized(text.chars().count(), "Length", schema, at)),
        _ => verdict,
    }
}

fn bounds(number: &Number, schema: &Schema, at: &Place<'_>) -> Verdict {
    let breaks = |key: &str, is_broken: fn(Ordering) -> bool| {
        let Some(Value::Number(bound)) = schema.get(key) else { return None };
        order(number, bound).filter(|it| is_broken(*it)).map(|_| bound)
    };
    let mut verdict = Verdict::Met;
    for (key, words, is_broken) in [
        ("minimum", "at least", Ordering::is_lt as fn(Ordering) -> bool),
        ("maximum", "at most", Ordering::is_gt),
        ("exclusiveMinimum", "more than", Ordering::is_le),
        ("exclusiveMaximum", "less than", Ordering::is_ge),
    ] {
        if let Some(bound) = breaks(key, is_broken) {
            verdict = verdict.and(at.wrong(format!("is to be {words} {bound}")));
        }
    }
    match schema.get("multipleOf") {
        Some(Value::Number(step)) => verdict.and(match (whole(number), whole(step)) {
            (Some(number), Some(step)) if step > 0 && number % step != 0 => {
                at.wrong(format!("is to be a multiple of {step}"))
            }
            (Some(_), Some(_)) => Verdict::Met,
            // Fractions are not exact.
            _ => Verdict::Unknown,
        }),
        _ => verdict,
    }
}

/// `minLength` and `maxLength`, and the like for items and properties.
fn sized(size: usize, what: &str, schema: &Schema, at: &Place<'_>) -> Verdict {
    let bound = |side: &str| schema.get(&format!("{side}{what}")).and_then(Value::as_u64);
    let unit = match what {
        "Length" => "characters",
        "Items" => "items",
        _ => "members",
    };
    match (bound("min"), bound("max")) {
        (Some(least), _) if (size as u64) < least => {
            at.wrong(format!("has {size} {unit} where at least {least} are wanted"))
        }
        (_, Some(most)) if (size as u64) > most => {
            at.wrong(format!("has {size} {unit} where at most {most} are allowed"))
        }
        _ => Verdict::Met,
    }
}

/// Schemas put together of schemas.
pub(super) fn combined(check: &Check<'_>, schema: &Schema, at: &Place<'_>) -> Verdict {
    let each = |part: &Value| check.value(at.value, part, at.path, at.depth);
    let parts = |key: &str| schema.get(key).and_then(Value::as_array).filter(|it| !it.is_empty());
    let mut verdict = parts("allOf").into_iter().flatten().fold(Verdict::Met, |verdict, part| verdict.and(each(part)));
    if let Some(parts) = parts("anyOf") {
        verdict = verdict.and(any(parts.iter().map(each).collect(), at));
    }
    if let Some(parts) = parts("oneOf") {
        let verdicts: Vec<Verdict> = parts.iter().map(each).collect();
        let met = verdicts.iter().filter(|it| **it == Verdict::Met).count();
        let is_open = verdicts.contains(&Verdict::Unknown);
        verdict = verdict.and(match met {
            0 => any(verdicts, at),
            1 if is_open => Verdict::Unknown,
            1 => Verdict::Met,
            _ => at.wrong("has more than one of the forms of which it may have one"),
        });
    }
    if let Some(part) = schema.get("not") {
        verdict = verdict.and(match each(part) {
            Verdict::Met => at.wrong("has a form that is excluded"),
            Verdict::Unmet(_) => Verdict::Met,
            Verdict::Unknown => Verdict::Unknown,
        });
    }
    if let Some(condition) = schema.get("if") {
        let branch = |key: &str| schema.get(key).map_or(Verdict::Met, each);
        verdict = verdict.and(match each(condition) {
            Verdict::Met => branch("then"),
            Verdict::Unmet(_) => branch("else"),
            Verdict::Unknown => Verdict::Unknown,
        });
    }
    verdict
}

/// At least one. If none, what is wrong with the one that came closest.
fn any(verdicts: Vec<Verdict>, at: &Place<'_>) -> Verdict {
    let mut closest: Option<Vec<_>> = None;
    let mut is_open = false;
    for verdict in verdicts {
        match verdict {
            Verdict::Met => return Verdict::Met,
            Verdict::Unknown => is_open = true,
            Verdict::Unmet(problems) => {
                if closest.as_ref().is_none_or(|it| problems.len() < it.len()) {
                    closest = Some(problems);
                }
            }
        }
    }
    match closest {
        _ if is_open => Verdict::Unknown,
        Some(problems) => Verdict::Unmet(problems),
        None => at.wrong("has none of the forms that it may have"),
    }
}

/// What an object holds.
pub(super) fn object(check: &Check<'_>, schema: &Schema, at: &Place<'_>) -> Verdict {
    let Value::Object(members) = at.value else { return Verdict::Met };
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let has_patterns = schema.get("patternProperties").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
    let mut verdict = sized(members.len(), "Properties", schema, at);
    let texts = |list: Option<&Value>| -> Vec<String> {
        list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut required = texts(schema.get("required"));
    for (name, others) in schema.get("dependentRequired").and_then(Value::as_object).into_iter().flatten() {
        if members.contains_key(name) {
            required.extend(texts(Some(others)));
        }
    }
    for name in required.iter().filter(|name| !members.contains_key(*name)) {
        verdict = verdict.and(unmet(&at.inside(name), "is missing"));
    }
    for (name, member) in members {
        let path = at.inside(name);
        if let Some(names) = schema.get("propertyNames") {
            verdict = verdict.and(check.value(&Value::String(name.clone()), names, &path, at.depth));
        }
        verdict = verdict.and(match (properties.get(name), schema.get("additionalProperties")) {
            (Some(property), _) => check.value(member, property, &path, at.depth),
            // It may match one of the patterns, and then it is no additional one.
            (None, _) if has_patterns => Verdict::Unknown,
            (None, Some(Value::Bool(false))) => {
                let known: Vec<String> = properties.keys().map(|name| format!("`{name}`")).collect();
                unmet(&path, format!("is not known; known are {}", known.join(", ")))
            }
            (None, Some(other)) => check.value(member, other, &path, at.depth),
            (None, None) => Verdict::Met,
        });
    }
    if has_patterns { verdict.and(Verdict::Unknown) } else { verdict }
}

/// What a list holds.
pub(super) fn array(check: &Check<'_>, schema: &Schema, at: &Place<'_>) -> Verdict {
    let Value::Array(items) = at.value else { return Verdict::Met };
    let mut verdict = sized(items.len(), "Items", schema, at);
    // In drafts before 2020-12 `items` may be a list, and `additionalItems` is for the rest.
    let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
        (None, Some(Value::Array(first))) => (first.as_slice(), schema.get("additionalItems")),
        (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
        (_, rest) => (&[][..], rest),
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(part) = first.get(index).or(rest) {
            verdict = verdict.and(check.value(item, part, &format!("{}[{index}]", at.path), at.depth));
        }
    }
    let is_unique = schema.get("uniqueItems") != Some(&Value::Bool(true));
    let has_twins = || items.iter().enumerate().any(|(index, one)| items.iter().take(index).any(|it| is_same(it, one)));
    if is_unique || !has_twins() { verdict } else { verdict.and(at.wrong("holds an item twice")) }
}
