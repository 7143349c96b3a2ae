//! Reads the fields of one server by the union of the names that programs use for them.

mod amount;
mod process;
mod remote;
mod unmapped;

use crate::config::entry::{Entry, Used};
pub(super) use crate::config::fields::amount::Unit;
pub(super) use crate::config::fields::unmapped::{APPROVAL, remarks as unmapped_remarks};
use crate::config::fields::unmapped::{OF_PROGRAMS, OF_REMOTE_SERVERS};
use crate::config::pattern::{Notation, Pattern};
use crate::config::remark::Remark;
use crate::config::server::{Kind, Server};
use crate::document::{Node, Value};

/// Meaning of the words that programs use differently.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) url_alone: UrlAlone,
    pub(super) timeout: Unit,
    /// Notation of variables in environment variables, headers and tokens.
    pub(super) notation: Notation,
    /// Notation of variables in the command, its arguments and paths.
    pub(super) process: Notation,
    /// Notation of variables in URLs.
    pub(super) address: Notation,
    /// Keys of the word for the transport.
    pub(super) transport: &'static [&'static str],
    /// Header of the token at `apiKey`; in `Authorization` it is a bearer token.
    pub(super) api_key: &'static str,
}

/// Transport of an entry with a URL and no word about its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlAlone {
    Http,
    Sse,
    /// The program tries both.
    Auto,
    /// Streamable HTTP if the URL ends in `mcp`, else SSE.
    ByEnding,
    /// The program refuses such an entry.
    Refused,
}

impl Rules {
    /// Builds the rules of a program with one notation of variables everywhere.
    pub(super) const fn new(url_alone: UrlAlone, timeout: Unit, notation: Notation) -> Self {
        Self {
            url_alone,
            timeout,
            notation,
            process: notation,
            address: notation,
            transport: &["type", "transportType", "transport"],
            api_key: "Authorization",
        }
    }
}

/// Reads an entry. The caller reports the keys that are not in `used`.
pub(super) fn read(entry: &Entry<'_>, rules: &Rules, remarks: &mut Vec<Remark>) -> (Server, Used) {
    let mut reader = Reader { entry, rules, remarks, used: Used::default() };
    for (key, _) in &entry.inner {
        reader.used.add(&[key]);
    }
    if entry.literal("name") == Some(&entry.name) {
        reader.used.add(&["name"]);
    }
    let mut server = Server { name: entry.name.clone(), span: entry.span, ..Server::default() };
    reader.process(&mut server);
    reader.remote(&mut server);
    reader.kind(&mut server);
    reader.switches(&mut server);
    reader.timeouts(&mut server);
    reader.used.remove(if server.kind == Kind::Stdio { &OF_REMOTE_SERVERS } else { &OF_PROGRAMS });
    (server, reader.used)
}

struct Reader<'r, 'f> {
    entry: &'r Entry<'f>,
    rules: &'r Rules,
    remarks: &'r mut Vec<Remark>,
    used: Used,
}

