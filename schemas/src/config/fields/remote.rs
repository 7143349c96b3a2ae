//! Reads the fields of a remote server: URL, headers, tokens.

use crate::config::fields::{Reader, add_header};
use crate::config::pattern::Pattern;
use crate::config::server::{Kind, Server};
use crate::document::{Node, Value};

impl Reader<'_, '_> {
    pub(super) fn remote(&mut self, server: &mut Server) {
        const URLS: [&str; 7] = ["url", "serverUrl", "httpUrl", "uri", "remote_url", "endpoint", "sseEndpoint"];
        // Gemini CLI takes the second of two URLs; others do not have two.
        let first = URLS.iter().find_map(|key| Some((*key, self.entry.get(key)?)));
        self.used.add(&URLS);
        if let Some((key, node)) = first {
            server.url = self.pattern(key, node, self.rules.address).unwrap_or_default();
            if key == "sseEndpoint" {
                server.kind = Kind::Sse;
            }
        }
        for key in ["headers", "http_headers", "static_headers", "add_plaintext_headers"] {
            if let Some((key, node)) = self.first(&[key]) {
                self.headers(key, node, server);
            }
        }
        if let Some((key, node)) = self.first(&["env_http_headers"]) {
            self.headers_from_variables(key, node, server);
        }
        if let Some((key, node)) = self.first(&["bearer_token_env_var"]) {
            match node.literal() {
                Some(name) => add_header(server, "Authorization", Pattern::variable(name).prefixed("Bearer ")),
                None => self.wrong(key, node, "a text"),
            }
        }
        self.tokens(server);
    }

    fn headers(&mut self, key: &str, node: &Node, server: &mut Server) {
        let Some(map) = node.as_map() else {
            self.wrong(key, node, "a mapping");
            return;
        };
        for (name, _, value) in &map.entries {
            if !matches!(value.value, Value::Null)
                && let Some(value) = self.pattern(&format!("{key}.{name}"), value, self.rules.notation)
            {
                add_header(server, name, value);
            }
        }
    }

    /// Reads a mapping from headers to the names of the variables with their values.
    fn headers_from_variables(&mut self, key: &str, node: &Node, server: &mut Server) {
        let Some(map) = node.as_map() else {
            self.wrong(key, node, "a mapping");
            return;
        };
        for (header, _, variable) in &map.entries {
            match variable.literal() {
                Some(name) => add_header(server, header, Pattern::variable(name)),
                None => self.wrong(&format!("{key}.{header}"), variable, "a text"),
            }
        }
    }

    fn tokens(&mut self, server: &mut Server) {
        if let Some(token) = self.text(&["bearerToken", "authentication_token"], self.rules.notation) {
            add_header(server, "Authorization", token.prefixed("Bearer "));
            self.used.add(&["apiKey"]);
        } else if self.entry.literal("apiKey").is_some()
            && let Some(key) = self.text(&["apiKey"], self.rules.notation)
        {
            let header = self.rules.api_key;
            add_header(server, header, if header == "Authorization" { key.prefixed("Bearer ") } else { key });
        }
    }
}
