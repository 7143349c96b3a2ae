//! Flags of `mcp-proxy serve`, including the ancestors' spellings as aliases.

use super::edge::EdgeFlags;
use super::outbound::OutboundFlags;
use crate::config::LimitFlags;
use crate::telemetry::{Format, Level};

/// Settings of `serve`.
#[derive(Debug, clap::Args, Default)]
pub(crate) struct Flags {
    /// Address to listen on [env: MCP_PROXY_HOST] [default: 127.0.0.1]
    #[arg(long, alias = "mcp-host", value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Port to listen on, 0 for any free one [env: MCP_PROXY_PORT] [default: 6001]
    #[arg(long, alias = "mcp-port", value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// URL by which clients reach the gateway, when it is not the address it listens on [env: MCP_PROXY_BASE_URL]
    #[arg(long, alias = "mcp-base-url", value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Grace period for requests after SIGTERM [env: MCP_PROXY_SHUTDOWN_TIMEOUT] [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) shutdown_timeout: Option<String>,
    /// Bearer tokens that the admin API accepts, between commas; an empty one is an error
    /// [env: MCP_PROXY_ADMIN_TOKENS, MCP_PROXY_ADMIN_TOKEN]
    #[arg(long, alias = "mcp-admin-tokens", value_name = "TOKENS")]
    pub(crate) admin_tokens: Vec<String>,
    /// Addresses and networks that may use the admin API [env: MCP_PROXY_ADMIN_ALLOW_IPS] [default: all]
    #[arg(long, alias = "mcp-admin-allow-ips", value_name = "IPS", value_delimiter = ',')]
    pub(crate) admin_allow_ips: Vec<String>,
    /// Bearer tokens that every upstream's endpoints accept, between commas; an empty one is an error
    /// [env: MCP_PROXY_GLOBAL_AUTH_TOKENS, MCP_PROXY_GLOBAL_AUTH_TOKEN]
    #[arg(long, alias = "mcp-global-auth-tokens", value_name = "TOKENS")]
    pub(crate) global_auth_tokens: Vec<String>,
    /// Proxies whose X-Forwarded-For is believed [env: MCP_PROXY_TRUSTED_PROXIES]
    #[arg(long, alias = "mcp-trusted-proxies", value_name = "IPS", value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<String>,
    /// Host names by which the gateway is reached, besides localhost and that of --base-url
    /// [env: MCP_PROXY_ALLOWED_HOSTS]
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub(crate) allowed_hosts: Vec<String>,
    /// Origins of web pages that may use the gateway as its own pages may, the admin API included
    /// [env: MCP_PROXY_ALLOWED_ORIGINS]
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Vec<String>,
    /// Prefix of names at /mcp with their server's name: always, on_conflict or never
    /// [env: MCP_PROXY_NAMING_MODE] [default: always]
    #[arg(long, value_name = "MODE")]
    pub(crate) naming_mode: Option<String>,
    /// Separator between the server's name and the tool's
    /// [env: MCP_PROXY_NAMING_SEPARATOR, SERVER_TOOLNAME_SEPERATOR] [default: __]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) naming_separator: Option<String>,
    /// Strategy for a name that several servers have, unless names always carry their server's: auto_prefix, reject or
    /// priority_override
    /// [env: MCP_PROXY_CONFLICT_STRATEGY] [default: auto_prefix]
    #[arg(long, value_name = "STRATEGY")]
    pub(crate) conflict_strategy: Option<String>,
    /// Protocol eras that /mcp and / offer to clients: both, or legacy for clients that choose the modern one and then
    /// do not listen for changes; `eras` in a definition sets it for one server's endpoints
    /// [env: MCP_PROXY_ERAS] [default: both]
    #[arg(long, value_name = "ERAS")]
    pub(crate) eras: Option<String>,
    /// Serve cards for discovery at ENDPOINT/server-card and /.well-known/ai-catalog.json: on or off; a card names a server
    /// only to those who may use it [env: MCP_PROXY_SERVER_CARDS] [default: on]
    #[arg(long, value_name = "SWITCH")]
    pub(crate) server_cards: Option<String>,
    /// Maximum number of registered servers [env: MCP_PROXY_MAX_SERVERS] [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_servers: Option<String>,
    /// Maximum number of programs that start at once; the others wait for their turn
    /// [env: MCP_PROXY_CONCURRENT_STARTS] [default: twice the number of cores]
    #[arg(long, value_name = "COUNT")]
    pub(crate) concurrent_starts: Option<String>,
    /// Time for a server to answer the era probe (`server/discover`) before the legacy handshake is also sent; for a
    /// program, from when it has read the probe
    /// [env: MCP_PROXY_ERA_PROBE] [default: 3s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) era_probe: Option<String>,
    /// Start with an admin API without tokens on an address that other machines reach, and let everyone who reaches it
    /// start processes on this machine
    #[arg(long)]
    pub(crate) allow_insecure_admin: bool,
    /// Least important level that is logged [env: MCP_PROXY_LOG_LEVEL] [default: info]
    #[arg(long, value_name = "LEVEL", value_enum, ignore_case = true)]
    pub(crate) log_level: Option<Level>,
    /// Form of log lines [env: MCP_PROXY_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true)]
    pub(crate) log_format: Option<Format>,
    /// Short for --log-format json
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Name the source file in every log line
    #[arg(long)]
    pub(crate) log_source: bool,
    /// Short for --log-level debug [env: MCP_PROXY_DEBUG]
    #[arg(long)]
    pub(crate) debug: bool,
    #[command(flatten)]
    pub(crate) outbound: OutboundFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) edge: EdgeFlags,
}
