//! Settings of `serve` under no heading: address, access, names, servers, log.

use super::setting::{Setting, Short, flag, live_flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        alias: Some("mcp-host"),
        variables: &["MCP_PROXY_HOST"],
        help: "Address to listen on, or unix:PATH for a Unix socket in place of a port",
        ..flag("host", |config| Field::Host(&mut config.host))
    },
    Setting {
        alias: Some("mcp-port"),
        variables: &["MCP_PROXY_PORT", "PORT"],
        help: "Port to listen on, 0 for any free one",
        ..flag("port", |config| Field::Port(&mut config.port))
    },
    Setting {
        alias: Some("mcp-base-url"),
        variables: &["MCP_PROXY_BASE_URL"],
        help: "URL by which clients reach the gateway, when it is not the address it listens on",
        ..flag("base-url", |config| Field::Url(&mut config.base_url))
    },
    Setting {
        variables: &["MCP_PROXY_ADMIN_LISTEN"],
        default_help: Some("the address of the endpoints"),
        help: "Address of the admin API, HOST:PORT or unix:PATH, which is then not served anywhere else",
        ..flag("admin-listen", |config| Field::Text(&mut config.admin_listen))
    },
    Setting {
        variables: &["MCP_PROXY_SOCKET_MODE"],
        help: "Permissions of Unix sockets, in octal: whoever may write to one may connect",
        ..flag("socket-mode", |config| Field::Text(&mut config.socket_mode))
    },
    Setting {
        variables: &["MCP_PROXY_SHUTDOWN_TIMEOUT"],
        help: "Grace period for requests after SIGTERM",
        ..flag("shutdown-timeout", |config| Field::Grace(&mut config.shutdown_timeout))
    },
    Setting {
        alias: Some("mcp-admin-tokens"),
        variables: &["MCP_PROXY_ADMIN_TOKENS", "MCP_PROXY_ADMIN_TOKEN"],
        help: "Bearer tokens that the admin API accepts, between commas; an empty one is an error",
        ..live_flag("admin-tokens", |config| Field::Tokens(&mut config.policy.admin_tokens))
    },
    Setting {
        flag: None,
        variables: &["MCP_PROXY_DISABLE_DEFAULT_TOKEN"],
        ..flag("disable-default-token", |config| Field::Switch(&mut config.forbid_known_token))
    },
    Setting {
        alias: Some("mcp-admin-allow-ips"),
        variables: &["MCP_PROXY_ADMIN_ALLOW_IPS"],
        default_help: Some("all"),
        help: "Addresses and networks that may use the admin API",
        ..live_flag("admin-allow-ips", |config| Field::Networks(&mut config.policy.admin_allow_ips))
    },
    // Fixed at start: sessions belong to a token by its place in this list.
    Setting {
        alias: Some("mcp-global-auth-tokens"),
        variables: &[
            "MCP_PROXY_GLOBAL_AUTH_TOKENS",
            "MCP_PROXY_GLOBAL_AUTH_TOKEN",
            "ALLOWED_TOKENS",
            "ALLOWED_KEYS",
            "MCP_PROXY_SSE_ALLOWED_TOKENS",
        ],
        help: "Bearer tokens that every upstream's endpoints accept, between commas, also in X-Api-Key; an empty one is an \
               error",
        ..flag("global-auth-tokens", |config| Field::Tokens(&mut config.policy.global_tokens))
    },
    Setting {
        variables: &["MCP_PROXY_QUERY_TOKENS"],
        default_help: Some("off; on if ALLOWED_KEYS is set"),
        help: "Accept tokens also in the query of a URL, as key= or token=: on or off. Proxies and browsers keep URLs in \
               logs and histories, so prefer headers",
        ..live_flag("query-tokens", |config| Field::OnOff(&mut config.policy.query_tokens))
    },
    Setting {
        variables: &["MCP_PROXY_REQUIRE_AUTH"],
        help: "Refuse clients without a token at every endpoint of servers, also where none is configured: on or off. With on, \
               access tokens (/admin/tokens) can be the only ones",
        ..live_flag("require-auth", |config| Field::OnOff(&mut config.policy.require_auth))
    },
    Setting {
        alias: Some("mcp-trusted-proxies"),
        variables: &["MCP_PROXY_TRUSTED_PROXIES"],
        help: "Proxies whose X-Forwarded-For is believed",
        ..live_flag("trusted-proxies", |config| Field::Networks(&mut config.policy.trusted_proxies))
    },
    Setting {
        variables: &["MCP_PROXY_ALLOWED_HOSTS"],
        help: "Host names by which the gateway is reached, besides localhost and that of --base-url",
        ..flag("allowed-hosts", |config| Field::Hosts(&mut config.allowed_hosts))
    },
    Setting {
        variables: &["MCP_PROXY_ALLOWED_ORIGINS"],
        help: "Origins of web pages that may use the gateway as its own pages may, the admin API included",
        ..flag("allowed-origins", |config| Field::Origins(&mut config.allowed_origins))
    },
    Setting {
        variables: &["MCP_PROXY_NAMING_MODE"],
        help: "Prefix of names at /mcp with their server's name: always, on_conflict or never",
        ..live_flag("naming-mode", |config| Field::Mode(&mut config.naming.mode))
    },
    Setting {
        variables: &["MCP_PROXY_NAMING_SEPARATOR", "SERVER_TOOLNAME_SEPERATOR"],
        help: "Separator between the server's name and the tool's",
        ..live_flag("naming-separator", |config| Field::Separator(&mut config.naming.separator))
    },
    Setting {
        variables: &["MCP_PROXY_CONFLICT_STRATEGY"],
        help: "Strategy for a name that several servers have, unless names always carry their server's: auto_prefix, \
               reject or priority_override",
        ..live_flag("conflict-strategy", |config| Field::Conflict(&mut config.naming.conflict))
    },
    Setting {
        variables: &["MCP_PROXY_ERAS"],
        help: "Protocol eras that /mcp and / offer to clients: both, or legacy for clients that choose the modern one \
               and then do not listen for changes; `eras` in a definition sets it for one server's endpoints",
        ..live_flag("eras", |config| Field::Eras(&mut config.downstream.eras))
    },
    Setting {
        variables: &["MCP_PROXY_SERVER_CARDS"],
        help: "Serve cards for discovery at ENDPOINT/server-card and /.well-known/ai-catalog.json: on or off; a card \
               names a server only to those who may use it",
        ..flag("server-cards", |config| Field::OnOff(&mut config.downstream.server_cards))
    },
    Setting {
        variables: &["MCP_PROXY_PUBLIC_METRICS"],
        help: "Serve /metrics without a token, and at every address: on or off. With off it is a part of the admin API",
        ..flag("public-metrics", |config| Field::OnOff(&mut config.public_metrics))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_SERVERS"],
        help: "Maximum number of registered servers",
        ..flag("max-servers", |config| Field::Count(&mut config.upstream.upstreams))
    },
    Setting {
        variables: &["MCP_PROXY_ERA_PROBE"],
        help: "Time for a server to answer the era probe (`server/discover`) before the legacy handshake is also \
               sent; for a program, from when it has read the probe",
        ..live_flag("era-probe", |config| Field::Time(&mut config.upstream.era_probe))
    },
    Setting {
        help: "Start with an admin API without tokens on an address that other machines reach, and let everyone who \
               reaches it start processes on this machine",
        ..live_flag("allow-insecure-admin", |config| Field::Switch(&mut config.policy.allow_insecure_admin))
    },
    Setting {
        variables: &["MCP_PROXY_LOG_LEVEL", "LOGGING"],
        short: Some(Short {
            flag: "debug",
            variables: &["MCP_PROXY_DEBUG", "COMPOZY_DEBUG"],
            value: "debug",
            help: "Short for --log-level debug",
        }),
        help: "Least important level that is logged",
        ..live_flag("log-level", |config| Field::Level(&mut config.telemetry.levels.level))
    },
    Setting {
        variables: &["MCP_PROXY_LOG_COMPONENTS"],
        help: "Levels of components of the log, as COMPONENT=LEVEL between commas; COMPONENT alone is for COMPONENT=debug. \
               Components: admin, call, catalog, config, control, downstream, http, policy, registry, stderr (of \
               programs), upstream",
        ..live_flag("log-components", |config| Field::Components(&mut config.telemetry.levels.components))
    },
    Setting {
        variables: &["MCP_PROXY_LOG_FORMAT"],
        short: Some(Short { flag: "log-json", variables: &[], value: "json", help: "Short for --log-format json" }),
        help: "Form of log lines",
        ..flag("log-format", |config| Field::Format(&mut config.telemetry.format))
    },
    Setting {
        variables: &["MCP_PROXY_ACCESS_LOG"],
        default_help: Some("none"),
        help: "File for a line of JSON for each request of a client: who, which server and tool, outcome, duration and \
               sizes. /dev/stdout is one too",
        ..flag("access-log", |config| Field::Folder(&mut config.access_log))
    },
    Setting {
        variables: &["MCP_PROXY_AUDIT_LOG"],
        default_help: Some("none"),
        help: "File for a record of every change and every refused access, each chained to the one before it; changes are \
               refused while it cannot be written. `mcp-proxy audit verify` finds what was removed or edited",
        ..flag("audit-log", |config| Field::Folder(&mut config.audit_log))
    },
    Setting {
        help: "Name the source file in every log line",
        ..flag("log-source", |config| Field::Switch(&mut config.telemetry.source))
    },
];
