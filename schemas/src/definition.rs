//! What a user declares about one upstream, as a value that is valid by construction.
//!
//! The wire form is Compozy's flat JSON ([`crate::dialect::compozy`]); serialising and reading a [`Definition`] goes
//! through it.

mod invalid;
mod limits;
pub(crate) mod network;
mod settings;
mod transport;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::definition::invalid::InvalidDefinition;
pub use crate::definition::limits::Limits;
pub use crate::definition::network::{Identity, Network, Proxy};
pub use crate::definition::settings::{
    Access, EraMode, Eras, FilterMode, Reconnect, SessionMode, Sessions, ToolFilter, UnknownEras,
};
pub use crate::definition::transport::{Remote, Stdio, Transport};
use crate::dialect::compozy::{DeclaredDocument, DefinitionDocument};
use crate::{FingerprintSalt, Secret, ServerName};

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
    /// What clients put into the URL.
    pub name: ServerName,
    /// For people.
    pub description: Option<String>,
    /// How the upstream is reached.
    pub transport: Transport,
    /// Environment of the child process. An HTTP upstream has none; its entries are kept and shown, never used.
    pub env: IndexMap<String, Secret>,
    /// How long one attempt to connect and shake hands may take; the gateway's own limit when absent.
    pub timeout: Option<Duration>,
    /// What happens after a connection is lost.
    pub reconnect: Reconnect,
    /// How often a connected upstream is pinged; never when absent.
    pub health_check_interval: Option<Duration>,
    /// Whether the upstream's own log output is logged at `info` and not at `debug`.
    pub log_enabled: bool,
    /// Which tools are visible and callable; all when absent.
    pub tool_filter: Option<ToolFilter>,
    /// Free words of the owner.
    pub tags: BTreeMap<String, String>,
    /// Who may use this upstream's endpoints.
    pub access: Access,
    /// How downstream sessions map to upstream sessions.
    pub sessions: Sessions,
    /// Which generation of the protocol is spoken with it.
    pub era: EraMode,
    /// Which generations of the protocol its own endpoints speak to clients.
    pub eras: Eras,
    /// Who is preferred where several upstreams have the same tool: the lowest number. 1 when absent.
    pub priority: Option<u32>,
    /// Limits of this upstream alone.
    pub limits: Limits,
    /// How an HTTP upstream is reached, besides its URL.
    pub network: Network,
    /// Members of the other transport that were declared as well.
    pub inert: Inert,
}

/// Members that an ancestor accepted beside a transport they do not belong to. Kept and shown, never used.
///
/// ```
/// use schemas::Definition;
///
/// let posted = r#"{"name":"time","transport":"stdio","command":"mcp-server-time","url":"https://x.example/mcp"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.inert.url.as_deref(), Some("https://x.example/mcp"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

impl Definition {
    /// A definition that declares nothing but how the upstream is reached.
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
            network: Network::default(),
            inert: Inert::default(),
        }
    }

    /// The digests by which a caller sees that a secret differs from its own, keyed by place (`headers.X-Key`).
    ///
    /// ```
    /// use schemas::{Definition, FingerprintSalt, Secret};
    ///
    /// let posted = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","headers":{"X-Key":"s3cret"}}"#;
    /// let definition: Definition = serde_json::from_str(posted)?;
    /// let salt = FingerprintSalt::new([7; 16]);
    /// let mine = Secret::new("s3cret").fingerprint(&salt, "headers.X-Key");
    /// assert_eq!(definition.fingerprints(&salt), [("headers.X-Key".to_owned(), mine)].into());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn fingerprints(&self, salt: &FingerprintSalt) -> BTreeMap<String, String> {
        let mut prints = BTreeMap::new();
        for (place, secret) in self.secrets() {
            let print = secret.fingerprint(salt, &place);
            prints.insert(place, print);
        }
        prints
    }

    /// Replaces each placeholder that a view showed and that came back unchanged by the stored value.
    ///
    /// Headers and environment are kept only for the origin or the program they were declared for: who does not know a
    /// secret must not be able to have it sent elsewhere.
    ///
    /// ```
    /// use schemas::{Definition, Secret, Transport};
    ///
    /// let posted = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","headers":{"X-Key":"s3cret"}}"#;
    /// let stored: Definition = serde_json::from_str(posted)?;
    ///
    /// let mut changed: Definition = serde_json::from_str(&posted.replace("s3cret", "[redacted]"))?;
    /// changed.keep_redacted(&stored)?;
    /// assert_eq!(changed, stored);
    ///
    /// let mut elsewhere: Definition =
    ///     serde_json::from_str(&posted.replace("s3cret", "[redacted]").replace("x.example", "evil.example"))?;
    /// assert!(elsewhere.keep_redacted(&stored).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_redacted(&mut self, stored: &Self) -> Result<(), InvalidDefinition> {
        let same_receiver = self.receiver() == stored.receiver();
        let kept = |place: &str| same_receiver || place.starts_with("authTokens.");
        let secrets = stored.secrets().into_iter().filter(|(place, _)| kept(place));
        let known: BTreeMap<String, Secret> = secrets.map(|(place, secret)| (place, secret.clone())).collect();
        for (place, secret) in self.secrets_mut() {
            if secret.is_redacted() {
                *secret = known.get(&place).cloned().ok_or(InvalidDefinition::NothingToKeep(place))?;
            }
        }
        Ok(())
    }

    /// Whether a caller at this address may use the upstream's endpoints.
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

    /// Who gets to see the headers and the environment.
    fn receiver(&self) -> String {
        match &self.transport {
            // The folder decides which program a relative path means.
            Transport::Stdio(stdio) if stdio.command.contains('/') && !stdio.command.starts_with('/') => {
                format!("{}\n{}", stdio.cwd.as_deref().unwrap_or_default(), stdio.command)
            }
            Transport::Stdio(stdio) => stdio.command.clone(),
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => remote.url.origin().ascii_serialization(),
        }
    }

    fn secrets(&self) -> Vec<(String, &Secret)> {
        let headers = match &self.transport {
            Transport::Stdio(_) => &self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &remote.headers,
        };
        let headers = headers.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter().map(|(name, value)| (format!("env.{name}"), value));
        let tokens = self.access.auth_tokens.iter().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        let proxy = match &self.network.proxy {
            Some(Proxy::Via(url)) => Some(("proxy".to_owned(), url)),
            Some(Proxy::Direct) | None => None,
        };
        headers.chain(env).chain(tokens).chain(proxy).collect()
    }

    fn secrets_mut(&mut self) -> Vec<(String, &mut Secret)> {
        let headers = match &mut self.transport {
            Transport::Stdio(_) => &mut self.inert.headers,
            Transport::Sse(remote) | Transport::StreamableHttp(remote) => &mut remote.headers,
        };
        let headers = headers.iter_mut().map(|(name, value)| (format!("headers.{name}"), value));
        let env = self.env.iter_mut().map(|(name, value)| (format!("env.{name}"), value));
        let tokens =
            self.access.auth_tokens.iter_mut().enumerate().map(|(i, token)| (format!("authTokens.{i}"), token));
        let proxy = match &mut self.network.proxy {
            Some(Proxy::Via(url)) => Some(("proxy".to_owned(), url)),
            Some(Proxy::Direct) | None => None,
        };
        headers.chain(env).chain(tokens).chain(proxy).collect()
    }
}
