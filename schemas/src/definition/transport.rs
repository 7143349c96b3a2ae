//! Transports to an upstream.

use std::fmt;

use indexmap::IndexMap;
use url::Url;

use crate::{Secret, redact_arguments, redact_url};

/// Transport to an upstream, with its command or address.
///
/// ```
/// use schemas::{Definition, Transport};
///
/// let posted = r#"{"name":"docs","transport":"streamable-http","url":"https://x.example/mcp"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// let place = match &definition.transport {
///     Transport::Stdio(program) => program.command.clone(),
///     Transport::Sse(remote) | Transport::StreamableHttp(remote) => remote.url.to_string(),
/// };
/// assert_eq!(place, "https://x.example/mcp");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Child process that exchanges one JSON-RPC message per line over stdin and stdout.
    Stdio(Stdio),
    /// HTTP with a separate event stream (revision 2024-11-05; deprecated by the specification).
    Sse(Remote),
    /// Streamable HTTP (revision 2025-03-26 and later).
    StreamableHttp(Remote),
}

impl Transport {
    /// Returns the name of the transport on the wire.
    ///
    /// ```
    /// use schemas::{Stdio, Transport};
    ///
    /// let program = Stdio { command: "mcp-server-time".to_owned(), args: Vec::new(), cwd: None };
    /// assert_eq!(Transport::Stdio(program).kind(), "stdio");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::Sse(_) => "sse",
            Self::StreamableHttp(_) => "streamable-http",
        }
    }
}

/// Program that is started as a stdio upstream.
///
/// ```
/// use schemas::{Definition, Stdio, Transport};
///
/// let args = vec!["-y".to_owned(), "pkg".to_owned()];
/// let program = Stdio { command: "npx".to_owned(), args, cwd: Some("/srv".to_owned()) };
/// let posted = r#"{"name":"fs","transport":"stdio","command":["npx","-y"],"args":["pkg"],"cwd":"/srv"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.transport, Transport::Stdio(program));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Stdio {
    /// Path of the program, or a name looked up in `PATH`.
    pub command: String,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Working directory of the program, against which a relative path in `command` is resolved too; the gateway's if
    /// absent.
    pub cwd: Option<String>,
}

/// Address of an HTTP upstream.
///
/// ```
/// use schemas::{Definition, Remote, Secret, Transport};
///
/// let headers = [("X-Key".to_owned(), Secret::new("s3cret"))].into();
/// let remote = Remote { url: "https://x.example/mcp".parse()?, headers };
/// let definition = Definition::new("docs".parse()?, Transport::StreamableHttp(remote));
/// assert_eq!(serde_json::to_value(&definition)?["headers"]["X-Key"], "s3cret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// URL of the endpoint: `http` or `https`, with a host.
    pub url: Url,
    /// Headers sent with every request.
    pub headers: IndexMap<String, Secret>,
}

/// Redacts secrets in the arguments.
impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = redact_arguments(&self.args);
        f.debug_struct("Stdio").field("command", &self.command).field("args", &args).field("cwd", &self.cwd).finish()
    }
}

/// Redacts secrets in the URL.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = redact_url(self.url.as_str());
        f.debug_struct("Remote").field("url", &url).field("headers", &self.headers).finish()
    }
}
