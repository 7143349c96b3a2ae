//! The items that an upstream contributes to a view, and the names and candidates that they become.

use std::sync::Arc;

use schemas::{ServerName, ToolFilter};

use crate::catalog::list::{Item, Lists};
use crate::protocol::{Era, Object};

/// The items that one upstream contributes to a view.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) name: ServerName,
    /// Rank of the upstream: the lowest number is preferred.
    pub(crate) priority: u32,
    /// Filter that selects the visible tools.
    pub(crate) filter: Option<ToolFilter>,
    pub(crate) lists: Lists,
    /// Protocol era spoken with the upstream.
    pub(crate) era: Era,
    /// Raw result of `initialize` or `server/discover`.
    pub(crate) handshake: Arc<str>,
}

/// One upstream's tool or prompt that a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) upstream: ServerName,
    /// Name of the item at its upstream.
    pub(crate) name: Box<str>,
    /// True if a call may be repeated, because the upstream marks the tool as read-only or idempotent.
    pub(crate) repeatable: bool,
}

/// Naming result of one tool, for the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) upstream: ServerName,
    pub(crate) name: Box<str>,
    /// Name that clients use; `None` if they cannot see the tool.
    pub(crate) exposed: Option<Box<str>>,
    /// Reason for a deviation from the usual name of this mode.
    pub(crate) reason: Option<String>,
    /// True if the definition's filter hides the tool.
    pub(crate) hidden: bool,
}

impl Candidate {
    pub(super) fn new(offered: &Offered, item: &Item) -> Self {
        let repeatable = offered.lists.tool(&item.key).is_some_and(|tool| tool.is_repeatable);
        Self { upstream: offered.name.clone(), name: item.key.clone(), repeatable }
    }
}

impl Offered {
    pub(super) fn shows(&self, tool: &Item) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.passes(&tool.key))
    }

    pub(super) fn has_tasks(&self) -> bool {
        let result = Object::read(&self.handshake).ok();
        let capabilities = result.and_then(|result| Object::read(result.get("capabilities")?).ok());
        capabilities.is_some_and(|capabilities| capabilities.get("tasks").is_some())
    }
}
