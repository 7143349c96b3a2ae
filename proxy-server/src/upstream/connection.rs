//! One live connection with an upstream: a wire, an inbox, and the requests in flight between them.
//!
//! The eras differ here in the header fields of a request, in its cancellation, and in the attribution of log messages.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::{Definition, Network, Proxy, Remote, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Chain, Error, Kind};
use crate::http::client::{Choice, Destination, Reach, Trust};
use crate::protocol::{self, Era, LATEST_MODERN, Message};
use crate::tasks::{Tasks, wait_until};
use crate::upstream::deadline::Deadline;
use crate::upstream::environment::Environment;
use crate::upstream::events::{Events, event_queue};
use crate::upstream::ids::{NOBODY, next_id};
use crate::upstream::inbox::{Expectation, Inbox, REPLY_QUEUE};
use crate::upstream::parameters::Parameters;
use crate::upstream::transport::exit::LONGEST_END;
use crate::upstream::transport::outgoing::Outgoing;
use crate::upstream::transport::stdio::{self, Life, Streams};
use crate::upstream::transport::streamable_http::Endpoint;
use crate::upstream::transport::{Wire, sse};

/// Timeout for sending a cancellation.
const WITHDRAWAL: Duration = Duration::from_secs(1);

/// A wire with its inbox.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) inbox: Arc<Inbox>,
    /// True in the modern era. The era probe may change it before the session begins.
    is_modern: AtomicBool,
    tasks: Tasks,
    /// Tool arguments that a modern upstream wants repeated in headers.
    parameters: Parameters,
}

/// The caller of a request, with its event queue, cancellation and deadline.
pub(super) struct Sender<'a> {
    /// Id of the attachment that sends the request.
    pub(super) caller: u64,
    /// Queue for progress, logs and questions of the request.
    pub(super) events: Events,
    /// Fires with the client's `notifications/cancelled`.
    pub(super) cancelled: &'a mut oneshot::Receiver<Message>,
    pub(super) deadline: Deadline,
}

impl Connection {
    /// Opens the connection. Sends no message yet.
    pub(super) async fn open(environment: &Environment, definition: &Definition, era: Era) -> Result<Arc<Self>, Error> {
        let (outbox, queue) = mpsc::channel(REPLY_QUEUE);
        let inbox = Arc::new(Inbox::new(outbox, environment.config.queued_bytes));
        let wire = connect(environment, definition, &inbox).await?;
        let (tasks, parameters) = (environment.tasks.clone(), Parameters::of(&definition.name));
        let connection = Arc::new(Self { wire, inbox, is_modern: AtomicBool::new(false), tasks, parameters });
        connection.settle(era);
        environment.tasks.spawn("upstream replies", reply(queue, Arc::clone(&connection)));
        Ok(connection)
    }

    /// Returns the era of this connection.
    pub(super) fn era(&self) -> Era {
        if self.is_modern.load(Ordering::Relaxed) { Era::Modern } else { Era::Legacy }
    }

    /// Sets the era. Only the handshake may have been sent before.
    pub(super) fn settle(&self, era: Era) {
        self.is_modern.store(era == Era::Modern, Ordering::Relaxed);
        if let (Wire::StreamableHttp(endpoint), Era::Modern) = (&self.wire, era) {
            endpoint.set_version(LATEST_MODERN);
        }
    }

    /// Returns the name by which the upstream's own logs know the session.
    pub(super) fn label(&self) -> Option<String> {
        self.wire.label()
    }

    /// Returns the life-cycle tokens of the upstream's process, if it is one.
    pub(super) fn life(&self) -> Option<&Life> {
        match &self.wire {
            Wire::Stdio(pipe) => Some(pipe.life()),
            Wire::Sse(_) | Wire::StreamableHttp(_) => None,
        }
    }

    /// Waits for the end of the upstream's process, if it is one. The connection must be closed before, which bounds
    /// the wait, because a process that does not end by itself is killed.
    pub(super) async fn ended(&self) {
        if let Some(life) = self.life() {
            timeout(LONGEST_END, life.gone.cancelled()).await.ok();
        }
    }

