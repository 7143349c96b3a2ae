//! `gateway:` of an entry: settings of a server that only the gateway has.

use schemas::dialect::compozy::DefinitionDocument;
use schemas::document::Node;
use schemas::workflow::{GATEWAY_SETTINGS_KEYS, GatewaySettings, Text};
use schemas::{Secret, WireDuration};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::plan::tags::{PROTECTED_TAG, PROVENANCE};
use crate::workflow::fields::Fields;

/// Adds the entry's `gateway` settings to the definition. Returns `None` if one is wrong.
pub(super) fn apply(fields: &mut Fields<'_>, document: DefinitionDocument) -> Option<DefinitionDocument> {
    let mut document = document;
    if fields.entry.prevent_destroy == Some(true) {
        document.tags.insert(PROTECTED_TAG.to_owned(), "true".to_owned());
    }
    let Some(settings) = fields.entry.gateway.as_ref() else { return Some(document) };
    let node = fields.node.get("gateway")?;
    let tokens = node.get("auth_tokens").map(Node::items).unwrap_or_default();
    let tokens: Vec<Option<String>> = tokens.iter().map(|token| fields.render(token)).collect();
    let tokens: Option<Vec<Secret>> = tokens.into_iter().map(|token| token.map(Secret::new)).collect();
    let proxy = match node.get("proxy") {
        Some(proxy) => Some(Secret::new(fields.render(proxy)?)).filter(|proxy| !proxy.expose().is_empty()),
        None => None,
    };
    let cwd = node.get("cwd").map_or(Some(String::new()), |cwd| fields.render(cwd));
    for tag in own_tags() {
        if settings.tags.contains_key(tag) {
            let message = format!("tag `{tag}` is set by this program");
            fields.diagnostics.push(Diagnostic::new(Code::MisplacedKey, &fields.file.at(node.span), message));
        }
    }
    let settings = settings.clone();
    document.tags.extend(settings.tags);
    Some(DefinitionDocument {
        description: settings.description,
        tool_filter: settings.tool_filter,
        cwd: cwd?,
        era: settings.era,
        eras: settings.eras,
        priority: settings.priority,
        proxy,
        ca_file: settings.ca_file,
        client_cert_file: settings.client_cert_file,
        client_key_file: settings.client_key_file,
        call_timeout: settings.call_timeout,
        max_call_timeout: settings.max_call_timeout,
        list_timeout: settings.list_timeout,
        refresh_interval: settings.refresh_interval,
        max_in_flight: settings.max_in_flight,
        max_message_bytes: settings.max_message_bytes,
        session_mode: settings.session_mode,
        auto_reconnect: settings.auto_reconnect,
        max_reconnects: settings.max_reconnects,
        reconnect_delay: settings.reconnect_delay,
        health_check_enabled: settings.health_check_enabled,
        health_check_interval: settings.health_check_interval,
        log_enabled: settings.log_enabled,
        auth_tokens: tokens?,
        require_auth: settings.require_auth,
        allowed_ips: settings.allowed_ips,
        required_scopes: settings.required_scopes,
        user: settings.user.0,
        umask: settings.umask,
        inherit_env: settings.inherit_env,
        max_memory_bytes: settings.max_memory_bytes,
        max_cpu_time: settings.max_cpu_time,
        max_open_files: settings.max_open_files,
        nice: settings.nice,
        ..document
    })
}

/// Reports unknown keys of `gateway`.
pub(super) fn check_keys(fields: &mut Fields<'_>) {
    let Some(map) = fields.node.get("gateway").and_then(Node::as_map) else { return };
    for (key, position, _) in &map.entries {
        if !GATEWAY_SETTINGS_KEYS.contains(&key.as_str()) {
            let remark =
                Diagnostic::new(Code::UnknownKey, &fields.file.at(*position), format!("unknown key `gateway.{key}`"));
            fields.diagnostics.push(remark.did_you_mean(nearest(key, GATEWAY_SETTINGS_KEYS)));
        }
    }
}

/// Returns the tags that this program sets.
fn own_tags() -> impl Iterator<Item = &'static str> {
    PROVENANCE.into_iter().chain([PROTECTED_TAG])
}

/// Returns the settings of a registration that only `gateway:` can express; `None` if all are defaults.
pub(crate) fn settings_of(document: &DefinitionDocument) -> Option<GatewaySettings> {
    let document = document.clone();
    let mut tags = document.tags;
    tags.retain(|tag, _| own_tags().all(|own| own != tag));
    let settings = GatewaySettings {
        description: document.description,
        tool_filter: document.tool_filter,
        tags,
        cwd: Text(document.cwd),
        era: document.era,
        eras: document.eras,
        priority: document.priority,
        proxy: document.proxy.map(|proxy| proxy.expose().to_owned()).unwrap_or_default(),
        ca_file: document.ca_file,
        client_cert_file: document.client_cert_file,
        client_key_file: document.client_key_file,
        call_timeout: document.call_timeout,
        max_call_timeout: document.max_call_timeout,
        list_timeout: document.list_timeout,
        refresh_interval: document.refresh_interval,
        max_in_flight: document.max_in_flight,
        max_message_bytes: document.max_message_bytes,
        session_mode: document.session_mode,
        auto_reconnect: document.auto_reconnect,
        max_reconnects: document.max_reconnects,
        reconnect_delay: document.reconnect_delay,
        health_check_enabled: document.health_check_enabled,
        health_check_interval: document.health_check_interval,
        log_enabled: document.log_enabled,
        auth_tokens: document.auth_tokens.into_iter().map(|token| Text(token.expose().to_owned())).collect(),
        require_auth: document.require_auth,
        allowed_ips: document.allowed_ips,
        required_scopes: document.required_scopes,
        user: Text(document.user),
        umask: document.umask,
        inherit_env: document.inherit_env,
        max_memory_bytes: document.max_memory_bytes,
        max_cpu_time: document.max_cpu_time,
        max_open_files: document.max_open_files,
        nice: document.nice,
    };
    (settings != GatewaySettings::default()).then_some(settings)
}

/// Formats a duration as an author writes it; `None` for zero and for negative ones.
pub(crate) fn duration_text(duration: WireDuration) -> Option<String> {
    duration.get().filter(|duration| !duration.is_zero()).map(schemas::format_duration)
}
