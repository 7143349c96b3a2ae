//! Reasons for which a document is not a valid definition.

use std::time::Duration;

use crate::{InvalidName, InvalidToken, format_duration, nearest};

/// Reason why a well-formed document is not a valid definition. The checks run in the order of the variants; the first
/// failure is reported.
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
    /// A member that no definition has. Refused because a misspelt `authTokens` that was ignored would leave the
    /// upstream unprotected.
    #[error("unknown member `{member}`{}", .meant.as_ref().map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default())]
    Unknown {
        /// Path of the member.
        member: String,
        /// The known member with the most similar name.
        meant: Option<String>,
    },
    /// The name is missing or not allowed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The transport is missing or unknown.
    #[error("invalid transport type: {0}{hint}", hint = transport_hint(.0))]
    Transport(String),
    /// A stdio definition without `command`.
    #[error("command is required for stdio transport")]
    NoCommand,
    /// An HTTP definition without `url`.
    #[error("url is required for HTTP-based transports")]
    NoUrl,
    /// A filter mode other than `allow` and `block`.
    #[error("tool filter validation failed: invalid tool filter mode: {0}")]
    FilterMode(String),
    /// A filter with an empty list.
    #[error("tool filter validation failed: tool filter list cannot be empty")]
    FilterEmpty,
    /// A negative quantity; the value is the member's name on the wire.
    #[error("{0} cannot be negative")]
    Negative(&'static str),
    /// A duration under 1 ms: a number without a unit counts nanoseconds.
    #[error("{field} is {length}, because a number without a unit counts nanoseconds; write `{meant}`")]
    Tiny {
        /// Name of the member on the wire.
        field: &'static str,
        /// The duration as it was read.
        length: String,
        /// The duration that was probably meant.
        meant: String,
    },
    /// A URL that no HTTP client can use.
    #[error("invalid url: {0}")]
    Url(String),
    /// A header name or value that HTTP does not allow.
    #[error("invalid header `{0}`: {1}")]
    Header(String, &'static str),
    /// A `command`, argument or `cwd` with a NUL byte, which no process can be started with.
    #[error("command, args and cwd cannot hold NUL bytes")]
    Nul,
    /// A token that is empty or contains an unrendered template.
    #[error("invalid authTokens entry: {0}")]
    Token(#[from] InvalidToken),
    /// A scope that a challenge cannot name (RFC 6749, 3.3).
    #[error("invalid requiredScopes entry `{0}`: expected a scope, without spaces, quotes and backslashes")]
    Scope(String),
    /// An entry that is neither an IP address nor a CIDR block.
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
    /// The modern era over SSE, which exists in the legacy era only.
    #[error("era 'modern' needs transport stdio or streamable-http; sse is legacy only")]
    ModernSse,
    /// A proxy that is neither `none` nor a URL.
    #[error("invalid proxy: expected `none` or an http or https URL")]
    Proxy,
    /// A certificate without its key, or a key without its certificate.
    #[error("clientCertFile and clientKeyFile belong together")]
    HalfIdentity,
    /// A relative path, which would depend on the working directory; the value is the member's name on the wire.
    #[error("{0} must be an absolute path")]
    RelativeFile(&'static str),
    /// A proxy or certificates declared for a stdio upstream.
    #[error("proxy, caFile and clientCertFile need transport sse or streamable-http")]
    NoNetwork,
    /// A user that is neither a name nor a number.
    #[error("invalid user: {0} (must be the name or the number of a user)")]
    User(String),
    /// A umask that is not an octal number up to 777.
    #[error("invalid umask: {0} (must be an octal number up to 777, such as '027')")]
    Umask(String),
    /// An entry that no environment variable can have as its name.
    #[error("invalid inheritEnv entry `{0}`: expected the name of a variable")]
    InheritedVariable(String),
    /// So little memory that no program starts.
    #[error("maxMemoryBytes is {0}, with which no program starts: it counts bytes")]
    LittleMemory(i64),
    /// A scheduling priority that does not exist, or that only an administrator may set.
    #[error("invalid nice: {0} (must be from 1 to 19)")]
    Nice(i64),
    /// Settings of processes declared for an HTTP upstream.
    #[error("user, umask, inheritEnv, maxMemoryBytes, maxCpuTime, maxOpenFiles and nice need transport stdio")]
    NoProcess,
    /// A placeholder in place of a secret, while no secret is stored or the stored one belongs to another origin or
    /// program.
    #[error("`{0}` is redacted and there is no stored value to keep")]
    NothingToKeep(String),
}

/// Returns the transport that an unknown name probably means: a misspelling, or another program's name for it.
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
    /// Creates [`Self::Tiny`]. Suggests seconds for numbers below 1000, milliseconds for larger ones.
    pub(crate) fn tiny(field: &'static str, duration: Duration) -> Self {
        let number = duration.as_nanos();
        let meant = if number < 1_000 { format!("{number}s") } else { format!("{number}ms") };
        Self::Tiny { field, length: format_duration(duration), meant }
    }
}
