//! Differences between a declared definition and a registration, described without secrets.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemas::admin::{Fingerprints, Registration};
use schemas::dialect::compozy::{Command, DefinitionDocument};
use schemas::plan::Reason;
use schemas::{Definition, Secret, WireDuration, format_duration};
use url::Url;

use crate::plan::tags::PROVENANCE;

/// Returns the differences, with defaults applied on both sides; empty if the registration is as declared.
pub(crate) fn differences(desired: &Definition, observed: &Registration) -> Vec<Reason> {
    let theirs = normalized(observed.definition.document());
    let ours = DefinitionDocument::from(desired.clone());
    let prints = observed.fingerprints.as_ref();
    // Compare redacted texts here: secret parts are compared separately, by their own keys.
    let (shown, their_shown) = (ours.clone().redacted(), theirs.clone().redacted());
    let (ours_parts, their_parts) = (ours.secret_parts(), theirs.secret_parts());
    let mut reasons = Vec::new();
    let mut compare = |field: &str, differs: bool, detail: Option<String>| {
        if differs {
            reasons.push(Reason::new(field, detail));
        }
    };
    let became = |from: &str, to: &str| Some(format!("{from} -> {to}"));
    let times = |from: WireDuration, to: WireDuration| became(&length(from), &length(to));
    compare("description", ours.description != theirs.description, None);
    compare("transport", ours.transport != theirs.transport, became(&theirs.transport, &ours.transport));
    compare("command", ours.command != theirs.command, None);
    compare("args", shown.args != their_shown.args, None);
    compare("url", shown.url != their_shown.url, hosts(&theirs.url, &ours.url));
    compare("timeout", ours.timeout != theirs.timeout, times(theirs.timeout, ours.timeout));
    compare("autoReconnect", ours.auto_reconnect != theirs.auto_reconnect, None);
    compare("maxReconnects", ours.max_reconnects != theirs.max_reconnects, None);
    compare("reconnectDelay", ours.reconnect_delay != theirs.reconnect_delay, None);
    compare("healthCheckEnabled", ours.health_check_enabled != theirs.health_check_enabled, None);
    compare("healthCheckInterval", ours.health_check_interval != theirs.health_check_interval, None);
    compare("logEnabled", ours.log_enabled != theirs.log_enabled, None);
    compare("toolFilter", ours.tool_filter != theirs.tool_filter, None);
    compare("requireAuth", ours.require_auth != theirs.require_auth, None);
    compare("allowedIPs", ours.allowed_ips != theirs.allowed_ips, None);
    // Compare members that are extensions only with our own gateway, recognised by its fingerprints: other proxies
    // drop them.
    if prints.is_some() {
        compare("cwd", ours.cwd != theirs.cwd, None);
        compare("requiredScopes", ours.required_scopes != theirs.required_scopes, None);
        compare("sessionMode", ours.session_mode != theirs.session_mode, None);
        compare("era", ours.era != theirs.era, None);
        compare("eras", ours.eras != theirs.eras, None);
        compare("priority", ours.priority != theirs.priority, None);
        compare("caFile", ours.ca_file != theirs.ca_file, None);
        compare("clientCertFile", ours.client_cert_file != theirs.client_cert_file, None);
        compare("clientKeyFile", ours.client_key_file != theirs.client_key_file, None);
        limits(&ours, &theirs).into_iter().for_each(|(field, differs, detail)| compare(field, differs, detail));
        compare("maxSessions", ours.max_sessions != theirs.max_sessions, None);
    }
    reasons.extend(secrets(&fold(ours.headers), &fold(theirs.headers), prints));
    reasons.extend(secrets(&plain(ours.env), &plain(theirs.env), prints));
    if prints.is_some() {
        reasons.extend(secrets(&only("proxy", ours.proxy), &only("proxy", theirs.proxy), prints));
    }
    reasons.extend(secrets(&numbered(ours.auth_tokens), &numbered(theirs.auth_tokens), prints));
    reasons.extend(secrets(&parts(&ours_parts), &parts(&their_parts), prints));
    reasons.extend(tags(&ours.tags, &theirs.tags));
    reasons
}

