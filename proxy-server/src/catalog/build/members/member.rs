//! One upstream of a view.

use crate::catalog::build::offered::Offered;
use crate::catalog::list::List;
use crate::catalog::tool::Tool;
use crate::protocol::Skills;

/// An upstream with its offer, and what it declares.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) offered: Offered,
    pub(super) has_resources: bool,
    has_tasks: bool,
    pub(super) skills: Option<Skills>,
}

impl Member {
    pub(super) fn new(offered: Offered) -> Self {
        let has_resources = List::Resources.is_declared(&offered.handshake);
        let (has_tasks, skills) = (offered.has_tasks(), Skills::declared(&offered.handshake));
        Self { offered, has_resources, has_tasks, skills }
    }

    /// Returns the known properties of one of the upstream's tools.
    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.offered.lists.tool(name)
    }

    /// Returns true if the upstream declares tasks.
    pub(crate) fn has_tasks(&self) -> bool {
        self.has_tasks
    }
}
