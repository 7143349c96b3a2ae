//! State changes of the gateway, for those who follow them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::audit::{Entry, EventType};
use super::ring::Ring;

/// A change of the state of the gateway, or of something that it keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StateChange {
    pub(crate) time: Timestamp,
    pub(crate) kind: EventType,
    /// Name of the registration, upstream, holder or token.
    pub(crate) subject: Option<String>,
    pub(crate) details: Map<String, Value>,
}

/// The last state changes of a gateway. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct StateChanges(Ring<StateChange>);

impl StateChanges {
    /// Adds a change that happens now.
    pub(crate) fn note(&self, kind: EventType, subject: &str, details: &[(&str, Value)]) {
        let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let subject = (!subject.is_empty()).then(|| subject.to_owned());
        self.push(StateChange { time: Timestamp::now(), kind, subject, details });
    }

    /// Adds what audit records say about a change, without its author.
    pub(crate) fn note_all(&self, entries: Vec<Entry>) {
        for Entry { time, kind, subject, details, .. } in entries {
            self.push(StateChange { time, kind, subject, details });
        }
    }

    /// Returns the kept changes.
    pub(crate) fn ring(&self) -> &Ring<StateChange> {
        &self.0
    }

    fn push(&self, change: StateChange) {
        let details = serde_json::to_vec(&change.details).map_or(0, |details| details.len());
        self.0.push(change, 128 + details);
    }
}
