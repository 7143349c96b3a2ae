//! Receiving half of an upstream session: routes each message to the call or client that it belongs to.
//!
//! Every request in flight is registered here with the event queue of its call. Responses, progress and questions are
//! routed by what they belong to, never by what happened last.

mod room;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{self, Error};
use crate::protocol::{self, Kind, Message, Object};
use crate::sync::lock;
use crate::upstream::changes::{ListChanges, updated};
use crate::upstream::event::Event;
use crate::upstream::events::Events;
use crate::upstream::ids::next_question;
use crate::upstream::level::level;
use crate::upstream::question::{Question, Reply};

/// Maximum number of responses to the upstream's own requests that wait to be sent.
pub(super) const REPLY_QUEUE: usize = 1 << 16;

/// The receiving half of one upstream session.
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    outbox: mpsc::Sender<Bytes>,
    closed: CancellationToken,
    /// Maximum size of one queue in bytes.
    queue_limit: usize,
    /// Queues over that limit, each with the request whose stream filled it.
    crowded: Mutex<Vec<(Option<u64>, Events)>>,
    is_crowded: AtomicBool,
    /// Cancelled when readers of the upstream need not wait for room, because it is gone and little is left to read.
    hurry: CancellationToken,
    /// Counters of the reasons to read each list again.
    pub(super) lists_changed: watch::Sender<ListChanges>,
    /// Cancelled after the upstream's response to the first request for the session's own stream, whatever the
    /// response.
    stream_settled: CancellationToken,
    /// Counter of changes of the attachments' subscriptions.
    pub(super) subscriptions_changed: watch::Sender<u64>,
}

#[derive(Default)]
struct InboxState {
    pending: HashMap<u64, Pending, RandomState>,
    attached: Vec<Attached>,
    /// Questions by the upstream's raw id. Settled ones are removed when the next one arrives.
    asked: HashMap<Box<str>, Asked>,
    end: Option<String>,
    /// Reasons of failed requests that their exchanges have not fetched yet.
    failures: Vec<(u64, Error)>,
}

/// A request in flight.
struct Pending {
    answer: oneshot::Sender<Message>,
    caller: u64,
    events: Events,
    token: Option<Box<str>>,
    subscription: Option<Box<str>>,
    hears_logs: bool,
    /// Time of the last progress notification.
    heard: Option<Instant>,
}

/// A question that was sent to a client.
struct Asked {
    serial: u64,
    events: Events,
    settled: Arc<AtomicBool>,
}

/// A downstream session that uses this upstream session.
struct Attached {
    id: u64,
    events: Events,
    subscriptions: HashSet<Box<str>>,
    level: usize,
}

/// A request to be registered, with its caller's data.
pub(super) struct Expectation {
    pub(super) id: u64,
    pub(super) caller: u64,
    pub(super) events: Events,
    /// The raw progress token that the caller chose.
    pub(super) token: Option<Box<str>>,
    /// The raw id that the caller chose for `subscriptions/listen`.
    pub(super) subscription: Option<Box<str>>,
    /// True if log messages may belong to this request.
    pub(super) hears_logs: bool,
}

