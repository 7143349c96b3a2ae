//! Renders, parses and checks the fields of one entry, and reports every fault at its position.

use std::time::Duration;

use indexmap::IndexMap;
use schemas::document::{Node, Span, Value};
use schemas::template::Environment;
use schemas::workflow::{CommandLine, MCP_ENTRY_KEYS, McpEntry};
use schemas::{REDACTED, Secret, WireDuration};
use url::Url;

use crate::diagnostic::{Code, Diagnostic, Location, nearest};
use crate::source::File;
use crate::workflow::date::is_date;
use crate::workflow::rendering::Rendering;
use crate::workflow::settings::Engine;
use crate::workflow::{command_line, engine, header};

const DOCUMENTED_ONLY: [&str; 4] = ["auth", "security", "tls", "condition"];

/// Entry that is being read. Methods that return `None` for a field have reported the reason.
pub(super) struct Fields<'a> {
    pub(super) entry: &'a McpEntry,
    pub(super) node: &'a Node,
    pub(super) file: &'a File,
    pub(super) environment: &'a Environment,
    /// True if an unset variable is an error rather than a warning.
    pub(super) unset_is_error: bool,
    pub(super) engine: Engine,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Transport of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stdio,
    Sse,
    StreamableHttp,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Sse => "sse",
            Self::StreamableHttp => "streamable-http",
        }
    }

    pub(super) fn is_http(self) -> bool {
        self != Self::Stdio
    }
}

