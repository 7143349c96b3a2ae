//! Upstream that a call is sent to, with the request and its translation for that upstream.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::catalog::{View, qualified_id};
use crate::error::Error;
use crate::protocol::{Era, Message};
use crate::route::{self, answer_edits, state_edit};
use crate::upstream::{Event, Upstream};

/// A request with the upstream it goes to. Cheap to clone.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) upstream: Arc<Upstream>,
    /// Request with the upstream's own names.
    pub(super) request: Message,
    /// Client's view of all upstreams, if the request came to their common endpoint.
    pub(super) view: Option<Arc<View>>,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        self.upstream.definition().name.as_str()
    }

    /// Returns slices of the upstream's answer, each with the text that replaces it for the client.
    pub(super) fn edits<'a>(&self, answer: &'a Message) -> Vec<(&'a str, String)> {
        let Some(view) = &self.view else { return Vec::new() };
        answer_edits(view, self.name(), self.request.method(), answer)
    }

    /// Returns the edits of an answer to a modern client, which may contain a `requestState`.
    pub(super) fn modern_edits<'a>(&self, answer: &'a Message) -> Vec<(&'a str, String)> {
        let mut edits = self.edits(answer);
        edits.extend(self.view.as_ref().and_then(|_| state_edit(self.name(), answer)));
        edits
    }

    /// Returns a `requestState` in the form that the client sends back.
    pub(super) fn state<'a>(&self, own: &'a str) -> Cow<'a, str> {
        match &self.view {
            Some(_) => qualified_id(self.name(), own).into(),
            None => own.into(),
        }
    }

    /// Returns the upstream's era. Waits until the deadline while it is being detected.
    pub(super) async fn era(&self, deadline: Instant) -> Result<Era, Error> {
        self.upstream.era(deadline).await
    }

    /// Translates a notification for the client; `None` if the client must not receive it.
    pub(super) fn notification(&self, notification: Bytes) -> Option<Bytes> {
        match &self.view {
            Some(view) => route::notification(view, self.name(), notification),
            None => Some(notification),
        }
    }

    /// Translates an event for the client; `None` if the client must not receive it.
    pub(super) fn event(&self, event: Event) -> Option<Event> {
        match event {
            Event::Notification(notification) => self.notification(notification).map(Event::Notification),
            Event::Question(question) => Some(Event::Question(question)),
        }
    }
}

/// Borrows the replacements of edits.
pub(super) fn borrowed<'a>(edits: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    edits.iter().map(|(old, new)| (*old, new.as_str())).collect()
}
