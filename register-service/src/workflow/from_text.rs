//! Interprets entries of `mcps:` that do not come from files, such as an agent out of a store, or a request.

use schemas::document::{Map, Node, Value};
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{File, InvalidFiles};
use crate::workflow::kind::{Kind, kind};
use crate::workflow::{Loaded, Settings, interpret};

/// Interprets a text that does not come from a file: one entry of `mcps:`, a list of them, or a document with some,
/// such as an agent, in YAML or JSON. The checks are those of [`load`](crate::load), and diagnostics have the line and
/// column in the text; `origin` takes the place of a file's name.
///
/// Unlike those of files, entries are registered unless they set `use_proxy: false`. An id alone, and a
/// `$mcp(id#tool)`, may name a server that the engine knows from elsewhere, so neither has to be declared in the text.
///
/// ```
/// use register_service::files::load_text;
/// use register_service::{Environment, Settings, Wanted};
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::from_iter([("TOKEN", "s3cret")]));
/// let yaml = "id: search\nurl: https://search.test/mcp\nheaders: {X-Api-Key: '{{ .env.TOKEN }}'}\n";
/// let wanted = Wanted::from(&load_text("agent researcher", yaml, &settings)?.desired);
/// assert_eq!(wanted.definitions[0].name.as_str(), "search");
///
/// let Err(invalid) = load_text("agent researcher", "- id: search\n  url: ftp://x", &settings) else { unreachable!() };
/// let told = invalid.diagnostics[0].to_string();
/// assert!(told.starts_with("agent researcher:2:8: error[bad-url]"), "{told}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_text(origin: &str, text: &str, settings: &Settings) -> Result<Loaded, InvalidFiles> {
    let (mut file, mut diagnostics) = File::inline(origin, text);
    for node in std::mem::take(&mut file.documents) {
        match held(&file, node) {
            Ok(document) => file.documents.push(document),
            Err(remark) => diagnostics.push(remark),
        }
    }
    interpret(vec![file], diagnostics, settings)
}

/// Interprets a JSON value as [`load_text`] does a text. Lines and columns are those of its indented JSON.
///
/// ```
/// use register_service::files::load_value;
/// use register_service::{Environment, Settings, Wanted};
/// use serde_json::json;
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let entry = json!({"id": "search", "url": "http://127.0.0.1:6001/search-engine/sse"});
/// let wanted = Wanted::from(&load_value("request 17", &entry, &settings)?.desired);
/// // The gateway has it already, by another name.
/// assert!(wanted.definitions.is_empty());
/// assert_eq!(wanted.ids["search"].as_str(), "search-engine");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_value(origin: &str, value: &Json, settings: &Settings) -> Result<Loaded, InvalidFiles> {
    load_text(origin, &format!("{value:#}"), settings)
}

/// Wraps the given node in a document, unless it is one.
fn held(file: &File, node: Node) -> Result<Node, Diagnostic> {
    let span = node.span;
    let list = match &node.value {
        Value::Map(_) if kind(file, &node) != Kind::Foreign => return Ok(node),
        Value::Map(_) => Node { span, value: Value::List(vec![node]) },
        Value::List(_) => node,
        Value::Null => return Ok(node),
        Value::Bool(..) | Value::Number(..) | Value::Text(_) => {
            let message = "this is no entry of `mcps`, nor a list of them, nor a document with some";
            return Err(Diagnostic::new(Code::WrongType, &file.at(span), message));
        }
    };
    let map = Map { entries: vec![("mcps".to_owned(), list.span, list)], removed: Vec::new() };
    Ok(Node { span, value: Value::Map(map) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workflow::Usage;
    use schemas::template::Environment;

    fn settings() -> Settings {
        let environment = Environment::from_iter([("TOKEN", "hunter2")]);
        Settings::new("http://127.0.0.1:6001".parse().expect("a URL"), environment)
    }

    /// Lists the usage of each entry, or all diagnostics.
    fn told(text: &str) -> String {
        let loaded = match load_text("given", text, &settings()) {
            Ok(loaded) => loaded,
            Err(invalid) => return invalid.diagnostics.iter().map(|it| format!("{it}\n")).collect(),
        };
        let told = loaded.desired.entries().iter().map(|entry| match &entry.usage {
            Usage::Direct => format!("{}: direct\n", entry.id),
            Usage::Registered { definition, .. } => format!("{}: {}\n", entry.id, definition.tags["source"]),
            Usage::Referenced { name, .. } => format!("{}: refers to {name}\n", entry.id),
        });
        told.chain(loaded.remarks.iter().map(|it| format!("{it}\n"))).collect()
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(told(text).trim_end(), expected, "{text}");
    }

    #[test]
    fn an_entry_a_list_and_a_document_are_read() {
        check("{id: a, command: x}", "a: given:1");
        check("- {id: a, command: x}\n- {id: b, command: x, use_proxy: false}\n", "a: given:1\nb: direct");
        check("id: researcher\ninstructions: x\nmcps:\n  - {id: a, command: x}\n", "a: given:4");
        check("agents:\n  - {id: r, instructions: x, mcps: [{id: a, command: x}]}\n", "a: given:2");
        check("{\n\t\"id\": \"a\",\n\t\"command\": \"x\"\n}", "a: given:1");
        check("- known-elsewhere\n- {id: a, url: 'http://localhost:6001/b/sse'}\n", "a: refers to b");
        check("", "");
    }

    #[test]
    fn what_is_wrong_has_its_place_in_the_text() {
        check(
            "id: a\ncommand: x\nargs: 3\n",
            "given:3:7: error[wrong-type]: `mcps[0].args`: invalid type: integer `3`, expected a sequence\n  hint: write a list: each item on a line of its own, after `- `",
        );
        check("- command: x\n", "given:1:3: error[missing-id]: mcp id is required");
        check(
            "search",
            "given:1:1: error[wrong-type]: this is no entry of `mcps`, nor a list of them, nor a document with some",
        );
        check(
            "{id: a, url: 'http://{{ .env.HOST }}/'}",
            concat!(
                "given:1:25: error[missing-variable]: variable `HOST` is not set\n",
                "  hint: declare it under `env:`, or give it with `--set HOST=VALUE` or `--env-file FILE`; a `default` helps ",
                "with `--engine none` only",
            ),
        );
    }

    #[test]
    fn a_value_means_what_its_text_does() {
        let value =
            json!({"id": "a", "url": "https://up.test/\u{fc}\u{1f600}", "headers": {"X-T": "{{ .env.TOKEN }}\\\"'"}});
        let desired = load_value("given", &value, &settings()).expect("valid").desired;
        let definition = serde_json::to_value(&desired.definitions()[0]).expect("JSON");
        assert_eq!(definition["headers"], json!({"X-T": "hunter2\\\"'"}));
        assert_eq!(definition["url"], "https://up.test/%C3%BC%F0%9F%98%80");
        let wrong = json!({"id": "a", "transport": "pigeon"});
        let invalid = load_value("given", &wrong, &settings()).expect_err("no such transport");
        assert_eq!((invalid.diagnostics[0].line, invalid.diagnostics[0].column), (3, 16));
    }
}
