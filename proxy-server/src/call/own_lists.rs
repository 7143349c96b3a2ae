//! Lists that upstreams show to a single client: a server may add tools for one session. They are read in that session
//! when its upstream announces a change there, and replace the catalog's lists in the client's view of all upstreams.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use schemas::ServerName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::call::context::Context;
use crate::catalog::{List, OwnItems, Snapshot, View};
use crate::error::Chain;
use crate::policy::Caller;
use crate::protocol::Message;
use crate::sync::lock;
use crate::upstream::Attachment;

const KINDS: [&str; 3] = ["tools", "prompts", "resources"];
/// Delay that combines several announcements into one read.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Lists of one client that differ from the catalog's.
#[derive(Default)]
pub(crate) struct OwnLists {
    state: Mutex<ListState>,
    /// True if there are any lists. Clients without own lists take no lock.
    has_any: AtomicBool,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct ListState {
    lists: HashMap<ServerName, OwnItems>,
    /// The last view, with the snapshot it was built from.
    view: Option<(Arc<Snapshot>, Arc<View>)>,
}

impl OwnLists {
    /// Returns the client's view of all upstreams.
    pub(crate) fn view(&self, context: &Context, caller: &Caller) -> Arc<View> {
        if !self.has_any.load(Ordering::Relaxed) {
            return context.view(caller);
        }
        let snapshot = context.catalog.snapshot();
        let mut state = lock(&self.state);
        if let Some((of, view)) = &state.view
            && Arc::ptr_eq(of, &snapshot)
        {
            return Arc::clone(view);
        }
        // Lists that the catalog now contains as well are no longer specific to this client.
        state.lists.retain(|upstream, items| !snapshot.agrees(upstream, items));
        if state.lists.is_empty() {
            self.has_any.store(false, Ordering::Relaxed);
            *state = ListState::default();
            return context.view(caller);
        }
        let may_use = |definition: &schemas::Definition| context.policy.reaches(caller, definition);
        let view = context.catalog.view_with(&snapshot, &may_use, &state.lists);
        state.view = Some((snapshot, Arc::clone(&view)));
        view
    }

    /// Subscribes to changes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads the lists of these kinds in the client's own session.
    pub(crate) async fn read(&self, context: &Context, attachment: &Arc<Attachment>, kinds: &[&str]) {
        let (upstream, name) = (attachment.upstream(), &attachment.upstream().definition().name);
        let Ok(session) = attachment.session().await else { return };
        for list in List::ALL.into_iter().filter(|list| list.kind().is_some_and(|kind| kinds.contains(&kind))) {
            match context.catalog.read(list, upstream, &session).await {
                Ok(items) => {
                    let mut state = lock(&self.state);
                    let lists = state.lists.entry(name.clone()).or_default();
                    lists.retain(|(known, _)| *known != list);
                    lists.push((list, items.into()));
                    state.view = None;
                    self.has_any.store(true, Ordering::Relaxed);
                }
                Err(error) => debug!(upstream = %name, error = %Chain(&error), "cannot list in a client's own session"),
            }
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Removes the lists that an upstream showed in a session that has ended. Returns true if none are left.
    pub(crate) fn forget(&self, upstream: &ServerName) -> bool {
        let mut state = lock(&self.state);
        let had = state.lists.remove(upstream).is_some();
        if had {
            state.view = None;
        }
        let is_empty = state.lists.is_empty();
        drop(state);
        if had {
            self.changed.send_modify(|count| *count += 1);
        }
        is_empty
    }
}

/// Kinds of list to read again in a client's own session, and the due time.
#[derive(Default)]
pub(crate) struct Stale {
    kinds: Vec<&'static str>,
    due: Option<Instant>,
}

impl Stale {
    /// Marks the list that a `list_changed` notification names as stale.
    pub(crate) fn hear(&mut self, notification: &Bytes) {
        if memmem::find(notification, b"list_changed").is_none() {
            return;
        }
        let Ok(message) = Message::parse(notification.clone()) else { return };
        let named = |kind: &&str| *message.method() == format!("notifications/{kind}/list_changed");
        if let Some(kind) = KINDS.into_iter().find(named) {
            self.note(&[kind]);
        }
    }

    /// Marks all lists as stale.
    pub(crate) fn doubt(&mut self) {
        self.note(&KINDS);
    }

    /// Waits until the stale lists are due; forever if there are none.
    pub(crate) async fn is_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Returns the stale kinds and clears them.
    pub(crate) fn take(&mut self) -> Vec<&'static str> {
        self.due = None;
        std::mem::take(&mut self.kinds)
    }

    fn note(&mut self, kinds: &[&'static str]) {
        let new = kinds.iter().copied().filter(|kind| !self.kinds.contains(kind)).collect::<Vec<_>>();
        self.kinds.extend(new);
        self.due = Some(Instant::now() + DEBOUNCE);
    }
}
