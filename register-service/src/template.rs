//! Templates in the engine's form: Go's `text/template` with Sprig's functions.
//!
//! A text renders to exactly what Go renders, or to faults with their places: what Go refuses too, what depends on more
//! than the text and its variables (clock, network, chance, files), and what is not computed here. A variable that is not
//! set is a fault wherever it is evaluated, as with Go's `missingkey=error`; [`OnUnset::Tolerated`] lets `default`,
//! `coalesce`, `or`, `if` and their kin take it for empty. There is no way to get the template's own text as its result.
//! Steps, sizes and nesting are bounded, so that no text can hang the tool.

mod ast;
mod call;
pub(crate) mod dotenv;
mod environment;
mod evaluation;
mod format;
mod function;
mod lexer;
mod literal;
mod parser;
mod text;
mod value;

use std::ops::Range;

pub use crate::template::environment::Environment;
pub(crate) use crate::template::environment::is_secret_name;
use crate::template::evaluation::Evaluation;

/// Why a text does not render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The part of the text that it is about, in bytes.
    pub(crate) part: Range<usize>,
    /// What is wrong with it.
    pub(crate) kind: FaultKind,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The variable is not set.
    Unset(String),
    /// Go refuses it too.
    Bad(String),
    /// Go may render it, and it is not rendered here.
    Refused(String),
}

/// What it means in a template that a variable is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnset {
    /// A fault wherever it is evaluated, as in the engine.
    Refused,
    /// A fault where its value is used; `default`, `coalesce`, `or`, `if` and the like take it for empty.
    Tolerated,
}

impl Fault {
    fn bad(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Bad(message.into()), hint: None }
    }

    fn refused(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Refused(message.into()), hint: None }
    }

    fn unset(part: Range<usize>, name: &str) -> Self {
        Self { part, kind: FaultKind::Unset(name.to_owned()), hint: None }
    }
}

/// Renders a text; one without `{{` is its own result. Every fault is reported, in order.
pub(crate) fn render(text: &str, environment: &Environment, unset: OnUnset) -> Result<String, Vec<Fault>> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let (nodes, mut faults) = parser::parse(text);
    let (out, found) = Evaluation::new(text, environment, unset).run(&nodes);
    faults.extend(found);
    if faults.is_empty() {
        let not_utf8 = |_| vec![Fault::refused(0..text.len(), "what the template comes to is not UTF-8 text")];
        return String::from_utf8(out).map_err(not_utf8);
    }
    faults.sort_by_key(|fault| fault.part.start);
    Err(faults)
}

/// Whether a text can be read as a template, whatever it comes to.
pub(crate) fn is_sound(text: &str) -> bool {
    parser::parse(text).1.is_empty()
}

/// The names of the variables that a text mentions, used or only asked for.
pub(crate) fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for node in &parser::parse(text).0 {
        node.operands(&mut |operand| names.extend(operand.variable().map(str::to_owned)));
    }
    names
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
