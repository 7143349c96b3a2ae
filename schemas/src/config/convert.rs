//! Converts foreign servers: to definitions of the gateway, and to entries of files.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::config::pattern::{Pattern, Surroundings};
use crate::config::remark::Remark;
use crate::config::server::{Kind, Server};
use crate::document::dotenv;
use crate::{Definition, ServerName, format_duration};

/// Notation of the variables in a definition that is written to a file.
///
/// ```
/// use schemas::config::{EntryForm, Surroundings, import};
///
/// let imported = import(r#"{"mcpServers": {"a": {"command": "x", "env": {"K": "${env:K}"}}}}"#, "a");
/// let (entry, _) = imported.servers[0].entry(EntryForm::Templates, &Surroundings::default());
/// assert_eq!((entry["name"].as_str(), entry["env"]["K"].as_str()), (Some("a"), Some("{{ .env.K }}")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryForm {
    /// As below `servers` of the gateway's own file: variables as `${NAME}`, the name left out, `disabled` added.
    Own,
    /// As in a workflow: variables as `{{ .env.NAME }}`.
    Templates,
}

impl Server {
    /// Returns the name at the gateway: the name as written, with `-` for what no name there may have.
    ///
    /// ```
    /// let imported = schemas::config::import(r#"{"mcpServers": {"My Files!": {"command": "x"}}}"#, "a");
    /// assert_eq!(imported.servers[0].slug(), "My-Files");
    /// ```
    pub fn slug(&self) -> String {
        let letter = |letter: char| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => letter,
            _ => '-',
        };
        let text: String = self.name.trim().chars().map(letter).collect();
        let words: Vec<&str> = text.split('-').filter(|word| !word.is_empty()).collect();
        let mut slug = if text == self.name { text } else { words.join("-") };
        slug.truncate(64);
        match slug.parse::<ServerName>() {
            Ok(_) => slug,
            // A reserved name, or nothing that could be kept.
            Err(_) if slug.is_empty() => "server".to_owned(),
            Err(_) => format!("{slug}-server"),
        }
    }

    /// Returns the definition, with every variable replaced by its value.
    ///
    /// # Errors
    ///
    /// The reason why the server cannot be registered: a variable without a value, a transport that the gateway does
    /// not have, or a definition that is not valid.
    ///
    /// ```
    /// use schemas::config::{Surroundings, import};
    ///
    /// let imported = import(r#"{"mcpServers": {"a": {"url": "https://a.test/mcp", "headers": {"K": "${K}"}}}}"#, "a");
    /// let refused = imported.servers[0].definition(&Surroundings::default());
    /// assert_eq!(refused.map_err(|it| it.message), Err("`a`: environment variable `K` is not set".to_owned()));
    /// ```
    pub fn definition(&self, surroundings: &Surroundings) -> Result<Definition, Remark> {
        let refuse = |reason: String| Remark::error(self.span, format!("`{}`: {reason}", self.name));
        let mut resolve = |pattern: &Pattern, is_path: bool| {
            let text = pattern.resolve(surroundings)?;
            Ok(if is_path { surroundings.path(&text) } else { text })
        };
        let mut document = self.document(&mut resolve).map_err(refuse)?;
        if let (Kind::Stdio, Some(path)) = (&self.kind, &self.env_file) {
            let text = path.resolve(surroundings).and_then(|path| surroundings.read(&path)).map_err(refuse)?;
            let parsed = dotenv::parse(&text);
            if let Some((span, message)) = parsed.faults.first() {
                return Err(refuse(format!("line {} of its `envFile`: {message}", span.start.line)));
            }
            let env = document.entry("env").or_insert_with(|| json!({}));
            if let Some(env) = env.as_object_mut() {
                for (name, value) in parsed.variables {
                    env.entry(name).or_insert_with(|| value.into());
                }
            }
        }
        serde_json::from_value(Value::Object(document)).map_err(|error| refuse(error.to_string()))
    }

    /// Returns the members of the definition for a file, and what of the server has no form there. Empty if the gateway
    /// cannot use the server.
    ///
    /// ```
    /// use schemas::config::{EntryForm, Surroundings, import};
    ///
    /// let imported = import(r#"{"mcpServers": {"a": {"command": "x", "timeout": 60000}}}"#, "a");
    /// let (entry, lost) = imported.servers[0].entry(EntryForm::Own, &Surroundings::default());
    /// assert_eq!(entry["callTimeout"], "1m");
    /// assert!(lost.is_empty());
    /// ```
    pub fn entry(&self, form: EntryForm, surroundings: &Surroundings) -> (Map<String, Value>, Vec<Remark>) {
        let mut lost = Vec::new();
        let mut write = |pattern: &Pattern, is_path: bool| {
            let pattern = pattern.within(surroundings);
            let written = match form {
                EntryForm::Own => pattern.own_text(),
                EntryForm::Templates => pattern.template(),
            }?;
            // A path is relative to the file that is read, and that is not the one that is written.
            let is_relative = is_path && !written.starts_with(['$', '{']);
            Ok(if is_relative { surroundings.path(&written) } else { written })
        };
        let mut document = match self.document(&mut write) {
            Ok(document) => document,
            Err(reason) => {
                lost.push(Remark::warning(self.span, format!("`{}` is left out: {reason}", self.name)));
                return (Map::new(), lost);
            }
        };
        if self.env_file.is_some() {
            let message = format!("`{}.envFile` is left out: write its variables to `env`", self.name);
            lost.push(Remark::warning(self.span, message));
        }
        if form == EntryForm::Own {
            // The reader finds the transport by the URL, which may be a variable.
            if self.kind == Kind::Auto {
                document.shift_remove("transport");
            }
            document.shift_remove("name");
            if self.is_disabled {
                document.insert("disabled".to_owned(), true.into());
            }
        }
        (document, lost)
    }

    /// Builds the members of a definition, with texts made by `text`, which is told whether a text is a path.
    fn document(
        &self,
        text: &mut dyn FnMut(&Pattern, bool) -> Result<String, String>,
    ) -> Result<Map<String, Value>, String> {
        let mut document = Map::new();
        document.insert("name".to_owned(), self.slug().into());
        if let Some(description) = &self.description {
            document.insert("description".to_owned(), description.as_str().into());
        }
        self.connection(&mut document, text)?;
        let is_stdio = self.kind == Kind::Stdio;
        let (key, pairs) = if is_stdio { ("env", &self.env) } else { ("headers", &self.headers) };
        if !pairs.is_empty() {
            let mut values = Map::new();
            for (name, value) in pairs {
                values.insert(name.clone(), text(value, false)?.into());
            }
            document.insert(key.to_owned(), values.into());
        }
        if !self.auth_tokens.is_empty() {
            let tokens = self.auth_tokens.iter().map(|token| text(token, false)).collect::<Result<Vec<_>, _>>()?;
            document.insert("authTokens".to_owned(), tokens.into());
        }
        self.limits(&mut document)?;
        Ok(document)
    }

    /// Adds the transport, and the program or the URL.
    fn connection(
        &self,
        document: &mut Map<String, Value>,
        text: &mut dyn FnMut(&Pattern, bool) -> Result<String, String>,
    ) -> Result<(), String> {
        let mut set = |key: &str, value: Value| document.insert(key.to_owned(), value);
        match &self.kind {
            Kind::Unsupported(reason) => return Err(reason.clone()),
            Kind::Stdio => {
                set("transport", "stdio".into());
                set("command", text(&self.command, false)?.into());
                if !self.args.is_empty() {
                    let args = self.args.iter().map(|argument| text(argument, false)).collect::<Result<Vec<_>, _>>()?;
                    set("args", args.into());
                }
                if let Some(cwd) = &self.cwd {
                    set("cwd", text(cwd, true)?.into());
                }
            }
            Kind::Http | Kind::Sse | Kind::Auto => {
                let url = text(&self.url, false)?;
                let is_sse = self.kind == Kind::Sse || (self.kind == Kind::Auto && ends_in_sse(&url));
                set("transport", if is_sse { "sse" } else { "streamable-http" }.into());
                set("url", url.into());
            }
        }
        Ok(())
    }

    fn limits(&self, document: &mut Map<String, Value>) -> Result<(), String> {
        let mut set = |key: &str, value: Value| document.insert(key.to_owned(), value);
        if let Some(timeout) = self.connect_timeout {
            set("timeout", format_duration(timeout).into());
        }
        if let Some(timeout) = self.call_timeout {
            set("callTimeout", format_duration(timeout).into());
        }
        if let Some(interval) = self.health_check_interval {
            set("healthCheckEnabled", true.into());
            set("healthCheckInterval", format_duration(interval).into());
        }
        if let Some(priority) = self.priority {
            set("priority", priority.into());
        }
        if let Some(most) = self.max_sessions {
            set("maxSessions", most.into());
        }
        if let Some(era) = &self.era {
            set("era", era.as_str().into());
        }
        if self.log_enabled {
            set("logEnabled", true.into());
        }
        let denied: BTreeSet<&str> = self.deny.iter().map(String::as_str).collect();
        let (mode, list) = match &self.allow {
            Some(allowed) => {
                let kept: Vec<&String> = allowed.iter().filter(|name| !denied.contains(name.as_str())).collect();
                if kept.is_empty() {
                    return Err("it offers no tool at all".to_owned());
                }
                ("allow", json!(kept))
            }
            None if self.deny.is_empty() => return Ok(()),
            None => ("block", json!(self.deny)),
        };
        set("toolFilter", json!({ "mode": mode, "list": list }));
        Ok(())
    }
}

/// True if the URL's path ends in `/sse`, the usual path of the SSE transport.
fn ends_in_sse(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').ends_with("/sse")
}
