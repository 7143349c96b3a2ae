//! Reads the fields of a program: command, arguments, environment, folder.

use indexmap::IndexMap;

use crate::config::fields::Reader;
use crate::config::pattern::Pattern;
use crate::config::server::Server;
use crate::document::{Map, Node, Value};

impl Reader<'_, '_> {
    pub(super) fn process(&mut self, server: &mut Server) {
        let notation = self.rules.process;
        match self.first(&["command", "cmd"]) {
            // A list is the program and its first arguments.
            Some((key, Node { value: Value::List(items), .. })) => {
                let words: Vec<_> = items.iter().filter_map(|item| self.pattern(key, item, notation)).collect();
                let mut words = words.into_iter();
                server.command = words.next().unwrap_or_default();
                server.args = words.collect();
            }
            Some((_, Node { value: Value::Map(nested), .. })) => self.nested_command(nested, server),
            Some((key, node)) => server.command = self.pattern(key, node, notation).unwrap_or_default(),
            None => {}
        }
        server.args.extend(self.patterns(&["args"], notation).unwrap_or_default());
        for key in ["env", "environment", "envs", "env_vars"] {
            if let Some((key, node)) = self.first(&[key]) {
                self.variables(key, node, &mut server.env);
            }
        }
        server.env_file = self.text(&["envFile"], notation);
        server.cwd = self.text(&["cwd", "working_directory", "workingDirectory"], notation);
    }

    /// Reads `command: {path, args, env}`.
    fn nested_command(&mut self, nested: &Map, server: &mut Server) {
        let notation = self.rules.process;
        if let Some(path) = nested.get("path") {
            server.command = self.pattern("command.path", path, notation).unwrap_or_default();
        }
        match nested.get("args").map(|args| (args, &args.value)) {
            None | Some((_, Value::Null)) => {}
            Some((_, Value::List(items))) => {
                server.args = items.iter().filter_map(|item| self.pattern("command.args", item, notation)).collect();
            }
            Some((args, _)) => self.wrong("command.args", args, "a list"),
        }
        if let Some(env) = nested.get("env") {
            self.variables("command.env", env, &mut server.env);
        }
    }

    /// Reads variables from a mapping, or from a list of `KEY=VALUE`, of names, or of `{name, value}`. Variables that
    /// are there already win.
    fn variables(&mut self, key: &str, node: &Node, env: &mut IndexMap<String, Pattern>) {
        match &node.value {
            Value::Map(map) => {
                for (name, _, value) in &map.entries {
                    // Null removes a variable that the program would pass on; here none is passed on.
                    if !matches!(value.value, Value::Null)
                        && let Some(value) = self.pattern(&format!("{key}.{name}"), value, self.rules.notation)
                    {
                        env.entry(name.clone()).or_insert(value);
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    match self.variable(item) {
                        Some((name, value)) => {
                            env.entry(name).or_insert(value);
                        }
                        None => self.wrong(key, item, "a variable"),
                    }
                }
            }
            Value::Null => {}
            _ => self.wrong(key, node, "a mapping"),
        }
    }

    /// Reads an item of a list of variables. A name alone stands for the variable of that name.
    fn variable(&self, item: &Node) -> Option<(String, Pattern)> {
        let (name, value) = match item.literal() {
            Some(text) => text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value))),
            None => {
                let value = item.get("value").filter(|node| !matches!(node.value, Value::Null));
                let value = value.map(|node| node.literal().ok_or(()));
                (item.get("name")?.literal()?, value.transpose().ok()?)
            }
        };
        let value = value.map(|value| Pattern::parse(value, self.rules.notation));
        Some((name.to_owned(), value.unwrap_or_else(|| Pattern::variable(name))))
    }
}
