//! Rewrites files for the engine: registered entries get their URL at the gateway, templates are rendered, secrets
//! become placeholders.

use std::collections::BTreeMap;

use schemas::REDACTED;
use schemas::document::{Map, Node, Value};
use schemas::template::{self, Environment, OnUnset};

use crate::diagnostic::is_secret_name;
use crate::source::File;
use crate::workflow::{Desired, Entry, Usage, connection_fields, header};

/// Keys that only the gateway needs to reach the upstream, not the engine.
const OF_THE_UPSTREAM: [&str; 4] = ["command", "args", "headers", "env"];

impl Desired {
    /// Returns the files as the engine sees them: a registered entry has the URL of its upstream at the gateway, the
    /// templates of direct entries are rendered, and secrets are masked.
    ///
    /// ```
    /// use register_service::{Environment, Settings, load};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n")?;
    /// let yaml = load(&[file], &settings)?.desired.rewritten()[0].to_yaml();
    /// assert!(yaml.contains("url: http://127.0.0.1:6001/time/") && !yaml.contains("command"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rewritten(&self) -> Vec<File> {
        let mut files = self.files.clone();
        let mut shown = BTreeMap::new();
        for entry in &self.entries {
            let file = files.get_mut(entry.place.file);
            let document = file.and_then(|file| file.documents.get_mut(entry.place.document));
            if let Some(map) = document.and_then(|document| locate(document, entry)) {
                let document = (entry.place.file, entry.place.document);
                let environment = || redacted(self.environments.get(&document).unwrap_or(&self.environment));
                let environment = shown.entry(document).or_insert_with(environment);
                rewrite(map, entry, Shown { environment, unset: self.engine.on_unset() });
            }
        }
        files
    }
}

/// Returns the variables with a placeholder for every value that looks like a secret, either by the variable's name or
/// because it is a URL with a password.
fn redacted(environment: &Environment) -> Environment {
    let shown = |name: &str| {
        let value = environment.get(name).unwrap_or_default();
        let is_secret = is_secret_name(name) || (value.contains("://") && value.contains('@'));
        (name.to_owned(), if is_secret { REDACTED } else { value }.to_owned())
    };
    environment.names().map(shown).collect()
}

fn locate<'a>(document: &'a mut Node, entry: &Entry) -> Option<&'a mut Map> {
    let holder = match entry.place.agent {
        Some(agent) => item(document.as_map_mut()?.get_mut("agents")?, agent)?,
        None => document,
    };
    item(holder.as_map_mut()?.get_mut("mcps")?, entry.place.item)?.as_map_mut()
}

fn item(list: &mut Node, index: usize) -> Option<&mut Node> {
    if let Value::List(items) = &mut list.value { items.get_mut(index) } else { None }
}

/// Variables that templates may use, with secrets redacted.
#[derive(Clone, Copy)]
struct Shown<'e> {
    environment: &'e Environment,
    unset: OnUnset,
}

fn rewrite(map: &mut Map, entry: &Entry, shown: Shown<'_>) {
    match &entry.usage {
        Usage::Registered { url, .. } => {
            // The URL replaces the key that described how to reach the upstream.
            let reach = map.entries.iter_mut().find(|(key, ..)| key == "url" || key == "command");
            if let Some((key, ..)) = reach {
                "url".clone_into(key);
            }
            map.entries.retain(|(key, ..)| !OF_THE_UPSTREAM.contains(&key.as_str()));
            map.set("url", Node::text(url));
            map.set("transport", Node::text(transport(url)));
        }
        Usage::Referenced { url, .. } => {
            promote(map);
            map.set("url", Node::text(url));
        }
        Usage::Direct => {
            for key in ["url", "command", "args"] {
                if let Some(node) = map.get_mut(key) {
                    render(node, shown);
                }
            }
            mask(map);
        }
    }
    for key in ["headers", "env"] {
        if let Some(values) = map.get_mut(key).and_then(Node::as_map_mut) {
            for (.., value) in &mut values.entries {
                *value = Node::text(REDACTED);
            }
        }
    }
    let tokens = map.get_mut("gateway").and_then(Node::as_map_mut).and_then(|map| map.get_mut("auth_tokens"));
    if let Some(Value::List(tokens)) = tokens.map(|node| &mut node.value) {
        tokens.iter_mut().for_each(|token| *token = Node::text(REDACTED));
    }
}

/// Masks secrets in a URL, in a command line and in arguments.
fn mask(map: &mut Map) {
    if let Some(Value::Text(text)) = map.get_mut("url").map(|node| &mut node.value) {
        text.text = connection_fields::address(&text.text);
    }
    for key in ["command", "args"] {
        match map.get_mut(key).map(|node| &mut node.value) {
            Some(Value::Text(line)) => {
                line.text = connection_fields::arguments(&[&line.text]).concat();
            }
            Some(Value::List(items)) => {
                let texts: Vec<&str> = items.iter().map(|item| item.literal().unwrap_or_default()).collect();
                for (item, shown) in connection_fields::arguments(&texts).into_iter().enumerate() {
                    if let Some(Value::Text(text)) = items.get_mut(item).map(|node| &mut node.value) {
                        text.text = shown;
                    }
                }
            }
            _ => {}
        }
    }
}

fn transport(url: &str) -> &'static str {
    let endpoint = url.rsplit('/').find(|part| matches!(*part, "sse" | "stream" | "mcp"));
    if endpoint == Some("sse") { "sse" } else { "streamable-http" }
}

/// Moves variables that were meant as headers to `headers`, as is done in registered entries.
fn promote(map: &mut Map) {
    if map.get("url").is_none() {
        return;
    }
    let Some(env) = map.get_mut("env").and_then(Node::as_map_mut) else { return };
    let names: Vec<String> = env.entries.iter().filter_map(|(key, ..)| header::promoted(key)).collect();
    env.entries.retain(|(key, ..)| header::promoted(key).is_none());
    if env.entries.is_empty() {
        map.entries.retain(|(key, ..)| key != "env");
    }
    if names.is_empty() {
        return;
    }
    if map.get("headers").and_then(Node::as_map).is_none() {
        map.set("headers", Node { value: Value::Map(Map::default()), ..Node::text("") });
    }
    if let Some(headers) = map.get_mut("headers").and_then(Node::as_map_mut) {
        for name in names {
            let is_there = headers.entries.iter().any(|(key, ..)| key.eq_ignore_ascii_case(&name));
            if !is_there {
                headers.set(&name, Node::text(REDACTED));
            }
        }
    }
}

fn render(node: &mut Node, shown: Shown<'_>) {
    match &mut node.value {
        // Leave a template that fails here to the engine, which has variables of its own.
        Value::Text(text) => {
            if let Ok(rendered) = template::render(&text.text, shown.environment, shown.unset) {
                text.text = rendered;
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| render(item, shown)),
        Value::Map(_) | Value::Null | Value::Bool(..) | Value::Number(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_values_that_look_like_secrets() {
        let environment = Environment::from_iter([
            ("HOST", "example.com"),
            ("API_KEY", "k"),
            ("GithubToken", "t"),
            ("CACHE", "redis://u:p@h/0"),
        ]);
        let redacted = redacted(&environment);
        let shown: Vec<_> = ["API_KEY", "CACHE", "GithubToken", "HOST"].map(|name| redacted.get(name)).into();
        let hidden = Some(REDACTED);
        assert_eq!(shown, [hidden, hidden, hidden, Some("example.com")]);
    }
}
