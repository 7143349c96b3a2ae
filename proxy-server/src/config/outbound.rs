//! Settings of HTTP connections to upstreams: proxies, certificates, idle connections.

use std::path::PathBuf;
use std::time::Duration;

use schemas::parse_duration;

use super::env::Variables;
use super::{Config, InvalidSetting, invalid, list};
use crate::http::client::{Choice, Exempt, Network, Proxies};

/// Settings of connections to upstreams.
#[derive(Debug, clap::Args, Default)]
#[command(next_help_heading = "Connections to servers")]
pub(crate) struct OutboundFlags {
    /// Forward proxy for servers over HTTP, or none. In a definition: proxy
    /// [env: MCP_PROXY_UPSTREAM_PROXY, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY by scheme]
    #[arg(long, value_name = "URL")]
    upstream_proxy: Option<String>,
    /// Hosts that no proxy is used for: names with all below them, addresses, networks, *; this machine never needs one
    /// [env: MCP_PROXY_UPSTREAM_NO_PROXY, NO_PROXY]
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    upstream_no_proxy: Vec<String>,
    /// File with certificates of authorities that are trusted besides the system's. In a definition: caFile
    /// [env: MCP_PROXY_UPSTREAM_CA_FILE; the system's come from SSL_CERT_FILE and SSL_CERT_DIR if these are set]
    #[arg(long, value_name = "FILE")]
    upstream_ca_file: Vec<String>,
    /// Idle timeout of connections to servers that do not announce one
    /// [env: MCP_PROXY_UPSTREAM_IDLE_TIMEOUT] [default: 1500ms]
    #[arg(long, value_name = "DURATION")]
    upstream_idle_timeout: Option<String>,
}

/// Applies the flags and variables.
pub(super) fn apply(flags: &OutboundFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    config.upstream.idle_timeout = idle_timeout(flags, env)?.unwrap_or(config.upstream.idle_timeout);
    let authorities = list(&flags.upstream_ca_file, env, &["MCP_PROXY_UPSTREAM_CA_FILE"]);
    config.network =
        Network { proxies: proxies(flags, env)?, authorities: authorities.into_iter().map(PathBuf::from).collect() };
    Ok(())
}

fn idle_timeout(flags: &OutboundFlags, env: &Variables) -> Result<Option<Duration>, InvalidSetting> {
    const VARIABLE: &str = "MCP_PROXY_UPSTREAM_IDLE_TIMEOUT";
    let (origin, text) = match (&flags.upstream_idle_timeout, env.text(&[VARIABLE])) {
        (Some(flag), _) => ("--upstream-idle-timeout", flag.clone()),
        (None, Some(text)) => (VARIABLE, text),
        (None, None) => return Ok(None),
    };
    parse_duration(&text).map(Some).map_err(|_| invalid(origin, text, "a duration such as `1500ms`"))
}

/// Reads the proxies. The gateway's own setting applies to all upstreams, and an invalid value is an error. The shared
/// variables apply to one scheme each, and an unusable value, such as a SOCKS proxy, fails only upstreams that need it.
fn proxies(flags: &OutboundFlags, env: &Variables) -> Result<Proxies, InvalidSetting> {
    const VARIABLE: &str = "MCP_PROXY_UPSTREAM_PROXY";
    let exempt = list(&flags.upstream_no_proxy, env, &["MCP_PROXY_UPSTREAM_NO_PROXY", "NO_PROXY", "no_proxy"]);
    let exempt = Exempt::parse(&exempt.join(","));
    let own = match (&flags.upstream_proxy, env.text(&[VARIABLE])) {
        (Some(flag), _) => Some(("--upstream-proxy", flag.clone())),
        (None, Some(text)) => Some((VARIABLE, text)),
        (None, None) => None,
    };
    if let Some((origin, text)) = own {
        let choice = Choice::parse(&text);
        return match &choice {
            // Hide the text: it may hold credentials.
            Choice::Unusable(_) => Err(invalid(origin, "...".to_owned(), "the http or https URL of a proxy, or none")),
            Choice::Direct | Choice::Via(_) => Ok(Proxies { http: choice.clone(), https: choice, exempt }),
        };
    }
    let shared = |names: [&str; 4]| env.text(&names).map(|text| Choice::parse(&text)).unwrap_or_default();
    Ok(Proxies {
        http: shared(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
        https: shared(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        exempt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &OutboundFlags, variables: &[(&str, &str)], expected: (&str, &str)) {
        let variables: Vec<(&str, &str)> = variables.to_vec();
        let proxies = proxies(flags, &Variables::from(variables.as_slice())).expect("settings");
        assert_eq!((&*format!("{:?}", proxies.http), &*format!("{:?}", proxies.https)), expected, "{variables:?}");
    }

    fn with_proxy(text: &str) -> OutboundFlags {
        OutboundFlags { upstream_proxy: Some(text.to_owned()), ..OutboundFlags::default() }
    }

    #[test]
    fn the_shared_variables_are_for_one_scheme_each_and_our_own_for_both() {
        let none = OutboundFlags::default();
        check(&none, &[], ("Direct", "Direct"));
        check(&none, &[("HTTPS_PROXY", "http://a:1")], ("Direct", "Via(http://a:1/)"));
        check(&none, &[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], ("Via(http://a:1/)", "Direct"));
        check(&none, &[("ALL_PROXY", "http://a:1"), ("https_proxy", "b:2")], ("Via(http://a:1/)", "Via(http://b:2/)"));
        let own = ("MCP_PROXY_UPSTREAM_PROXY", "http://a:1");
        check(&none, &[own, ("HTTPS_PROXY", "b:2")], ("Via(http://a:1/)", "Via(http://a:1/)"));
        check(&with_proxy("none"), &[own, ("HTTPS_PROXY", "b:2")], ("Direct", "Direct"));
        check(&with_proxy("http://u:p@c:3"), &[own], ("Via(http://c:3/)", "Via(http://c:3/)"));
    }

    #[test]
    fn a_shared_variable_that_is_of_no_use_fails_only_what_needs_it() {
        let env = [("ALL_PROXY", "socks5://a:1080"), ("HTTPS_PROXY", "http://b:2")];
        let proxies = proxies(&OutboundFlags::default(), &Variables::from(env.as_slice())).expect("settings");
        assert!(matches!(proxies.http, Choice::Unusable(_)) && matches!(proxies.https, Choice::Via(_)));
        let error =
            super::proxies(&with_proxy("socks5://u:secret@a:1080"), &Variables::default()).expect_err("refused");
        let text = error.to_string();
        assert!(text.contains("--upstream-proxy") && !text.contains("secret"), "{text}");
    }
}
