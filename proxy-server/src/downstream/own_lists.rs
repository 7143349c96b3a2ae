//! Lists that upstreams show to one client alone: a server may add tools for one session. They are read in that session
//! when its upstream announces a change there, and stand in for the catalog's in what the client sees of all upstreams.

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

use crate::catalog::{List, OwnItems, Snapshot, View};
use crate::downstream::Edge;
use crate::downstream::session::lock;
use crate::error::Chain;
use crate::policy::Caller;
use crate::protocol::Message;
use crate::upstream::Attachment;

const KINDS: [&str; 3] = ["tools", "prompts", "resources"];
/// Changes that are announced together are read together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// The lists of one client that read otherwise than the catalog's.
#[derive(Default)]
pub(super) struct OwnLists {
    state: Mutex<State>,
    /// Whether there are any, so that whoever has none pays nothing for it.
    has_any: AtomicBool,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    lists: HashMap<ServerName, OwnItems>,
    /// The view that was made last, and of what.
    view: Option<(Arc<Snapshot>, Arc<View>)>,
}

impl OwnLists {
    /// What the client sees of all upstreams.
    pub(super) fn view(&self, edge: &Edge, caller: &Caller) -> Arc<View> {
        if !self.has_any.load(Ordering::Relaxed) {
            return edge.view(caller);
        }
        let snapshot = edge.catalog.snapshot();
        let mut state = lock(&self.state);
        if let Some((of, view)) = &state.view
            && Arc::ptr_eq(of, &snapshot)
        {
            return Arc::clone(view);
        }
        // What the catalog has come to list as well is no longer this client's alone.
        state.lists.retain(|upstream, items| !snapshot.agrees(upstream, items));
        if state.lists.is_empty() {
            self.has_any.store(false, Ordering::Relaxed);
            *state = State::default();
            return edge.view(caller);
        }
        let may_use = |definition: &schemas::Definition| edge.policy.reaches(caller, definition);
        let view = edge.catalog.view_with(&snapshot, &may_use, &state.lists);
        state.view = Some((snapshot, Arc::clone(&view)));
        view
    }

    /// Tells of changes.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads the lists of these kinds in the client's own session.
    pub(super) async fn read(&self, edge: &Edge, attachment: &Arc<Attachment>, kinds: &[&str]) {
        let (upstream, name) = (attachment.upstream(), &attachment.upstream().definition().name);
        let Ok(session) = attachment.session().await else { return };
        for list in List::ALL.into_iter().filter(|list| list.kind().is_some_and(|kind| kinds.contains(&kind))) {
            match edge.catalog.read(list, upstream, &session).await {
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

    /// Forgets what an upstream showed in a session that has ended. Says whether nothing is left.
    pub(super) fn forget(&self, upstream: &ServerName) -> bool {
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

/// The kinds of list that are to be read in a client's own session, and when.
#[derive(Default)]
pub(super) struct Stale {
    kinds: Vec<&'static str>,
    due: Option<Instant>,
}

impl Stale {
    /// Notes what a notification says has changed.
    pub(super) fn hear(&mut self, notification: &Bytes) {
        if memmem::find(notification, b"list_changed").is_none() {
            return;
        }
        let Ok(message) = Message::parse(notification.clone()) else { return };
        let named = |kind: &&str| *message.method() == format!("notifications/{kind}/list_changed");
        if let Some(kind) = KINDS.into_iter().find(named) {
            self.note(&[kind]);
        }
    }

    /// Notes that any list may have changed.
    pub(super) fn doubt(&mut self) {
        self.note(&KINDS);
    }

    /// Done when it is time to read; never while nothing is stale.
    pub(super) async fn is_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// What is to be read, which is stale no longer.
    pub(super) fn take(&mut self) -> Vec<&'static str> {
        self.due = None;
        std::mem::take(&mut self.kinds)
    }

    fn note(&mut self, kinds: &[&'static str]) {
        let new = kinds.iter().copied().filter(|kind| !self.kinds.contains(kind)).collect::<Vec<_>>();
        self.kinds.extend(new);
        self.due = Some(Instant::now() + DEBOUNCE);
    }
}
