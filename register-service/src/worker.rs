//! Worker of an engine: registrations that last as long as it runs, and the tools of its servers.
//!
//! [`RegisterService`] has the methods; [`Options`] configure it. [`Tools`] are offered to a model, a [`ToolAddress`]
//! names the one to call, [`Changes`] report what happens at the gateway, and [`Metrics`] receive measurements.

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
