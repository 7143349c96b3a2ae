//! Templates in the engine's form: Go's `text/template` with some of Sprig's functions.
//!
//! Understood: `{{ .env.NAME }}`, texts, integers, `true` and `false`, parentheses, pipes, the functions of
//! [`function::FUNCTIONS`], `if` / `else if` / `else` / `end`, comments and the trim markers `{{-` and `-}}`. A variable
//! that is not set is an error wherever its value is used; asking for it with `if`, `default` and the like is not a use.
//! Anything else is an error that names it. There is no way to get the template's own text as its result.

pub(crate) mod dotenv;
mod environment;
mod expression;
mod function;
mod go;

use std::ops::Range;

pub use crate::template::environment::Environment;
pub(crate) use crate::template::environment::is_secret_name;
use crate::template::function::Evaluation;

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
    Missing(String),
    /// It is not a template that is understood here.
    Bad(String),
}

impl Fault {
    fn bad(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Bad(message.into()), hint: None }
    }
}

/// Renders a text; one without `{{` is its own result. Every fault is reported, in order.
pub(crate) fn render(text: &str, environment: &Environment) -> Result<String, Vec<Fault>> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let (pieces, faults) = go::parse(text);
    let mut evaluation = Evaluation { environment, faults };
    let mut out = String::new();
    evaluation.write(&pieces, &mut out);
    let mut faults = evaluation.faults;
    if faults.is_empty() {
        return Ok(out);
    }
    faults.sort_by_key(|fault| fault.part.start);
    Err(faults)
}

/// The names of the variables that a text mentions, used or only asked for.
pub(crate) fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    go::parse(text).0.iter().for_each(|piece| piece.variables(&mut names));
    names
}

#[cfg(test)]
mod tests;
