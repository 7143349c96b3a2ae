//! Types of everything that crosses a process or file boundary: requests and responses of the admin API, definitions
//! of upstreams, and the documents that authors write.
//!
//! No I/O, no async, no HTTP. [`dialect`] holds the exact wire formats inherited from other programs; the model above
//! it is valid by construction, so there is no `validate()`.
//!
//! ```
//! use schemas::{Definition, Transport};
//!
//! let posted = r#"{"name":"fs","transport":"stdio","command":"npx","args":["-y","pkg"]}"#;
//! let definition: Definition = serde_json::from_str(posted)?;
//! assert!(matches!(definition.transport, Transport::Stdio(_)));
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod admin;
#[cfg(feature = "config")]
pub mod config;
mod definition;
pub mod dialect;
#[cfg(feature = "files")]
pub mod document;
mod duration;
mod name;
mod near;
mod party;
pub mod plan;
mod problem;
mod redact;
mod secret;
#[cfg(feature = "files")]
pub mod template;
mod token;
pub mod workflow;

pub use crate::definition::{
    Access, DEFINITION_SCHEMA, Definition, EraMode, Eras, FilterMode, Identity, Inert, InvalidDefinition, Limits,
    Network, ProcessSettings, Proxy, Reconnect, Remote, SessionMode, Sessions, Stdio, ToolFilter, Transport,
    UnknownEras,
};
pub use crate::duration::{InvalidDuration, WireDuration, format_duration, parse_duration};
pub use crate::name::{InvalidName, ServerName};
pub use crate::near::{near, nearest};
pub use crate::party::{Holder, InvalidParty, Owner};
pub use crate::problem::Problem;
pub use crate::redact::{Masker, is_secret_name, redact_arguments, redact_url, written_secrets, written_value};
pub use crate::secret::{FingerprintSalt, REDACTED, Secret};
pub use crate::token::InvalidToken;
