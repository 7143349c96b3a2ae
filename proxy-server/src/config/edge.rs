//! Settings of client connections: keep-alive, idle timeout, and draining before shutdown.

use std::time::Duration;

use schemas::parse_duration;

use super::env::Variables;
use super::{Config, InvalidSetting, word};

/// Settings of `serve` for connections with clients, also through proxies.
#[derive(Debug, clap::Args, Default)]
#[command(next_help_heading = "Connections")]
pub(crate) struct EdgeFlags {
    /// Interval of keep-alive comments on an idle event stream [env: MCP_PROXY_KEEP_ALIVE] [default: 15s]
    #[arg(long, value_name = "DURATION")]
    keep_alive: Option<String>,
    /// Interval of keep-alive comments while a call waits for its answer: behind some proxies it takes this long to
    /// notice that the client left
    /// [env: MCP_PROXY_CALL_KEEP_ALIVE] [default: 5s]
    #[arg(long, value_name = "DURATION")]
    call_keep_alive: Option<String>,
    /// Minimum idle timeout of client connections; let a proxy in front close idle connections sooner
    /// [env: MCP_PROXY_CONNECTION_IDLE_TIMEOUT] [default: 130s]
    #[arg(long, value_name = "DURATION")]
    connection_idle_timeout: Option<String>,
    /// Answer usual requests without hyper, or, if off, none: a way around a fault of the faster parser
    /// [env: MCP_PROXY_HTTP_FAST_PATH] [default: on]
    #[arg(long, value_name = "on|off")]
    http_fast_path: Option<String>,
    /// Let another gateway listen on the same address, which then takes over without a gap [env: MCP_PROXY_REUSE_PORT]
    #[arg(long)]
    reuse_port: bool,
    /// Time after SIGTERM for which requests are still accepted while /readyz answers 503, so that load balancers go
    /// elsewhere; 0s for none
    /// [env: MCP_PROXY_DRAIN_DELAY] [default: 1s]
    #[arg(long, value_name = "DURATION")]
    drain_delay: Option<String>,
}

/// Applies the settings that have a flag or a variable.
pub(super) fn apply(flags: &EdgeFlags, env: &Variables, config: &mut Config) -> Result<(), InvalidSetting> {
    let down = &mut config.downstream;
    let times = [
        (&mut down.keep_alive, &flags.keep_alive, "--keep-alive", "MCP_PROXY_KEEP_ALIVE"),
        (&mut down.call_keep_alive, &flags.call_keep_alive, "--call-keep-alive", "MCP_PROXY_CALL_KEEP_ALIVE"),
        (
            &mut down.connection_idle_timeout,
            &flags.connection_idle_timeout,
            "--connection-idle-timeout",
            "MCP_PROXY_CONNECTION_IDLE_TIMEOUT",
        ),
    ];
    for (setting, flag, name, variable) in times {
        if let Some(Positive(time)) = word((flag, name), (env, &[variable]), "a duration above zero, such as `15s`")? {
            *setting = time;
        }
    }
    let fast_path = (&flags.http_fast_path, "--http-fast-path");
    if let Some(Switch(is_on)) = word(fast_path, (env, &["MCP_PROXY_HTTP_FAST_PATH"]), "`on` or `off`")? {
        config.downstream.has_fast_path = is_on;
    }
    config.reuse_port = flags.reuse_port || env.flag(&["MCP_PROXY_REUSE_PORT"]);
    let delay = (&flags.drain_delay, "--drain-delay");
    if let Some(Any(time)) = word(delay, (env, &["MCP_PROXY_DRAIN_DELAY"]), "a duration, such as `5s`")? {
        config.drain_delay = time;
    }
    Ok(())
}

struct Switch(bool);

struct Positive(Duration);

struct Any(Duration);

impl std::str::FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

impl std::str::FromStr for Positive {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_duration(text).ok().filter(|time| !time.is_zero()).map(Self).ok_or(())
    }
}

impl std::str::FromStr for Any {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_duration(text).map(Self).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Alone;

    fn resolve(flags: &[&str], variables: Variables) -> Result<Config, InvalidSetting> {
        let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
        Config::resolve(&alone.flags, &variables)
    }

    #[test]
    fn the_fast_path_is_on_until_it_is_switched_off() {
        let is_on = |config: Result<Config, InvalidSetting>| config.expect("a setting").downstream.has_fast_path;
        assert!(is_on(resolve(&[], [].into())));
        assert!(!is_on(resolve(&["--http-fast-path", "off"], [].into())));
        assert!(!is_on(resolve(&[], [("MCP_PROXY_HTTP_FAST_PATH", "off")].into())));
        assert!(is_on(resolve(&["--http-fast-path", "on"], [("MCP_PROXY_HTTP_FAST_PATH", "off")].into())));
        let refusal = resolve(&["--http-fast-path", "no"], [].into()).expect_err("neither").to_string();
        assert!(refusal.contains("--http-fast-path") && refusal.contains("`off`"), "{refusal}");
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
