//! Checks one entry of `mcps:` and decides its effect at the gateway, if it has no errors.
//!
//! Checks run in the ancestor's order (id, resource, transport, URL, mutual exclusions, headers, revision, limits), but
//! all of them run, so that an author sees every mistake at once.

use indexmap::IndexMap;
use schemas::admin::SOURCE_TAG;
use schemas::dialect::compozy::{Command, DefinitionDocument};
use schemas::document::Node;
use schemas::template::Environment;
use schemas::workflow::McpEntry;
use schemas::{Definition, InvalidDefinition, Secret, ServerName, WireDuration};
use url::Url;

use crate::diagnostic::{Code, Diagnostic, Location};
use crate::source::File;
use crate::workflow::address::Below;
use crate::workflow::desired::Usage;
use crate::workflow::fields::{Fields, Kind};
use crate::workflow::settings::{Settings, Unset};
use crate::workflow::{engine, gateway, header, verbatim};

/// Context of an entry that determines its meaning.
pub(super) struct Context<'a> {
    pub(super) file: &'a File,
    pub(super) settings: &'a Settings,
    /// Variables that the entry's templates may use.
    pub(super) environment: &'a Environment,
    /// True if an entry without `use_proxy` is registered.
    pub(super) by_default: bool,
}

/// Values of an entry's fields, checked one by one.
struct Parts {
    url: Option<Url>,
    command: Option<Vec<String>>,
    headers: IndexMap<String, Secret>,
    env: IndexMap<String, Secret>,
    timeout: WireDuration,
    max_sessions: i64,
}

/// Interprets an entry. The usage is `None` if it has errors.
pub(super) fn read(entry: &McpEntry, node: &Node, context: &Context<'_>) -> (Option<Usage>, Vec<Diagnostic>) {
    let is_registered = context.settings.all || entry.use_proxy.unwrap_or(context.by_default);
    let unset_is_error = match context.settings.unset {
        Unset::Refuse => true,
        Unset::RefuseWhereUsed => is_registered,
        Unset::Warn => false,
    };
    let Context { file, environment, .. } = *context;
    let engine = context.settings.engine;
    let mut fields = Fields { entry, node, file, environment, unset_is_error, engine, diagnostics: Vec::new() };
    let usage = usage(&mut fields, context, is_registered);
    verbatim::check(&mut fields);
    let is_wrong = fields.diagnostics.iter().any(Diagnostic::is_error);
    (usage.filter(|_| !is_wrong), fields.diagnostics)
}

fn usage(fields: &mut Fields<'_>, context: &Context<'_>, is_registered: bool) -> Option<Usage> {
    let entry = fields.entry;
    gateway::check_keys(fields);
    fields.keys();
    let id = fields.id();
    let kind = fields.transport();
    let url = fields.url();
    let command = fields.command();
    let below = url.as_ref().filter(|_| is_registered).and_then(|url| context.settings.gateway.below(url));
    if below.is_none()
        && let Some(kind) = kind
    {
        check_exclusions(fields, kind);
    }
    let headers = fields.headers();
    let env = fields.env();
    fields.proto();
    let timeout = fields.timeout();
    let max_sessions = entry.max_sessions.unwrap_or_default();
    let is_http = url.is_some() && (below.is_some() || kind.is_some_and(Kind::is_http));
    if !is_registered {
        let keys: &[&str] = if fields.has_command() { &["url", "command", "args", "env"] } else { &["url"] };
        // `env` of an HTTP server has no effect at all, which is reported already.
        fields.diagnostics.extend(engine::check_direct(fields.engine, fields.file, fields.node, keys));
        if is_http && command.is_none() {
            without_effect(fields, env.iter().flat_map(IndexMap::keys));
        }
        return Some(Usage::Direct);
    }
    // A missing value was reported already, or depends on an unset variable.
    if (url.is_none() && fields.has_url()) || (command.is_none() && fields.has_command()) {
        return None;
    }
    let (headers, env) = (headers?, env?);
    let (headers, env) = match is_http && command.is_none() {
        true => promote(fields, headers, env),
        false => (headers, env),
    };
    let (id, kind) = (id?, kind?);
    let parts = Parts { url, command, headers, env, timeout, max_sessions };
    match below {
        Some(below) => at_gateway(fields, context, below, parts),
        None => {
            let name = server_name(fields, &id)?;
            let endpoint = if kind == Kind::Sse { "sse" } else { "stream" };
            let url = context.settings.gateway.upstream(&name, endpoint);
            registered(fields, name, kind, parts, url)
        }
    }
}

