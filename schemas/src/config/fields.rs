//! Reads the fields of one server by the union of the names that programs use for them.

mod amount;
mod process;
mod remote;
mod unmapped;

use crate::config::entry::{Entry, Used};
pub(super) use crate::config::fields::amount::{Unit, time_limit};
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
    /// True if a command decides against the word for the transport.
    pub(super) command_wins: bool,
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
            command_wins: false,
            api_key: "Authorization",
        }
    }
}

/// Returns the keys that have no meaning for a server of this kind.
pub(super) fn of_other_kinds(kind: &Kind) -> &'static [&'static str] {
    if *kind == Kind::Stdio { &OF_REMOTE_SERVERS } else { &OF_PROGRAMS }
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
    (server, reader.used)
}

struct Reader<'r, 'f> {
    entry: &'r Entry<'f>,
    rules: &'r Rules,
    remarks: &'r mut Vec<Remark>,
    used: Used,
}

impl<'f> Reader<'_, 'f> {
    /// Returns the first of the keys that has a value, and marks all as used. Warns about the values of the others.
    fn first(&mut self, keys: &[&'static str]) -> Option<(&'static str, &'f Node)> {
        self.used.add(keys);
        let mut found = keys.iter().filter_map(|key| Some((*key, self.entry.get(key)?)));
        let first = found.next()?;
        for (other, node) in found.filter(|(_, node)| !node.says_the_same(first.1)) {
            let path = format!("{}.{other}", self.entry.name);
            self.remarks.push(Remark::lost(node.head(), &path, &format!("`{}` counts", first.0)));
        }
        Some(first)
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

    fn word(&mut self, keys: &[&'static str]) -> Option<&'f str> {
        let (key, node) = self.first(keys)?;
        let word = node.literal();
        if word.is_none() {
            self.wrong(key, node, "a text");
        }
        word
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
        texts(&format!("`{key}` of `{}`", self.entry.name), node, self.remarks)
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
        for key in ["disabled_tools", "disabledTools", "excludeTools", "disallowed_tools"] {
            server.deny.extend(self.texts(&[key]).unwrap_or_default());
        }
        // An extension of this gateway.
        server.era = self.word(&["era"]).map(str::to_owned);
        server.description = self.word(&["description"]).filter(|text| !text.is_empty()).map(str::to_owned);
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
                let Some((key, node)) = self.first(&[key]) else { continue };
                if limit.is_none() {
                    let path = format!("`{key}` of `{}`", server.name);
                    *limit = time_limit(&path, node, *unit, self.remarks);
                }
            }
        }
    }

    /// Finds the transport: by the entry's word for it, else by its keys.
    fn kind(&mut self, server: &mut Server) {
        let has_command = server.command != Pattern::default();
        let has_url = server.url != Pattern::default();
        // Files written by several versions of a program have old and new words for one transport.
        let key = self.rules.transport.iter().find(|key| self.entry.get(key).is_some());
        self.used.add(self.rules.transport);
        let word = key.and_then(|key| self.word(&[key]));
        let by_word = word.and_then(kind_of_word);
        let has_word = by_word.is_some();
        let is_http = self.entry.get("httpUrl").is_some() && by_word != Some(Kind::Stdio);
        match by_word {
            _ if has_command && self.rules.command_wins => server.kind = Kind::Stdio,
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

/// Returns the texts of a list; null is no list. Reports anything else as an error, because a list that is not read may
/// restrict what is offered, or to whom. `path` names the list in the error.
pub(super) fn texts(path: &str, node: &Node, remarks: &mut Vec<Remark>) -> Option<Vec<String>> {
    let texts = match &node.value {
        Value::Null => return None,
        Value::List(items) => items.iter().map(|item| item.literal().map(str::to_owned)).collect(),
        _ => None,
    };
    if texts.is_none() {
        remarks.push(Remark::error(node.head(), format!("{path} is not a list of texts")));
    }
    texts
}

/// Adds a header, unless one of that name is there. Names are compared without case.
pub(super) fn add_header(server: &mut Server, name: &str, value: Pattern) {
    if !server.headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
        server.headers.insert(name.to_owned(), value);
    }
}
