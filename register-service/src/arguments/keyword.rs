//! Checks values against the keywords of JSON Schema.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::arguments::compare::{is_same, order, whole};
use crate::arguments::{Check, Fault, Given, Schema, Verdict, Wrong, texts};

/// Value with its path and depth.
pub(super) struct Place<'a, 'p> {
    pub(super) given: Given<'a>,
    pub(super) path: &'p str,
    pub(super) depth: usize,
}

impl<'a> Place<'a, '_> {
    fn inside(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&self, wrong: Wrong<'a>) -> Verdict<'a> {
        self.wrong_at(self.path.to_owned(), wrong)
    }

    fn wrong_at(&self, path: String, wrong: Wrong<'a>) -> Verdict<'a> {
        Verdict::Unmet(vec![Fault { path, given: self.given, wrong }])
    }

    pub(super) fn form(&self, message: impl Into<String>) -> Verdict<'a> {
        self.wrong(Wrong::Form(message.into()))
    }
}

/// Returns the types that a schema allows.
pub(super) fn types(schema: &Schema) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        several => texts(several).collect(),
    }
}

/// Checks `type`, `const` and `enum`, and the bounds of numbers and strings.
pub(super) fn plain<'a>(_: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let mut verdict = Verdict::Met;
    let (found, wanted) = (at.given.kind(), types(schema));
    if !wanted.is_empty() && !wanted.iter().any(|it| *it == found || (*it == "number" && found == "integer")) {
        return at.wrong(Wrong::Type { found, wanted });
    }
    let choices = schema.get("const").map(std::slice::from_ref);
    let choices = choices.or_else(|| schema.get("enum").and_then(Value::as_array).map(Vec::as_slice));
    if let Some(choices) = choices {
        verdict = verdict.and(match at.given.closed() {
            Some(value) if choices.iter().any(|it| is_same(it, &value)) => Verdict::Met,
            Some(_) => at.wrong(Wrong::Choice(choices)),
            None => Verdict::Unknown,
        });
    }
    if let Some(number) = at.given.number() {
        verdict = verdict.and(bounds(&number, schema, at));
    }
    match at.given.text() {
        Some(text) => verdict.and(sized(text.chars().count(), "Length", schema, at)),
        None => verdict,
    }
}

fn bounds<'a>(number: &Number, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
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
            verdict = verdict.and(at.wrong(Wrong::Bound { words, bound }));
        }
    }
    match schema.get("multipleOf") {
        Some(Value::Number(step)) => verdict.and(match (whole(number), whole(step)) {
            (Some(number), Some(step)) if step > 0 && number % step != 0 => {
                at.form(format!("is to be a multiple of {step}"))
            }
            (Some(_), Some(_)) => Verdict::Met,
            // Fractions are not exact.
            _ => Verdict::Unknown,
        }),
        _ => verdict,
    }
}

/// Checks `minLength` and `maxLength`, or their counterparts for items and properties.
fn sized<'a>(size: usize, what: &str, schema: &Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let bound = |side: &str| schema.get(&format!("{side}{what}")).and_then(Value::as_u64);
    let unit = match what {
        "Length" => "characters",
        "Items" => "items",
        _ => "members",
    };
    match (bound("min"), bound("max")) {
        (Some(least), _) if (size as u64) < least => {
            at.form(format!("has {size} {unit} where at least {least} are wanted"))
        }
        (_, Some(most)) if (size as u64) > most => {
            at.form(format!("has {size} {unit} where at most {most} are allowed"))
        }
        _ => Verdict::Met,
    }
}

