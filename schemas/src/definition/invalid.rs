//! Why a document is refused.

use std::time::Duration;

use crate::{InvalidName, InvalidToken, format_duration, nearest};

/// Why a well-formed document is not a definition. The checks run in this order and the first failure wins.
///
/// ```
/// use schemas::dialect::compozy::DefinitionDocument;
/// use schemas::{Definition, InvalidDefinition};
///
/// let document: DefinitionDocument = serde_json::from_str(r#"{"name":"time","transport":"stdio","timeout":-1}"#)?;
/// assert_eq!(Definition::try_from(document), Err(InvalidDefinition::NoCommand));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDefinition {
    /// A member that no definition has. Passed over, a misspelt `authTokens` would leave the upstream open.
    #[error("unknown member `{member}`{}", .meant.as_ref().map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default())]
    Unknown {
        /// The member, with its place.
        member: String,
        /// The member that was likely meant.
        meant: Option<String>,
    },
    /// The name is missing or not allowed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The transport is missing or unknown.
    #[error("invalid transport type: {0}{hint}", hint = transport_hint(.0))]
    Transport(String),
    /// A stdio definition without a program.
    #[error("command is required for stdio transport")]
    NoCommand,
    /// An HTTP definition without an address.
    #[error("url is required for HTTP-based transports")]
    NoUrl,
    /// A filter mode other than `allow` and `block`.
    #[error("tool filter validation failed: invalid tool filter mode: {0}")]
    FilterMode(String),
    /// A filter that lists nothing.
    #[error("tool filter validation failed: tool filter list cannot be empty")]
    FilterEmpty,
    /// A quantity below zero; the field's wire name is inside.
    #[error("{0} cannot be negative")]
    Negative(&'static str),
    /// A length of time under a millisecond: a number without a unit counts nanoseconds.
    #[error("{field} is {length}, because a number without a unit counts nanoseconds; write `{meant}`")]
    Tiny {
        /// The field's wire name.
        field: &'static str,
        /// The length as it was understood.
        length: String,
        /// The length that was likely meant.
        meant: String,
    },
    /// An address that no HTTP client could use.
    #[error("invalid url: {0}")]
    Url(String),
    /// A header that HTTP does not allow.
    #[error("invalid header `{0}`: {1}")]
    Header(String, &'static str),
    /// A program, argument or folder that no process could be given.
    #[error("command, args and cwd cannot hold NUL bytes")]
    Nul,
    /// A token that is empty or unrendered.
    #[error("invalid authTokens entry: {0}")]
    Token(#[from] InvalidToken),
    /// Neither an address nor a network.
    #[error("invalid allowedIPs entry `{0}`: expected an IP address or a CIDR block")]
    AllowedIp(String),
    /// A session mode other than `auto`, `shared` and `dedicated`.
    #[error("invalid sessionMode: {0} (must be 'auto', 'shared' or 'dedicated')")]
    SessionMode(String),
    /// An era other than `auto`, `legacy` and `modern`.
    #[error("invalid era: {0} (must be 'auto', 'legacy' or 'modern')")]
    Era(String),
    /// Eras of the endpoints other than `both` and `legacy`.
    #[error("invalid eras: {0} (must be 'both' or 'legacy')")]
    Eras(String),
    /// The modern era over a transport that it has not.
    #[error("era 'modern' needs transport stdio or streamable-http; sse is legacy only")]
    ModernSse,
    /// A proxy that is neither `none` nor an address.
    #[error("invalid proxy: expected `none` or an http or https URL")]
    Proxy,
    /// A certificate without its key, or a key without its certificate.
    #[error("clientCertFile and clientKeyFile belong together")]
    HalfIdentity,
    /// A file by a path that means something else in each folder; the field's wire name is inside.
    #[error("{0} must be an absolute path")]
    RelativeFile(&'static str),
    /// A proxy or certificates for a program.
    #[error("proxy, caFile and clientCertFile need transport sse or streamable-http")]
    NoNetwork,
    /// A placeholder came back for a secret that is not stored, or that belongs to another origin or program.
    #[error("`{0}` is redacted and there is no stored value to keep")]
    NothingToKeep(String),
}

/// The transport that a misspelt one means, or that another program calls so.
fn transport_hint(text: &str) -> String {
    let lower = text.to_lowercase();
    let meant = match lower.as_str() {
        "http" | "https" | "streamable" | "streamablehttp" | "remote" => Some("streamable-http"),
        "local" | "command" | "process" | "pipe" => Some("stdio"),
        _ => nearest(text, ["stdio", "sse", "streamable-http"]),
    };
    meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

impl InvalidDefinition {
    /// Small numbers were meant to be seconds, larger ones milliseconds.
    pub(crate) fn tiny(field: &'static str, duration: Duration) -> Self {
        let number = duration.as_nanos();
        let meant = if number < 1_000 { format!("{number}s") } else { format!("{number}ms") };
        Self::Tiny { field, length: format_duration(duration), meant }
    }
}
