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
pub use crate::template::fault::{Fault, FaultKind, OnUnset};

/// Renders a template. A text without `{{` is returned unchanged.
///
/// # Errors
///
/// Every fault, in order.
///
/// ```
/// use schemas::template::{Environment, OnUnset, render};
///
/// let environment = Environment::from_iter([("REGION", "eu")]);
/// let rendered = render("{{ .env.REGION | upper }}/{{ .env.ZONE }}", &environment, OnUnset::Refused);
/// assert!(rendered.is_err_and(|faults| faults[0].part == (29..38)));
/// assert_eq!(render("{{ .env.REGION | upper }}", &environment, OnUnset::Refused).as_deref(), Ok("EU"));
/// ```
pub fn render(text: &str, environment: &Environment, unset: OnUnset) -> Result<String, Vec<Fault>> {
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
///
/// ```
/// assert!(schemas::template::is_sound("{{ .env.A }}") && !schemas::template::is_sound("{{ if }}"));
/// ```
pub fn is_sound(text: &str) -> bool {
    parser::parse(text).1.is_empty()
}

/// Returns the names of the variables that a template mentions, both those it prints and those it only tests.
///
/// ```
/// assert_eq!(schemas::template::variables("{{ if .env.A }}{{ .env.B }}{{ end }}"), ["A", "B"]);
/// ```
pub fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for node in &parser::parse(text).0 {
        node.operands(&mut |operand| names.extend(operand.variable().map(str::to_owned)));
    }
    names
}

#[cfg(test)]
mod tests;
