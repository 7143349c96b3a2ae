//! Checks the arguments that a step gives a tool against the JSON Schema of its input.
//!
//! Checks only what the file determines: a value with a template may render to anything.

use schemas::admin::Tool;
use schemas::document::{Map, Node, Span};
use serde_json::Value as Json;

use crate::arguments::{self, Fault, Instance, Schema, Wrong, texts, types};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::workflow::reference::tool::ToolReference;

/// Returns the diagnostics for the arguments of a step.
pub(super) fn check(reference: &ToolReference, tool: &Tool) -> Vec<Diagnostic> {
    let schema = tool.input_schema.as_deref().and_then(|raw| serde_json::from_str::<Json>(raw.get()).ok());
    let (Some(schema), Some(file)) = (schema, &reference.step.file) else { return Vec::new() };
    let mut remarks = Remarks { file, tool: &tool.name, told: Vec::new() };
    match (&reference.step.with, &reference.step.input) {
        (Some(with), _) => remarks.given(with, &schema),
        (None, Some(input)) => remarks.declared(input, &schema),
        (None, None) => {}
    }
    remarks.told
}

struct Remarks<'a> {
    file: &'a File,
    tool: &'a str,
    told: Vec<Diagnostic>,
}

impl Remarks<'_> {
    fn report(&mut self, code: Code, at: Span, message: &str, hint: Option<String>) {
        self.told.push(Diagnostic::new(code, &self.file.at(at), message).hint_if(hint));
    }

    fn given(&mut self, with: &Node, schema: &Json) {
        let faults = arguments::check(Instance::Yaml(with), schema);
        let misspelt: Vec<(&Node, &str)> = faults.iter().filter_map(meant).collect();
        for fault in &faults {
            let was_given = match (&fault.wrong, fault.instance) {
                (Wrong::Missing { name, .. }, Instance::Yaml(node)) => {
                    misspelt.iter().any(|(other, meant)| std::ptr::eq(*other, node) && meant == name)
                }
                _ => false,
            };
            if !was_given {
                self.fault(fault, with);
            }
        }
    }

    fn fault(&mut self, fault: &Fault<'_>, with: &Node) {
        let (tool, path) = (self.tool, &fault.path);
        let what = if path.is_empty() { "the arguments".to_owned() } else { format!("argument `{path}`") };
        let (at, map) = match fault.instance {
            Instance::Yaml(node) => (node.head(), node.as_map()),
            Instance::Name(_, at) => (at, None),
            Instance::Json(_) => (with.head(), None),
        };
        let (code, at, message, hint) = match &fault.wrong {
            Wrong::Missing { name, properties } => {
                let message = format!("{what} of `{tool}` is missing");
                let meant = map.and_then(|map| given_instead(name, map, *properties));
                (Code::MissingArgument, at, message, meant.map(|it| format!("is `{it}` meant?")))
            }
            Wrong::Unknown { name, .. } => {
                let at = map.and_then(|map| map.key_span(name)).unwrap_or(at);
                let near = meant(fault).map(|(_, near)| near);
                let message = format!("`{tool}` takes no argument `{path}`");
                (Code::UnknownArgument, at, message, near.map(|it| format!("did you mean `{it}`?")))
            }
            Wrong::Type { found, wanted } => {
                let wanted = wanted.join(" or ");
                let message = format!("{what} of `{tool}`: {found} where it takes {wanted}");
                (Code::WrongArgument, at, message, how_to_write(found, &wanted).map(str::to_owned))
            }
            Wrong::Choice(choices) => {
                let shown: Vec<String> = choices.iter().map(Json::to_string).collect();
                let message = format!("{what} of `{tool}` is one of {}", shown.join(", "));
                let near = nearest(fault.instance.text().unwrap_or_default(), choices.iter().filter_map(Json::as_str));
                (Code::WrongArgument, at, message, near.map(|near| format!("did you mean `{near}`?")))
            }
            Wrong::Bound { words, bound } => {
                (Code::WrongArgument, at, format!("{what} of `{tool}` is {words} {bound}"), None)
            }
            Wrong::Form(message) => (Code::WrongArgument, at, format!("{what} of `{tool}`: {message}"), None),
        };
        self.report(code, at, &message, hint);
    }

    /// Checks an action's input schema: it must declare all that the tool requires, with types that the tool accepts.
    fn declared(&mut self, input: &Node, schema: &Json) {
        let Some(declared) = input.get("properties") else { return };
        for name in texts(schema.get("required")) {
            if declared.get(name).is_none() {
                let message = format!("argument `{name}` of `{}` is missing from the action's input", self.tool);
                self.report(Code::MissingArgument, declared.head(), &message, None);
            }
        }
        for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let Some(written) = declared.get(name).and_then(|it| it.get("type")) else { continue };
            let (wanted, given) = (types(property, schema), written.literal().unwrap_or_default());
            let is_taken = wanted.iter().any(|it| *it == given || (*it == "number" && given == "integer"));
            if !given.is_empty() && !wanted.is_empty() && !is_taken {
                let message =
                    format!("argument `{name}` of `{}`: {given} where it takes {}", self.tool, wanted.join(" or "));
                self.report(Code::WrongArgument, written.span, &message, None);
            }
        }
    }
}

/// Returns the argument that an unknown one was probably meant as, with the node that contains it.
fn meant<'a>(fault: &Fault<'a>) -> Option<(&'a Node, &'a str)> {
    let (Wrong::Unknown { name, properties }, Instance::Yaml(node)) = (&fault.wrong, fault.instance) else {
        return None;
    };
    let map = node.as_map()?;
    let free = properties.iter().flat_map(|it| it.keys()).map(String::as_str).filter(|it| map.get(it).is_none());
    Some((node, nearest(name, free)?))
}

/// Returns a given name that was probably meant as the missing one.
fn given_instead<'a>(name: &str, map: &'a Map, properties: Option<&Schema>) -> Option<&'a str> {
    let near = nearest(name, map.entries.iter().map(|(key, ..)| key.as_str()));
    near.filter(|near| properties.is_none_or(|it| !it.contains_key(*near)))
}

fn how_to_write(found: &str, wanted: &str) -> Option<&'static str> {
    match (found, wanted) {
        ("string", "integer" | "number" | "boolean") => Some("leave out the quotes"),
        ("integer" | "number" | "boolean", "string") => Some("put quotes around it"),
        (_, "array") => Some("write a list"),
        _ => None,
    }
}
