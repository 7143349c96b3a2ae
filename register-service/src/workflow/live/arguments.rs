//! The arguments that a step gives a tool, against the JSON Schema of its input.
//!
//! Checked is what can be told from the file: names, types, choices and bounds. A value with a template in it may come
//! to anything. Of the schema, what is not understood here is taken as met.

use schemas::admin::Tool;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::node::{Map, Node, Number, Span, Value};
use crate::workflow::reference::ToolReference;

/// References inside a schema that lead to one another end here.
const MAX_DEPTH: usize = 32;

/// What is wrong with the arguments of a step.
pub(super) fn check(reference: &ToolReference, tool: &Tool) -> Vec<Diagnostic> {
    let schema = tool.input_schema.as_deref().and_then(|raw| serde_json::from_str::<Json>(raw.get()).ok());
    let (Some(schema), Some(file)) = (schema, &reference.step.file) else { return Vec::new() };
    let mut check = Check { root: &schema, tool: &tool.name, problems: Vec::new() };
    match (&reference.step.with, &reference.step.input) {
        (Some(with), _) => check.value(with, &schema, "", 0),
        (None, Some(input)) => check.declared(input),
        (None, None) => {}
    }
    let remark = |problem: Problem| {
        let remark = Diagnostic::new(problem.code, &file.at(problem.at), problem.message);
        problem.hint.into_iter().fold(remark, Diagnostic::hint)
    };
    check.problems.into_iter().map(remark).collect()
}

struct Check<'a> {
    root: &'a Json,
    tool: &'a str,
    problems: Vec<Problem>,
}

struct Problem {
    code: Code,
    at: Span,
    message: String,
    hint: Option<String>,
}

