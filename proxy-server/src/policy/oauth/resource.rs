//! The gateway's endpoints as protected resources (RFC 9728): their identifiers, metadata, and challenges.

use schemas::Definition;
use serde_json::{Value, json};

/// Prefix of the addresses of metadata (RFC 9728, 3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// Prefix under which every endpoint exists as well.
const PREFIX: &str = "/mcp-proxy";

/// Endpoint that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    All,
    One(&'a str),
}

/// Endpoints for which a token was issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    is_for_all: bool,
    is_for_everything: bool,
    names: Vec<String>,
}

impl Places {
    /// Reads the audiences of a token. `base` is the URL by which the request reached the gateway; `accepted` are the
    /// audiences that the operator accepts for every endpoint.
    pub(super) fn of(audiences: &[String], base: Option<&str>, accepted: &[String]) -> Self {
        let mut places = Self::default();
        for audience in audiences {
            if accepted.contains(audience) {
                places.is_for_everything = true;
                continue;
            }
            let Some(path) = base.and_then(|base| audience.strip_prefix(base)) else { continue };
            match endpoint(path) {
                _ if matches!(path, "" | "/") => places.is_for_everything = true,
                Some(Endpoint::All) => places.is_for_all = true,
                Some(Endpoint::One(name)) => places.names.push(name.to_owned()),
                None => {}
            }
        }
        places
    }

    pub(super) fn hold(&self, endpoint: Endpoint<'_>) -> bool {
        let is_named = match endpoint {
            Endpoint::All => self.is_for_all,
            Endpoint::One(name) => self.names.iter().any(|own| own == name),
        };
        self.is_for_everything || is_named
    }
}

/// Returns the endpoint of a path, which may have a slash at the end.
fn endpoint(path: &str) -> Option<Endpoint<'_>> {
    let path = path.strip_prefix(PREFIX).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let path = path.strip_prefix('/')?;
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    match (segments.next(), segments.next(), segments.next()) {
        (Some("mcp" | "sse"), None, None) => Some(Endpoint::All),
        (Some(name), Some("mcp" | "stream" | "sse"), None) if !name.is_empty() => Some(Endpoint::One(name)),
        _ => None,
    }
}

/// Returns the metadata of the endpoint with this path, which is what follows [`METADATA_PATH`]; `None` if there is no such
/// endpoint. Whether an upstream has this name is not told.
pub(super) fn metadata(path: &str, base: &str, issuer: &str, scopes: &[String]) -> Option<Value> {
    let own_prefix = url::Url::parse(base).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    // A proxy that takes a prefix away leaves it in the middle of this address.
    let path = path.strip_prefix(&*own_prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    if !matches!(path, "" | "/") {
        endpoint(path)?;
    }
    // Exactly the URL that users configure, which has no slash at the end.
    let resource = format!("{base}{}", path.strip_suffix('/').unwrap_or(path));
    Some(json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    }))
}

/// Returns the scopes for an endpoint, without repetition: those of every endpoint, then the definition's own.
pub(super) fn scopes(common: &[String], definition: Option<&Definition>) -> Vec<String> {
    let own = definition.map(|definition| definition.access.required_scopes.as_slice()).unwrap_or_default();
    union(common, own)
}

