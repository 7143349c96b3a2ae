//! Result of checking a value against a schema.

use serde_json::{Map, Number, Value};

use crate::arguments::instance::Instance;

pub(crate) type Schema = Map<String, Value>;

/// Fault in an argument.
#[derive(Debug, Clone)]
pub(crate) struct Fault<'a> {
    /// Path of the argument, such as `filter.tags[0]`; empty for the arguments as a whole.
    pub(crate) path: String,
    /// Value that was given; for a missing or unknown argument, the object that lacks or contains it.
    pub(crate) instance: Instance<'a>,
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

/// Result of checking a value against a schema.
#[derive(Debug, Clone)]
pub(super) enum Verdict<'a> {
    Met,
    Unknown,
    Unmet(Vec<Fault<'a>>),
}

impl Verdict<'_> {
    /// Combines two verdicts that both have to be met.
    pub(super) fn and(self, other: Self) -> Self {
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

/// Value with its path and depth.
pub(super) struct Place<'a, 'p> {
    pub(super) instance: Instance<'a>,
    pub(super) path: &'p str,
    pub(super) depth: usize,
}

impl<'a> Place<'a, '_> {
    pub(super) fn inside(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn wrong(&self, wrong: Wrong<'a>) -> Verdict<'a> {
        self.wrong_at(self.path.to_owned(), wrong)
    }

    pub(super) fn wrong_at(&self, path: String, wrong: Wrong<'a>) -> Verdict<'a> {
        Verdict::Unmet(vec![Fault { path, instance: self.instance, wrong }])
    }

    pub(super) fn form(&self, message: impl Into<String>) -> Verdict<'a> {
        self.wrong(Wrong::Form(message.into()))
    }
}
