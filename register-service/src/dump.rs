//! Converts registrations to a file that declares them, and a backup back to definitions.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemas::admin::Registration;
use schemas::dialect::compozy::{Command, DefinitionDocument};
use schemas::document::yaml;
use schemas::workflow::GatewaySettings;
use schemas::{Definition, Secret, WireDuration};
use serde_json::{Map, Value, json};

use crate::plan::tags::{PROTECTED_TAG, PROVENANCE};
use crate::workflow::gateway::{duration_text, settings_of};
use crate::workflow::{Desired, Entry, Usage};

/// Formats a file with an entry for each registration, in the given order. Secrets are `[redacted]`, for which
/// [`plan`](crate::plan) keeps those of the gateway.
///
/// ```
/// # let registration = serde_json::from_str(
/// #     r#"{"definition":{"name":"time","transport":"stdio","command":"mcp-server-time"},"status":{"name":"time"}}"#)?;
/// let file = register_service::files::dump(&[registration]);
/// assert!(file.contains("id: time") && file.contains("command:"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn dump(registrations: &[Registration]) -> String {
    // Another implementation's gateway may show its secrets.
    written_out(registrations.iter().map(|it| entry(&it.definition.document().clone().redacted())))
}

/// Formats a backup: like [`dump`], but with the secrets that the registrations contain, and with the owner of each.
///
/// ```
/// # let registration = serde_json::from_str(
/// #     r#"{"definition":{"name":"time","transport":"stdio","command":"x","env":{"T":"s3cret"},"tags":{"owner":"a"}}}"#)?;
/// let file = register_service::files::dump_with_secrets(&[registration]);
/// assert!(file.contains("T: s3cret") && file.contains("owner: a"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn dump_with_secrets(registrations: &[Registration]) -> String {
    let whole = |document: &DefinitionDocument| {
        let mut entry = entry(document);
        let tags: BTreeMap<_, _> = document.tags.iter().filter(|(tag, _)| PROVENANCE.contains(&tag.as_str())).collect();
        if let (Some(entry), false) = (entry.as_object_mut(), tags.is_empty()) {
            entry.insert(REGISTERED.to_owned(), json!(tags));
        }
        entry
    };
    written_out(registrations.iter().map(|it| whole(it.definition.document())))
}

/// Returns the definitions of a backup as they were registered: with the owner and source that [`dump_with_secrets`]
/// has recorded, instead of the file's own. A [`Policy`](crate::plan::Policy) with `restore` keeps them.
///
/// ```
/// use register_service::files::{load_text, restored};
/// use register_service::{Environment, Settings};
///
/// let backup = "mcps:\n  - {id: time, command: x, use_proxy: true, registered: {owner: team-a}}\n";
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let definitions = restored(&load_text("backup.yaml", backup, &settings)?.desired);
/// assert_eq!(definitions[0].tags.iter().collect::<Vec<_>>(), [(&"owner".to_owned(), &"team-a".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn restored(desired: &Desired) -> Vec<Definition> {
    let tags_of = |definition: &Definition| {
        let declares =
            |entry: &&Entry| matches!(&entry.usage, Usage::Registered { definition: it, .. } if **it == *definition);
        let node = desired.entries().iter().find(declares)?.node(desired.files())?;
        let map = node.get(REGISTERED)?.as_map()?;
        let tags = map.entries.iter().filter(|(tag, ..)| PROVENANCE.contains(&tag.as_str()));
        Some(tags.filter_map(|(tag, _, value)| Some((tag.clone(), value.literal()?.to_owned()))).collect::<Vec<_>>())
    };
    let mut definitions = desired.definitions();
    for definition in &mut definitions {
        let tags = tags_of(definition).unwrap_or_default();
        definition.tags.retain(|tag, _| !PROVENANCE.contains(&tag.as_str()));
        definition.tags.extend(tags);
    }
    definitions
}

/// Key of an entry under which a backup stores the registration's provenance tags.
const REGISTERED: &str = "registered";

fn written_out(entries: impl Iterator<Item = Value>) -> String {
    // Serialisation cannot fail: a tree of strings, numbers, lists and maps has a YAML form.
    yaml::text(&json!({ "mcps": entries.collect::<Vec<Value>>() }))
}

/// Formats a file with an entry for each definition, whose texts are templates already.
///
/// ```
/// use schemas::dialect::compozy::DefinitionDocument;
///
/// let posted = r#"{"name":"docs","transport":"sse","url":"https://{{ .env.HOST }}/sse"}"#;
/// let document: DefinitionDocument = serde_json::from_str(posted)?;
/// assert!(register_service::files::written(&[document]).contains("https://{{ .env.HOST }}/sse"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn written(definitions: &[DefinitionDocument]) -> String {
    written_out(definitions.iter().map(|document| spelled(document, str::to_owned)))
}

/// Returns the entry that declares a definition as it is.
fn entry(document: &DefinitionDocument) -> Value {
    spelled(document, literal)
}