/// Returns the scopes of two lists in order, without repetition.
pub(super) fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(one.len() + other.len());
    for scope in one.iter().chain(other) {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

/// A reason for a challenge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lack<'a> {
    Token,
    ValidToken,
    /// The token has these scopes, and lacks others.
    Scope(&'a [String]),
}

/// Returns the value of `WWW-Authenticate` (RFC 9728, 5.1; RFC 6750, 3). A scope is asked for together with those that the
/// token has, because clients of 2025-11-25 ask for exactly this text and would lose the others.
pub(super) fn challenge(lack: Lack<'_>, base: &str, path: &str, needed: &[String]) -> String {
    let (error, scopes) = match lack {
        Lack::Token => ("", needed.to_vec()),
        Lack::ValidToken => ("error=\"invalid_token\", ", needed.to_vec()),
        Lack::Scope(has) => ("error=\"insufficient_scope\", ", union(has, needed)),
    };
    // A path that is not an endpoint's own, such as that of messages, is described by the endpoint that it belongs to.
    let path = path.trim_end_matches('/');
    let path = match (path.strip_suffix("/message"), path) {
        (Some(endpoint), _) => format!("{endpoint}/sse"),
        (None, path) => path.to_owned(),
    };
    let path = if endpoint(&path).is_some() { path } else { String::new() };
    let scopes = scopes.join(" ");
    format!("Bearer {error}resource_metadata=\"{base}{METADATA_PATH}{path}\", scope=\"{scopes}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://h/gw";

    fn places(audience: &str) -> Places {
        Places::of(&[audience.to_owned()], Some(BASE), &["api://gateway".to_owned()])
    }

    #[test]
    fn a_token_is_for_the_endpoints_of_its_audience() {
        let check = |audience: &str, all: bool, a: bool, b: bool| {
            let places = places(audience);
            let held = [Endpoint::All, Endpoint::One("a"), Endpoint::One("b")].map(|endpoint| places.hold(endpoint));
            assert_eq!(held, [all, a, b], "{audience}");
        };
        for everything in ["https://h/gw", "https://h/gw/", "api://gateway"] {
            check(everything, true, true, true);
        }
        for all in ["https://h/gw/mcp", "https://h/gw/mcp/", "https://h/gw/sse", "https://h/gw/mcp-proxy/mcp"] {
            check(all, true, false, false);
        }
        for one in ["https://h/gw/a/mcp", "https://h/gw/a/stream/", "https://h/gw/mcp-proxy/a/sse"] {
            check(one, false, true, false);
        }
        for none in
            ["https://h", "https://h/gwx/a/mcp", "http://h/gw/mcp", "https://other/gw", "", "a", "https://h/gw/a"]
        {
            check(none, false, false, false);
        }
        assert_eq!(Places::of(&["https://h/gw".to_owned()], None, &[]), Places::default(), "without a known name");
    }

    #[test]
    fn metadata_names_the_url_that_users_configure() {
        let resource = |path: &str| {
            let metadata = metadata(path, BASE, "https://as", &["mcp".to_owned()])?;
            assert_eq!(metadata["authorization_servers"], json!(["https://as"]));
            Some(metadata["resource"].as_str().expect("a text").to_owned())
        };
        assert_eq!(resource("/a/mcp").as_deref(), Some("https://h/gw/a/mcp"));
        assert_eq!(resource("/a/mcp/").as_deref(), Some("https://h/gw/a/mcp"));
        assert_eq!(resource("/gw/a/mcp").as_deref(), Some("https://h/gw/a/mcp"), "a proxy that takes the prefix away");
        assert_eq!(resource("/mcp").as_deref(), Some("https://h/gw/mcp"));
        assert_eq!(resource("").as_deref(), Some("https://h/gw"));
        for nothing in ["/a", "/a/b/mcp", "/admin/mcps", "x"] {
            assert_eq!(resource(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_challenge_leads_to_the_metadata_of_the_endpoint() {
        let needed = ["mcp".to_owned(), "b".to_owned()];
        let check = |lack: Lack<'_>, path: &str, expected: &str| {
            assert_eq!(challenge(lack, BASE, path, &needed), expected, "{path}");
        };
        let at = |path: &str| format!("resource_metadata=\"https://h/gw/.well-known/oauth-protected-resource{path}\"");
        check(Lack::Token, "/a/mcp", &format!("Bearer {}, scope=\"mcp b\"", at("/a/mcp")));
        check(Lack::Token, "/mcp/", &format!("Bearer {}, scope=\"mcp b\"", at("/mcp")));
        check(Lack::Token, "/", &format!("Bearer {}, scope=\"mcp b\"", at("")));
        check(Lack::Token, "/a/message", &format!("Bearer {}, scope=\"mcp b\"", at("/a/sse")));
        check(Lack::Token, "/a/mcp/extra", &format!("Bearer {}, scope=\"mcp b\"", at("")));
        let invalid = format!("Bearer error=\"invalid_token\", {}, scope=\"mcp b\"", at("/a/mcp"));
        check(Lack::ValidToken, "/a/mcp", &invalid);
        let has = ["c".to_owned(), "mcp".to_owned()];
        let scope = format!("Bearer error=\"insufficient_scope\", {}, scope=\"c mcp b\"", at("/a/mcp"));
        check(Lack::Scope(&has), "/a/mcp", &scope);
    }
}
