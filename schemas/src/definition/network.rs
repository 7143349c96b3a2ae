//! How an HTTP upstream is reached, besides its URL.

use url::Url;

use crate::{InvalidDefinition, Secret};

/// The text that stands for no proxy at all.
const NONE: &str = "none";

/// How an HTTP upstream is reached: through which proxy, whose certificates are believed, and with which one the gateway
/// shows who it is. Files are in PEM form and are read when a connection is opened.
///
/// ```
/// use schemas::{Definition, Network, Proxy};
///
/// let posted = r#"{"name":"docs","transport":"streamable-http","url":"https://x.example/mcp",
///     "proxy":"none","caFile":"/etc/gateway/authority.pem"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.network.proxy, Some(Proxy::Direct));
/// assert_eq!(definition.network.ca_file.as_deref(), Some("/etc/gateway/authority.pem"));
/// assert_eq!(Network::default().proxy, None, "as the gateway's own settings say");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// The forward proxy; as the gateway's settings say when absent.
    pub proxy: Option<Proxy>,
    /// Certificates of authorities that are believed besides those of the gateway.
    pub ca_file: Option<String>,
    /// By what the gateway shows who it is, where the upstream wants to know.
    pub identity: Option<Identity>,
}

/// Which forward proxy leads to an upstream.
///
/// ```
/// use schemas::{Definition, Proxy, Secret};
///
/// let posted = r#"{"name":"docs","transport":"sse","url":"https://x.example/sse","proxy":"http://u:p@proxy:3128"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// assert_eq!(definition.network.proxy, Some(Proxy::Via(Secret::new("http://u:p@proxy:3128"))));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// None, whatever the gateway's settings say.
    Direct,
    /// The one with this http or https URL, which may hold credentials.
    Via(Secret),
}

/// The certificate by which the gateway shows who it is.
///
/// ```
/// use schemas::{Definition, Identity};
///
/// let posted = r#"{"name":"docs","transport":"streamable-http","url":"https://x.example/mcp",
///     "clientCertFile":"/etc/gateway/client.pem","clientKeyFile":"/etc/gateway/client.key.pem"}"#;
/// let definition: Definition = serde_json::from_str(posted)?;
/// let expected = Identity {
///     certificate_file: "/etc/gateway/client.pem".to_owned(),
///     key_file: "/etc/gateway/client.key.pem".to_owned(),
/// };
/// assert_eq!(definition.network.identity, Some(expected));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and behind it those of the authorities between it and one that the upstream believes.
    pub certificate_file: String,
    /// Its private key.
    pub key_file: String,
}

/// The members of a document that say how an upstream is reached.
pub(crate) struct Written<'a> {
    pub(crate) proxy: Option<Secret>,
    pub(crate) ca_file: &'a str,
    pub(crate) client_cert_file: &'a str,
    pub(crate) client_key_file: &'a str,
}

impl Network {
    /// Whether files of the gateway's machine are used.
    ///
    /// ```
    /// assert!(!schemas::Network::default().uses_files());
    /// ```
    pub fn uses_files(&self) -> bool {
        self.ca_file.is_some() || self.identity.is_some()
    }

    pub(crate) fn read(written: Written<'_>, is_remote: bool) -> Result<Self, InvalidDefinition> {
        let identity = match (written.client_cert_file, written.client_key_file) {
            ("", "") => None,
            ("", _) | (_, "") => return Err(InvalidDefinition::HalfIdentity),
            (certificate, key) => Some(Identity {
                certificate_file: absolute(certificate, "clientCertFile")?,
                key_file: absolute(key, "clientKeyFile")?,
            }),
        };
        let ca_file = match written.ca_file {
            "" => None,
            file => Some(absolute(file, "caFile")?),
        };
        let network = Self { proxy: written.proxy.map(Proxy::read).transpose()?, ca_file, identity };
        if !is_remote && network != Self::default() {
            return Err(InvalidDefinition::NoNetwork);
        }
        Ok(network)
    }
}

impl Proxy {
    fn read(text: Secret) -> Result<Self, InvalidDefinition> {
        if text.expose().trim().eq_ignore_ascii_case(NONE) {
            return Ok(Self::Direct);
        }
        let url = Url::parse(text.expose()).ok();
        let is_usable = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if is_usable || text.is_redacted() { Ok(Self::Via(text)) } else { Err(InvalidDefinition::Proxy) }
    }

    /// The text that is read as this.
    pub(crate) fn into_text(self) -> Secret {
        match self {
            Self::Direct => Secret::new(NONE),
            Self::Via(url) => url,
        }
    }
}

fn absolute(file: &str, member: &'static str) -> Result<String, InvalidDefinition> {
    let is_absolute = file.starts_with('/') && !file.contains('\0');
    if is_absolute { Ok(file.to_owned()) } else { Err(InvalidDefinition::RelativeFile(member)) }
}
