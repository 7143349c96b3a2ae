//! Replaces an upstream session that has ended, and makes up for what the client has missed meanwhile.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use schemas::Reconnect;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, Kind};
use crate::sync::lock;
use crate::upstream::attachment::{Attachment, Slot};
use crate::upstream::changes::{ListChanges, updated};
use crate::upstream::session::Session;
use crate::upstream::state::{self, Action, Policy, State, step};
use crate::upstream::supervisor::{SUCCESSOR, jitter};

/// Timeout for reading the lists again after a gap.
const CATCHING_UP: Duration = Duration::from_secs(10);

impl Attachment {
    /// Opens a successor, unless another caller does so already, and waits briefly for it.
    pub(super) async fn successor(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        let mut start = false;
        self.slot.send_if_modified(|slot| {
            let ended = match slot {
                Slot::Live(session) => session.is_closed(),
                Slot::Failed => true,
                Slot::Opening => false,
            };
            if ended {
                *slot = Slot::Opening;
                start = true;
            }
            ended
        });
        if start {
            let this = Arc::clone(self);
            self.upstream.environment().tasks.spawn("replace upstream session", async move { this.replace().await });
        }
        let mut slot = self.slot.subscribe();
        let settled = timeout(SUCCESSOR, slot.wait_for(|slot| !matches!(slot, Slot::Opening))).await;
        let session = settled.ok().and_then(Result::ok).and_then(|slot| match &*slot {
            Slot::Live(session) => Some(Arc::clone(session)),
            Slot::Opening | Slot::Failed => None,
        });
        session.ok_or_else(|| Error::new(Kind::NotReady).at(&self.upstream.definition().name))
    }

    /// Opens a successor whenever the upstream session ends, so that a client that only listens keeps receiving
    /// notifications. Runs until dropped.
    pub(crate) async fn keep(self: &Arc<Self>) {
        let policy = Policy::from(&Reconnect { max: None, ..self.upstream.definition().reconnect.clone() });
        let (mut state, mut action) = (State::Connected { failures: 0 }, Action::Serve);
        loop {
            let event = match action {
                Action::Connect => self.succeed().await,
                Action::Serve => self.lost().await,
                Action::Wait(delay) => {
                    sleep(delay).await;
                    state::Event::RetryDue
                }
                Action::Rest => std::future::pending().await,
            };
            (state, action) = step(state, event, policy, jitter());
        }
    }

    async fn lost(&self) -> state::Event {
        let mut slot = self.slot.subscribe();
        let live = slot.wait_for(|slot| matches!(slot, Slot::Live(_))).await.map(|slot| slot.clone());
        let Ok(Slot::Live(session)) = live else { return std::future::pending().await };
        let mut changes = session.lists_changed();
        let mut gaps = changes.borrow_and_update().gaps;
        loop {
            tokio::select! {
                () = session.closed().cancelled() => return state::Event::Lost { lived: session.lived() },
                Ok(()) = changes.changed(), if self.dedicated.is_some() => {
                    let now = changes.borrow_and_update().gaps;
                    if std::mem::replace(&mut gaps, now) != now {
                        Box::pin(self.catch_up(&session)).await;
                    }
                }
            }
        }
    }

    /// Notifies the client of changes that it may have missed in a gap of its dedicated session: of lists that differ
    /// from what it has read. A list that cannot be compared counts as changed.
    async fn catch_up(&self, session: &Arc<Session>) {
        let gap = session.lists_changed().borrow().gaps;
        let is_known = |(known, at): &(Weak<Session>, u64)| *at == gap && known.ptr_eq(&Arc::downgrade(session));
        if lock(&self.caught_up).replace((Arc::downgrade(session), gap)).is_some_and(|last| is_known(&last)) {
            return;
        }
        self.doubts.send_modify(|count| *count += 1);
        let deadline = Instant::now() + CATCHING_UP;
        let mut changed = ListChanges::default();
        let asked = lock(&self.shown).asked();
        for (method, kind) in asked {
            let answer = session.ask(method, "{}", deadline).await;
            if session.is_closed() {
                return;
            }
            if !answer.is_ok_and(|answer| lock(&self.shown).agrees(method, &answer)) {
                changed.count(kind);
            }
        }
        changed.notices_since(ListChanges::default()).for_each(|notice| self.tell(notice));
    }

    /// Opens a successor once the upstream's own session is live.
    async fn succeed(self: &Arc<Self>) -> state::Event {
        let mut observed = self.upstream.observed();
        let usable = observed.wait_for(|observed| observed.session.as_ref().is_some_and(|own| !own.is_closed())).await;
        drop(usable);
        match self.session().await {
            Ok(_) => state::Event::Connected,
            Err(_) => state::Event::Failed,
        }
    }

    async fn replace(self: Arc<Self>) {
        let deadline = self.upstream.start_deadline();
        let opened = self.choose_again(deadline).await;
        let session = opened.ok();
        if let Some(session) = &session {
            session.inbox().attach(self.id, self.events.clone());
            self.restore_client_state(session, deadline).await;
        }
        self.slot.send_replace(session.clone().map_or(Slot::Failed, Slot::Live));
        if let Some(session) = session {
            // No notifications arrived while there was no session.
            self.client_state().subscriptions.iter().for_each(|uri| self.tell(updated(uri)));
            if self.dedicated.is_some() {
                self.catch_up(&session).await;
            }
        }
        // The client may have closed the attachment meanwhile; then close the new session here.
        if self.closed.load(Ordering::SeqCst) {
            self.close().await;
        }
    }
}
