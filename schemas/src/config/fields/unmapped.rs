//! Keys of other programs that have no meaning for a gateway, by the reason why.

use crate::config::entry::{Entry, Used, is_comment};
use crate::config::remark::{Level, Remark};
use crate::document::{Node, Span, Value};

/// Keys without a meaning here, and the reason.
struct Group {
    keys: &'static [&'static str],
    reason: &'static str,
    level: Level,
}

const GROUPS: [Group; 12] = [
    Group {
        keys: &[
            "autoApprove",
            "alwaysAllow",
            "trust",
            "default_tools_approval_mode",
            "approval_mode",
            "allowedTools",
            "disable-model-invocation",
        ],
        reason: APPROVAL,
        level: Level::Warning,
    },
    Group {
        keys: &[
            "oauth",
            "oauthClient",
            "oauthClientId",
            "oauthClientSecret",
            "oauthScopes",
            "oauthPublicClient",
            "oauthGrantType",
            "oauth_client_id",
            "oauth_client_secret",
            "oauth_callback_port",
            "oauth_resource",
            "oauth_token",
            "oidc",
            "auth",
            "auth_type",
            "authProviderType",
            "targetAudience",
            "targetServiceAccount",
            "requiresOAuth",
            "scopes",
            "remote_auth_config",
        ],
        reason: LOGIN,
        level: Level::Warning,
    },
    Group {
        keys: &[
            "sandbox",
            "sandboxEnabled",
            "security",
            "image",
            "volumes",
            "user",
            "permission_profile",
            "permission_profile_name_or_path",
            "isolate_network",
            "allowHosts",
        ],
        reason: "the gateway starts programs without a sandbox or a container",
        level: Level::Warning,
    },
    Group {
        keys: &["env_keys", "secrets"],
        reason: "the values are in the program's store of secrets; set environment variables of these names",
        level: Level::Warning,
    },
    Group {
        keys: &["installCommands", "installDirectory"],
        reason: "an import runs nothing; install the server, and name its program in `command`",
        level: Level::Warning,
    },
    Group {
        keys: &["verifySsl", "proxy", "caBundlePath", "clientCertificate", "tls"],
        reason: "set the proxy and the certificates of a server in its definition",
        level: Level::Warning,
    },
    Group {
        keys: &["tools_override", "overrides", "prompts", "resources", "allowed_params"],
        reason: "the gateway offers what a server has as the server describes it",
        level: Level::Warning,
    },
    Group {
        keys: &["passthroughHeaders", "extra_headers", "customUserVars", "add_headers_from_secret"],
        reason: "the gateway sends every user's requests with the headers of the definition",
        level: Level::Warning,
    },
    Group {
        keys: &[
            "restartOnExit",
            "maxRestarts",
            "restartDelay",
            "watchPaths",
            "dev",
            "keepAliveInterval",
            "idleTimeoutMs",
            "maxTotalTimeout",
            "resetTimeoutOnProgress",
            "sseReadTimeout",
            "longLived",
            "required",
            "startup",
            "panicIfInvalid",
            "inheritParentEnv",
            "envFilter",
            "clear_env",
            "experimental_environment",
        ],
        reason: "the gateway supervises its servers by its own rules",
        level: Level::Note,
    },
    Group { keys: &OF_PROGRAMS, reason: OTHER_TRANSPORT, level: Level::Warning },
    Group { keys: &OF_REMOTE_SERVERS, reason: OTHER_TRANSPORT, level: Level::Warning },
    Group { keys: &NO_MEANING, reason: "it has no meaning for a gateway", level: Level::Note },
];

const NO_MEANING: [&str; 56] = [
    "access_groups",
    "alias",
    "alwaysLoad",
    "base_name",
    "bundled",
    "chatMenu",
    "condition",
    "config",
    "container_labels",
    "container_name",
    "dateAdded",
    "deferTools",
    "displayName",
    "display_name",
    "extension",
    "faviconUrl",
    "gallery",
    "group",
    "host",
    "icon",
    "iconPath",
    "id",
    "instructions",
    "mcp_info",
    "metadata",
    "name",
    "owner",
    "port",
    "proto",
    "provider",
    "proxy_mode",
    "readme",
    "ref",
    "registryUrl",
    "remoteConfigured",
    "resource",
    "schema",
    "schema_version",
    "serverInstructions",
    "settings",
    "slowConnectionThresholdMs",
    "snapshot",
    "source",
    "spec_path",
    "stderr",
    "tags",
    "target_host",
    "target_port",
    "tcp",
    "title",
    "toolsUrl",
    "type",
    "upstream",
    "use_proxy",
    "version",
    "versionNegotiation",
];

/// Keys that have a meaning for programs only.
pub(in crate::config) const OF_PROGRAMS: [&str; 9] =
    ["args", "cwd", "env", "envFile", "env_vars", "environment", "envs", "workingDirectory", "working_directory"];
/// Keys that have a meaning for remote servers only.
pub(in crate::config) const OF_REMOTE_SERVERS: [&str; 4] =
    ["headers", "http_headers", "static_headers", "env_http_headers"];

/// Reason for keys about approval.
pub(in crate::config) const APPROVAL: &str =
    "it concerns questions to the program's user, which a gateway does not ask";
const LOGIN: &str = "a login in a browser and its tokens belong to the program; give the gateway a token in `headers`";
const OTHER_TRANSPORT: &str = "a server of its transport has no use for it";
/// Maximum number of keys that a remark names.
const MAX_PATHS: usize = 12;
const UNKNOWN: &str = "no known program reads it";

/// Returns one remark for each reason, with all the keys that it applies to.
pub(in crate::config) fn remarks<'e>(read: impl Iterator<Item = &'e (&'e Entry<'e>, Used)>) -> Vec<Remark> {
    let mut found: Vec<(&str, Level, Span, Vec<String>, usize)> = Vec::new();
    for (entry, used) in read {
        for (path, key, span, node) in entry.keys().filter(|(_, key, ..)| !used.has(key) && !is_comment(key)) {
            let group = GROUPS.iter().find(|group| group.keys.contains(&key));
            let (reason, level) = group.map_or((UNKNOWN, Level::Note), |group| (group.reason, group.level));
            if is_nothing(node, reason) {
                continue;
            }
            let path = || format!("`{}.{path}`", entry.name);
            match found.iter_mut().find(|(known, ..)| *known == reason) {
                Some((.., paths, _)) if paths.len() < MAX_PATHS => paths.push(path()),
                Some((.., more)) => *more += 1,
                None => found.push((reason, level, span, vec![path()], 0)),
            }
        }
    }
    let remark = |(reason, level, span, paths, more): (&str, Level, Span, Vec<String>, usize)| {
        let verb = if paths.len() == 1 { "has" } else { "have" };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("{}{more} {verb} no effect: {reason}", paths.join(", "));
        Remark { level, ..Remark::note(span, message) }
    };
    found.into_iter().map(remark).collect()
}

/// True for a value that says nothing: null, or none of what the reason is about.
fn is_nothing(node: &Node, reason: &str) -> bool {
    let is_off = match &node.value {
        Value::Null => return true,
        Value::Bool(flag, _) => !flag,
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.entries.is_empty(),
        _ => false,
    };
    is_off && [APPROVAL, LOGIN, OTHER_TRANSPORT].contains(&reason)
}
