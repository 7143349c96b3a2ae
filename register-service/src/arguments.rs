//! Checks arguments of a tool against the JSON Schema of its input.
//!
//! Only arguments that the server would refuse too are refused here. Keywords that are not supported (patterns, dynamic
//! references) are left to the server: a verdict is *met*, *unmet* or *unknown*, so that a `not` around an unsupported
//! keyword refuses nothing. A fault is a value; the caller puts it into words.

mod compare;
mod given;
mod keyword;

use std::cell::Cell;

use serde_json::{Map, Number, Value};

pub(crate) use self::given::Given;
use self::keyword::Place;

pub(crate) type Schema = Map<String, Value>;

/// Maximum nesting that is followed; a recursive schema may have no end.
const MAX_DEPTH: usize = 48;
/// Maximum number of steps in one check: a schema that refers to itself twice at each level grows exponentially.
const MAX_STEPS: u32 = 10_000;

/// Fault in an argument.
#[derive(Debug, Clone)]
pub(crate) struct Fault<'a> {
    /// Path of the argument, such as `filter.tags[0]`; empty for the arguments as a whole.
    pub(crate) path: String,
    /// Value that was given; for a missing or unknown argument, the object that lacks or contains it.
    pub(crate) given: Given<'a>,
    pub(crate) wrong: Wrong<'a>,
}

/// Kind of a fault.
#[derive(Debug, Clone)]
pub(crate) enum Wrong<'a> {
    /// A required argument is missing. `properties` are the known ones.
    Missing { name: &'a str, properties: Option<&'a Schema> },
    /// The schema has no such argument. `properties` are the known ones.
    Unknown { name: &'a str, properties: Option<&'a Schema> },
    /// The value has another type than the wanted ones.
    Type { found: &'static str, wanted: Vec<&'a str> },
    /// The value is none of these choices.
    Choice(&'a [Value]),
    /// The value is not `at least`, `at most`, `more than` or `less than` the bound.
    Bound { words: &'static str, bound: &'a Number },
    /// Any other fault, as the end of a sentence about the argument.
    Form(String),
}

/// Returns every fault that is certain.
pub(crate) fn check<'a>(given: Given<'a>, schema: &'a Value) -> Vec<Fault<'a>> {
    match Check::new(schema).value(given, schema, "", 0) {
        Verdict::Unmet(faults) => faults,
        Verdict::Met | Verdict::Unknown => Vec::new(),
    }
}

/// Returns the types that a property of a schema allows; empty if the schema does not restrict them.
pub(crate) fn types<'a>(property: &'a Value, root: &'a Value) -> Vec<&'a str> {
    let pointer = property.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    pointer.and_then(|it| root.pointer(it)).unwrap_or(property).as_object().map(keyword::types).unwrap_or_default()
}

/// Iterates over the strings of a JSON array.
pub(crate) fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Result of checking a value against a schema.
#[derive(Debug, Clone)]
enum Verdict<'a> {
    Met,
    Unknown,
    Unmet(Vec<Fault<'a>>),
}

impl Verdict<'_> {
    /// Combines two verdicts that both have to be met.
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

/// State of one check; references inside the schema are resolved from `root`.
struct Check<'a> {
    root: &'a Value,
    /// In drafts before 2019-09, keywords beside `$ref` are ignored.
    ref_stands_alone: bool,
    /// True if a subschema has its own id: its references start there, so no reference is resolved.
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
