//! Keeps an MCP gateway in step with workflow files.
//!
//! The way of a registration is `source` (files with positions) -> `workflow` (what each entry of `mcps:` means) ->
//! `template` (its variables) -> `plan` (what has to change; pure) -> `apply` (the requests). Mistakes in files are
//! values with a position, collected and reported together.
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
//! use register_service::{Environment, Policy, Settings, load, plan};
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
mod plan;
mod service;
mod source;
mod sync;
mod template;
mod workflow;

pub use {proxy_client, schemas};

pub use crate::apply::{ApplyError, Done, Outcome, apply, apply_together};
pub use crate::diagnostic::{Code, Diagnostic, Location, Severity, UnknownCode};
pub use crate::dump::{dump, dump_with_secrets, restored};
pub use crate::plan::{
    ACTOR_TAG, Adopt, COMMIT_TAG, Change, Guard, Guards, InvalidLimit, Limit, Moved, OWNER_TAG, PROTECTED_TAG, Plan,
    Policy, Prune, RUN_TAG, Reason, Refusal, SHARED_TAG, SOURCE_TAG, SavedChange, SavedPlan, moved, plan, saved,
    saved_policy, sharers,
};
pub use crate::service::call::address::{InvalidToolAddress, ToolAddress};
pub use crate::service::call::answer::{Content, ToolAnswer};
pub use crate::service::call::arguments::Problem;
pub use crate::service::call::{CallError, CallErrorKind};
pub use crate::service::changes::{Changes, Observed, ServerChange, ToolChange, ToolChanged};
pub use crate::service::configured::load_configured;
pub use crate::service::lease::Tenure;
pub use crate::service::metrics::{Metric, MetricKind, Metrics};
pub use crate::service::options::{InvalidSetting, Options};
pub use crate::service::shutdown::NotRemoved;
pub use crate::service::start::{NotStarted, Started};
pub use crate::service::tools::{Function, FunctionForm, LeftOut, Naming, Selection, Tools, Why};
pub use crate::service::wanted::Wanted;
pub use crate::service::{NotEnsured, RegisterService};
pub use crate::source::{File, InvalidFiles, read};
pub use crate::template::Environment;
pub use crate::template::dotenv::{EnvFile, read_env_file};
pub use crate::workflow::address::{GatewayUrl, InvalidGatewayUrl};
pub use crate::workflow::connection_fields::ConnectionFields;
pub use crate::workflow::from_text::{load_text, load_value};
pub use crate::workflow::reference::tool::ToolReference;
pub use crate::workflow::tool_check::{Offer, check_tools};
pub use crate::workflow::{Desired, Engine, Entry, Loaded, Settings, Unset, Usage, load};
