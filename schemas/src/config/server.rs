//! One server as another program's file declares it.

use std::time::Duration;

use indexmap::IndexMap;

use crate::config::pattern::Pattern;
use crate::document::Span;

/// Server of a foreign file, in the words of no program. Texts keep their variables.
///
/// ```
/// let text = r#"{"mcpServers": {"fs": {"command": "npx", "args": ["-y", "${PKG}"], "timeout": 60000}}}"#;
/// let server = &schemas::config::import(text, "servers").servers[0];
/// assert_eq!((server.name.as_str(), server.kind.as_str()), ("fs", "stdio"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Server {
    /// Name as written.
    pub name: String,
    /// Position of the name.
    pub span: Span,
    /// Description for people.
    pub(crate) description: Option<String>,
    /// Transport.
    pub kind: Kind,
    /// Program of a stdio server.
    pub(crate) command: Pattern,
    /// Its arguments.
    pub(crate) args: Vec<Pattern>,
    /// Its environment variables.
    pub(crate) env: IndexMap<String, Pattern>,
    /// File with further variables, which those of `env` override.
    pub(crate) env_file: Option<Pattern>,
    /// Its working directory.
    pub(crate) cwd: Option<Pattern>,
    /// URL of a remote server.
    pub(crate) url: Pattern,
    /// Headers of requests to it.
    pub(crate) headers: IndexMap<String, Pattern>,
    /// True if the program does not start the server.
    pub is_disabled: bool,
    /// Names of the only tools to offer; all if absent.
    pub(crate) allow: Option<Vec<String>>,
    /// Names of tools not to offer.
    pub(crate) deny: Vec<String>,
    /// Protocol era spoken with the server.
    pub(crate) era: Option<String>,
    /// Time limit for connecting.
    pub(crate) connect_timeout: Option<Duration>,
    /// Time limit of a call.
    pub(crate) call_timeout: Option<Duration>,
    /// Rank among servers with the same tools: the lowest number is tried first.
    pub(crate) priority: Option<u32>,
    /// Interval between pings.
    pub(crate) health_check_interval: Option<Duration>,
    /// Most sessions at a time.
    pub(crate) max_sessions: Option<u32>,
    /// Bearer tokens of the clients that may use the server; all clients if empty.
    pub(crate) auth_tokens: Vec<Pattern>,
    /// True if the log output of the server is shown.
    pub(crate) log_enabled: bool,
}

impl Server {
    /// Returns all texts with variables.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let process = self.args.iter().chain(self.env.values()).chain(&self.env_file).chain(&self.cwd);
        let remote = self.headers.values().chain(&self.auth_tokens);
        [&self.command, &self.url].into_iter().chain(process).chain(remote)
    }
}

/// Transport of a foreign server.
///
/// ```
/// assert_eq!(schemas::config::Kind::Auto.as_str(), "auto");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Kind {
    /// A program.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// HTTP with SSE.
    Sse,
    /// A URL whose transport the program finds out by trying.
    #[default]
    Auto,
    /// None that the gateway could use; why.
    Unsupported(String),
}

impl Kind {
    /// Returns the kind as a word.
    ///
    /// ```
    /// assert_eq!(schemas::config::Kind::Http.as_str(), "http");
    /// ```
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Auto => "auto",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// Setting of the gateway in a foreign file, under the name that it has here.
///
/// ```
/// let text = "[mcp.proxy]\nport = 3000\n[[mcp.proxy.upstreams]]\nname = \"a\"\ntransport = \"stdio\"\ncommand = \"x\"\n";
/// let setting = &schemas::config::import(text, "mcp-proxy").settings[0];
/// assert_eq!((setting.name, setting.values.as_slice()), ("port", ["3000".to_owned()].as_slice()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Name, as `mcp-proxy config show` prints it.
    pub name: &'static str,
    /// Values as text; one, unless the setting is a list.
    pub values: Vec<String>,
    /// Position of the value.
    pub span: Span,
}
