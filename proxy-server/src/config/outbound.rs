//! Settings of HTTP connections to upstreams: proxies, certificates, idle connections.

use super::setting::{Setting, flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_UPSTREAM_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        variables_help: Some("MCP_PROXY_UPSTREAM_PROXY, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY by scheme"),
        default_help: Some(""),
        help: "Forward proxy for servers over HTTP, or none. In a definition: proxy",
        name: "upstream-proxy (http)",
        ..flag("upstream-proxy", |config| Field::Proxy(&mut config.network.proxies.http))
    },
    Setting {
        variables: &["MCP_PROXY_UPSTREAM_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        name: "upstream-proxy (https)",
        ..flag("upstream-proxy", |config| Field::Proxy(&mut config.network.proxies.https))
    },
    Setting {
        variables: &["MCP_PROXY_UPSTREAM_NO_PROXY", "NO_PROXY", "no_proxy"],
        help: "Hosts that no proxy is used for: names with all below them, addresses, networks, *; this machine \
               never needs one",
        ..flag("upstream-no-proxy", |config| Field::Exempt(&mut config.network.proxies.exempt))
    },
    Setting {
        variables: &["MCP_PROXY_UPSTREAM_CA_FILE"],
        variables_help: Some(
            "MCP_PROXY_UPSTREAM_CA_FILE; the system's come from SSL_CERT_FILE and SSL_CERT_DIR if these are set",
        ),
        help: "File with certificates of authorities that are trusted besides the system's. In a definition: caFile",
        ..flag("upstream-ca-file", |config| Field::Files(&mut config.network.authorities))
    },
    Setting {
        variables: &["MCP_PROXY_UPSTREAM_IDLE_TIMEOUT"],
        help: "Idle timeout of connections to servers that do not announce one",
        ..flag("upstream-idle-timeout", |config| Field::Delay(&mut config.upstream.idle_timeout))
    },
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::config::{Alone, Config, InvalidConfig};
    use crate::http::client::{Choice, Network};

    fn resolve(flags: &[&str], variables: &[(&str, &str)]) -> Result<Network, InvalidConfig> {
        let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
        Config::resolve(&alone.flags, &variables.into()).map(|config| config.network)
    }

    fn check(flags: &[&str], variables: &[(&str, &str)], expected: (&str, &str)) {
        let proxies = resolve(flags, variables).expect("settings").proxies;
        assert_eq!((&*format!("{:?}", proxies.http), &*format!("{:?}", proxies.https)), expected, "{variables:?}");
    }

    #[test]
    fn the_shared_variables_are_for_one_scheme_each_and_our_own_for_both() {
        check(&[], &[], ("Direct", "Direct"));
        check(&[], &[("HTTPS_PROXY", "http://a:1")], ("Direct", "Via(http://a:1/)"));
        check(&[], &[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], ("Via(http://a:1/)", "Direct"));
        check(&[], &[("ALL_PROXY", "http://a:1"), ("https_proxy", "b:2")], ("Via(http://a:1/)", "Via(http://b:2/)"));
        let own = ("MCP_PROXY_UPSTREAM_PROXY", "http://a:1");
        check(&[], &[own, ("HTTPS_PROXY", "b:2")], ("Via(http://a:1/)", "Via(http://a:1/)"));
        check(&["--upstream-proxy", "none"], &[own, ("HTTPS_PROXY", "b:2")], ("Direct", "Direct"));
        check(&["--upstream-proxy", "http://u:p@c:3"], &[own], ("Via(http://c:3/)", "Via(http://c:3/)"));
    }

    #[test]
    fn a_shared_variable_that_is_of_no_use_fails_only_what_needs_it() {
        let env = [("ALL_PROXY", "socks5://a:1080"), ("HTTPS_PROXY", "http://b:2")];
        let proxies = resolve(&[], &env).expect("settings").proxies;
        assert!(matches!(proxies.http, Choice::Unusable(_)) && matches!(proxies.https, Choice::Via(_)));
        let unusable = "socks5://u:secret@a:1080";
        let by_flag = resolve(&["--upstream-proxy", unusable], &[]);
        let by_variable = resolve(&[], &[("MCP_PROXY_UPSTREAM_PROXY", unusable)]);
        for (result, origin) in [(by_flag, "--upstream-proxy"), (by_variable, "MCP_PROXY_UPSTREAM_PROXY")] {
            let text = result.expect_err("refused").to_string();
            assert!(text.contains(origin) && !text.contains("secret"), "{text}");
        }
    }
}
