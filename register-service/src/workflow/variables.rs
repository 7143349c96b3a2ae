//! Evaluates the variables that documents declare in `env:`. The process environment overrides them.

use schemas::document::Node;
use schemas::template::{self, Environment};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::File;
use crate::workflow::rendering::Rendering;
use crate::workflow::verbatim;

/// Variable whose value is not computed yet, with the names that it needs.
struct Pending<'a> {
    name: &'a str,
    node: &'a Node,
    needs: Vec<String>,
}

/// Evaluates the variables that a document declares. Those of `rendering` override them, and they override those of
/// `below`.
pub(super) fn own(
    node: &Node,
    below: &Environment,
    rendering: Rendering<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Environment> {
    let map = node.get("env")?.as_map()?;
    diagnostics.extend(verbatim::named(rendering.file, node.get("env")));
    let mut known = Vec::new();
    let mut pending = Vec::new();
    for (name, _, node) in &map.entries {
        match node.literal() {
            Some(_) if node.is_template() => {
                let needs = template::variables(node.literal().unwrap_or_default());
                pending.push(Pending { name, node, needs });
            }
            Some(literal) => known.push((name.as_str(), literal.to_owned())),
            None => {}
        }
    }
    let mut own = Environment::from_iter(known);
    while !pending.is_empty() {
        let known = rendering.environment.over(&own).over(below);
        // A pending variable already overrides one of the same name in `below`.
        let is_known = |name: &str| rendering.environment.get(name).or_else(|| own.get(name)).is_some();
        let waits = |one: &Pending<'_>| {
            one.needs.iter().any(|name| !is_known(name) && pending.iter().any(|it| it.name == name))
        };
        let waiting: Vec<bool> = pending.iter().map(waits).collect();
        if waiting.iter().all(|waits| *waits) {
            report_cycle(&pending, rendering.file, diagnostics);
            break;
        }
        let mut rest = Vec::new();
        for (one, waits) in pending.into_iter().zip(waiting) {
            if waits {
                rest.push(one);
                continue;
            }
            match (Rendering { environment: &known, ..rendering }).render(one.node) {
                Ok(value) => own = own.overlaid([(one.name, value)]),
                Err(remarks) => diagnostics.extend(remarks),
            }
        }
        pending = rest;
    }
    Some(own)
}

/// Reports a cycle among variables that all wait for one another.
fn report_cycle(pending: &[Pending<'_>], file: &File, diagnostics: &mut Vec<Diagnostic>) {
    let Some(start) = pending.first() else { return };
    let mut path = vec![start];
    loop {
        let last = path.last().map(|one| one.needs.as_slice()).unwrap_or_default();
        let Some(next) = pending.iter().find(|one| last.iter().any(|name| name == one.name)) else { return };
        let repeated = path.iter().position(|one| one.name == next.name);
        path.push(next);
        if let Some(first) = repeated {
            let cycle = path.get(first..).unwrap_or_default();
            let names: Vec<&str> = cycle.iter().map(|one| one.name).collect();
            let message = format!("variable `{}` is defined by itself: {}", next.name, names.join(" -> "));
            diagnostics.push(Diagnostic::new(Code::Cycle, &file.at(next.node.span), message));
            return;
        }
    }
}