impl<'a> Fields<'a> {
    pub(super) fn report(&mut self, code: Code, key: &str, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, &self.at(key), message));
    }

    pub(super) fn advise(&mut self, code: Code, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, &self.at(key), message).hint(hint));
    }

    /// True if the key's value was unusable; then it must not be reported as missing too.
    pub(super) fn was_removed(&self, key: &str) -> bool {
        self.node.as_map().is_some_and(|map| map.removed.iter().any(|name| name == key))
    }

    /// Returns the position of a key's value, or that of the entry if the key is absent.
    pub(super) fn at(&self, key: &str) -> Location {
        self.file.at(self.node.get(key).unwrap_or(self.node).head())
    }

    /// Reports keys without any effect, or with less effect than their author may expect.
    pub(super) fn keys(&mut self) {
        let Some(map) = self.node.as_map() else { return };
        for (key, span, _) in &map.entries {
            let at = self.file.at(*span);
            if DOCUMENTED_ONLY.contains(&key.as_str()) {
                let message = format!("`{key}` is documented by the engine but not used");
                self.diagnostics.push(Diagnostic::new(Code::DocumentedOnly, &at, message));
            } else if !MCP_ENTRY_KEYS.contains(&key.as_str()) {
                let remark = Diagnostic::new(Code::UnknownKey, &at, format!("unknown key `{key}`"));
                self.diagnostics.push(remark.did_you_mean(nearest(key, MCP_ENTRY_KEYS)));
            }
        }
    }

    /// Returns the id; checks it, and the `resource` that may stand for it in the engine.
    pub(super) fn id(&mut self) -> Option<String> {
        let id = self.entry.id.clone().filter(|id| !id.is_empty());
        if id.is_none() && !self.was_removed("id") {
            self.report(Code::MissingId, "id", "mcp id is required");
        }
        if self.entry.resource.as_deref() == Some("") {
            self.report(Code::MissingId, "resource", "mcp resource is required");
        }
        id
    }

    pub(super) fn transport(&mut self) -> Option<Kind> {
        match self.entry.transport.as_deref() {
            None if self.was_removed("transport") => None,
            None if self.has_command() => Some(Kind::Stdio),
            None | Some("sse") => Some(Kind::Sse),
            Some("stdio") => Some(Kind::Stdio),
            Some("streamable-http") => Some(Kind::StreamableHttp),
            Some(other) => {
                let message = format!("invalid transport type: {other} (must be 'sse', 'streamable-http' or 'stdio')");
                let meant = match other.to_lowercase().as_str() {
                    "http" | "https" | "streamable_http" | "streamablehttp" | "stream" => Some("streamable-http"),
                    near => nearest(near, ["sse", "streamable-http", "stdio"]),
                };
                match meant {
                    Some(meant) => {
                        self.advise(Code::UnknownTransport, "transport", message, format!("did you mean `{meant}`?"));
                    }
                    None => self.report(Code::UnknownTransport, "transport", message),
                }
                None
            }
        }
    }

    /// True if a `url` is written, usable or not.
    pub(super) fn has_url(&self) -> bool {
        self.was_removed("url") || self.entry.url.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// True if a `command` is written, usable or not.
    pub(super) fn has_command(&self) -> bool {
        let is_empty = |command: &CommandLine| match command {
            CommandLine::Text(text) => text.trim().is_empty(),
            CommandLine::Words(words) => words.is_empty(),
        };
        self.was_removed("command") || self.entry.command.as_ref().is_some_and(|command| !is_empty(command))
    }

    pub(super) fn url(&mut self) -> Option<Url> {
        if !self.has_url() {
            return None;
        }
        let node = self.node.get("url")?;
        let text = self.render(node)?;
        // A rendered URL may contain a secret, and so may one with user information.
        let shown = if !node.is_template() && !text.contains('@') { format!(" `{text}`") } else { String::new() };
        let reason = match Url::parse(text.trim()) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                format!("scheme `{}` is not http or https", url.scheme())
            }
            Ok(url) if url.host().is_none() => "it has no host".to_owned(),
            Ok(url) => return Some(url),
            Err(error) => error.to_string(),
        };
        let hint = "an address looks like `https://example.com/mcp`";
        self.advise(Code::BadUrl, "url", format!("invalid url{shown}: {reason}"), hint);
        None
    }

    /// Returns the program and its arguments.
    pub(super) fn command(&mut self) -> Option<Vec<String>> {
        let is_list = matches!(self.entry.command, Some(CommandLine::Words(_)));
        if is_list && self.engine == Engine::Compozy && !self.file.is_inline {
            let message = "the engine takes a text for `command`, and does not load a file with a list there";
            let hint = "write the program as a text, and the other words under `args`";
            self.advise(Code::EngineYaml, "command", message, hint);
            return None;
        }
        if !self.has_command() {
            return None;
        }
        let node = self.node.get("command")?;
        let mut words = match self.entry.command.as_ref()? {
            CommandLine::Text(_) => {
                let text = self.argument(node)?;
                self.split(text.trim())?
            }
            CommandLine::Words(_) => self.render_all(node.items())?,
        };
        match words.first().map(String::as_str) {
            None | Some("") => {
                self.report(Code::BadCommand, "command", "command is empty");
                return None;
            }
            Some(program) if program.starts_with('-') => {
                self.report(Code::BadCommand, "command", "command begins with an option and not with a program");
                return None;
            }
            Some(_) => {}
        }
        words.extend(self.render_all(self.node.get("args").map(Node::items).unwrap_or_default())?);
        Some(words)
    }

    fn split(&mut self, text: &str) -> Option<Vec<String>> {
        if text.contains(['\r', '\n']) {
            self.report(Code::BadCommand, "command", "command holds a line break");
            return None;
        }
        let words = command_line::split(text);
        if words.is_none() {
            let hint = "close the quotes, or write the program alone, and the other words under `args`";
            self.advise(Code::BadCommand, "command", "command has a quote that is not closed", hint);
        }
        words
    }

    /// Returns the headers with canonical names and trimmed values.
    pub(super) fn headers(&mut self) -> Option<IndexMap<String, Secret>> {
        let mut headers = IndexMap::new();
        let mut complete = true;
        for (key, span, node) in self.entries_of("headers") {
            let name = header::canonical(key);
            self.diagnostics.extend(engine::check_header(self.engine, self.file, node));
            let Some(value) = self.render(node) else {
                complete = false;
                continue;
            };
            self.diagnostics.extend(engine::check_result(self.engine, self.file, node, &value));
            let value = value.trim();
            self.note_placeholder(value, node);
            let fault = match header::fault(&name, value) {
                None if headers.contains_key(&name) => Some("it is there twice"),
                fault => fault,
            };
            if let Some(fault) = fault {
                let at = self.file.at(span);
                self.diagnostics.push(Diagnostic::new(Code::BadHeader, &at, format!("header `{key}`: {fault}")));
                complete = false;
            }
            headers.insert(name, Secret::new(value));
        }
        complete.then_some(headers)
    }

    /// Reports a `[redacted]` placeholder: only the gateway that shows it can replace it by the secret.
    fn note_placeholder(&mut self, value: &str, node: &Node) {
        if value == REDACTED {
            let message = "`[redacted]` stands for the secret that the gateway has";
            let remark = Diagnostic::new(Code::RedactedSecret, &self.file.at(node.span), message);
            self.diagnostics.push(remark.hint("to register it anew, give the secret, best as `{{ .env.TOKEN }}`"));
        }
    }

    pub(super) fn env(&mut self) -> Option<IndexMap<String, Secret>> {
        let mut env = IndexMap::new();
        let mut complete = true;
        for (key, span, node) in self.entries_of("env") {
            if key.is_empty() || key.contains(['=', '\0']) {
                let at = self.file.at(span);
                let message = format!("`{key}` cannot be the name of a variable");
                self.diagnostics.push(Diagnostic::new(Code::BadEnv, &at, message));
                complete = false;
            }
            match self.render(node) {
                Some(value) if value.contains('\0') => {
                    let at = self.file.at(node.head());
                    let message = format!("the value of `{key}` holds a NUL, which no program can be given");
                    self.diagnostics.push(Diagnostic::new(Code::BadEnv, &at, message));
                    complete = false;
                }
                Some(value) => {
                    self.note_placeholder(&value, node);
                    env.insert(key.to_owned(), Secret::new(value));
                }
                None => complete = false,
            }
        }
        complete.then_some(env)
    }

    pub(super) fn proto(&mut self) {
        if let Some(proto) = &self.entry.proto
            && !is_date(proto)
        {
            let message = format!("invalid protocol version: {proto}");
            self.advise(Code::BadProto, "proto", message, "a version is a date such as `2025-03-26`");
        }
    }

    /// Returns the time limit for connecting.
    pub(super) fn timeout(&mut self) -> WireDuration {
        for (key, value) in [("start_timeout", self.entry.start_timeout), ("timeout", self.entry.timeout)] {
            let Some(value) = value else { continue };
            match value.get() {
                None => self.report(Code::BadLimit, key, format!("{key} cannot be negative")),
                Some(duration) => {
                    let Some(Value::Number(_, literal)) = self.node.get(key).map(|node| &node.value) else { continue };
                    let is_tiny = !duration.is_zero() && duration < Duration::from_millis(1);
                    if self.engine == Engine::Compozy || is_tiny {
                        let unit = if duration.as_nanos() < 1_000 { "s" } else { "ms" };
                        let reason = match self.engine {
                            Engine::Compozy => ", and the engine loads no file with a duration without a unit",
                            Engine::None => "",
                        };
                        let message = format!("{key} is {literal} nanoseconds{reason}");
                        self.advise(Code::TinyDuration, key, message, format!("write `{literal}{unit}`"));
                    }
                }
            }
        }
        self.entry.start_timeout.or(self.entry.timeout).unwrap_or_default()
    }

    fn entries_of(&self, key: &str) -> Vec<(&'a str, Span, &'a Node)> {
        let map = self.node.get(key).and_then(Node::as_map);
        let entries = map.map(|map| map.entries.as_slice()).unwrap_or_default();
        entries.iter().map(|(key, span, value)| (key.as_str(), *span, value)).collect()
    }

    fn render_all(&mut self, nodes: &[Node]) -> Option<Vec<String>> {
        let rendered: Vec<Option<String>> = nodes.iter().map(|node| self.argument(node)).collect();
        rendered.into_iter().collect()
    }

    fn argument(&mut self, node: &Node) -> Option<String> {
        let text = self.render(node)?;
        if text.contains('\0') {
            let message = "an argument holds a NUL, which no program can be given";
            self.diagnostics.push(Diagnostic::new(Code::BadCommand, &self.file.at(node.head()), message));
            return None;
        }
        Some(text)
    }

    /// Renders the templates of a scalar's text.
    pub(super) fn render(&mut self, node: &Node) -> Option<String> {
        let Self { file, environment, unset_is_error, engine, .. } = *self;
        let rendering = Rendering { file, environment, unset_is_error, engine };
        match rendering.render(node) {
            Ok(text) => Some(text),
            Err(remarks) => {
                self.diagnostics.extend(remarks);
                None
            }
        }
    }
}
