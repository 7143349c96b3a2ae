//! Files: reading, templates, diagnostics, the desired state, and dumps of a gateway's registrations as files.
//!
//! [`load`] takes paths, [`load_text`] and [`load_value`] what comes from elsewhere. The result is the [`Desired`] state
//! with remarks, or [`InvalidFiles`] with every mistake. No request is sent: [`check_tools`] takes the gateway's lists.

pub use schemas::template::Environment;

pub use crate::diagnostic::{Code, Diagnostic, Location, Severity, UnknownCode};
pub use crate::dump::{dump, dump_with_secrets, restored, written};
pub use crate::source::env_file::{EnvFile, read_env_file};
pub use crate::source::{File, InvalidFiles, read};
pub use crate::workflow::address::{GatewayUrl, InvalidGatewayUrl};
pub use crate::workflow::connection_fields::ConnectionFields;
pub use crate::workflow::from_text::{load_text, load_value};
pub use crate::workflow::reference::tool::ToolReference;
pub use crate::workflow::tool_check::{Offer, check_tools};
pub use crate::workflow::{Desired, Engine, Entry, Loaded, Settings, Unset, Usage, load};
