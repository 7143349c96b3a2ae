//! Checks arguments of a tool against the JSON Schema of its input.
//!
//! Only arguments that the server would refuse too are refused here. Keywords that are not supported (patterns, dynamic
//! references) are left to the server: a verdict is *met*, *unmet* or *unknown*, so that a `not` around an unsupported
//! keyword refuses nothing. A fault is a value; the caller puts it into words.

mod compare;
mod instance;
mod keyword;
mod verdict;

use serde_json::Value;

pub(crate) use crate::arguments::instance::Instance;
use crate::arguments::keyword::Check;
pub(crate) use crate::arguments::keyword::texts;
use crate::arguments::verdict::Verdict;
pub(crate) use crate::arguments::verdict::{Fault, Schema, Wrong};

/// Returns every fault that is certain.
pub(crate) fn check<'a>(instance: Instance<'a>, schema: &'a Value) -> Vec<Fault<'a>> {
    match Check::new(schema).value(instance, schema, "", 0) {
        Verdict::Unmet(faults) => faults,
        Verdict::Met | Verdict::Unknown => Vec::new(),
    }
}

/// Returns the types that a property of a schema allows; empty if the schema does not restrict them.
pub(crate) fn types<'a>(property: &'a Value, root: &'a Value) -> Vec<&'a str> {
    let pointer = property.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    pointer.and_then(|it| root.pointer(it)).unwrap_or(property).as_object().map(keyword::types).unwrap_or_default()
}
