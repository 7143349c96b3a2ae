//! Network settings of an HTTP upstream besides its URL: proxy and certificates.

use url::Url;

use crate::{InvalidDefinition, Secret};

/// Value of `proxy` that disables every proxy.
const NONE: &str = "none";

/// Network settings of an HTTP upstream: the forward proxy, trusted certificate authorities and the client
/// certificate. Files are in PEM format and are read when a connection is opened.
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
    /// The forward proxy; the gateway's own setting applies if absent.
    pub proxy: Option<Proxy>,
    /// File of certificate authorities trusted in addition to those of the gateway.
    pub ca_file: Option<String>,
    /// Client certificate that the gateway presents if the upstream asks for one.
    pub identity: Option<Identity>,
}

/// The forward proxy used for an upstream.
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
    /// No proxy, even if the gateway's settings name one.
    Direct,
    /// The proxy at this http or https URL, which may contain credentials.
    Via(Secret),
}

/// A client certificate for mutual TLS.
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
    /// File with the certificate, followed by the intermediate certificates up to an authority that the upstream
    /// trusts.
    pub certificate_file: String,
    /// File with the private key of the certificate.
    pub key_file: String,
}

/// Members of a document that describe the network settings, not validated yet.
pub(crate) struct Written<'a> {
    pub(crate) proxy: Option<Secret>,
    pub(crate) ca_file: &'a str,
    pub(crate) client_cert_file: &'a str,
    pub(crate) client_key_file: &'a str,
}

impl Network {
    /// Returns true if files on the gateway's machine are used.
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

    /// Returns the value of `proxy` that parses to `self`.
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