/// Checks that the keys are allowed with the transport.
fn check_exclusions(fields: &mut Fields<'_>, kind: Kind) {
    let (has_url, has_command) = (fields.has_url(), fields.has_command());
    let transport = kind.as_str();
    if kind.is_http() && !has_url {
        let hint = "an entry has a `url` or a `command`";
        fields.advise(Code::MissingUrl, "transport", "url is required for HTTP-based transports", hint);
    }
    if kind.is_http() && has_command {
        let message = format!("command cannot be used with transport `{transport}`");
        let hint = "leave out `command`, or set `transport: stdio` and leave out `url`";
        fields.advise(Code::MisplacedKey, "command", message, hint);
    }
    if kind.is_http() && !fields.entry.args.is_empty() {
        fields.report(Code::MisplacedKey, "args", format!("args cannot be used with transport `{transport}`"));
    }
    if !kind.is_http() && !has_command {
        fields.report(Code::MissingCommand, "transport", "command is required for stdio transport");
    }
    if !kind.is_http() && has_url {
        let hint = "leave out `url`, or leave out `command` and set `transport: streamable-http`";
        fields.advise(Code::MisplacedKey, "url", "url cannot be used with transport `stdio`", hint);
    }
    if !kind.is_http() && !fields.entry.headers.is_empty() {
        let hint = "a program takes its secrets from `env`";
        fields.advise(Code::MisplacedKey, "headers", "headers cannot be used with transport `stdio`", hint);
    }
}

type Values = IndexMap<String, Secret>;

/// Reports variables without effect. The engine connects by itself here, so they cannot become headers.
fn without_effect<'v>(fields: &mut Fields<'_>, variables: impl Iterator<Item = &'v String>) {
    for variable in variables {
        let message = format!("`{variable}` has no effect: an HTTP upstream has no environment");
        let remark = Diagnostic::new(Code::EnvOnHttp, &variable_at(fields, variable), message);
        fields.diagnostics.push(remark.hint("if it is meant as a header, move it to `headers`"));
    }
}

fn variable_at(fields: &Fields<'_>, variable: &str) -> Location {
    let span = fields.node.get("env").and_then(|env| env.as_map()?.key_span(variable));
    span.map_or_else(|| fields.at("env"), |span| fields.file.at(span))
}

/// Turns variables of a registered HTTP entry into headers if they were meant as such; keeps and reports the rest.
fn promote(fields: &mut Fields<'_>, mut headers: Values, env: Values) -> (Values, Values) {
    let mut kept = IndexMap::new();
    for (variable, value) in env {
        let at = variable_at(fields, &variable);
        match header::promoted(&variable) {
            Some(name) if headers.contains_key(&name) => {
                let message = format!("`{variable}` has no effect: `headers` already holds `{name}`");
                fields.diagnostics.push(Diagnostic::new(Code::EnvOnHttp, &at, message));
            }
            Some(name) => {
                if let Some(fault) = header::fault(&name, value.expose().trim()) {
                    let message = format!("header `{variable}`: {fault}");
                    fields.diagnostics.push(Diagnostic::new(Code::BadHeader, &at, message));
                }
                let message = format!("`{variable}` is sent as a header: an HTTP upstream has no environment");
                let remark = Diagnostic::new(Code::EnvPromoted, &at, message);
                fields.diagnostics.push(remark.hint("move it to `headers`"));
                headers.insert(name, Secret::new(value.expose().trim()));
            }
            None => {
                kept.insert(variable, value);
            }
        }
    }
    without_effect(fields, kept.keys());
    (headers, kept)
}