    /// Sends a request under an id and a progress token of this connection, and waits for its response. Dropping the
    /// future cancels the request.
    pub(super) async fn request(self: &Arc<Self>, message: &Message, sender: Sender<'_>) -> Result<Message, Error> {
        let Sender { caller, events, cancelled, deadline } = sender;
        let id = next_id();
        let number = id.to_string();
        let token = protocol::progress_token(message);
        let numbered = match token {
            Some(token) => message.with_id(&number, &[(token, &number)]).into(),
            None => message.pieces_with_id(&number),
        };
        let listens = message.method() == "subscriptions/listen";
        let subscription = listens.then(|| message.id().into());
        let (token, hears_logs) = (token.map(Into::into), !listens && self.can_log_about(message, caller));
        let expected = Expectation { id, caller, events, token, subscription, hears_logs };
        let answer = self.inbox.expect(expected).ok_or(Kind::NotReady)?;
        let flight = Flight { connection: self, id, over: Cell::new(false) };
        let outgoing = Outgoing { id, message: numbered, fields: self.fields(message) };
        let mut exchange = self.wire.exchange(outgoing, &self.inbox, answer);
        let answer = tokio::select! {
            biased;
            answer = &mut exchange => Some(answer),
            Ok(cancel) = &mut *cancelled, if !cancelled.is_terminated() => {
                flight.over.set(true);
                Box::pin(self.withdraw(&number, Some(&cancel))).await;
                return Err(Kind::Cancelled.into());
            }
            // A response is valid even if it is the upstream's last message.
            () = self.inbox.closed().cancelled() => (&mut exchange).now_or_never(),
            over = self.silence(id, deadline) => {
                flight.over.set(true);
                Box::pin(self.withdraw(&number, None)).await;
                return Err(Error::new(Kind::TimedOut).limited(over.limit()));
            }
        };
        flight.over.set(true);
        match answer {
            Some(Ok(answer)) => Ok(self.read(message, answer)),
            Some(Err(error)) => Err(error),
            None => Err(Error::new(Kind::ConnectionLost).because(self.inbox.end().unwrap_or_default())),
        }
    }

    /// Waits until the upstream has been silent about this request for too long. Returns the deadline that has expired.
    async fn silence(&self, id: u64, mut deadline: Deadline) -> Deadline {
        loop {
            wait_until(deadline.next()).await;
            let extended = self.inbox.heard(id).map(|heard| deadline.after(heard));
            match extended.filter(|extended| extended.next() > deadline.next()) {
                Some(extended) => deadline = extended,
                None => return deadline,
            }
        }
    }

    /// Sends a request of the handshake, which is never cancelled.
    pub(super) async fn greet(&self, message: &Message, deadline: Instant) -> Result<Message, Error> {
        let id = next_id();
        let (events, _) = event_queue();
        let expected = Expectation { id, caller: NOBODY, events, token: None, subscription: None, hears_logs: false };
        let answer = self.inbox.expect(expected).ok_or_else(|| self.lost())?;
        let _forgotten = Greeting { inbox: &self.inbox, id };
        let numbered = message.pieces_with_id(&id.to_string());
        let outgoing = Outgoing { id, message: numbered, fields: self.fields(message) };
        let answer = timeout_at(deadline, self.wire.exchange(outgoing, &self.inbox, answer)).await;
        let answer = answer.map_err(|_| Error::new(Kind::TimedOut))?;
        // A child that ended before it read its first line fails the write; the reason for its end is more useful.
        answer.map_err(|error| if self.inbox.closed().is_cancelled() { self.lost() } else { error })
    }

    /// Sends a notification or a response.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), Error> {
        self.wire.send(message).await
    }

    /// Ends the session at the upstream, and fails the requests in flight.
    pub(super) async fn close(&self) {
        self.wire.close().await;
        self.inbox.close("the session was closed");
    }

    /// Closes the connection in a separate task.
    pub(super) fn close_later(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.tasks.spawn("close upstream session", async move { this.close().await });
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// True if a log message without a request id may belong to this request. A modern upstream logs only for requests
    /// that ask for it, and logs of the gateway's own requests are discarded; ambiguity exists only on a process's
    /// output.
    fn can_log_about(&self, message: &Message, caller: u64) -> bool {
        match (self.era(), &self.wire) {
            (Era::Modern, Wire::Stdio(_)) => protocol::asks_for_logs(message),
            (Era::Modern | Era::Legacy, _) => caller != NOBODY,
        }
    }

    /// Builds the header fields of a modern request over HTTP; empty for other connections.
    fn fields(&self, message: &Message) -> Vec<u8> {
        match (self.era(), &self.wire) {
            (Era::Modern, Wire::StreamableHttp(_)) => self.parameters.fields(message),
            (Era::Modern | Era::Legacy, _) => Vec::new(),
        }
    }

    /// Converts a response for its caller: records tool annotations, and restores the subscription id.
    fn read(&self, request: &Message, answer: Message) -> Message {
        match (self.era(), request.method(), &self.wire) {
            (Era::Modern, "tools/list", Wire::StreamableHttp(_)) => self.parameters.learn(answer),
            (Era::Modern, "subscriptions/listen", _) => {
                let mine = protocol::ended_subscription(answer.body());
                let bytes = mine.map(|mine| answer.with(&[(mine, request.id())]));
                bytes.and_then(|bytes| Message::parse(bytes).ok()).unwrap_or(answer)
            }
            (Era::Modern | Era::Legacy, _, _) => answer,
        }
    }

    fn lost(&self) -> Error {
        Error::new(Kind::ConnectionLost).because(self.inbox.end().unwrap_or_default())
    }

    /// Cancels a request at the upstream, with the client's notification if there is one. Over modern HTTP, closing the
    /// response stream cancels it.
    async fn withdraw(&self, id: &str, cancel: Option<&Message>) {
        if let (Era::Modern, Wire::StreamableHttp(_)) = (self.era(), &self.wire) {
            return;
        }
        let own = || format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
        let bytes = match cancel.map(|cancel| (cancel, protocol::requested_id(cancel.params()))) {
            Some((cancel, Some(requested))) => cancel.with(&[(requested, id)]),
            Some((_, None)) | None => Bytes::from(own()),
        };
        // Not awaited longer: the upstream accepts no more messages.
        match timeout(WITHDRAWAL, self.wire.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = %Chain(&error), "cancellation not sent"),
            Err(_) => debug!("cancellation not taken"),
        }
    }
}