/// Compares the limits of one upstream and the settings of its processes. Returns for each its name, whether it differs, and a description if it is
/// short.
fn limits(ours: &DefinitionDocument, theirs: &DefinitionDocument) -> [(&'static str, bool, Option<String>); 13] {
    let time = |field, ours: WireDuration, theirs: WireDuration| {
        (field, ours != theirs, Some(format!("{} -> {}", length(theirs), length(ours))))
    };
    [
        time("callTimeout", ours.call_timeout, theirs.call_timeout),
        time("maxCallTimeout", ours.max_call_timeout, theirs.max_call_timeout),
        time("listTimeout", ours.list_timeout, theirs.list_timeout),
        time("refreshInterval", ours.refresh_interval, theirs.refresh_interval),
        ("maxInFlight", ours.max_in_flight != theirs.max_in_flight, None),
        ("maxMessageBytes", ours.max_message_bytes != theirs.max_message_bytes, None),
        ("user", ours.user != theirs.user, None),
        ("umask", ours.umask != theirs.umask, None),
        ("inheritEnv", ours.inherit_env != theirs.inherit_env, None),
        ("maxMemoryBytes", ours.max_memory_bytes != theirs.max_memory_bytes, None),
        time("maxCpuTime", ours.max_cpu_time, theirs.max_cpu_time),
        ("maxOpenFiles", ours.max_open_files != theirs.max_open_files, None),
        ("nice", ours.nice != theirs.nice, None),
    ]
}

/// Converts the observed document to the form that this version writes. Leaves an invalid document unchanged.
fn normalized(document: &DefinitionDocument) -> DefinitionDocument {
    let written = |definition| DefinitionDocument::from(definition);
    let read = Definition::try_from(document.clone()).map_or_else(|_| document.clone(), written);
    DefinitionDocument { command: program(read.command.clone()), ..read }
}

fn program(command: Command) -> Command {
    match command {
        Command::Line(mut words) if words.len() == 1 => Command::Program(words.pop().unwrap_or_default()),
        other => other,
    }
}

fn length(duration: WireDuration) -> String {
    match duration.get() {
        Some(duration) if !duration.is_zero() => format_duration(duration),
        Some(_) | None => "none".to_owned(),
    }
}

/// Describes a change of URLs by their origins only: path and query may contain secrets.
fn hosts(from: &str, to: &str) -> Option<String> {
    let host = |url: &str| {
        let url = Url::parse(url).ok()?;
        Some(url.origin().ascii_serialization())
    };
    let (from, to) = (host(from)?, host(to)?);
    (from != to).then(|| format!("{from} -> {to}"))
}

/// Secrets by comparison key, each with the key of its fingerprint.
type Secrets = BTreeMap<String, (String, Secret)>;

/// Collects headers by lower-case name, because header names are case-insensitive.
fn fold(headers: IndexMap<String, Secret>) -> Secrets {
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), (format!("headers.{name}"), value))).collect()
}

fn plain(env: IndexMap<String, Secret>) -> Secrets {
    env.into_iter().map(|(name, value)| (name.clone(), (format!("env.{name}"), value))).collect()
}

fn only(name: &str, value: Option<Secret>) -> Secrets {
    value.into_iter().map(|value| (name.to_owned(), (name.to_owned(), value))).collect()
}

fn numbered(tokens: Vec<Secret>) -> Secrets {
    let place = |(index, token): (usize, Secret)| (format!("{index:06}"), (format!("authTokens.{index}"), token));
    tokens.into_iter().enumerate().map(place).collect()
}

/// Collects the secret parts of a URL and of arguments.
fn parts(parts: &[(String, Secret)]) -> Secrets {
    parts.iter().map(|(place, secret)| (place.clone(), (place.clone(), secret.clone()))).collect()
}

fn secrets(ours: &Secrets, theirs: &Secrets, prints: Option<&Fingerprints>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (key, (place, secret)) in ours {
        match theirs.get(key) {
            None => reasons.push(Reason::new(place, Some("added".to_owned()))),
            Some((their_place, shown)) if differs(secret, their_place, shown, prints) => {
                reasons.push(Reason::new(place, Some("changed".to_owned())));
            }
            Some(_) => {}
        }
    }
    for (key, (place, _)) in theirs {
        if !ours.contains_key(key) {
            reasons.push(Reason::new(place, Some("removed".to_owned())));
        }
    }
    reasons
}

/// Returns true if a secret differs from the gateway's. A hidden secret without a fingerprint counts as equal:
/// otherwise it would be sent on every run. A placeholder equals any secret.
fn differs(ours: &Secret, place: &str, shown: &Secret, prints: Option<&Fingerprints>) -> bool {
    if ours.is_redacted() {
        return false;
    }
    match prints.and_then(|prints| Some((&prints.salt, prints.values.get(place)?))) {
        Some((salt, print)) => ours.fingerprint(salt, place) != *print,
        None if shown.is_redacted() => false,
        None => ours != shown,
    }
}

/// Returns the placeholders of a declaration, whose secrets only a gateway may know.
pub(crate) fn unknown_secrets(desired: &Definition) -> Vec<Reason> {
    let ours = DefinitionDocument::from(desired.clone());
    let parts = parts(&ours.secret_parts());
    let all = [fold(ours.headers), plain(ours.env), only("proxy", ours.proxy), numbered(ours.auth_tokens), parts];
    let hidden = all.into_iter().flatten().filter(|(_, (_, secret))| secret.is_redacted());
    hidden.map(|(_, (place, _))| Reason::new(place, None)).collect()
}

fn tags(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Vec<Reason> {
    let is_compared = |tag: &&String| !PROVENANCE.contains(&tag.as_str());
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).filter(is_compared).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name));
    differing.map(|name| Reason::new(format!("tags.{name}"), None)).collect()
}