impl<'f> Reader<'_, 'f> {
    /// Returns the first of the keys that has a value, and marks all as used.
    fn first(&mut self, keys: &[&'static str]) -> Option<(&'static str, &'f Node)> {
        self.used.add(keys);
        keys.iter().find_map(|key| Some((*key, self.entry.get(key)?)))
    }

    fn pattern(&mut self, key: &str, node: &Node, notation: Notation) -> Option<Pattern> {
        let Some(text) = node.literal() else {
            self.wrong(key, node, "a text");
            return None;
        };
        Some(Pattern::parse(text, notation))
    }

    fn text(&mut self, keys: &[&'static str], notation: Notation) -> Option<Pattern> {
        let (key, node) = self.first(keys)?;
        self.pattern(key, node, notation)
    }

    fn wrong(&mut self, key: &str, node: &Node, expected: &str) {
        let message = format!("`{key}` of `{}` is not {expected}", self.entry.name);
        self.remarks.push(Remark::error(node.head(), message));
    }

    fn patterns(&mut self, keys: &[&'static str], notation: Notation) -> Option<Vec<Pattern>> {
        let (key, node) = self.first(keys)?;
        let Value::List(items) = &node.value else {
            self.wrong(key, node, "a list");
            return None;
        };
        Some(items.iter().filter_map(|item| self.pattern(key, item, notation)).collect())
    }

    fn texts(&mut self, keys: &[&'static str]) -> Option<Vec<String>> {
        let (key, node) = self.first(keys)?;
        let texts = texts(node);
        if texts.is_none() {
            self.wrong(key, node, "a list of texts");
        }
        texts
    }

    fn switches(&mut self, server: &mut Server) {
        for (key, meaning) in [("disabled", true), ("enabled", false), ("active", false), ("isActive", false)] {
            if let Some((key, node)) = self.first(&[key]) {
                match (&node.value, node.literal()) {
                    (Value::Bool(flag, _), _) => server.is_disabled |= *flag == meaning,
                    (_, Some("true" | "false")) => {
                        server.is_disabled |= (node.literal() == Some("true")) == meaning;
                    }
                    (Value::Text(text), _) if text.text.contains('{') => {
                        let message = format!("`{key}` of `{}` is a template; the server is not disabled", server.name);
                        self.remarks.push(Remark::warning(node.head(), message));
                    }
                    _ => self.wrong(key, node, "true or false"),
                }
            }
        }
        server.allow = self.texts(&["enabled_tools", "includeTools", "allowed_tools", "tools_filter"]);
        server.deny =
            self.texts(&["disabled_tools", "disabledTools", "excludeTools", "disallowed_tools"]).unwrap_or_default();
        // An extension of this gateway.
        server.era = self.first(&["era"]).and_then(|(_, node)| node.literal()).map(str::to_owned);
        if let Some(description) = self.first(&["description"]).and_then(|(_, node)| node.literal()) {
            server.description = Some(description.to_owned()).filter(|text| !text.is_empty());
        }
    }

    fn timeouts(&mut self, server: &mut Server) {
        const CONNECT: [(&str, Unit); 7] = [
            ("startup_timeout_sec", Unit::Seconds),
            ("startup_timeout_ms", Unit::Millis),
            ("initTimeout", Unit::Millis),
            ("connectionTimeout", Unit::Millis),
            ("discoveryTimeoutMs", Unit::Millis),
            ("connect_timeout", Unit::Seconds),
            ("start_timeout", Unit::Written),
        ];
        let call = [
            ("tool_timeout_sec", Unit::Seconds),
            ("requestTimeout", Unit::Millis),
            ("timeout", self.rules.timeout),
            ("request_timeout_ms", Unit::Millis),
        ];
        for (limit, keys) in [(&mut server.connect_timeout, &CONNECT[..]), (&mut server.call_timeout, &call)] {
            for (key, unit) in keys {
                if let Some((key, node)) = self.first(&[key])
                    && limit.is_none()
                {
                    *limit = amount::read(key, node, *unit, &server.name, self.remarks);
                }
            }
        }
    }

    /// Finds the transport: by the entry's word for it, else by its keys.
    fn kind(&mut self, server: &mut Server) {
        let has_command = server.command != Pattern::default();
        let has_url = server.url != Pattern::default();
        let word = self.first(self.rules.transport).and_then(|(_, node)| node.literal());
        let by_word = word.and_then(kind_of_word);
        let has_word = by_word.is_some();
        let is_http = self.entry.get("httpUrl").is_some() && by_word != Some(Kind::Stdio);
        match by_word {
            _ if is_http && has_url && (has_word || !has_command) => server.kind = Kind::Http,
            Some(kind) => server.kind = kind,
            None if has_command => server.kind = Kind::Stdio,
            None if has_url && server.kind == Kind::Auto => server.kind = self.kind_of_url(server),
            None if has_url => {}
            None => server.kind = Kind::Unsupported("it has neither a command nor a URL".to_owned()),
        }
        if has_command && has_url {
            let used = if server.kind == Kind::Stdio { "command" } else { "URL" };
            let message = format!("`{}` has a command and a URL; the {used} is used", server.name);
            self.remarks.push(Remark::warning(self.entry.span, message));
        }
        if let Some((key, _)) = self.first(&["headersHelper", "http_headers_helper"]) {
            let reason = format!("`{key}` runs a command, which an import never does; give the gateway the headers");
            server.kind = Kind::Unsupported(reason);
        }
    }

    fn kind_of_url(&mut self, server: &Server) -> Kind {
        let url = server.url.as_literal().unwrap_or_default();
        let scheme = url.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
        if matches!(scheme, "ws" | "wss") {
            return Kind::Unsupported(WEB_SOCKET.to_owned());
        }
        if matches!(scheme, "unix" | "pipe") {
            return Kind::Unsupported(format!("a `{scheme}:` URL is no HTTP address"));
        }
        match self.rules.url_alone {
            UrlAlone::Http => Kind::Http,
            UrlAlone::Sse => Kind::Sse,
            UrlAlone::Auto => Kind::Auto,
            UrlAlone::ByEnding => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                if path.trim_end_matches('/').ends_with("mcp") { Kind::Http } else { Kind::Sse }
            }
            UrlAlone::Refused => {
                let message = format!("`{}` has a URL and no type, which its program refuses", server.name);
                self.remarks.push(Remark::warning(self.entry.span, message));
                Kind::Auto
            }
        }
    }
}

const WEB_SOCKET: &str = "WebSocket is no transport of MCP";

/// Returns the transport that a word means; `None` if it leaves the transport open.
fn kind_of_word(word: &str) -> Option<Kind> {
    let plain: String = word.to_lowercase().chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    match plain.as_str() {
        "stdio" | "std" | "local" => Some(Kind::Stdio),
        "http" | "streamablehttp" => Some(Kind::Http),
        "sse" => Some(Kind::Sse),
        "remote" | "" => None,
        "ws" | "websocket" => Some(Kind::Unsupported(WEB_SOCKET.to_owned())),
        _ => Some(Kind::Unsupported(format!("transport `{word}` exists only in that program"))),
    }
}

/// Returns the texts of a list.
pub(super) fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| item.literal().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// Adds a header, unless one of that name is there. Names are compared without case.
pub(super) fn add_header(server: &mut Server, name: &str, value: Pattern) {
    if !server.headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
        server.headers.insert(name.to_owned(), value);
    }
}