/// A request of the handshake; dropping it discards a later response.
struct Greeting<'a> {
    inbox: &'a Inbox,
    id: u64,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        self.inbox.forget(self.id);
    }
}

/// A request in flight; dropping it before it is over cancels the request.
struct Flight<'a> {
    connection: &'a Arc<Connection>,
    id: u64,
    over: Cell<bool>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.connection.inbox.forget(self.id);
        if !self.over.get() {
            let (connection, id) = (Arc::clone(self.connection), self.id.to_string());
            self.connection.tasks.spawn("withdraw", async move { connection.withdraw(&id, None).await });
        }
    }
}

async fn connect(environment: &Environment, definition: &Definition, inbox: &Arc<Inbox>) -> Result<Wire, Error> {
    let limit = environment.config.message_limit(definition);
    match &definition.transport {
        Transport::Stdio(program) => {
            let (tasks, inbox, patience) = (&environment.tasks, Arc::clone(inbox), environment.config.child_patience);
            let (processes, noise) = (&environment.processes, Arc::clone(&environment.noise));
            let log = environment.log.clone();
            let place = environment.place()?;
            let streams = Streams { tasks, processes, place, noise, log, inbox, line_limit: limit, patience };
            let pipe = stdio::start(definition, program, &environment.children, streams);
            Ok(Wire::Stdio(pipe.map_err(|error| Error::new(Kind::Unreachable).because(error))?))
        }
        Transport::StreamableHttp(remote) => {
            let endpoint = Endpoint::new(&place(remote, definition, limit)?, &environment.dialer)?;
            Ok(Wire::StreamableHttp(Arc::new(endpoint)))
        }
        Transport::Sse(remote) => {
            let (dialer, tasks) = (&environment.dialer, &environment.tasks);
            let opening = sse::Opening { place: place(remote, definition, limit)?, dialer, tasks };
            Ok(Wire::Sse(Box::new(sse::open(opening, Arc::clone(inbox)).await?)))
        }
    }
}

fn place<'a>(remote: &'a Remote, definition: &Definition, message_limit: usize) -> Result<Destination<'a>, Error> {
    Ok(Destination { url: &remote.url, headers: declared_headers(remote)?, reach: reach(definition), message_limit })
}

/// Converts the network settings of a definition.
fn reach(definition: &Definition) -> Reach {
    let Network { proxy, ca_file, identity } = &definition.network;
    let proxy = proxy.as_ref().map(|proxy| match proxy {
        Proxy::Direct => Choice::Direct,
        Proxy::Via(url) => Choice::parse(url.expose()),
    });
    let identity = identity.as_ref().map(|files| ((&files.certificate_file).into(), (&files.key_file).into()));
    Reach { proxy, trust: Trust { authorities: ca_file.iter().map(Into::into).collect(), identity } }
}

/// Returns the header fields of every request of a session, credentials among them, as the definition declares them.
fn declared_headers(remote: &Remote) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(remote.headers.len());
    for (name, value) in &remote.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| Error::new(Kind::Unreachable).because(e))?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|e| Error::new(Kind::Unreachable).because(e))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Sends responses to the upstream's own requests, in order.
async fn reply(mut queue: mpsc::Receiver<Bytes>, connection: Arc<Connection>) {
    let closed: CancellationToken = connection.inbox.closed().clone();
    loop {
        let message = tokio::select! {
            () = closed.cancelled() => return,
            message = queue.recv() => message,
        };
        let Some(message) = message else { return };
        if let Err(error) = connection.send(message).await {
            debug!(error = %Chain(&error), "answer to the upstream's question not sent");
        }
    }
}
