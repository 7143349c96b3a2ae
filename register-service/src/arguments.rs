//! Arguments of a tool against the JSON Schema of its input.
//!
//! What is refused here would be wrong for the server too. What the schema says in words that are not understood here
//! (patterns, dynamic references) is for the server to check: a verdict is *met*, *unmet* or *unknown*, so that a `not`
//! around something unknown refuses nothing. A fault is a value; who asks has the words for it.

mod compare;
mod given;
mod keyword;

use std::cell::Cell;

use serde_json::{Map, Number, Value};

pub(crate) use self::given::Given;
use self::keyword::Place;

pub(crate) type Schema = Map<String, Value>;

/// Schemas that lead to themselves without an end are not followed further.
const MAX_DEPTH: usize = 48;
/// How much of a schema is looked at: one that refers to itself twice at each level has no end either.
const MAX_STEPS: u32 = 10_000;

/// What is wrong with arguments.
#[derive(Debug, Clone)]
pub(crate) struct Fault<'a> {
    /// Which argument, such as `filter.tags[0]`; empty for all of them together.
    pub(crate) path: String,
    /// What was given; for an argument that is missing or not known, what should have it or has it.
    pub(crate) given: Given<'a>,
    pub(crate) wrong: Wrong<'a>,
}

/// What is wrong with one of them.
#[derive(Debug, Clone)]
pub(crate) enum Wrong<'a> {
    /// It is required. Known are the properties.
    Missing { name: &'a str, properties: Option<&'a Schema> },
    /// There is no such argument. Known are the properties.
    Unknown { name: &'a str, properties: Option<&'a Schema> },
    /// It is of another type than these.
    Type { found: &'static str, wanted: Vec<&'a str> },
    /// It is none of these.
    Choice(&'a [Value]),
    /// It is not `at least`, `at most`, `more than` or `less than` this.
    Bound { words: &'static str, bound: &'a Number },
    /// Anything else, as the end of a sentence about it.
    Form(String),
}

/// Everything that is wrong, as far as that is known.
pub(crate) fn check<'a>(given: Given<'a>, schema: &'a Value) -> Vec<Fault<'a>> {
    match Check::new(schema).value(given, schema, "", 0) {
        Verdict::Unmet(faults) => faults,
        Verdict::Met | Verdict::Unknown => Vec::new(),
    }
}

/// The types that a property of a schema may have; none if it does not say.
pub(crate) fn types<'a>(property: &'a Value, root: &'a Value) -> Vec<&'a str> {
    let pointer = property.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    pointer.and_then(|it| root.pointer(it)).unwrap_or(property).as_object().map(keyword::types).unwrap_or_default()
}

/// The texts of a list.
pub(crate) fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a value is what a schema asks for.
#[derive(Debug, Clone)]
enum Verdict<'a> {
    Met,
    Unknown,
    Unmet(Vec<Fault<'a>>),
}

impl Verdict<'_> {
    /// Both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unmet(mut faults), Self::Unmet(more)) => {
                faults.extend(more);
                Self::Unmet(faults)
            }
            (Self::Unmet(faults), _) | (_, Self::Unmet(faults)) => Self::Unmet(faults),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Met, Self::Met) => Self::Met,
        }
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

    fn value(&self, given: Given<'a>, schema: &'a Value, path: &str, depth: usize) -> Verdict<'a> {
        let here = Place { given, path, depth: depth + 1 };
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(true) => return Verdict::Met,
            Value::Bool(false) => return here.form("is not allowed"),
            _ => return Verdict::Unknown,
        };
        if depth > MAX_DEPTH || !self.may_step() || given.is_open() {
            return Verdict::Unknown;
        }
        let mut verdict = Verdict::Met;
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            verdict = match self.target(reference) {
                Some(target) => self.value(given, target, path, depth + 1),
                None => Verdict::Unknown,
            };
            if self.ref_stands_alone {
                return verdict;
            }
        }
        if schema.keys().any(|key| UNKNOWN.contains(&key.as_str())) {
            verdict = verdict.and(Verdict::Unknown);
        }
        let all = [keyword::plain, keyword::combined, keyword::object, keyword::array];
        all.iter().fold(verdict, |verdict, check| verdict.and(check(self, schema, &here)))
    }

    /// Takes one more step, if any is left.
    fn may_step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(1));
        self.steps.get() <= MAX_STEPS
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