impl Inbox {
    /// Creates an inbox with a channel for responses to the upstream, and a size limit for each queue.
    pub(super) fn new(outbox: mpsc::Sender<Bytes>, queue_limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            outbox,
            closed: CancellationToken::new(),
            queue_limit,
            crowded: Mutex::default(),
            is_crowded: AtomicBool::new(false),
            hurry: CancellationToken::new(),
            lists_changed: watch::Sender::default(),
            stream_settled: CancellationToken::new(),
            subscriptions_changed: watch::Sender::default(),
        }
    }

    /// Registers a request before it is sent. `None` if the session has ended.
    pub(super) fn expect(&self, expected: Expectation) -> Option<oneshot::Receiver<Message>> {
        let (answer, receiver) = oneshot::channel();
        let Expectation { id, caller, events, token, subscription, hears_logs } = expected;
        let mut state = self.state();
        if state.end.is_some() {
            return None;
        }
        state.pending.insert(id, Pending { answer, caller, events, token, subscription, hears_logs, heard: None });
        Some(receiver)
    }

    /// Deregisters a request; a later response is dropped.
    pub(super) fn forget(&self, id: u64) {
        let mut state = self.state();
        state.pending.remove(&id);
        state.failures.retain(|(failed, _)| *failed != id);
    }

    /// Returns the time of the last progress notification of this request.
    pub(super) fn heard(&self, id: u64) -> Option<Instant> {
        self.state().pending.get(&id)?.heard
    }

    /// Routes one message. `origin` is the request on whose stream it came, if the transport knows.
    pub(super) fn receive(&self, message: &Message, origin: Option<u64>) {
        match message.kind() {
            Kind::Result | Kind::Error => self.answer(message, origin),
            Kind::Request => self.question(message, origin),
            Kind::Notification => self.notification(message, origin),
        }
    }

    /// Fails one request in flight; the session and all other requests go on.
    pub(super) fn fail(&self, id: u64, error: Error) {
        let mut state = self.state();
        // The exchange fetches the reason once the sender of its response is dropped.
        if let Some(pending) = state.pending.remove(&id) {
            state.failures.push((id, error));
            drop(state);
            drop(pending);
        }
    }

    /// Refuses an invalid request of the upstream.
    pub(super) fn refuse(&self, id: &str, why: &str) {
        Reply::to_upstream(id, &self.outbox).refuse(why);
    }

    /// Returns the reason why a request gets no response: its own failure, or the end of the session.
    pub(super) fn failure(&self, id: u64) -> Error {
        let mut state = self.state();
        match state.failures.iter().position(|(failed, _)| *failed == id) {
            Some(at) => state.failures.swap_remove(at).1,
            None => Error::new(error::Kind::ConnectionLost).because(state.end.clone().unwrap_or_default()),
        }
    }

    /// Queues a notification; ignores queues without a reader.
    fn deliver(&self, origin: Option<u64>, events: Option<Events>, message: Bytes) {
        let Some(events) = events else { return };
        let put = events.put(Event::Notification(message), self.queue_limit);
        self.note(origin, events, put);
    }

    /// Ends the session: fails all requests in flight and rejects new ones. The first reason is kept.
    pub(super) fn close(&self, reason: impl Into<String>) {
        let mut state = self.state();
        if state.end.is_none() {
            state.end = Some(reason.into());
        }
        state.pending.clear();
        state.asked.clear();
        drop(state);
        self.closed.cancel();
    }

    /// Returns the token that is cancelled when the session ends.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Returns the reason for the end of the session.
    pub(super) fn end(&self) -> Option<String> {
        self.state().end.clone()
    }

    /// Records a gap, in which notifications may have been missed: lists are read again, and subscribers of a resource
    /// are notified that it may have changed.
    pub(super) fn gap(&self) {
        self.late_stream();
        for one in &self.state().attached {
            one.subscriptions.iter().for_each(|uri| self.deliver(None, Some(one.events.clone()), updated(uri)));
        }
    }

    /// Records that list announcements before the session's first stream may have been missed.
    pub(super) fn late_stream(&self) {
        self.lists_changed.send_modify(|changes| changes.gaps += 1);
    }

    /// Records that the upstream's own stream is open, or does not exist.
    pub(super) fn settle_stream(&self) {
        self.stream_settled.cancel();
    }

    /// Returns the token that [`Inbox::settle_stream`] cancels.
    pub(super) fn stream_settled(&self) -> &CancellationToken {
        &self.stream_settled
    }

    pub(super) fn attach(&self, id: u64, events: Events) {
        self.state().attached.push(Attached { id, events, subscriptions: HashSet::new(), level: 0 });
    }

    pub(super) fn detach(&self, id: u64) {
        self.state().attached.retain(|one| one.id != id);
        self.subscriptions_changed.send_modify(|count| *count += 1);
    }

    /// Returns the subscribed resources of all attachments.
    pub(super) fn subscriptions(&self) -> BTreeSet<Box<str>> {
        self.state().attached.iter().flat_map(|one| one.subscriptions.iter().cloned()).collect()
    }

    /// Records a subscription. Returns true if another attachment has the same.
    pub(super) fn subscribe(&self, id: u64, uri: &str) -> bool {
        let mut state = self.state();
        let shared = state.attached.iter().any(|one| one.id != id && one.subscriptions.contains(uri));
        if let Some(one) = state.attached.iter_mut().find(|one| one.id == id) {
            one.subscriptions.insert(uri.into());
        }
        drop(state);
        self.subscriptions_changed.send_modify(|count| *count += 1);
        shared
    }

    /// Removes a subscription. Returns true if another attachment has the same.
    pub(super) fn unsubscribe(&self, id: u64, uri: &str) -> bool {
        let mut state = self.state();
        if let Some(one) = state.attached.iter_mut().find(|one| one.id == id) {
            one.subscriptions.remove(uri);
        }
        self.subscriptions_changed.send_modify(|count| *count += 1);
        state.attached.iter().any(|one| one.subscriptions.contains(uri))
    }

    /// Records the log level of one attachment. Returns the most verbose level of all.
    pub(super) fn set_level(&self, id: u64, level: usize) -> usize {
        let mut state = self.state();
        if let Some(one) = state.attached.iter_mut().find(|one| one.id == id) {
            one.level = level;
        }
        state.attached.iter().map(|one| one.level).min().unwrap_or(level)
    }

    fn answer(&self, message: &Message, origin: Option<u64>) {
        // An error without an id can only belong to the request on whose stream it came.
        let id = if message.id().is_empty() { origin } else { message.id().parse().ok() };
        let pending = id.and_then(|id| self.state().pending.remove(&id));
        match pending {
            Some(pending) => drop(pending.answer.send(message.clone())),
            None => debug!(id = message.id(), "answer to no request in flight"),
        }
    }

    fn question(&self, message: &Message, origin: Option<u64>) {
        let reply = Reply::to_upstream(message.id(), &self.outbox);
        if message.method() == "ping" {
            reply.answer_ping();
            return;
        }
        let mut state = self.state();
        let Some(events) = state.addressee(origin, Pending::is_call) else {
            drop(state);
            reply.refuse("no client in this session can be asked at the moment");
            return;
        };
        let serial = next_question();
        state.asked.retain(|_, asked| !asked.settled.load(Ordering::Relaxed));
        let asked = Asked { serial, events: events.clone(), settled: reply.settled() };
        state.asked.insert(message.id().into(), asked);
        drop(state);
        let question = Question { serial, message: message.with_id(&serial.to_string(), &[]), reply };
        let put = events.put(Event::Question(question), self.queue_limit);
        self.note(origin, events, put);
    }

    fn notification(&self, message: &Message, origin: Option<u64>) {
        if self.is_listened_for(message, origin) {
            return;
        }
        match message.method() {
            "notifications/progress" => self.progress(message, origin),
            "notifications/cancelled" => self.withdraw(message, origin),
            // The only client of a session gets all its resource updates.
            "notifications/resources/updated" => self.updated(message, |attached| attached.len() == 1),
            "notifications/message" => self.log(message, origin),
            "notifications/tools/list_changed" => self.list_changed(message, |changes| &mut changes.tools),
            "notifications/prompts/list_changed" => self.list_changed(message, |changes| &mut changes.prompts),
            "notifications/resources/list_changed" => self.list_changed(message, |changes| &mut changes.resources),
            // Not in a specification, but some servers announce changed skills this way.
            "notifications/skills/list_changed" => self.list_changed(message, |changes| &mut changes.skills),
            _ => {
                let addressee = self.state().addressee(origin, Pending::is_call);
                self.deliver(origin, addressee, message.bytes().clone());
            }
        }
    }

    /// Sends a message of a `subscriptions/listen` to its caller, under the caller's id. Late messages of an ended one
    /// are dropped.
    fn is_listened_for(&self, message: &Message, origin: Option<u64>) -> bool {
        let Some(raw) = protocol::subscription_id(message) else { return false };
        let state = self.state();
        let pending = raw.parse().ok().and_then(|id: u64| state.pending.get(&id));
        if let Some(Pending { events, subscription: Some(subscription), .. }) = pending {
            self.deliver(origin, Some(events.clone()), message.with(&[(raw, subscription)]));
        }
        true
    }

    /// Distributes a change notification of a `subscriptions/listen` to every client that it concerns.
    pub(super) fn publish(&self, message: &Message) {
        match message.method() {
            "notifications/resources/updated" => self.updated(message, |_| false),
            _ => self.notification(message, None),
        }
    }

    fn progress(&self, message: &Message, origin: Option<u64>) {
        let params = Object::read(message.params()).ok();
        let Some(raw) = params.as_ref().and_then(|params| params.get("progressToken")) else { return };
        let Ok(id) = raw.parse::<u64>() else { return };
        let mut state = self.state();
        let Some(pending) = state.pending.get_mut(&id) else { return };
        pending.heard = Some(Instant::now());
        let Some(token) = &pending.token else { return };
        let put = pending.events.put_progress(message.with(&[(raw, token)]), self.queue_limit);
        self.note(origin, pending.events.clone(), put);
    }

    /// Handles `notifications/cancelled`: the upstream withdraws a question.
    fn withdraw(&self, message: &Message, origin: Option<u64>) {
        let Some(raw) = protocol::requested_id(message.params()) else { return };
        let asked = self.state().asked.remove(raw);
        if let Some(asked) = asked {
            self.deliver(origin, Some(asked.events), message.with(&[(raw, &asked.serial.to_string())]));
        }
    }

    /// Notifies the subscribers of a changed resource, and every attachment if `unasked` says so.
    fn updated(&self, message: &Message, unasked: impl Fn(&[Attached]) -> bool) {
        let params = Object::read(message.params()).ok();
        let uri = params.and_then(|params| params.text("uri").map(String::from)).unwrap_or_default();
        let state = self.state();
        let unasked = unasked(&state.attached);
        for one in state.attached.iter().filter(|one| unasked || one.subscriptions.contains(uri.as_str())) {
            self.deliver(None, Some(one.events.clone()), message.bytes().clone());
        }
    }

    fn log(&self, message: &Message, origin: Option<u64>) {
        let params = Object::read(message.params()).ok();
        let level = params.and_then(|params| params.text("level").and_then(|word| level(&word)));
        let state = self.state();
        let wanted = |one: &&Attached| level.is_none_or(|level| level >= one.level);
        let hears = |pending: &Pending| pending.hears_logs;
        let Some(caller) = state.caller(origin, hears) else {
            debug!("log message of a shared session belongs to no single client");
            return;
        };
        if state.attached.iter().find(|one| one.id == caller).is_none_or(|one| wanted(&one)) {
            self.deliver(origin, state.addressee(origin, hears), message.bytes().clone());
        }
    }

    fn list_changed(&self, message: &Message, count: impl Fn(&mut ListChanges) -> &mut u64) {
        self.lists_changed.send_modify(|changes| *count(changes) += 1);
        for one in &self.state().attached {
            self.deliver(None, Some(one.events.clone()), message.bytes().clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, InboxState> {
        lock(&self.state)
    }
}

impl InboxState {
    /// Returns the queue for a message: that of the call `origin`, or else of the only attachment that it can belong
    /// to: its newest call, whose stream is sure to have a reader, or its own queue if it has no call.
    fn addressee(&self, origin: Option<u64>, concerned: fn(&Pending) -> bool) -> Option<Events> {
        if let Some(pending) = origin.and_then(|id| self.pending.get(&id)) {
            return Some(pending.events.clone());
        }
        let caller = self.caller(origin, concerned)?;
        let calls = self.pending.iter().filter(|(_, pending)| pending.caller == caller && concerned(pending));
        match calls.max_by_key(|(id, _)| **id) {
            Some((_, newest)) => Some(newest.events.clone()),
            None => self.attached.iter().find(|one| one.id == caller).map(|one| one.events.clone()),
        }
    }

    /// Returns the only attachment that a message can belong to: that of its call, the only one with calls that it may
    /// concern, or the only one of the session.
    fn caller(&self, origin: Option<u64>, concerned: fn(&Pending) -> bool) -> Option<u64> {
        if let Some(pending) = origin.and_then(|id| self.pending.get(&id)) {
            return Some(pending.caller);
        }
        let mut callers = self.pending.values().filter(|pending| concerned(pending)).map(|pending| pending.caller);
        match (callers.next(), self.attached.as_slice()) {
            (Some(first), _) => callers.all(|caller| caller == first).then_some(first),
            (None, [only]) => Some(only.id),
            (None, _) => None,
        }
    }
}

impl Pending {
    /// True if a message without a reference to a request may belong to this one. Messages of a `subscriptions/listen`
    /// always carry a reference.
    fn is_call(&self) -> bool {
        self.subscription.is_none()
    }
}

#[cfg(test)]
mod tests;
