//! What an upstream sends, and for whom it is.
//!
//! Every request in flight on an upstream session is here, with the sinks of the call it belongs to, so that answers,
//! progress and questions find their way by what they belong to and never by what happened last.

mod room;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{self, Error};
use crate::protocol::{self, Kind, Message, Object};
use crate::upstream::changes::{ListChanges, updated};
use crate::upstream::events::Events;
use crate::upstream::question::{Question, Reply};

/// Numbers for requests towards either side; unique in the process, so that they mean the same in every session.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How many answers to the upstream's own requests may wait to be sent.
pub(super) const REPLY_QUEUE: usize = 256;

/// Something an upstream sends besides answers.
#[derive(Debug)]
pub(crate) enum Event {
    Notification(Bytes),
    Question(Question),
}

/// The upstream's log level per attachment, as the index into [`LEVELS`].
pub(super) const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The receiving half of one upstream session.
pub(super) struct Inbox {
    state: Mutex<State>,
    outbox: mpsc::Sender<Bytes>,
    closed: CancellationToken,
    /// What may wait in one queue, in bytes.
    queue_limit: usize,
    /// Queues in which more than that waits, each with the request on whose own stream it came.
    crowded: Mutex<Vec<(Option<u64>, Events)>>,
    is_crowded: AtomicBool,
    /// Nothing waits for room any more, because the upstream is gone and little is left to be read.
    hurry: CancellationToken,
    /// Counts the reasons to read each list again.
    pub(super) lists_changed: watch::Sender<ListChanges>,
    /// Cancelled when the upstream has answered the first request for a stream of its own, whatever the answer.
    stream_settled: CancellationToken,
    /// Counts changes of what the attachments subscribe to.
    pub(super) subscriptions_changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    pending: HashMap<u64, Pending, RandomState>,
    attached: Vec<Attached>,
    /// Questions by the upstream's raw id. Those that are settled go when the next one comes.
    asked: HashMap<Box<str>, Asked>,
    end: Option<String>,
    /// Why requests failed whose exchanges have not noticed yet.
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
    /// When the upstream last told of progress.
    heard: Option<Instant>,
}

/// A question to a client.
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

/// What a caller gives for a request in flight.
pub(super) struct Expectation {
    pub(super) id: u64,
    pub(super) caller: u64,
    pub(super) events: Events,
    /// The raw progress token that the caller knows the request by.
    pub(super) token: Option<Box<str>>,
    /// The raw id that the caller knows a `subscriptions/listen` by.
    pub(super) subscription: Option<Box<str>>,
    /// Whether log messages can be about it.
    pub(super) hears_logs: bool,
}

pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl Inbox {
    /// An inbox whose answers to the upstream go this way, and in each of whose queues so many bytes may wait.
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

    /// Registers a request before it is sent. Nothing is returned once the session has ended.
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

    /// Forgets a request; an answer that still comes is dropped.
    pub(super) fn forget(&self, id: u64) {
        let mut state = self.state();
        state.pending.remove(&id);
        state.failures.retain(|(failed, _)| *failed != id);
    }

    /// When the upstream last told of progress of this request.
    pub(super) fn heard(&self, id: u64) -> Option<Instant> {
        self.state().pending.get(&id)?.heard
    }

    /// Takes one message. `origin` is the request on whose own stream it came, where the transport tells.
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
        // The exchange looks for the reason once the sender of its answer is dropped.
        if let Some(pending) = state.pending.remove(&id) {
            state.failures.push((id, error));
            drop(state);
            drop(pending);
        }
    }

    /// Refuses a request of the upstream that cannot be read.
    pub(super) fn refuse(&self, id: &str, why: &str) {
        Reply::to_upstream(id, &self.outbox).refuse(why);
    }

    /// Why a request failed that will not be answered any more: its own failure, or the end of the session.
    pub(super) fn failure(&self, id: u64) -> Error {
        let mut state = self.state();
        match state.failures.iter().position(|(failed, _)| *failed == id) {
            Some(at) => state.failures.swap_remove(at).1,
            None => Error::new(error::Kind::Lost).because(state.end.clone().unwrap_or_default()),
        }
    }

    /// Puts an event in a queue; nobody may read it any more.
    fn deliver(&self, origin: Option<u64>, events: Option<Events>, message: Bytes) {
        let Some(events) = events else { return };
        let put = events.put(Event::Notification(message), self.queue_limit);
        self.note(origin, events, put);
    }

    /// Ends the session: everything in flight fails, and nothing can be sent any more. The first reason stays.
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

    /// Done when the session has ended.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Why the session ended.
    pub(super) fn end(&self) -> Option<String> {
        self.state().end.clone()
    }

    /// Notes that what the upstream told may have been missed: lists are read again, and whoever subscribed to a resource
    /// is told that it may have changed.
    pub(super) fn gap(&self) {
        self.late_stream();
        for one in &self.state().attached {
            one.subscriptions.iter().for_each(|uri| self.deliver(None, Some(one.events.clone()), updated(uri)));
        }
    }

    /// Notes that announcements of changed lists may have been missed before the session's first stream.
    pub(super) fn late_stream(&self) {
        self.lists_changed.send_modify(|changes| changes.gaps += 1);
    }

    /// Notes that the upstream's own stream is open or known not to exist.
    pub(super) fn settle_stream(&self) {
        self.stream_settled.cancel();
    }

    /// Done when [`Inbox::settle_stream`] was called.
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

    /// What the attachments subscribe to, all in all.
    pub(super) fn subscriptions(&self) -> BTreeSet<Box<str>> {
        self.state().attached.iter().flat_map(|one| one.subscriptions.iter().cloned()).collect()
    }

    /// Notes a subscription and says whether others hold the same.
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

    /// Drops a subscription and says whether others still hold the same.
    pub(super) fn unsubscribe(&self, id: u64, uri: &str) -> bool {
        let mut state = self.state();
        if let Some(one) = state.attached.iter_mut().find(|one| one.id == id) {
            one.subscriptions.remove(uri);
        }
        self.subscriptions_changed.send_modify(|count| *count += 1);
        state.attached.iter().any(|one| one.subscriptions.contains(uri))
    }

    /// Notes the log level of one attachment and says which level serves all.
    pub(super) fn set_level(&self, id: u64, level: usize) -> usize {
        let mut state = self.state();
        if let Some(one) = state.attached.iter_mut().find(|one| one.id == id) {
            one.level = level;
        }
        state.attached.iter().map(|one| one.level).min().unwrap_or(level)
    }

    fn answer(&self, message: &Message, origin: Option<u64>) {
        // A refusal without an id can only be meant for the request on whose stream it came.
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
        let serial = next_id();
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
            // Who has a session alone hears all that is said in it.
            "notifications/resources/updated" => self.updated(message, |attached| attached.len() == 1),
            "notifications/message" => self.log(message, origin),
            "notifications/tools/list_changed" => self.list_changed(message, |changes| &mut changes.tools),
            "notifications/prompts/list_changed" => self.list_changed(message, |changes| &mut changes.prompts),
            "notifications/resources/list_changed" => self.list_changed(message, |changes| &mut changes.resources),
            // Of no specification, but some servers announce what they list so.
            "notifications/skills/list_changed" => self.list_changed(message, |changes| &mut changes.skills),
            _ => {
                let addressee = self.state().addressee(origin, Pending::is_call);
                self.deliver(origin, addressee, message.bytes().clone());
            }
        }
    }

    /// Hands what belongs to a `subscriptions/listen` to its caller, under the id that the caller knows. What comes late,
    /// for one that has ended, is nobody's any more.
    fn is_listened_for(&self, message: &Message, origin: Option<u64>) -> bool {
        let Some(raw) = protocol::subscription_id(message) else { return false };
        let state = self.state();
        let pending = raw.parse().ok().and_then(|id: u64| state.pending.get(&id));
        if let Some(Pending { events, subscription: Some(subscription), .. }) = pending {
            self.deliver(origin, Some(events.clone()), message.with(&[(raw, subscription)]));
        }
        true
    }

    /// Carries a change notice of a `subscriptions/listen` to everyone whom it concerns.
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

    /// The upstream no longer wants an answer to a question.
    fn withdraw(&self, message: &Message, origin: Option<u64>) {
        let Some(raw) = protocol::requested_id(message.params()) else { return };
        let asked = self.state().asked.remove(raw);
        if let Some(asked) = asked {
            self.deliver(origin, Some(asked.events), message.with(&[(raw, &asked.serial.to_string())]));
        }
    }

    /// Tells of a changed resource whoever subscribed to it, and others as the session's attachments say.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Where to send what belongs to the call `origin`, or else to whichever single attachment it can belong to: to
    /// its newest call, whose stream surely has a reader, or to its own stream when it has no call.
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

    /// The one attachment that a message can belong to: that of its call, the only one with calls in flight that it can
    /// concern, or the only one at all.
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
    /// Whether a message that does not say what it belongs to can belong to this request. What belongs to a
    /// `subscriptions/listen` says so.
    fn is_call(&self) -> bool {
        self.subscription.is_none()
    }
}

/// The rank of a log level's name (RFC 5424, as the specification's `LoggingLevel`).
pub(super) fn level(word: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == word)
}

/// Whether a word is a log level's name.
pub(crate) fn is_level(word: &str) -> bool {
    level(word).is_some()
}

/// Whether a message of one level is wanted by someone who wants those from another on. What is unknown is wanted.
pub(crate) fn is_severe(word: &str, least: &str) -> bool {
    level(word).is_none_or(|rank| level(least).is_none_or(|least| rank >= least))
}

#[cfg(test)]
mod tests;
