//! Settings of the gateway as an OAuth resource server.

use url::Url;

use super::model::{Config, InvalidSetting};
use super::setting::{Setting, flag};
use super::value::Field;
use crate::policy::is_loopback_name;
use crate::policy::oauth::is_trustworthy;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_OAUTH_ISSUER"],
        help: "Accept access tokens of this authorization server at the endpoints of servers, and ask for one there. \
               Exactly as the server writes it in its metadata, with or without the slash at the end",
        ..flag("oauth-issuer", |config| Field::Text(&mut config.policy.oauth.issuer))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_SCOPES"],
        help: "Scopes that every endpoint asks for, between commas; `requiredScopes` in a definition adds those of one \
               server",
        ..flag("oauth-scopes", |config| Field::Names(&mut config.policy.oauth.scopes))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_AUDIENCES"],
        help: "Audiences of tokens that are accepted at every endpoint, between commas, for servers that do not issue \
               tokens for the URL of an endpoint, which is accepted in any case",
        ..flag("oauth-audiences", |config| Field::Names(&mut config.policy.oauth.audiences))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_JWKS_URL"],
        default_help: Some("from the server's metadata"),
        help: "URL of the authorization server's keys",
        ..flag("oauth-jwks-url", |config| Field::Url(&mut config.policy.oauth.jwks_url))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_CLOCK_SKEW"],
        help: "Difference between the clocks of gateway and authorization server that is allowed for",
        ..flag("oauth-clock-skew", |config| Field::Delay(&mut config.policy.oauth.clock_skew))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_INTROSPECTION_URL"],
        help: "URL that tells about opaque tokens (RFC 7662); without it only JWTs are accepted",
        ..flag("oauth-introspection-url", |config| Field::Url(&mut config.policy.oauth.introspection_url))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_CLIENT_ID"],
        help: "The gateway's own name at the authorization server, for introspection",
        ..flag("oauth-client-id", |config| Field::Text(&mut config.policy.oauth.client_id))
    },
    Setting {
        variables: &["MCP_PROXY_OAUTH_CLIENT_SECRET"],
        help: "Its secret there",
        ..flag("oauth-client-secret", |config| Field::Secret(&mut config.policy.oauth.client_secret))
    },
];

/// Checks settings that make sense together only.
pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let oauth = &config.policy.oauth;
    let unusable = |origin: &str, reason: String| Err(InvalidSetting::unusable(origin, reason));
    if oauth.issuer.is_empty() {
        let others = [
            ("oauth-scopes", !oauth.scopes.is_empty()),
            ("oauth-audiences", !oauth.audiences.is_empty()),
            ("oauth-jwks-url", oauth.jwks_url.is_some()),
            ("oauth-introspection-url", oauth.introspection_url.is_some()),
        ];
        return match others.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => unusable(name, "it has no effect without oauth-issuer".to_owned()),
            None => Ok(()),
        };
    }
    let urls = [("oauth-jwks-url", &oauth.jwks_url), ("oauth-introspection-url", &oauth.introspection_url)];
    let urls = urls.into_iter().filter_map(|(name, url)| Some((name, url.clone()?)));
    let issuer = Url::parse(&oauth.issuer).ok().filter(|url| url.query().is_none() && url.fragment().is_none());
    let Some(issuer) = issuer else {
        return unusable("oauth-issuer", "it is no URL, or has a query or a fragment".to_owned());
    };
    for (name, url) in urls.chain([("oauth-issuer", issuer)]) {
        if !url.username().is_empty() || url.password().is_some() {
            return unusable(name, "it holds a user; name the gateway's own by oauth-client-id".to_owned());
        }
        if !is_trustworthy(&url) {
            return unusable(
                name,
                "it must be an https URL, because whoever answers there decides who may enter".to_owned(),
            );
        }
    }
    let is_scope =
        |scope: &&String| !scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if let Some(scope) = oauth.scopes.iter().find(is_scope) {
        return unusable("oauth-scopes", format!("`{scope}` is no scope"));
    }
    if oauth.scopes.is_empty() {
        let reason = "oauth-issuer needs it: without a scope, some clients ask for none, and others for every scope of the \
                      authorization server";
        return unusable("oauth-scopes", reason.to_owned());
    }
    if config.base_url.is_none() && !is_loopback_name(config.host.trim_matches(['[', ']'])) {
        let reason =
            "oauth-issuer needs it, because tokens are issued for this URL: the name in a request is the sender's";
        return unusable("base-url", reason.to_owned());
    }
    if oauth.introspection_url.is_some() && oauth.client_id.is_empty() {
        return unusable("oauth-client-id", "oauth-introspection-url needs it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::config::{Alone, Config};

    fn check(flags: &[&str], expected: Option<&str>) {
        let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
        let resolved = Config::resolve(&alone.flags, &[].into()).err().map(|invalid| invalid.to_string());
        match (expected, resolved) {
            (None, None) => {}
            (Some(words), Some(told)) if told.contains(words) => {}
            (_, told) => panic!("{flags:?}: {told:?}"),
        }
    }

    #[test]
    fn an_issuer_is_named_with_its_scopes_over_a_connection_that_proves_it() {
        fn with<'a>(issuer: &'a str, more: &[&'a str]) -> Vec<&'a str> {
            [&["--oauth-issuer", issuer, "--oauth-scopes", "mcp"], more].concat()
        }
        check(&with("https://as.example/t1", &[]), None);
        check(&with("http://localhost:4000", &[]), None);
        check(&with("http://127.0.0.1:4000/", &[]), None);
        check(&with("http://as.example", &[]), Some("https"));
        check(&with("http://127.0.0.1.example", &[]), Some("https"));
        check(&with("as.example", &[]), Some("oauth-issuer"));
        check(&with("https://as.example?x=1", &[]), Some("query"));
        check(&with("https://as.example", &["--oauth-jwks-url", "http://keys.example"]), Some("oauth-jwks-url"));
        check(&with("https://as.example", &["--oauth-introspection-url", "https://as.example/i"]), Some("client-id"));
        check(&with("https://u:p@as.example", &[]), Some("oauth-client-id"));
        check(&with("https://as.example", &["--host", "0.0.0.0"]), Some("base-url"));
        check(&with("https://as.example", &["--host", "0.0.0.0", "--base-url", "https://gw.example"]), None);
        check(&["--oauth-issuer", "https://as.example"], Some("oauth-scopes"));
        check(&["--oauth-issuer", "https://as.example", "--oauth-scopes", "a b"], Some("`a b`"));
        check(&["--oauth-scopes", "mcp"], Some("without oauth-issuer"));
    }
}
