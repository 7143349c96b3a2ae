//! Renders templates as the engine does: Go's `text/template` with Sprig's functions.
//!
//! A text renders to exactly what Go renders, or to faults with their spans. Faults are: what Go refuses too, what
//! depends on more than the text and its variables (clock, network, randomness, files), and what is not computed here.
//! An unset variable is a fault wherever it is evaluated, as with Go's `missingkey=error`; [`OnUnset::Tolerated`] lets
//! `default`, `coalesce`, `or`, `if` and the like treat it as empty. A template that does not render never falls back
//! to its unrendered text. Steps, sizes and nesting are bounded, so that no text can hang the tool.

mod ast;
mod budget;
mod call;
pub(crate) mod dotenv;
mod environment;
mod evaluation;
mod fault;
mod format;
mod function;
mod lexer;
mod literal;
mod parser;
mod problem;
mod text;
mod time;
mod value;
mod version;

pub use crate::template::environment::Environment;
use crate::template::evaluation::Evaluation;
pub(crate) use crate::template::fault::{Fault, FaultKind, OnUnset};

/// Renders a template. A text without `{{` is returned unchanged. Reports every fault, in order.
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

/// True if a text parses as a template. Evaluation may still fail.
pub(crate) fn is_sound(text: &str) -> bool {
    parser::parse(text).1.is_empty()
}

/// Returns the names of the variables that a template mentions, both those it prints and those it only tests.
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
