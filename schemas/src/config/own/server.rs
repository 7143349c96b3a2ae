//! One server of the gateway's own file: the members of a definition, and `disabled`.

use serde_json::Value as Json;

use crate::config::own::value::Values;
use crate::config::remark::Remark;
use crate::dialect::compozy::{DeclaredDocument, DefinitionDocument};
use crate::document::{Map, Node, Span, Text, Value};
use crate::{Definition, InvalidDefinition, ServerName};

/// Members of a definition that a file does not have.
const NOT_IN_FILES: [&str; 4] = ["name", "createdAt", "updatedAt", "startup_args"];
const DISABLED: &str = "disabled";
/// Members that are paths, relative to the file.
const PATHS: [&str; 4] = ["cwd", "caFile", "clientCertFile", "clientKeyFile"];

/// Members that only a program has.
const OF_PROGRAMS: [&str; 10] =
    ["args", "cwd", "env", "user", "umask", "inheritEnv", "maxMemoryBytes", "maxCpuTime", "maxOpenFiles", "nice"];

/// Reads a server. Returns its definition, and true if it is not to be registered.
pub(super) fn read(name: &ServerName, span: Span, entry: &Node, values: &mut Values<'_>) -> Option<(Definition, bool)> {
    let Some(declared) = entry.as_map() else {
        values.remarks.push(Remark::error(entry.head(), format!("`{name}` is not a mapping with `command` or `url`")));
        return None;
    };
    let before = values.remarks.len();
    check_keys(name, declared, &mut values.remarks);
    check_transport(name, declared, &mut values.remarks);
    if is_off(declared) {
        return None;
    }
    let mut resolved = values.resolved(entry)?;
    let map = resolved.as_map_mut()?;
    let is_disabled = disabled(map, &mut values.remarks);
    complete(name, map, values);
    if values.remarks.len() > before {
        return None;
    }
    if ["transport", "command", "url"].iter().all(|key| map.get(key).is_none()) {
        values.remarks.push(Remark::error(span, format!("`{name}` has neither `command` nor `url`")));
        return None;
    }
    let (document, misfits) = resolved.read::<DeclaredDocument>();
    for misfit in misfits {
        values.remarks.push(Remark::error(misfit.span, without_text(&misfit.message)));
    }
    if values.remarks.len() > before {
        return None;
    }
    match document?.into_definition() {
        Ok((definition, _)) => Some((definition, is_disabled)),
        Err(error) => {
            let member = member_of(&error);
            let node = member.and_then(|member| declared.get(member));
            // The value of a variable may be a secret, and errors are logged.
            let message = match (member, node.is_some_and(has_variable)) {
                (Some(member), true) => format!("`{name}`: `{member}` is not valid with the values of its variables"),
                _ => format!("`{name}`: {error}"),
            };
            values.remarks.push(Remark::error(node.map_or(span, Node::head), message));
            None
        }
    }
}

fn check_keys(name: &ServerName, declared: &Map, remarks: &mut Vec<Remark>) {
    let schema = schemars::schema_for!(DefinitionDocument);
    let members = schema.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
    let is_known = |key: &str| key == DISABLED || (members.contains_key(key) && !NOT_IN_FILES.contains(&key));
    for (key, span, node) in &declared.entries {
        if is_known(key) {
            if let (Some(filter), "toolFilter") = (node.as_map(), key.as_str()) {
                for (key, span, _) in filter.entries.iter().filter(|(key, ..)| key != "mode" && key != "list") {
                    let unknown = Remark::error(*span, format!("unknown key `{key}` of `{name}.toolFilter`"));
                    remarks.push(unknown.did_you_mean(key, ["mode", "list"]));
                }
            }
            continue;
        }
        let known = members.keys().map(String::as_str).filter(|key| is_known(key)).chain([DISABLED]);
        let unknown = Remark::error(*span, format!("unknown key `{key}` of `{name}`"));
        remarks.push(match other_word(key) {
            Some(meant) => unknown.hint(format!("here it is `{meant}`")),
            None => unknown.did_you_mean(key, known),
        });
    }
}

/// True for a server that is switched off without a variable; then its other members may be unfinished.
fn is_off(declared: &Map) -> bool {
    declared.get(DISABLED).is_some_and(|node| matches!(node.value, Value::Bool(true, _)))
}

/// Removes the text that a value has from the message about it.
fn without_text(message: &str) -> String {
    let Some((before, rest)) = message.split_once("string \"") else { return message.to_owned() };
    let expected = rest.rsplit_once("\", expected").map(|(_, expected)| expected).unwrap_or_default();
    format!("{before}text, expected{expected}")
}

