//! One session of the pool, and its checkouts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use schemas::Transport;
use tokio::sync::{OnceCell, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::modern_to_legacy::notices::Notices;
use crate::error::{Error, Kind};
use crate::policy::Principal;
use crate::protocol::{self, Message, Object};
use crate::sync::lock;
use crate::upstream::{Attachment, Deadline, EventQueue, UpstreamCall, event_queue};

/// Identifies a group of sessions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Address of the upstream. Every session of the group holds the upstream, so that the address is not reused.
    pub(super) upstream: usize,
    pub(super) principal: Principal,
    pub(super) capabilities: Box<str>,
}

/// Mode in which a caller uses a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::call) enum Mode {
    Alone,
    Shared,
}

/// A pooled session.
pub(in crate::call) struct PooledSession {
    pub(super) key: Key,
    pub(super) attachment: Arc<Attachment>,
    /// Upstream's response to `initialize`.
    handshake: Message,
    /// Delivers notifications that belong to no call.
    pub(super) notices: Notices,
    pub(in crate::call) subscriptions: Mutex<HashMap<String, Subscription>>,
    used: Mutex<Usage>,
    /// Log level that was last set at the upstream.
    level: Mutex<Option<Box<str>>>,
    pub(super) closed: CancellationToken,
}

/// Subscription to one resource, shared by its listeners.
#[derive(Default)]
pub(in crate::call) struct Subscription {
    pub(in crate::call) listeners: usize,
    /// The upstream's decision, for which later listeners wait too.
    pub(in crate::call) is_accepted: Arc<OnceCell<bool>>,
}

struct Usage {
    alone: bool,
    shared: usize,
    last: Instant,
}

/// Checkout of a session, returned when dropped.
pub(in crate::call) struct Checkout {
    session: Arc<PooledSession>,
    mode: Mode,
}

impl PooledSession {
    /// Creates a session that nobody uses yet. It ends with its upstream.
    pub(super) fn new(key: Key, attachment: Arc<Attachment>, handshake: Message) -> Arc<Self> {
        let closed = attachment.upstream().retired().child_token();
        Arc::new(Self {
            key,
            attachment,
            handshake,
            notices: Notices::default(),
            subscriptions: Mutex::default(),
            used: Mutex::new(Usage { alone: false, shared: 0, last: Instant::now() }),
            level: Mutex::default(),
            closed,
        })
    }

    pub(super) fn checkout(self: &Arc<Self>, mode: Mode) -> Option<Checkout> {
        let mut used = lock(&self.used);
        let is_free = !used.alone && (mode == Mode::Shared || used.shared == 0) && !self.closed.is_cancelled();
        if !is_free {
            return None;
        }
        match mode {
            Mode::Alone => used.alone = true,
            Mode::Shared => used.shared += 1,
        }
        Some(Checkout { session: Arc::clone(self), mode })
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        let used = lock(&self.used);
        let is_idle = !used.alone && used.shared == 0 && !self.notices.has_listeners();
        (is_idle && !self.closed.is_cancelled()).then_some(used.last)
    }

    pub(in crate::call) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Sets the minimum level of log messages at the upstream, if it supports logging.
    pub(in crate::call) async fn log_from(&self, level: &str, deadline: Instant) {
        let handshake = Object::read(self.handshake.body()).ok();
        let capabilities = handshake.and_then(|result| Object::read(result.get("capabilities")?).ok());
        let is_set = lock(&self.level).as_deref() == Some(level);
        if is_set || capabilities.is_none_or(|all| all.get("logging").is_none()) {
            return;
        }
        let params = format!(r#"{{"level":{}}}"#, serde_json::Value::from(level));
        if self.ask("logging/setLevel", &params, deadline).await.is_ok() {
            *lock(&self.level) = Some(level.into());
        }
    }

    /// Sends a request of the gateway's own to the upstream.
    pub(in crate::call) async fn ask(&self, method: &str, params: &str, deadline: Instant) -> Result<Message, Error> {
        let request = Message::parse(protocol::request(0, method, params));
        let message = &request.map_err(|error| Error::new(Kind::Malformed).because(error))?;
        let (events, _nobody) = event_queue();
        let (_never, cancelled) = oneshot::channel();
        let deadline = Deadline::at(deadline);
        self.attachment.request(UpstreamCall { message, events, cancelled, deadline }).await
    }

    pub(in crate::call) fn handshake(&self) -> &Message {
        &self.handshake
    }

    /// Subscribes to notifications that belong to no call. The session stays open while there is a listener.
    pub(in crate::call) fn notices(&self) -> EventQueue {
        self.notices.subscribe()
    }

    /// Returns the token that is cancelled when the session has ended for good.
    pub(in crate::call) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Checkout {
    pub(in crate::call) fn session(&self) -> &Arc<PooledSession> {
        &self.session
    }

    /// Ends an exclusively used dedicated session if late messages in it could be mistaken for the next caller's: on
    /// transports other than Streamable HTTP.
    pub(in crate::call) fn discard(&mut self) {
        let transport = &self.session.attachment.upstream().definition().transport;
        let tells_apart = matches!(transport, Transport::StreamableHttp(_));
        if self.mode == Mode::Alone && !tells_apart && !self.session.attachment.is_shared() {
            self.session.closed.cancel();
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let mut used = lock(&self.session.used);
        match self.mode {
            Mode::Alone => used.alone = false,
            Mode::Shared => used.shared = used.shared.saturating_sub(1),
        }
        used.last = Instant::now();
    }
}
