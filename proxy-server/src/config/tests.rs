use super::setting::{Origin, Setting};
use super::value::{Field, Given};
use super::*;
use crate::catalog::{Conflict, Mode, Separator};
use crate::telemetry::Format;

impl Config {
    /// Merges flags, variables and defaults, without a file.
    pub(super) fn resolve(flags: &ServeFlags, variables: &Variables) -> Result<Self, InvalidConfig> {
        Self::explain(&flags.settings, variables, &FileValues::default()).map(|(config, _)| config)
    }
}

/// Returns every setting with its value and the origin of the value, without a file.
fn explained(flags: &Flags, variables: &Variables) -> Vec<Effective> {
    Config::explain(flags, variables, &FileValues::default()).expect("settings").1
}

fn resolve(flags: &[&str], variables: Variables) -> Result<Config, InvalidConfig> {
    let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
    Config::resolve(&alone.flags, &variables)
}

fn config<const N: usize>(flags: &[&str], variables: [(&str, &str); N]) -> Config {
    resolve(flags, variables.into()).expect("a configuration")
}

fn refused<const N: usize>(flags: &[&str], variables: [(&str, &str); N]) -> String {
    resolve(flags, variables.into()).expect_err("an invalid setting").to_string()
}

#[test]
fn defaults_are_loopback_and_6001() {
    let config = config(&[], []);
    assert_eq!((config.host.as_str(), config.port, config.base_url.clone()), ("127.0.0.1", 6001, None));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
    assert!(config.host == "127.0.0.1" && config.policy.admin_tokens.is_empty());
}

#[test]
fn only_who_says_so_serves_an_admin_api_without_tokens_to_other_machines() {
    let is_open = |flags: &[&str], address: &str| config(flags, []).is_open_to_strangers(address.parse().expect("one"));
    for address in ["0.0.0.0", "::", "192.0.2.1"] {
        assert!(is_open(&[], address) && is_open(&["--global-auth-tokens", "g"], address), "{address}");
        for flags in [&["--admin-tokens", "t"][..], &["--admin-allow-ips", "10.0.0.0/8"], &["--allow-insecure-admin"]] {
            assert!(!is_open(flags, address), "{flags:?} on {address}");
        }
    }
    for address in ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"] {
        assert!(!is_open(&[], address), "{address}");
    }
}

#[test]
fn the_names_of_a_gateway_are_known_on_loopback_and_where_they_are_configured() {
    let sites = |flags: &[&str], address: &str| config(flags, []).sites(address.parse().expect("an address"));
    assert!(sites(&[], "127.0.0.1").are_hosts_known && !sites(&[], "0.0.0.0").are_hosts_known);
    let known = sites(&["--base-url", "https://[2001:db8::1]:8443/gw", "--allowed-hosts", "a.example:80,[::2]"], "::");
    assert!(known.are_hosts_known);
    assert_eq!(known.hosts, ["a.example", "::2", "2001:db8::1"]);
    assert_eq!(known.base, "https://[2001:db8::1]:8443".parse().ok());
    let pages = sites(&["--allowed-origins", "https://console.example, http://localhost:3000/"], "::").allowed;
    assert_eq!(
        pages,
        ["https://console.example", "http://localhost:3000"].map(|page| page.parse().expect("an origin"))
    );
    for wrong in ["*", "null", "console.example", "file:///x"] {
        assert!(refused(&["--allowed-origins", wrong], []).contains("--allowed-origins"), "{wrong}");
    }
    assert!(refused(&[], [("MCP_PROXY_ALLOWED_HOSTS", "http://a.example")]).contains("MCP_PROXY_ALLOWED_HOSTS"));
}

