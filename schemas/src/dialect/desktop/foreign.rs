//! Reads a file, and recognises the keys of a server that other programs read and the gateway ignores.

use serde::de::Error as _;
use serde_json::{Error, Value};

use crate::dialect::desktop::{Document, Entry};
use crate::nearest;

/// Keys that desktop clients and editors are known to write into a server, besides those of [`Entry`].
const FOREIGN: [&str; 74] = [
    "alwaysAllow",
    "alwaysLoad",
    "apiKey",
    "auth",
    "authProviderType",
    "autoApprove",
    "available_tools",
    "bearer_token_env_var",
    "bundled",
    "connectionTimeout",
    "deferTools",
    "description",
    "dev",
    "disabledTools",
    "disabled_tools",
    "discoveryTimeoutMs",
    "displayName",
    "enabled",
    "enabled_tools",
    "envFile",
    "env_http_headers",
    "env_keys",
    "env_vars",
    "envs",
    "excludeTools",
    "experimental_environment",
    "gallery",
    "headersHelper",
    "http_headers",
    "icon",
    "id",
    "includeTools",
    "initTimeout",
    "iconPath",
    "instructions",
    "isActive",
    "name",
    "oauth",
    "oauthClient",
    "oauthClientId",
    "oauthGrantType",
    "oauthPublicClient",
    "oauthScopes",
    "oauth_client_id",
    "oauth_resource",
    "oidc",
    "provider",
    "registryUrl",
    "requestOptions",
    "request_timeout_ms",
    "required",
    "requiresOAuth",
    "sandbox",
    "sandboxEnabled",
    "scopes",
    "settings",
    "slowConnectionThresholdMs",
    "source",
    "sseReadTimeout",
    "startup",
    "startup_timeout_ms",
    "startup_timeout_sec",
    "stderr",
    "tags",
    "targetAudience",
    "targetServiceAccount",
    "timeout",
    "tool_timeout_sec",
    "tools",
    "trust",
    "version",
    "watch",
    "workingDirectory",
    "working_directory",
];

impl Document {
    /// Parses a file, and returns the paths of those keys of its servers that only other programs read.
    ///
    /// # Errors
    ///
    /// If the text is not such a file, or a server has a key that no known program reads.
    ///
    /// ```
    /// use schemas::dialect::desktop::Document;
    ///
    /// let (_, foreign) = Document::read(r#"{"mcpServers": {"a": {"command": "x", "autoApprove": []}}}"#)?;
    /// assert_eq!(foreign, ["mcpServers.a.autoApprove"]);
    ///
    /// let error = Document::read(r#"{"mcpServers": {"a": {"comand": "x"}}}"#).map_err(|error| error.to_string());
    /// assert_eq!(error.err().as_deref(), Some("unknown member `mcpServers.a.comand`; did you mean `command`?"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<(Self, Vec<String>), Error> {
        let mut unknown = Vec::new();
        let mut json = serde_json::Deserializer::from_str(text);
        let document = serde_ignored::deserialize(&mut json, |path| unknown.push(path.to_string()))?;
        json.end()?;
        let (mut foreign, mut wrong) = (Vec::new(), None);
        for path in unknown {
            // Ignore unknown keys outside of servers: they are other settings of the program that owns the file.
            let Some(member) = path.splitn(3, '.').nth(2).map(|_| last(&path)) else { continue };
            if is_foreign(member) {
                foreign.push(path);
            } else {
                wrong.get_or_insert(path);
            }
        }
        match wrong {
            None => Ok((document, foreign)),
            Some(path) => {
                let meant = nearest(last(&path), members().iter().map(String::as_str)).map(str::to_owned);
                let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                Err(Error::custom(format!("unknown member `{path}`{hint}")))
            }
        }
    }
}

/// Returns the part after the last dot. A server's name may contain dots, a key hardly ever.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Returns true for known keys of other programs and for comments and extensions: `_note`, `//`, `#`, `$schema`,
/// `x-vendor`.
fn is_foreign(member: &str) -> bool {
    let is_note = member.starts_with(['_', '/', '#', '$']) || member.starts_with("x-") || member.starts_with("comment");
    is_note || FOREIGN.contains(&member)
}

fn members() -> Vec<String> {
    let schema = schemars::schema_for!(Entry);
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    properties.into_iter().map(|(member, _)| member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: &str, expected: Result<&[&str], &str>) {
        let told = Document::read(&format!(r#"{{"theme":1,"mcpServers":{{"a.b":{entry}}}}}"#));
        let told = told.map(|(_, foreign)| foreign).map_err(|error| error.to_string());
        let expected = expected.map(|names| names.iter().map(|name| format!("mcpServers.a.b.{name}")).collect());
        assert_eq!(told, expected.map_err(str::to_owned), "{entry}");
    }

    #[test]
    fn keys_of_other_programs_are_named_and_mistakes_refused() {
        check(r#"{"command":"x"}"#, Ok(&[]));
        check(
            r#"{"command":"x","alwaysAllow":[],"oauth":{"x":1},"_note":"n"}"#,
            Ok(&["alwaysAllow", "oauth", "_note"]),
        );
        check(r#"{"command":"x","arg":[]}"#, Err("unknown member `mcpServers.a.b.arg`; did you mean `args`?"));
        check(r#"{"command":"x","authTokens":[""]}"#, Err("unknown member `mcpServers.a.b.authTokens`"));
        check(r#"{"command":"x","ENV":{}}"#, Err("unknown member `mcpServers.a.b.ENV`; did you mean `env`?"));
    }
}
