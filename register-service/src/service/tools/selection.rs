//! Rules for the tools that are offered to a model.

/// Selects the tools offered to a model. Server names are compared case-insensitively, by the engine's name or the
/// gateway's.
///
/// ```
/// use register_service::worker::{Naming, Selection};
///
/// let selection = Selection {
///     denied: vec!["shell".to_owned()],
///     own: vec!["calculator".to_owned()],
///     naming: Naming::Qualified,
///     ..Selection::default()
/// };
/// assert!(selection.allowed.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Servers whose tools may be offered; all if empty.
    pub allowed: Vec<String>,
    /// Servers whose tools are not offered, even if allowed.
    pub denied: Vec<String>,
    /// Names of the engine's own tools, which take precedence over those of servers.
    pub own: Vec<String>,
    /// Names of the offered tools.
    pub naming: Naming,
}

/// Rule for the names of tools offered to a model.
///
/// ```no_run
/// use register_service::worker::{Naming, Selection};
///
/// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
/// let qualified = Selection { naming: Naming::Qualified, ..Selection::default() };
/// assert!(service.tools().await?.find("web").is_some());
/// assert!(service.tools_for(&qualified).await?.find("search__web").is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// The tools' own names. Of equal names the first is offered, in the order in which the servers were registered.
    #[default]
    Plain,
    /// `server__tool`, so that all tools have different names.
    Qualified,
}
