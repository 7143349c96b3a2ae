//! Templates in the engine's form, Go's `text/template` with a few of Sprig's functions, rendered by minijinja.
//!
//! Understood: `{{ .env.NAME }}`, texts, integers, `true` and `false`, parentheses, pipes, `default`, `quote`, `trim`,
//! `upper`, `lower`, `if` / `else if` / `else` / `end`, comments and the trim markers `{{-` and `-}}`. A variable that
//! is not set is an error wherever its value is used; asking for it with `if` or `default` is not a use. Anything else
//! is an error that names it. There is no way to get the template's own text as its result.

mod expression;
mod go;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{UndefinedBehavior, context};
use schemas::REDACTED;

/// The variables that templates may use, as `.env.NAME`. Values never print.
///
/// ```
/// use register_service::Environment;
///
/// let environment = Environment::from_iter([("TOKEN", "hunter2")]);
/// assert_eq!(environment.get("TOKEN"), Some("hunter2"));
/// assert_eq!(format!("{environment:?}"), r#"Environment({"TOKEN"})"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The same variables with a placeholder for every value that looks like a secret, by its variable's name or
    /// because it is an address with a password in it.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let shown = |(name, value): (&String, &String)| {
            let value = if is_secret(name, value) { REDACTED } else { value };
            (name.clone(), value.to_owned())
        };
        self.values.iter().map(shown).collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let values = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: std::collections::BTreeSet<_> = self.values.keys().collect();
        f.debug_tuple("Environment").field(&names).finish()
    }
}

fn is_secret(name: &str, value: &str) -> bool {
    const WORDS: [&str; 9] = ["token", "secret", "key", "pass", "pwd", "credential", "auth", "private", "dsn"];
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || (value.contains("://") && value.contains('@'))
}

/// Why a text does not render, and the place to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Which `{{` of the text it is about, from 0.
    pub(crate) template: usize,
    /// What is wrong with it.
    pub(crate) kind: FaultKind,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The variable is not set.
    Missing(String),
    /// It is not a template that is understood here.
    Bad(String),
}

/// Renders a text; one without `{{` is its own result. Every fault is reported, in order.
pub(crate) fn render(text: &str, environment: &Environment) -> Result<String, Vec<Fault>> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let (program, mut faults) = go::translate(text);
    let missing = Arc::new(Mutex::new(Vec::new()));
    let engine = engine(environment, &missing);
    let scope = context! { env => &environment.values, texts => program.texts };
    let rendered = engine.render_str(&program.source, scope);
    faults.append(&mut missing.lock().unwrap_or_else(PoisonError::into_inner));
    faults.sort_by_key(|fault| fault.template);
    match rendered {
        Ok(text) if faults.is_empty() => Ok(text),
        Err(error) if faults.is_empty() => Err(vec![Fault { template: 0, kind: FaultKind::Bad(error.to_string()) }]),
        Ok(_) | Err(_) => Err(faults),
    }
}

/// minijinja with what the translation uses. `need` notes what is missing and goes on, so that all of it is found.
fn engine(environment: &Environment, missing: &Arc<Mutex<Vec<Fault>>>) -> minijinja::Environment<'static> {
    let mut engine = minijinja::Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    engine.add_filter("quote", |text: String| expression::quoted(&text));
    let (values, missing) = (environment.values.clone(), Arc::clone(missing));
    engine.add_function("need", move |name: String, template: usize| {
        let value = values.get(&name).cloned();
        value.unwrap_or_else(|| {
            let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
            missing.push(Fault { template, kind: FaultKind::Missing(name) });
            String::new()
        })
    });
    engine
}

#[cfg(test)]
mod tests;
