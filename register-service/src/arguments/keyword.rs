//! Checks values against the keywords of JSON Schema.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::arguments::compare::{is_same, order, whole};
use crate::arguments::instance::Instance;
use crate::arguments::verdict::{Fault, Place, Schema, Verdict, Wrong};

/// Maximum nesting that is followed; a recursive schema may have no end.
const MAX_DEPTH: usize = 48;
/// Maximum number of steps in one check: a schema that refers to itself twice at each level grows exponentially.
const MAX_STEPS: u32 = 10_000;
/// Keywords that are not supported here and could refuse a value.
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

/// State of one check; references inside the schema are resolved from `root`.
pub(super) struct Check<'a> {
    root: &'a Value,
    /// In drafts before 2019-09, keywords beside `$ref` are ignored.
    ref_stands_alone: bool,
    /// True if a subschema has its own id: its references start there, so no reference is resolved.
    has_islands: bool,
    steps: Cell<u32>,
}

impl<'a> Check<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let draft = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let inner = |root: &Value| {
            let parts = root.as_object().into_iter().flat_map(|it| it.values());
            parts.into_iter().any(|part| holds_id(part, 0))
        };
        Self { root, ref_stands_alone: draft.contains("/draft-0"), has_islands: inner(root), steps: Cell::new(0) }
    }

    pub(super) fn value(&self, instance: Instance<'a>, schema: &'a Value, path: &str, depth: usize) -> Verdict<'a> {
        let here = Place { instance, path, depth: depth + 1 };
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(true) => return Verdict::Met,
            Value::Bool(false) => return here.form("is not allowed"),
            _ => return Verdict::Unknown,
        };
        if depth > MAX_DEPTH || !self.may_step() || instance.is_open() {
            return Verdict::Unknown;
        }
        let mut verdict = Verdict::Met;
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            verdict = match self.target(reference) {
                Some(target) => self.value(instance, target, path, depth + 1),
                None => Verdict::Unknown,
            };
            if self.ref_stands_alone {
                return verdict;
            }
        }
        if schema.keys().any(|key| UNKNOWN.contains(&key.as_str())) {
            verdict = verdict.and(Verdict::Unknown);
        }
        let all = [plain, combined, object, array];
        all.iter().fold(verdict, |verdict, check| verdict.and(check(self, schema, &here)))
    }

    /// Counts one more step; false if none is left.
    fn may_step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(1));
        self.steps.get() <= MAX_STEPS
    }

    /// Resolves a reference within the schema.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#').filter(|it| !it.contains('%') && !self.has_islands)?;
        (pointer.is_empty() || pointer.starts_with('/')).then(|| self.root.pointer(pointer)).flatten()
    }
}

/// Returns the types that a schema allows.
pub(super) fn types(schema: &Schema) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        several => texts(several).collect(),
    }
}

/// Iterates over the strings of a JSON array.
pub(crate) fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Checks `type`, `const` and `enum`, and the bounds of numbers and strings.
fn plain<'a>(_: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let mut verdict = Verdict::Met;
    let (found, wanted) = (at.instance.kind(), types(schema));
    if !wanted.is_empty() && !wanted.iter().any(|it| *it == found || (*it == "number" && found == "integer")) {
        return at.wrong(Wrong::Type { found, wanted });
    }
    let choices = schema.get("const").map(std::slice::from_ref);
    let choices = choices.or_else(|| schema.get("enum").and_then(Value::as_array).map(Vec::as_slice));
    if let Some(choices) = choices {
        verdict = verdict.and(match at.instance.closed() {
            Some(value) if choices.iter().any(|it| is_same(it, &value)) => Verdict::Met,
            Some(_) => at.wrong(Wrong::Choice(choices)),
            None => Verdict::Unknown,
        });
    }
    if let Some(number) = at.instance.number() {
        verdict = verdict.and(bounds(&number, schema, at));
    }
    match at.instance.text() {
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
fn combined<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let each = |part: &'a Value| check.value(at.instance, part, at.path, at.depth);
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
    at.wrong(Wrong::Type { found: at.instance.kind(), wanted })
}

/// Checks the members of an object.
fn object<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let Some(members) = at.instance.members() else { return Verdict::Met };
    let properties = schema.get("properties").and_then(Value::as_object);
    let has_patterns = schema.get("patternProperties").and_then(Value::as_object).is_some_and(|it| !it.is_empty());
    let mut verdict = sized(members.len(), "Properties", schema, at);
    let dependent = schema.get("dependentRequired").and_then(Value::as_object).into_iter().flatten();
    let dependent = dependent.filter(|(name, _)| at.instance.has(name)).flat_map(|(_, others)| texts(Some(others)));
    for name in texts(schema.get("required")).chain(dependent).filter(|name| !at.instance.has(name)) {
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
fn array<'a>(check: &Check<'a>, schema: &'a Schema, at: &Place<'a, '_>) -> Verdict<'a> {
    let Some(items) = at.instance.items() else { return Verdict::Met };
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