/// Returns the entry that declares a definition, with its texts written by `spell`.
fn spelled(document: &DefinitionDocument, spell: fn(&str) -> String) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| {
        if !is_nothing(&value) {
            entry.insert(key.to_owned(), value);
        }
    };
    put("id", json!(document.name));
    put("use_proxy", json!(true));
    put("transport", json!(document.transport));
    put("url", json!(spell(&document.url)));
    let (program, arguments) = command(document, spell);
    put("command", program);
    put("args", arguments);
    put("headers", secrets(&document.headers, spell));
    put("env", secrets(&document.env, spell));
    put("start_timeout", json!(duration_text(document.timeout)));
    put("max_sessions", if document.max_sessions > 0 { json!(document.max_sessions) } else { Value::Null });
    let is_protected = document.tags.get(PROTECTED_TAG).is_some_and(|value| value == "true");
    put("prevent_destroy", if is_protected { json!(true) } else { Value::Null });
    put("gateway", settings_of(document).map_or(Value::Null, |it| settings(it, spell)));
    Value::Object(entry)
}

/// Returns the program, quoted so that it is split into one word, and its arguments.
fn command(document: &DefinitionDocument, spell: fn(&str) -> String) -> (Value, Value) {
    let words = match &document.command {
        Command::Program(program) if program.is_empty() => return (Value::Null, Value::Null),
        Command::Program(program) => vec![program.clone()],
        Command::Line(words) => words.clone(),
    };
    let words = [words, document.args.clone(), document.startup_args.clone()].concat();
    let Some((program, arguments)) = words.split_first() else { return (Value::Null, Value::Null) };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let text = match program.chars().all(is_plain) {
        true => program.clone(),
        false => format!("'{}'", program.replace('\'', r"'\''")),
    };
    (json!(spell(&text)), arguments.iter().map(|word| spell(word)).collect())
}

fn secrets(named: &IndexMap<String, Secret>, spell: fn(&str) -> String) -> Value {
    named.iter().map(|(name, secret)| (name.clone(), json!(spell(secret.expose())))).collect()
}

/// Escapes a text so that it renders to itself: `{{` in it does not begin a template.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ `{{` }}")
}

fn settings(settings: GatewaySettings, spell: fn(&str) -> String) -> Value {
    let duration = |duration: WireDuration| json!(duration_text(duration));
    let tokens: Vec<String> = settings.auth_tokens.iter().map(|token| spell(&token.0)).collect();
    let all = [
        ("description", json!(settings.description)),
        ("tool_filter", json!(settings.tool_filter)),
        ("tags", json!(settings.tags)),
        ("cwd", json!(spell(&settings.cwd.0))),
        ("era", json!(settings.era)),
        ("eras", json!(settings.eras)),
        ("priority", json!(settings.priority)),
        ("proxy", json!(spell(&settings.proxy))),
        ("ca_file", json!(settings.ca_file)),
        ("client_cert_file", json!(settings.client_cert_file)),
        ("client_key_file", json!(settings.client_key_file)),
        ("call_timeout", duration(settings.call_timeout)),
        ("max_call_timeout", duration(settings.max_call_timeout)),
        ("list_timeout", duration(settings.list_timeout)),
        ("refresh_interval", duration(settings.refresh_interval)),
        ("max_in_flight", json!(settings.max_in_flight)),
        ("max_message_bytes", json!(settings.max_message_bytes)),
        ("session_mode", json!(settings.session_mode)),
        ("auto_reconnect", json!(settings.auto_reconnect)),
        ("max_reconnects", json!(settings.max_reconnects)),
        ("reconnect_delay", duration(settings.reconnect_delay)),
        ("health_check_enabled", json!(settings.health_check_enabled)),
        ("health_check_interval", duration(settings.health_check_interval)),
        ("log_enabled", json!(settings.log_enabled)),
        ("auth_tokens", json!(tokens)),
        ("require_auth", json!(settings.require_auth)),
        ("allowed_ips", json!(settings.allowed_ips)),
        ("required_scopes", json!(settings.required_scopes)),
        ("user", json!(settings.user.0)),
        ("umask", json!(settings.umask)),
        ("inherit_env", json!(settings.inherit_env)),
        ("max_memory_bytes", json!(settings.max_memory_bytes)),
        ("max_cpu_time", duration(settings.max_cpu_time)),
        ("max_open_files", json!(settings.max_open_files)),
        ("nice", json!(settings.nice)),
    ];
    all.into_iter().filter(|(_, value)| !is_nothing(value)).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// True for a value that can be omitted, because it is the default of its key.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::template::{self, Environment, OnUnset};

    fn registration(definition: Value) -> Registration {
        serde_json::from_value(json!({ "definition": definition })).expect("a registration")
    }

    #[test]
    fn what_looks_like_a_template_means_itself() {
        for text in ["{{ .env.X }}", "{{", "{{{ }}", "a{{b{{{{c}}", "{ {"] {
            assert_eq!(
                template::render(&literal(text), &Environment::default(), OnUnset::Refused).as_deref(),
                Ok(text)
            );
        }
        let definition = json!({"name": "a", "transport": "stdio", "command": "p", "args": ["{{ .env.X }}"]});
        assert!(dump(&[registration(definition)]).contains("{{ `{{` }} .env.X }}"));
    }

    #[test]
    fn no_secret_shows_whatever_the_gateway_does() {
        let definition = json!({"name": "a", "transport": "sse", "url": "http://x.test/sse", "env": {"A": "s3cret"},
            "headers": {"Authorization": "s3cret"}, "authTokens": ["s3cret"]});
        let shown = dump(&[registration(definition)]);
        assert!(!shown.contains("s3cret") && shown.matches("[redacted]").count() == 3, "{shown}");
    }
}
