//! A stored definition with its times, its revisions and its lifetime.

use jiff::Timestamp;
use schemas::Definition;
use schemas::admin::Revision;

/// A stored definition.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) definition: Definition,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) revision: Revision,
    /// The revision of its creation. Registrations are ordered by it.
    pub(crate) created: Revision,
    /// The revision of the last change of anything but tags. An upstream that was started for an older incarnation must
    /// be restarted.
    pub(crate) incarnation: Revision,
    pub(crate) tenure: Tenure,
}

/// Lifetime of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// Until it is deleted.
    Permanent,
    /// Until its last lease ends.
    Leased,
}