fn has_variable(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.text.contains("${") || text.text.contains("{{"),
        Value::List(items) => items.iter().any(has_variable),
        Value::Map(map) => map.entries.iter().any(|(.., value)| has_variable(value)),
        Value::Null | Value::Bool(..) | Value::Number(..) => false,
    }
}

/// Reports members that have no effect with the transport.
fn check_transport(name: &ServerName, declared: &Map, remarks: &mut Vec<Remark>) {
    let (without, with): (&[&str], &str) = match (declared.get("command"), declared.get("url")) {
        (Some(_), _) => (&["url", "headers", "proxy", "caFile", "clientCertFile", "clientKeyFile"], "command"),
        (None, Some(_)) => (&OF_PROGRAMS, "url"),
        (None, None) => return,
    };
    for key in without {
        if let Some(span) = declared.key_span(key) {
            remarks.push(Remark::error(span, format!("`{key}` of `{name}` has no effect with `{with}`")));
        }
    }
}

/// Returns the member that other programs have under another name.
fn other_word(key: &str) -> Option<&'static str> {
    Some(match key {
        "type" => "transport",
        "enabled" | "active" => "disabled: true",
        "serverUrl" | "httpUrl" | "uri" => "url",
        "environment" | "envs" => "env",
        "cmd" => "command",
        "working_directory" | "workingDirectory" => "cwd",
        "disabledTools" | "excludeTools" => "toolFilter: {mode: block, list: [..]}",
        "includeTools" | "enabled_tools" => "toolFilter: {mode: allow, list: [..]}",
        _ => return None,
    })
}

/// Takes `disabled` out of an entry.
fn disabled(map: &mut Map, remarks: &mut Vec<Remark>) -> bool {
    let Some(at) = map.entries.iter().position(|(key, ..)| key == DISABLED) else { return false };
    let (_, _, node) = map.entries.remove(at);
    match (&node.value, node.literal()) {
        (Value::Bool(flag, _), _) => *flag,
        // A variable's value is a text.
        (_, Some("true")) => true,
        (_, Some("false" | "")) => false,
        _ => {
            remarks.push(Remark::error(node.head(), "`disabled` is true or false"));
            false
        }
    }
}

/// Adds the name, the transport if it follows from the other members, and the folder to relative paths.
fn complete(name: &ServerName, map: &mut Map, values: &Values<'_>) {
    map.set("name", Node::text(name.as_str()));
    let transport = match (map.get("transport"), map.get("command"), map.get("url")) {
        (Some(_), ..) => None,
        (None, Some(_), _) => Some("stdio"),
        (None, None, Some(url)) => {
            let path = url.literal().unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
            Some(if path.trim_end_matches('/').ends_with("/sse") { "sse" } else { "streamable-http" })
        }
        (None, None, None) => None,
    };
    if let Some(transport) = transport {
        map.set("transport", Node::text(transport));
    }
    for key in PATHS {
        if let Some(Node { value: Value::Text(Text { text, .. }), .. }) = map.get_mut(key)
            && !text.is_empty()
        {
            *text = values.surroundings.path(text);
        }
    }
}

/// Returns the member that an error is about; `None` for one that is missing.
fn member_of(error: &InvalidDefinition) -> Option<&'static str> {
    Some(match error {
        InvalidDefinition::Transport(_) | InvalidDefinition::ModernSse => "transport",
        InvalidDefinition::FilterMode(_) | InvalidDefinition::FilterEmpty => "toolFilter",
        InvalidDefinition::Negative(member) | InvalidDefinition::RelativeFile(member) => member,
        InvalidDefinition::Tiny { field, .. } => field,
        InvalidDefinition::Url(_) => "url",
        InvalidDefinition::Header(..) => "headers",
        InvalidDefinition::Nul => "command",
        InvalidDefinition::Token(_) => "authTokens",
        InvalidDefinition::AllowedIp(_) => "allowedIPs",
        InvalidDefinition::Scope(_) => "requiredScopes",
        InvalidDefinition::SessionMode(_) => "sessionMode",
        InvalidDefinition::Era(_) => "era",
        InvalidDefinition::Eras(_) => "eras",
        InvalidDefinition::Proxy | InvalidDefinition::NoNetwork => "proxy",
        InvalidDefinition::HalfIdentity => "clientCertFile",
        InvalidDefinition::User(_) => "user",
        InvalidDefinition::Umask(_) => "umask",
        InvalidDefinition::InheritedVariable(_) => "inheritEnv",
        InvalidDefinition::LittleMemory(_) => "maxMemoryBytes",
        InvalidDefinition::Nice(_) => "nice",
        InvalidDefinition::Unknown { .. }
        | InvalidDefinition::Name(_)
        | InvalidDefinition::NoCommand
        | InvalidDefinition::NoUrl
        | InvalidDefinition::NoProcess
        | InvalidDefinition::NothingToKeep(_) => return None,
    })
}
