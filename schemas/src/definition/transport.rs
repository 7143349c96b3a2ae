//! How an upstream is reached.

use indexmap::IndexMap;
use url::Url;

use crate::Secret;

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A child process that speaks JSON lines on its standard streams.
    Stdio(Stdio),
    /// HTTP with a separate event stream (revision 2024-11-05, deprecated by the specification).
    Sse(Remote),
    /// Streamable HTTP (revision 2025-03-26 on).
    StreamableHttp(Remote),
}

impl Transport {
    /// The transport's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::Sse(_) => "sse",
            Self::StreamableHttp(_) => "streamable-http",
        }
    }
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stdio {
    /// The program: a path, or a name looked up in `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// An address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The endpoint; `http` or `https` with a host.
    pub url: Url,
    /// Sent with every request.
    pub headers: IndexMap<String, Secret>,
}