/// Interprets an entry whose URL is below the gateway's own.
fn at_gateway(fields: &mut Fields<'_>, context: &Context<'_>, below: Below, parts: Parts) -> Option<Usage> {
    let gateway = &context.settings.gateway;
    let Below::Upstream(name, endpoint) = below else {
        let message = "the address is the gateway's own, but not that of an upstream";
        let hint = format!("an upstream's address is `{gateway}/NAME/sse`, `.../stream` or `.../mcp`");
        fields.advise(Code::GatewayUrl, "url", message, hint);
        return None;
    };
    let name = match name.parse::<ServerName>() {
        Ok(name) => name,
        Err(error) => {
            fields.report(Code::BadUrl, "url", format!("invalid url: {error}"));
            return None;
        }
    };
    let url = gateway.upstream(&name, &endpoint);
    if parts.command.is_none() {
        return Some(Usage::Referenced { name, url });
    }
    // The headers are for the connection to the gateway; a program has none.
    let parts = Parts { url: None, headers: IndexMap::new(), ..parts };
    registered(fields, name, Kind::Stdio, parts, url)
}

fn server_name(fields: &mut Fields<'_>, id: &str) -> Option<ServerName> {
    match id.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            fields.advise(Code::BadId, "id", format!("invalid id: {error}"), "the id is the name at the gateway");
            None
        }
    }
}

fn registered(fields: &mut Fields<'_>, name: ServerName, kind: Kind, parts: Parts, url: String) -> Option<Usage> {
    let mut words = parts.command.unwrap_or_default().into_iter();
    let source = format!("{}:{}", fields.file.name(), fields.node.span.start.line);
    let document = DefinitionDocument {
        name: name.into(),
        transport: kind.as_str().to_owned(),
        command: Command::Program(words.next().unwrap_or_default()),
        args: words.collect(),
        env: parts.env,
        url: parts.url.map(String::from).unwrap_or_default(),
        headers: parts.headers,
        timeout: parts.timeout,
        max_sessions: parts.max_sessions.max(0),
        tags: [(SOURCE_TAG.to_owned(), source)].into(),
        ..DefinitionDocument::default()
    };
    let document = gateway::apply(fields, document)?;
    if fields.diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    match Definition::try_from(document) {
        Ok(definition) => Some(Usage::Registered { definition: Box::new(definition), url }),
        Err(error) => {
            let (code, key) = place(&error);
            fields.report(code, key, error.to_string());
            None
        }
    }
}

/// Returns code and key of the diagnostic if the definition is invalid although each part is sound. The error's text
/// contains no values.
fn place(error: &InvalidDefinition) -> (Code, &'static str) {
    match error {
        InvalidDefinition::Name(_) => (Code::BadId, "id"),
        InvalidDefinition::Transport(_) => (Code::UnknownTransport, "transport"),
        InvalidDefinition::NoCommand => (Code::MissingCommand, "command"),
        InvalidDefinition::NoUrl => (Code::MissingUrl, "url"),
        InvalidDefinition::Url(_) => (Code::BadUrl, "url"),
        InvalidDefinition::Header(..) => (Code::BadHeader, "headers"),
        InvalidDefinition::Nul => (Code::BadCommand, "command"),
        InvalidDefinition::Negative("timeout") | InvalidDefinition::Tiny { field: "timeout", .. } => {
            (Code::BadLimit, "start_timeout")
        }
        InvalidDefinition::Negative(_) => (Code::BadLimit, "gateway"),
        _ => (Code::WrongType, "gateway"),
    }
}
