//! Keeps an MCP gateway in step with workflow files.
//!
//! - [`files`] reads files, renders their templates, and returns the desired state, or all mistakes with positions.
//! - [`plan`](mod@plan) compares the desired state with the gateway's, guards removals, and applies the changes.
//! - [`worker`] registers for as long as an engine's worker runs, and offers and calls the tools of its servers.
//!
//! The root has only the names with which most programs begin; each is in its module too.
//!
//! An engine's worker does all of it, and lists and calls the tools, with a [`RegisterService`]. It needs no other
//! dependency: [`proxy_client`] is the gateway's client, [`schemas`] has the types of what is registered.
//!
//! ```
//! use register_service::proxy_client::Client;
//! use register_service::schemas::Definition;
//! use register_service::{Options, RegisterService};
//!
//! # async fn run(definition: Definition) -> Result<(), Box<dyn std::error::Error>> {
//! let service = RegisterService::new(Client::builder("gateway:6001").build()?, Options::default());
//! service.ensure(&definition).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Without a worker, files come to a plan like this:
//!
//! ```
//! use register_service::plan::{Policy, plan};
//! use register_service::{Environment, Settings, load};
//!
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("demo.yaml");
//! std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n")?;
//!
//! let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
//! let loaded = load(&[file], &settings)?;
//! let plan = plan(&loaded.desired.definitions(), &[], &Policy::new("team-a".parse()?));
//! assert_eq!(plan.changes[0].verb(), "create");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod arguments;
#[cfg(test)]
mod corpus;
mod diagnostic;
mod dump;
#[cfg(test)]
mod fake;
pub mod files;
pub mod plan;
mod service;
mod source;
mod sync;
#[cfg(test)]
mod vectors;
pub mod worker;
mod workflow;

pub use {proxy_client, schemas};

pub use crate::files::{Environment, Settings, load};
pub use crate::worker::{Options, RegisterService, Wanted};
