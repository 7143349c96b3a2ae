//! Typed client of the gateway's admin API: register upstreams, wait until they are connected, list and call their
//! tools.
//!
//! Every method has a deadline over all attempts and retries only safe requests (see [`Client`]). A [`Client`] keeps
//! no state besides its settings and a pool of connections. The request and response types are those of the
//! [`schemas`] crate. Works with this workspace's gateway and with Compozy's Go proxy.
//!
//! Several writers of one gateway are coordinated by three features: a change can depend on the revision that the
//! caller read ([`Client::update_if`]), a run can hold the lock of its owner ([`Client::lock`]), and a registration
//! made with a lease ([`Client::register_leased`], [`Client::lease`]) is removed when its last lease ends. Compozy's
//! proxy has none of them; the methods report this in their results: no [`revision`](Updated::revision),
//! [`CreatedForGood`](RegisteredLeased::CreatedForGood), or an error that [`is_unsupported`](Error::is_unsupported).
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use proxy_client::{Client, Registered};
//! use schemas::admin::ToolCall;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::from_env()?;
//! client.health().await?;
//!
//! let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
//! if client.register(&definition).await? == Registered::AlreadyExists {
//!     client.update(&definition).await?;
//! }
//! let names = [definition.name.clone()];
//! client.wait_for_connections(&names, Duration::from_millis(200), Duration::from_secs(60)).await?;
//!
//! let arguments = serde_json::value::RawValue::from_string(r#"{"timezone":"Europe/Paris"}"#.to_owned())?;
//! let call = ToolCall {
//!     mcp_name: "time".to_owned(),
//!     tool_name: "get_current_time".to_owned(),
//!     arguments: Some(arguments),
//! };
//! println!("{}", client.call_tool(&call).await?.into_result()?.to_text());
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
mod error;
mod request;
mod retry;
#[cfg(test)]
mod scripted;

pub use crate::builder::ClientBuilder;
pub use crate::client::Client;
pub use crate::client::conditional::Conditional;
pub use crate::client::generation::Together;
pub use crate::client::lease::RegisteredLeased;
pub use crate::client::lock::{Lock, Locking, Renewal};
pub use crate::client::needs::{Missing, Needs, NotReady, Readiness};
pub use crate::client::outcome::{Registered, ToolFailure, ToolOutcome, ToolResult, Updated};
pub use crate::error::Error;
