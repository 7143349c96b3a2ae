//! Declaration of one upstream as a value that is valid by construction.
//!
//! The wire form is Compozy's flat JSON ([`crate::dialect::compozy`]); serialising and reading a [`Definition`] goes
//! through it.

mod invalid;
mod limits;
pub(crate) mod network;
mod process;
mod secrets;
mod settings;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::definition::invalid::InvalidDefinition;
pub use crate::definition::limits::Limits;
pub use crate::definition::network::{Identity, Network, Proxy};
pub use crate::definition::process::ProcessSettings;
pub use crate::definition::settings::{
    Access, EraMode, Eras, FilterMode, Reconnect, SessionMode, Sessions, ToolFilter, UnknownEras,
};
pub use crate::definition::transport::{Remote, Stdio, Transport};
use crate::dialect::compozy::{DeclaredDocument, DefinitionDocument};
use crate::{Secret, ServerName, redact_arguments, redact_url};

/// JSON Schema of a definition, in draft 7: the committed one that editors use.
///
/// ```
/// let schema: serde_json::Value = serde_json::from_str(schemas::DEFINITION_SCHEMA)?;
/// assert!(schema["properties"]["command"].is_object());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const DEFINITION_SCHEMA: &str = include_str!("../json/definition.schema.json");

/// One upstream, as declared.
///
/// ```
/// use std::time::Duration;
///
/// use schemas::Definition;
///
/// let posted = r#"{"name":"docs","transport":"streamable-http","url":"https://x.example/mcp","requireAuth":true}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert!(definition.access.require_auth);
/// assert_eq!(definition.timeout, Some(Duration::from_secs(30)), "as the ancestors have it for HTTP");
///
/// let refused = serde_json::from_str::<Definition>(r#"{"name":"docs","transport":"sse"}"#);
/// assert!(refused.is_err_and(|error| error.to_string().starts_with("url is required")));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DeclaredDocument", into = "DefinitionDocument")]
pub struct Definition {
    /// Name of the upstream; part of the URL that clients use.
    pub name: ServerName,
    /// Description for people.
    pub description: Option<String>,
    /// Transport to the upstream, with its address or command.
    pub transport: Transport,
    /// Environment of the child process. Stored and shown for HTTP upstreams too, but not used there.
    pub env: IndexMap<String, Secret>,
    /// Time limit for one attempt to connect, handshake included; the gateway's own limit if absent.
    pub timeout: Option<Duration>,
    /// Reconnection after a lost connection.
    pub reconnect: Reconnect,
    /// Interval between pings to a connected upstream; no pings if absent.
    pub health_check_interval: Option<Duration>,
    /// True if log output of the upstream is logged at level `info` instead of `debug`.
    pub log_enabled: bool,
    /// Filter that selects the visible and callable tools; all tools if absent.
    pub tool_filter: Option<ToolFilter>,
    /// Free-form labels set by the owner.
    pub tags: BTreeMap<String, String>,
    /// Access control of this upstream's endpoints.
    pub access: Access,
    /// Mapping of downstream sessions to upstream sessions.
    pub sessions: Sessions,
    /// Protocol era spoken with the upstream.
    pub era: EraMode,
    /// Protocol eras that this upstream's own endpoints speak with clients.
    pub eras: Eras,
    /// Rank among upstreams that offer the same tool: the lowest number is tried first. 1 if absent.
    pub priority: Option<u32>,
    /// Limits that apply to this upstream only.
    pub limits: Limits,
    /// Rights and limits of a stdio upstream's processes.
    pub process: ProcessSettings,
    /// Proxy and TLS settings of an HTTP upstream.
    pub network: Network,
    /// Declared members that belong to the other kind of transport.
    pub inert: Inert,
}

/// Members that do not belong to the declared transport. Accepted, stored and shown because an ancestor did so; never
/// used.
///
/// ```
/// use schemas::Definition;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","url":"https://x.example/mcp"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.inert.url.as_deref(), Some("https://x.example/mcp"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Inert {
    /// A `url` declared for a stdio upstream.
    pub url: Option<String>,
    /// `headers` declared for a stdio upstream.
    pub headers: IndexMap<String, Secret>,
    /// A `command` declared for an HTTP upstream.
    pub command: Option<String>,
    /// `args` declared for an HTTP upstream.
    pub args: Vec<String>,
    /// `cwd` declared for an HTTP upstream.
    pub cwd: Option<String>,
}

/// Redacts secrets in the URL and the arguments.
impl fmt::Debug for Inert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, args) = (self.url.as_deref().map(redact_url), redact_arguments(&self.args));
        let mut shown = f.debug_struct("Inert");
        shown.field("url", &url).field("headers", &self.headers).field("command", &self.command);
        shown.field("args", &args).field("cwd", &self.cwd).finish()
    }
}

impl Definition {
    /// Creates a definition that sets only the name and the transport.
    ///
    /// ```
    /// use schemas::{Definition, Stdio, Transport};
    ///
    /// let program = Stdio { command: "mcp-server-time".to_owned(), args: Vec::new(), cwd: None };
    /// let bare = Definition::new("time".parse()?, Transport::Stdio(program));
    /// let definition = Definition { priority: Some(2), ..bare };
    /// let body = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","priority":2}"#;
    /// assert_eq!(serde_json::to_string(&definition)?, body);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(name: ServerName, transport: Transport) -> Self {
        Self {
            name,
            description: None,
            transport,
            env: IndexMap::new(),
            timeout: None,
            reconnect: Reconnect::default(),
            health_check_interval: None,
            log_enabled: false,
            tool_filter: None,
            tags: BTreeMap::new(),
            access: Access::default(),
            sessions: Sessions::default(),
            era: EraMode::default(),
            eras: Eras::default(),
            priority: None,
            limits: Limits::default(),
            process: ProcessSettings::default(),
            network: Network::default(),
            inert: Inert::default(),
        }
    }

    /// Returns true if callers from this address may use the upstream's endpoints.
    ///
    /// ```
    /// let posted = r#"{"name":"time","transport":"stdio","command":"x","allowedIPs":["10.0.0.0/8"]}"#;
    /// let definition: schemas::Definition = serde_json::from_str(posted)?;
    /// assert!(definition.allows("10.1.2.3".parse()?));
    /// assert!(definition.allows("::ffff:10.1.2.3".parse()?), "the same address, as a dual-stack socket gives it");
    /// assert!(!definition.allows("192.0.2.1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.access.allowed_ips.is_empty() || self.access.allowed_ips.iter().any(|net| net.contains(&address))
    }
}