/// Checks `allOf`, `anyOf`, `oneOf`, `not` and `if`.
pub(super) fn combined<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let each = |part: &'a Value| check.value(at.given, part, at.path, at.depth);
    let parts = |key: &str| schema.get(key).and_then(Value::as_array).filter(|it| !it.is_empty());
    let mut verdict = parts("allOf").into_iter().flatten().fold(Verdict::Met, |verdict, part| verdict.and(each(part)));
    if let Some(parts) = parts("anyOf") {
        verdict = verdict.and(any(parts.iter().map(each).collect(), at));
    }
    if let Some(parts) = parts("oneOf") {
        let verdicts: Vec<Verdict<'a>> = parts.iter().map(each).collect();
        let met = verdicts.iter().filter(|it| matches!(it, Verdict::Met)).count();
        let is_open = verdicts.iter().any(|it| matches!(it, Verdict::Unknown));
        verdict = verdict.and(match met {
            0 => any(verdicts, at),
            1 if is_open => Verdict::Unknown,
            1 => Verdict::Met,
            _ => at.form("has more than one of the forms of which it may have one"),
        });
    }
    if let Some(part) = schema.get("not") {
        verdict = verdict.and(match each(part) {
            Verdict::Met => at.form("has a form that is excluded"),
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

/// Checks that at least one verdict is met. Otherwise returns the faults of the closest one, or all allowed types if
/// every verdict fails on the type.
fn any<'a>(verdicts: Vec<Verdict<'a>>, at: &Place<'a, '_>) -> Verdict<'a> {
    let mut unmet: Vec<Vec<Fault<'a>>> = Vec::new();
    let mut is_open = false;
    for verdict in verdicts {
        match verdict {
            Verdict::Met => return Verdict::Met,
            Verdict::Unknown => is_open = true,
            Verdict::Unmet(faults) => unmet.push(faults),
        }
    }
    if is_open {
        return Verdict::Unknown;
    }
    let mut wanted: Vec<&str> = Vec::new();
    for faults in &unmet {
        match faults.as_slice() {
            [Fault { path, wrong: Wrong::Type { wanted: types, .. }, .. }] if path == at.path => {
                wanted.extend(types.iter().filter(|it| !wanted.contains(it)).copied().collect::<Vec<_>>());
            }
            _ => return unmet.into_iter().min_by_key(Vec::len).map_or(Verdict::Unknown, Verdict::Unmet),
        }
    }
    at.wrong(Wrong::Type { found: at.given.kind(), wanted })
}

/// Checks the members of an object.
pub(super) fn object<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let Some(members) = at.given.members() else { return Verdict::Met };
    let properties = schema.get("properties").and_then(Value::as_object);
    let has_patterns = schema.get("patternProperties").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
    let mut verdict = sized(members.len(), "Properties", schema, at);
    let dependent = schema.get("dependentRequired").and_then(Value::as_object).into_iter().flatten();
    let dependent = dependent.filter(|(name, _)| at.given.has(name)).flat_map(|(_, others)| texts(Some(others)));
    for name in texts(schema.get("required")).chain(dependent).filter(|name| !at.given.has(name)) {
        if !check.may_step() {
            return verdict.and(Verdict::Unknown);
        }
        verdict = verdict.and(at.wrong_at(at.inside(name), Wrong::Missing { name, properties }));
    }
    for (name, key, member) in members {
        let path = at.inside(name);
        if let Some(names) = schema.get("propertyNames") {
            verdict = verdict.and(check.value(key, names, &path, at.depth));
        }
        let property = properties.and_then(|it| it.get(name));
        verdict = verdict.and(match (property, schema.get("additionalProperties")) {
            (Some(property), _) => check.value(member, property, &path, at.depth),
            // The member may match one of the patterns, and then `additionalProperties` does not apply.
            (None, _) if has_patterns => Verdict::Unknown,
            (None, Some(Value::Bool(false))) => at.wrong_at(path, Wrong::Unknown { name, properties }),
            (None, Some(other)) => check.value(member, other, &path, at.depth),
            (None, None) => Verdict::Met,
        });
    }
    if has_patterns { verdict.and(Verdict::Unknown) } else { verdict }
}

/// Checks the items of a list.
pub(super) fn array<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let Some(items) = at.given.items() else { return Verdict::Met };
    let mut verdict = sized(items.len(), "Items", schema, at);
    // In drafts before 2020-12 `items` may be a list, and `additionalItems` applies to the rest.
    let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
        (None, Some(Value::Array(first))) => (first.as_slice(), schema.get("additionalItems")),
        (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
        (_, rest) => (&[][..], rest),
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(part) = first.get(index).or(rest) {
            verdict = verdict.and(check.value(*item, part, &format!("{}[{index}]", at.path), at.depth));
        }
    }
    if schema.get("uniqueItems") != Some(&Value::Bool(true)) {
        return verdict;
    }
    // An unknown item may or may not equal another.
    let closed: Vec<Value> = items.iter().filter_map(|it| it.closed()).collect();
    let is_twin = |(index, one): (usize, &Value)| closed.iter().take(index).any(|it| is_same(it, one));
    match closed.iter().enumerate().any(is_twin) {
        true => verdict.and(at.form("holds an item twice")),
        false if closed.len() < items.len() => verdict.and(Verdict::Unknown),
        false => verdict,
    }
}
