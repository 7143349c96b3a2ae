//! Settings of connections with clients, also through proxies: keep-alive, idle timeout, and draining before shutdown.

use super::setting::{Setting, flag, live_flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_KEEP_ALIVE"],
        help: "Interval of keep-alive comments on an idle event stream",
        ..live_flag("keep-alive", |config| Field::Time(&mut config.downstream.keep_alive))
    },
    Setting {
        variables: &["MCP_PROXY_CALL_KEEP_ALIVE"],
        help: "Interval of keep-alive comments while a call waits for its answer: behind some proxies it takes this \
               long to notice that the client left",
        ..live_flag("call-keep-alive", |config| Field::Time(&mut config.downstream.call_keep_alive))
    },
    Setting {
        variables: &["MCP_PROXY_CONNECTION_IDLE_TIMEOUT"],
        help: "Minimum idle timeout of client connections; let a proxy in front close idle connections sooner",
        ..live_flag("connection-idle-timeout", |config| Field::Time(&mut config.downstream.connection_idle_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_HTTP_FAST_PATH"],
        help: "Answer usual requests without hyper, or, if off, none: a way around a fault of the faster parser",
        ..flag("http-fast-path", |config| Field::OnOff(&mut config.downstream.has_fast_path))
    },
    Setting {
        variables: &["MCP_PROXY_REUSE_PORT"],
        help: "Let another gateway listen on the same address, which then takes over without a gap",
        ..flag("reuse-port", |config| Field::Switch(&mut config.reuse_port))
    },
    Setting {
        variables: &["MCP_PROXY_DRAIN_DELAY"],
        help: "Time after SIGTERM for which requests are still accepted while /readyz answers 503, so that load \
               balancers go elsewhere; 0s for none",
        ..flag("drain-delay", |config| Field::Delay(&mut config.drain_delay))
    },
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::config::env::Variables;
    use crate::config::{Alone, Config, InvalidConfig};

    fn resolve(flags: &[&str], variables: Variables) -> Result<Config, InvalidConfig> {
        let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
        Config::resolve(&alone.flags, &variables)
    }

    #[test]
    fn the_fast_path_is_on_until_it_is_switched_off() {
        let is_on = |config: Result<Config, InvalidConfig>| config.expect("a setting").downstream.has_fast_path;
        assert!(is_on(resolve(&[], [].into())));
        assert!(!is_on(resolve(&["--http-fast-path", "off"], [].into())));
        assert!(!is_on(resolve(&[], [("MCP_PROXY_HTTP_FAST_PATH", "off")].into())));
        assert!(is_on(resolve(&["--http-fast-path", "on"], [("MCP_PROXY_HTTP_FAST_PATH", "off")].into())));
        let refusal = resolve(&["--http-fast-path", "no"], [].into()).expect_err("neither").to_string();
        assert!(refusal.contains("--http-fast-path") && refusal.contains("on, off"), "{refusal}");
    }

    #[test]
    fn every_time_has_a_flag_and_a_variable() {
        let seconds = |config: &Config| {
            let down = &config.downstream;
            [down.keep_alive, down.call_keep_alive, down.connection_idle_timeout, config.drain_delay]
                .map(|time| time.as_secs())
        };
        assert!(!resolve(&[], [].into()).expect("defaults").reuse_port);
        assert!(resolve(&["--reuse-port"], [].into()).expect("a flag").reuse_port);
        assert!(resolve(&[], [("MCP_PROXY_REUSE_PORT", "true")].into()).expect("a variable").reuse_port);
        let names = ["KEEP_ALIVE", "CALL_KEEP_ALIVE", "CONNECTION_IDLE_TIMEOUT", "DRAIN_DELAY"];
        let defaults = [15, 5, 130, 1];
        assert_eq!(seconds(&Config::default()), defaults);
        for (at, name) in names.into_iter().enumerate() {
            let mut expected = defaults;
            expected[at] = 7;
            let (flag, variable) =
                (format!("--{}", name.to_lowercase().replace('_', "-")), format!("MCP_PROXY_{name}"));
            assert_eq!(seconds(&resolve(&[&flag, "7s"], [].into()).expect("a time")), expected, "{flag}");
            let told = resolve(&[], [(variable.as_str(), "7s")].into()).expect("a time");
            assert_eq!(seconds(&told), expected, "{variable}");
            let refusal = resolve(&[&flag, "soon"], [].into()).expect_err("no time").to_string();
            assert!(refusal.contains(&flag), "{refusal}");
            assert_eq!(resolve(&[&flag, "0s"], [].into()).is_ok(), at == 3, "{flag}");
        }
    }
}
