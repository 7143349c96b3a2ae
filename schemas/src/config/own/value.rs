//! Texts of the gateway's own file, with their variables replaced.

use crate::config::pattern::{Notation, Pattern, Surroundings};
use crate::config::remark::Remark;
use crate::document::{Node, Text, Value};
use crate::template::{FaultKind, OnUnset, render};

const OWN: Notation = Notation::BRACES.with(Notation::FILE).with(Notation::ESCAPE).with(Notation::STRICT);

/// Replaces variables, and collects what goes wrong.
pub(super) struct Values<'s> {
    pub(super) surroundings: &'s Surroundings,
    pub(super) remarks: Vec<Remark>,
}

impl Values<'_> {
    /// Returns a scalar, or the scalars of a list, as texts; reports anything else.
    pub(super) fn texts(&mut self, key: &str, node: &Node) -> Option<Vec<String>> {
        let scalars: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut texts = Vec::with_capacity(scalars.len());
        for scalar in scalars {
            match scalar.literal() {
                Some(_) => texts.push(self.text(scalar)?),
                None => {
                    let message = format!("`{key}` is not a text, a number, a switch, or a list of these");
                    self.remarks.push(Remark::error(scalar.head(), message));
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// Returns a scalar with its variables replaced.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        let literal = node.literal()?;
        if !literal.contains("{{") {
            let resolved = Pattern::parse(literal, OWN).resolve(self.surroundings);
            return resolved.map_err(|reason| self.remarks.push(Remark::error(node.head(), reason))).ok();
        }
        if literal.contains("${") {
            let message = "a text has variables as `{{ .env.NAME }}` or as `${NAME}`, not both";
            self.remarks.push(Remark::error(node.head(), message));
            return None;
        }
        let faults = match render(literal, &self.surroundings.environment, OnUnset::Tolerated) {
            Ok(text) => return Some(text),
            Err(faults) => faults,
        };
        for fault in faults {
            let message = match fault.kind {
                FaultKind::Unset(name) => format!("environment variable `{name}` is not set"),
                FaultKind::Bad(message) | FaultKind::Refused(message) => message,
            };
            self.remarks.push(Remark { hint: fault.hint, ..Remark::error(node.head(), message) });
        }
        None
    }

    /// Returns a copy of a tree with all its texts replaced; `None` if one of them could not be.
    pub(super) fn resolved(&mut self, node: &Node) -> Option<Node> {
        let value = match &node.value {
            Value::Text(text) => {
                let resolved = self.text(node)?;
                Value::Text(Text { text: resolved, ..text.clone() })
            }
            Value::List(items) => {
                let items: Vec<Option<Node>> = items.iter().map(|item| self.resolved(item)).collect();
                Value::List(items.into_iter().collect::<Option<_>>()?)
            }
            Value::Map(map) => {
                let mut copy = map.clone();
                let mut is_whole = true;
                for (_, _, value) in &mut copy.entries {
                    match self.resolved(value) {
                        Some(resolved) => *value = resolved,
                        None => is_whole = false,
                    }
                }
                if !is_whole {
                    return None;
                }
                Value::Map(copy)
            }
            value => value.clone(),
        };
        Some(Node { span: node.span, value })
    }
}