#[test]
fn every_spelling_of_a_flag_is_taken() {
    for host in ["--host", "--mcp-host"] {
        assert_eq!(config(&[host, "0.0.0.0"], []).host, "0.0.0.0");
    }
    for port in ["--port", "--mcp-port"] {
        assert_eq!(config(&[port, "0"], []).port, 0);
    }
    for base in ["--base-url", "--mcp-base-url"] {
        let config = config(&[base, "https://gateway.example/mcp"], []);
        assert_eq!(config.base_url.map(String::from).as_deref(), Some("https://gateway.example/mcp"));
        assert_eq!(config.allowed_hosts, ["gateway.example"]);
    }
    for tokens in ["--admin-tokens", "--mcp-admin-tokens"] {
        let tokens = config(&[tokens, "a, b", tokens, "c,a"], []).policy.admin_tokens;
        assert_eq!(tokens.iter().map(Secret::expose).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
    for tokens in ["--global-auth-tokens", "--mcp-global-auth-tokens"] {
        assert_eq!(config(&[tokens, "g"], []).policy.global_tokens.len(), 1);
    }
    for debug in [&["--debug"][..], &["--log-level", "DEBUG"]] {
        assert_eq!(config(debug, []).telemetry.levels.level, Level::Debug);
    }
    for json in [&["--log-json"][..], &["--log-format", "json"]] {
        assert_eq!(config(json, []).telemetry.format, Format::Json);
    }
}

#[test]
fn every_variable_is_read() {
    let config = config(
        &[],
        [
            ("MCP_PROXY_HOST", "::1"),
            ("MCP_PROXY_PORT", "9000"),
            ("MCP_PROXY_BASE_URL", "http://localhost:9000"),
            ("MCP_PROXY_SHUTDOWN_TIMEOUT", "30s"),
            ("MCP_PROXY_ADMIN_TOKENS", "a,b"),
            ("MCP_PROXY_ADMIN_TOKEN", "c"),
            ("MCP_PROXY_GLOBAL_AUTH_TOKENS", "g"),
            ("MCP_PROXY_GLOBAL_AUTH_TOKEN", "h"),
            ("MCP_PROXY_ADMIN_ALLOW_IPS", "127.0.0.1, 10.0.0.0/8"),
            ("MCP_PROXY_TRUSTED_PROXIES", "10.1.0.0/16"),
            ("MCP_PROXY_LOG_LEVEL", "Warning"),
            ("MCP_PROXY_LOG_FORMAT", "JSON"),
        ],
    );
    assert_eq!((config.host.as_str(), config.port), ("::1", 9000));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert_eq!((config.policy.admin_tokens.len(), config.policy.global_tokens.len()), (3, 2));
    assert_eq!((config.policy.admin_allow_ips.len(), config.policy.trusted_proxies.len()), (2, 1));
    assert_eq!((config.telemetry.levels.level, config.telemetry.format), (Level::Warn, Format::Json));
}

#[test]
fn a_flag_wins_over_its_variable() {
    let config = config(
        &["--port", "1", "--admin-tokens", "flag"],
        [("MCP_PROXY_PORT", "2"), ("MCP_PROXY_ADMIN_TOKENS", "env")],
    );
    assert_eq!(config.port, 1);
    assert_eq!(config.policy.admin_tokens.iter().map(Secret::expose).collect::<Vec<_>>(), ["flag"]);
}

#[test]
fn a_shutdown_timeout_of_zero_is_the_default() {
    assert_eq!(config(&["--shutdown-timeout", "0s"], []).shutdown_timeout, Duration::from_secs(10));
}

#[test]
fn what_cannot_be_used_is_named_with_its_origin() {
    assert_eq!(refused(&[], [("MCP_PROXY_PORT", "http")]), "invalid MCP_PROXY_PORT: `http` is not a port, 0 to 65535");
    assert_eq!(refused(&["--base-url", "x"], []), "invalid --base-url: `x` is not an http or https URL");
    assert_eq!(
        refused(&["--shutdown-timeout", "10"], []),
        "invalid --shutdown-timeout: `10` is not a duration such as `10s`"
    );
    assert_eq!(
        refused(&[], [("MCP_PROXY_TRUSTED_PROXIES", "here")]),
        "invalid MCP_PROXY_TRUSTED_PROXIES: `here` is not an IP address or a CIDR block"
    );
}

#[test]
fn the_ancestors_default_token_can_be_forbidden() {
    let strict = [("MCP_PROXY_DISABLE_DEFAULT_TOKEN", "true")];
    assert!(refused(&[], strict).contains("tokens of your own"));
    assert!(refused(&["--admin-tokens", KNOWN_TOKEN], strict).contains(KNOWN_TOKEN));
    assert_eq!(config(&["--admin-tokens", "mine"], strict).policy.admin_tokens.len(), 1);
}

#[test]
fn children_inherit_nothing_but_what_every_program_needs() {
    let config =
        config(&[], [("PATH", "/bin"), ("HOME", "/root"), ("MCP_PROXY_ADMIN_TOKENS", "s"), ("AWS_SECRET", "s")]);
    let names: Vec<_> = config.children.variables.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["HOME", "PATH"]);
}

#[test]
fn the_number_of_servers_has_a_limit_that_can_be_set() {
    assert_eq!(config(&["--max-servers", "7"], []).upstream.upstreams, 7);
    assert_eq!(config(&[], [("MCP_PROXY_MAX_SERVERS", "8")]).upstream.upstreams, 8);
    assert_eq!(refused(&["--max-servers", "0"], []), "invalid --max-servers: `0` is not a number from 1 on");
}

#[test]
fn naming_is_set_by_flag_or_variable_in_every_spelling() {
    let named = |config: Config| (config.naming.mode, config.naming.conflict, config.naming.separator);
    let separator = |text: &str| text.parse::<Separator>().expect("a separator");
    assert_eq!(named(config(&[], [])), (Mode::Always, Conflict::AutoPrefix, separator("__")));
    let flags = ["--naming-mode", "OnConflict", "--conflict-strategy", "priority-override", "--naming-separator", "--"];
    assert_eq!(named(config(&flags, [])), (Mode::OnConflict, Conflict::PriorityOverride, separator("--")));
    let variables = [
        ("MCP_PROXY_NAMING_MODE", "never"),
        ("MCP_PROXY_CONFLICT_STRATEGY", "reject"),
        ("SERVER_TOOLNAME_SEPERATOR", "--"),
    ];
    assert_eq!(named(config(&[], variables)), (Mode::Never, Conflict::Reject, separator("--")));
    assert_eq!(
        refused(&["--naming-mode", "sometimes"], []),
        "invalid --naming-mode: `sometimes` is not one of always, on_conflict, never"
    );
    assert_eq!(
        refused(&[], [("SERVER_TOOLNAME_SEPERATOR", ":")]),
        "invalid SERVER_TOOLNAME_SEPERATOR: `:` is not 1 to 8 of A-Z a-z 0-9 . _ -"
    );
}

#[test]
fn a_setting_that_asks_for_tokens_and_holds_none_is_refused() {
    for empty in ["", " ", ",", " , ,"] {
        for flag in ["--admin-tokens", "--mcp-admin-tokens", "--global-auth-tokens", "--mcp-global-auth-tokens"] {
            let told = refused(&[flag, empty], []);
            assert!(told.contains("the token is empty") && told.contains(&flag.replace("mcp-", "")), "{flag}: {told}");
            assert!(refused(&[flag, "t", flag, empty], []).contains("the token is empty"), "one of two");
        }
        for variable in [
            "MCP_PROXY_ADMIN_TOKENS",
            "MCP_PROXY_ADMIN_TOKEN",
            "MCP_PROXY_GLOBAL_AUTH_TOKENS",
            "MCP_PROXY_GLOBAL_AUTH_TOKEN",
        ] {
            let told = refused(&[], [(variable, empty)]);
            assert!(told.starts_with(&format!("invalid {variable}: the token is empty")), "{told}");
        }
        assert!(one_token(Some(empty), &Variables::default()).is_err());
        assert!(one_token(None, &[("MCP_PROXY_TOKEN", empty)].into()).is_err());
    }
    for unrendered in ["${ADMIN_TOKEN}", "{{ .env.ADMIN_TOKEN }}", "a,$ADMIN_TOKEN"] {
        let told = refused(&["--admin-tokens", unrendered], []);
        assert!(told.contains("nothing has replaced") && !told.contains(unrendered), "{told}");
    }
    assert!(refused(&[], [("MCP_PROXY_ADMIN_TOKENS", ""), ("MCP_PROXY_ADMIN_TOKEN", "t")]).contains("TOKENS:"));
    let flag_wins = config(&["--admin-tokens", "t"], [("MCP_PROXY_ADMIN_TOKENS", "")]);
    assert_eq!(flag_wins.policy.admin_tokens.len(), 1);
    assert_eq!(config(&["--admin-tokens", "a,,b,"], []).policy.admin_tokens.len(), 2);
}

/// Returns a valid value of a setting that is not the default, and the form in which it is shown.
fn sample(setting: &Setting) -> (&'static str, &'static str) {
    match (setting.field)(&mut Config::default()) {
        Field::Host(_) => ("192.0.2.7", "192.0.2.7"),
        Field::Text(_) if setting.name == "admin-listen" => ("127.0.0.1:7", "127.0.0.1:7"),
        Field::Text(_) if setting.name == "socket-mode" => ("660", "660"),
        Field::Text(_) => ("https://as.example/t", "https://as.example/t"),
        Field::Port(_) | Field::Count(_) => ("7", "7"),
        Field::Url(_) if setting.name.starts_with("oauth") => ("https://as.example/t", "https://as.example/t"),
        Field::Url(_) => ("https://u:s3cret@gateway.example/", "https://[redacted]@gateway.example/"),
        Field::Time(_) | Field::Delay(_) | Field::Grace(_) => ("90s", "1m30s"),
        Field::Size(_) => ("7168", "7KiB"),
        Field::Switch(_) => ("true", "on"),
        Field::OnOff(_) => ("off", "off"),
        Field::Tokens(_) => ("s3cret,s3cret-too", "[redacted],[redacted]"),
        Field::Networks(_) => ("192.0.2.0/24, 192.0.2.1", "192.0.2.0/24,192.0.2.1/32"),
        Field::Hosts(_) => ("a.example:80,[::2]", "a.example,::2"),
        Field::Origins(_) => ("https://console.example/", "https://console.example"),
        Field::Files(_) => ("/a.pem,/b.pem", "/a.pem,/b.pem"),
        Field::Components(_) => ("auth,stderr=warning", "policy=debug,stderr=warn"),
        Field::Folder(_) => ("/var/lib/mcp-proxy", "/var/lib/mcp-proxy"),
        Field::Storage(_) => ("Memory", "memory"),
        Field::Secret(_) => ("s3cret", "[redacted]"),
        Field::SecretUrl(_) => ("redis://u:s3cret@h:7/3", "redis://[redacted]@h:7/3"),
        Field::Number(_) => ("7", "7"),
        Field::Names(_) => ("a.example:7, b.example", "a.example:7,b.example"),
        Field::Exempt(_) => ("a.example:80,*.b.example,192.0.2.0/24", "a.example:80,b.example,192.0.2.0/24"),
        Field::Proxy(_) => ("http://u:s3cret@proxy.example:3128", "http://proxy.example:3128/"),
        Field::Mode(_) => ("on-conflict", "on_conflict"),
        Field::Separator(_) => ("--", "--"),
        Field::Conflict(_) => ("reject", "reject"),
        Field::Eras(_) => ("legacy", "legacy"),
        Field::Level(_) => ("WARNING", "warn"),
        Field::Format(_) => ("json", "json"),
    }
}

fn effective(setting: &Setting, flags: &[&str], variables: Variables) -> Effective {
    // Satisfies the checks for tokens of one's own, and for settings that need others.
    let needed = [
        ("MCP_PROXY_ADMIN_TOKENS", "own"),
        ("MCP_PROXY_BASE_URL", "https://other.example"),
        ("MCP_PROXY_OAUTH_ISSUER", "https://other.example"),
        ("MCP_PROXY_OAUTH_SCOPES", "other"),
        ("MCP_PROXY_OAUTH_CLIENT_ID", "other"),
        ("MCP_PROXY_TLS_CERT", "/other.pem"),
        ("MCP_PROXY_TLS_KEY", "/other.pem"),
    ];
    let variables = needed.into_iter().fold(variables, |variables, (name, value)| variables.with(name, value));
    let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
    let settings = explained(&alone.flags.settings, &variables);
    settings.into_iter().find(|effective| effective.name == setting.name).expect("the setting")
}

#[test]
fn every_setting_is_read_from_each_of_its_flags_and_variables_and_shows_which_it_was() {
    for setting in flags::settings() {
        let (given, shown) = sample(setting);
        for name in setting.flag.iter().chain(&setting.alias) {
            let (flag, own) = (format!("--{name}"), format!("--{}", setting.flag.unwrap_or_default()));
            let flags = if shown == "on" { vec![flag.as_str()] } else { vec![flag.as_str(), given] };
            // All variables hold another value: the flag wins.
            let others = setting.variables.iter().map(|variable| (*variable, given)).collect::<Vec<_>>();
            let found = effective(setting, &flags, others.as_slice().into());
            assert_eq!((found.value.as_deref(), found.origin), (Some(shown), Origin::Flag { flag: own }), "{flag}");
        }
        for variable in setting.variables.iter().filter(|name| **name != "MCP_PROXY_ADMIN_TOKEN") {
            let found = effective(setting, &[], [(*variable, given)].into());
            let origin = Origin::Environment { variables: vec![(*variable).to_owned()] };
            assert_eq!((found.value.as_deref(), found.origin), (Some(shown), origin), "{variable}");
        }
        if let Some(short) = &setting.short {
            let found = effective(setting, &[&format!("--{}", short.flag)], [].into());
            let origin = Origin::Flag { flag: format!("--{}", short.flag) };
            assert_eq!((found.value.as_deref(), found.origin), (Some(short.value), origin));
            for variable in short.variables {
                let found = effective(setting, &[], [(*variable, "1")].into());
                let origin = Origin::Environment { variables: vec![(*variable).to_owned()] };
                assert_eq!((found.value.as_deref(), found.origin), (Some(short.value), origin), "{variable}");
            }
        }
    }
}

#[test]
fn without_flags_and_variables_every_setting_has_its_default() {
    let settings = explained(&Flags::default(), &Variables::default());
    assert!(settings.iter().all(|setting| setting.origin == Origin::Default));
    for (setting, effective) in flags::settings().zip(&settings) {
        let default = (setting.field)(&mut Config::default()).show();
        assert_eq!(effective.value.as_deref().unwrap_or_default(), default, "{}", setting.name);
    }
}

#[test]
fn names_and_variables_belong_to_one_setting_each() {
    let names: std::collections::BTreeSet<&str> = flags::settings().map(|setting| setting.name).collect();
    assert_eq!(names.len(), flags::settings().count());
    let flags = flags::settings().filter(|setting| !setting.help.is_empty());
    let variables: Vec<&str> = flags.flat_map(|setting| setting.variables).copied().collect();
    let distinct: std::collections::BTreeSet<&str> = variables.iter().copied().collect();
    assert_eq!(distinct.len(), variables.len());
}

#[test]
fn a_list_of_several_variables_names_them_all() {
    let variables = [("MCP_PROXY_ADMIN_TOKENS", "a"), ("MCP_PROXY_ADMIN_TOKEN", "b,c")];
    let settings = explained(&Flags::default(), &variables.into());
    let tokens = settings.iter().find(|setting| setting.name == "admin-tokens").expect("tokens");
    assert_eq!(tokens.value.as_deref(), Some("[redacted],[redacted],[redacted]"));
    assert_eq!(tokens.origin.to_string(), "environment MCP_PROXY_ADMIN_TOKENS, MCP_PROXY_ADMIN_TOKEN");
}

#[test]
fn a_reload_takes_the_live_settings_and_keeps_the_fixed_ones() {
    for setting in flags::settings() {
        let (given, shown) = sample(setting);
        let mut other = Config::default();
        let given = [Given { origin: String::new(), text: given.to_owned() }];
        (setting.field)(&mut other).read(&given).expect("a valid value");
        let mut renewed = Config::default().renewed(&other);
        let default = (setting.field)(&mut Config::default()).show();
        let expected = if setting.is_live { shown } else { &default };
        assert_eq!((setting.field)(&mut renewed).show(), expected, "{}", setting.name);
    }
}

#[test]
fn a_variable_with_a_secret_of_the_gateway_is_not_passed_on() {
    let offered = config(&["--inheritable-env", "SSL_CERT_FILE,TZ"], [("TZ", "UTC")]).children.inheritable;
    assert_eq!(offered, [("SSL_CERT_FILE".to_owned(), None), ("TZ".to_owned(), Some("UTC".into()))]);
    for name in ["MCP_PROXY_ADMIN_TOKENS", "REDIS_PASSWORD", "MCP_PROXY_TOKEN"] {
        let error = refused(&["--inheritable-env", &format!("HOME,{name}")], []);
        let reason = format!("`{name}` holds a setting of the gateway, which may be a secret");
        assert_eq!(error, format!("invalid inheritable-env: {reason}"));
    }
}