impl Check<'_> {
    fn report(&mut self, code: Code, at: Span, message: String, hint: Option<String>) {
        self.problems.push(Problem { code, at, message, hint });
    }

    fn resolved<'s>(&'s self, schema: &'s Json) -> &'s Json {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|it| it.strip_prefix('#'));
        target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    /// A value, at a path of argument names; an empty one for all arguments together.
    fn value(&mut self, node: &Node, schema: &Json, path: &str, depth: usize) {
        if depth > MAX_DEPTH || node.is_template() {
            return;
        }
        let schema = self.resolved(schema).clone();
        for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
            self.value(node, part, path, depth + 1);
        }
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array);
        if let Some(choices) = choices
            && !choices.iter().any(|choice| self.fits(node, choice, path, depth))
        {
            let types: Vec<String> = choices.iter().flat_map(|it| types(self.resolved(it))).collect();
            let wanted = if types.is_empty() { "any of the forms it may have".to_owned() } else { types.join(" or ") };
            return self.wrong(node, path, &wanted);
        }
        let types = types(&schema);
        if !types.is_empty() && !types.iter().any(|it| is_of(node, it)) {
            return self.wrong(node, path, &types.join(" or "));
        }
        self.choice(node, &schema, path);
        self.bounds(node, &schema, path);
        if let Some(items) = schema.get("items").filter(|it| it.is_object()) {
            for (index, item) in node.items().iter().enumerate() {
                self.value(item, items, &format!("{path}[{index}]"), depth + 1);
            }
        }
        if let Some(map) = node.as_map() {
            self.members(map, node, &schema, (path, depth));
        }
    }

    fn fits(&self, node: &Node, schema: &Json, path: &str, depth: usize) -> bool {
        let mut check = Check { root: self.root, tool: self.tool, problems: Vec::new() };
        check.value(node, schema, path, depth + 1);
        check.problems.is_empty()
    }

    fn wrong(&mut self, node: &Node, path: &str, wanted: &str) {
        let what = if path.is_empty() { "the arguments".to_owned() } else { format!("argument `{path}`") };
        let found = kind(node);
        let message = format!("{what} of `{}`: {found} where it takes {wanted}", self.tool);
        let hint = match (found, wanted) {
            ("string", "integer" | "number" | "boolean") => Some("leave out the quotes".to_owned()),
            ("integer" | "number" | "boolean", "string") => Some("put quotes around it".to_owned()),
            (_, "array") => Some("write a list".to_owned()),
            _ => None,
        };
        self.report(Code::WrongArgument, node.head(), message, hint);
    }

    fn choice(&mut self, node: &Node, schema: &Json, path: &str) {
        let one = schema.get("const").map(std::slice::from_ref);
        let Some(choices) = schema.get("enum").and_then(Json::as_array).map(Vec::as_slice).or(one) else { return };
        if choices.iter().any(|choice| is_equal(node, choice)) {
            return;
        }
        let shown: Vec<String> = choices.iter().map(Json::to_string).collect();
        let message = format!("argument `{path}` of `{}` is one of {}", self.tool, shown.join(", "));
        let near = nearest(node.literal().unwrap_or_default(), choices.iter().filter_map(Json::as_str));
        self.report(Code::WrongArgument, node.head(), message, near.map(|near| format!("did you mean `{near}`?")));
    }

    fn bounds(&mut self, node: &Node, schema: &Json, path: &str) {
        let Value::Number(number, _) = &node.value else { return };
        let value = float(*number);
        let bound = |key| schema.get(key).and_then(Json::as_f64);
        let message = match (bound("minimum"), bound("maximum")) {
            (Some(least), _) if value < least => format!("argument `{path}` of `{}` is at least {least}", self.tool),
            (_, Some(most)) if value > most => format!("argument `{path}` of `{}` is at most {most}", self.tool),
            _ => return,
        };
        self.report(Code::WrongArgument, node.head(), message, None);
    }

    fn members(&mut self, map: &Map, node: &Node, schema: &Json, (path, depth): (&str, usize)) {
        let empty = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        let inside = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let names = || properties.keys().map(String::as_str);
        let mut misspelt = Vec::new();
        for (key, span, value) in &map.entries {
            match properties.get(key) {
                Some(property) => self.value(value, property, &inside(key), depth + 1),
                None if schema.get("additionalProperties") == Some(&Json::Bool(false)) => {
                    let near = nearest(key, names().filter(|name| map.get(name).is_none()));
                    misspelt.extend(near);
                    let message = format!("`{}` takes no argument `{}`", self.tool, inside(key));
                    self.report(Code::UnknownArgument, *span, message, near.map(|it| format!("did you mean `{it}`?")));
                }
                None => {}
            }
        }
        for name in required(schema) {
            // What is misspelt was given.
            if map.get(name).is_none() && !misspelt.contains(&name) && !map.removed.iter().any(|key| key == name) {
                let message = format!("argument `{}` of `{}` is missing", inside(name), self.tool);
                let near = nearest(name, map.entries.iter().map(|(key, ..)| key.as_str()));
                let near = near.filter(|near| !properties.contains_key(*near));
                self.report(Code::MissingArgument, node.head(), message, near.map(|it| format!("is `{it}` meant?")));
            }
        }
    }

    /// The schema of what the arguments come from: whether it has all that the tool requires, of types that it takes.
    fn declared(&mut self, input: &Node) {
        let Some(declared) = input.get("properties") else { return };
        let root = self.root;
        for name in required(root) {
            if declared.get(name).is_none() {
                let message = format!("argument `{name}` of `{}` is missing from the action's input", self.tool);
                self.report(Code::MissingArgument, declared.head(), message, None);
            }
        }
        for (name, property) in root.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let Some(written) = declared.get(name).and_then(|it| it.get("type")) else { continue };
            let (wanted, given) = (types(self.resolved(property)), written.literal().unwrap_or_default());
            let is_taken = wanted.iter().any(|it| it == given || (it == "number" && given == "integer"));
            if !given.is_empty() && !wanted.is_empty() && !is_taken {
                let message =
                    format!("argument `{name}` of `{}`: {given} where it takes {}", self.tool, wanted.join(" or "));
                self.report(Code::WrongArgument, written.span, message, None);
            }
        }
    }
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn types(schema: &Json) -> Vec<String> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(Number::Float(_), _) => "number",
        Value::Number(..) => "integer",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

fn is_of(node: &Node, wanted: &str) -> bool {
    match (&node.value, wanted) {
        (Value::Number(..), "number") => true,
        (Value::Number(number, _), "integer") => float(*number).fract() == 0.0,
        _ => kind(node) == wanted,
    }
}

fn is_equal(node: &Node, json: &Json) -> bool {
    match (&node.value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(one), Json::Bool(other)) => one == other,
        (Value::Number(one, _), Json::Number(other)) => other.as_f64() == Some(float(*one)),
        (Value::Text(one), Json::String(other)) => one.text == *other,
        // Lists and mappings among the choices are too rare to be worth telling apart.
        (Value::List(_), Json::Array(_)) | (Value::Map(_), Json::Object(_)) => true,
        _ => false,
    }
}

fn float(number: Number) -> f64 {
    match number {
        Number::Negative(number) => number as f64,
        Number::Natural(number) => number as f64,
        Number::Float(number) => number,
    }
}
