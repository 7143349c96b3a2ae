//! One live protocol relationship with an upstream: the handshake, then requests multiplexed by id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::{Definition, Remote, Transport};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::protocol::{self, LATEST_LEGACY, Message, Object};
use crate::upstream::Environment;
use crate::upstream::inbox::{EVENT_QUEUE, Event, Expectation, Inbox, ListChanges, next_id};
use crate::upstream::transport::stdio::{self, Streams};
use crate::upstream::transport::streamable_http::Endpoint;
use crate::upstream::transport::{Wire, sse};

/// The `params` of the gateway's own `initialize`. It can be asked nothing, because nobody stands behind it.
pub(super) fn own_hello() -> Box<str> {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"protocolVersion":"{LATEST_LEGACY}","capabilities":{{}},"clientInfo":{{"name":"mcp-proxy","version":"{version}"}}}}"#
    )
    .into()
}

/// What telling an upstream of a cancellation may take.
const WITHDRAWAL: Duration = Duration::from_secs(1);

/// The caller of what the gateway asks on its own behalf.
pub(crate) const NOBODY: u64 = 0;

/// A session whose handshake is done.
pub(crate) struct Session {
    wire: Arc<Wire>,
    inbox: Arc<Inbox>,
    handshake: Message,
    since: Instant,
    /// Whether the upstream's own stream is read, which once is enough for.
    listening: AtomicBool,
}

/// One request on its way.
pub(crate) struct Exchange<'a> {
    /// The request as the client wrote it.
    pub(crate) message: &'a Message,
    /// The attachment it belongs to.
    pub(crate) caller: u64,
    /// Where its progress and questions go.
    pub(crate) events: mpsc::Sender<Event>,
    /// Fires with the client's `notifications/cancelled`.
    pub(crate) cancelled: oneshot::Receiver<Message>,
    pub(crate) deadline: Instant,
}

/// Why there is no session.
pub(crate) enum OpenError {
    /// The upstream answered `initialize` with this error.
    Refused(Message),
    Failed(Error),
}

impl Session {
    /// Connects and shakes hands with these raw `initialize` parameters.
    pub(super) async fn open(
        environment: &Environment,
        definition: &Definition,
        hello: &str,
        deadline: Instant,
    ) -> Result<Arc<Self>, OpenError> {
        let (outbox, queue) = mpsc::channel(EVENT_QUEUE);
        let inbox = Arc::new(Inbox::new(outbox));
        let opening = connect(environment, definition, &inbox);
        let wire = timeout_at(deadline, opening).await.map_err(|_| timed_out()).and_then(|wire| wire)?;
        let wire = Arc::new(wire);
        environment.tasks.spawn("upstream replies", reply(queue, Arc::clone(&wire), inbox.closed().clone()));
        let guard = CloseOnDrop { session: Some((Arc::clone(&wire), Arc::clone(&inbox))), environment };
        let handshake = shake_hands(&wire, &inbox, hello, deadline).await?;
        let result = Object::read(handshake.body()).ok();
        let Some(version) = result.as_ref().and_then(|result| result.text("protocolVersion")) else {
            return Err(OpenError::Failed(Error::new(Kind::BadAnswer).because("`initialize` names no revision")));
        };
        if let Wire::StreamableHttp(endpoint) = &*wire {
            endpoint.set_version(&version);
        }
        guard.disarm();
        let listening = AtomicBool::new(false);
        Ok(Arc::new(Self { wire, inbox, handshake, since: Instant::now(), listening }))
    }

    /// Ends the handshake. From here on the upstream may ask and tell on its own stream.
    pub(super) async fn initialized(&self, environment: &Environment, message: Bytes) -> Result<(), Error> {
        self.wire.send(message).await?;
        if let Wire::StreamableHttp(endpoint) = &*self.wire
            && !self.listening.swap(true, Ordering::Relaxed)
        {
            let (listener, closed) = (Arc::clone(endpoint), self.inbox.closed().clone());
            let inbox = Arc::clone(&self.inbox);
            environment.tasks.spawn("upstream stream", async move {
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = listener.listen(inbox) => {}
                }
            });
        }
        Ok(())
    }

    /// Sends a request under an id and a progress token of this session, and waits for its answer.
    pub(crate) async fn request(&self, exchange: Exchange<'_>) -> Result<Message, Error> {
        let Exchange { message, caller, events, cancelled, deadline } = exchange;
        let id = next_id();
        let number = id.to_string();
        let token = protocol::progress_token(message.params());
        let replaced = token.map(|token| (token, number.as_str()));
        let bytes = message.with_id(&number, replaced.as_slice());
        let expected = Expectation { id, caller, events, token: token.map(Into::into) };
        let answer = self.inbox.expect(expected).ok_or(Kind::NotReady)?;
        let _forget = Forget { inbox: &self.inbox, id };
        let exchange = timeout_at(deadline, self.wire.exchange(id, bytes, &self.inbox, answer));
        tokio::pin!(exchange);
        let answer = tokio::select! {
            answer = &mut exchange => Some(answer),
            Ok(cancel) = cancelled => {
                self.withdraw(&number, Some(&cancel)).await;
                return Err(Kind::Cancelled.into());
            }
            // An answer counts even when it is the last thing that the upstream says.
            () = self.inbox.closed().cancelled() => exchange.as_mut().now_or_never(),
        };
        match answer {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => {
                self.withdraw(&number, None).await;
                Err(Kind::TimedOut.into())
            }
            None => Err(Error::new(Kind::Lost).because(self.inbox.end().unwrap_or_default())),
        }
    }

    /// Asks something on the gateway's own behalf.
    pub(crate) async fn ask(&self, method: &str, params: &str, deadline: Instant) -> Result<Message, Error> {
        let id = next_id();
        let (events, _) = mpsc::channel(1);
        let expected = Expectation { id, caller: NOBODY, events, token: None };
        let answer = self.inbox.expect(expected).ok_or(Kind::NotReady)?;
        let _forget = Forget { inbox: &self.inbox, id };
        let exchange = self.wire.exchange(id, protocol::request(id, method, params), &self.inbox, answer);
        timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(Kind::TimedOut.into()))
    }

    /// Sends a notification.
    pub(crate) async fn notify(&self, message: Bytes) -> Result<(), Error> {
        self.wire.send(message).await
    }

    /// The upstream's answer to `initialize`.
    pub(crate) fn handshake(&self) -> &Message {
        &self.handshake
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        self.inbox.closed()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inbox.closed().is_cancelled()
    }

    /// Takes the session for ended, because the upstream no longer knows it.
    pub(crate) fn give_up(&self) {
        self.inbox.close("the upstream no longer knows the session");
    }

    /// Why the session ended.
    pub(super) fn end(&self) -> String {
        self.inbox.end().unwrap_or_default()
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(super) fn lived(&self) -> Duration {
        self.since.elapsed()
    }

    /// Counts the upstream's change notices.
    pub(crate) fn lists_changed(&self) -> watch::Receiver<ListChanges> {
        self.inbox.lists_changed.subscribe()
    }

    /// Ends the session.
    pub(super) async fn close(&self) {
        close(&self.wire, &self.inbox).await;
    }

    /// Tells the upstream that a request is no longer wanted, in the client's words where there are any.
    async fn withdraw(&self, id: &str, cancel: Option<&Message>) {
        let own = || format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
        let bytes = match cancel.map(|cancel| (cancel, protocol::requested_id(cancel.params()))) {
            Some((cancel, Some(requested))) => cancel.with(&[(requested, id)]),
            Some((_, None)) | None => Bytes::from(own()),
        };
        // Nobody waits for an upstream that takes not even this.
        match timeout(WITHDRAWAL, self.wire.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %crate::error::Chain(&error), "cancellation not sent"),
            Err(_) => tracing::debug!("cancellation not taken"),
        }
    }
}

impl Drop for Session {
    /// The tasks around a session hold on to its parts; this tells them to let go.
    fn drop(&mut self) {
        self.inbox.close("nobody uses the session any more");
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

async fn connect(environment: &Environment, definition: &Definition, inbox: &Arc<Inbox>) -> Result<Wire, OpenError> {
    let limit = environment.config.message_limit;
    match &definition.transport {
        Transport::Stdio(program) => {
            let streams = Streams { tasks: &environment.tasks, inbox: Arc::clone(inbox), line_limit: limit };
            let pipe = stdio::start(definition, program, &environment.children, streams);
            Ok(Wire::Stdio(pipe.map_err(|error| Error::new(Kind::Unreachable).because(error))?))
        }
        Transport::StreamableHttp(remote) => {
            let endpoint = Endpoint::new(remote.url.clone(), headers(remote)?, environment.dialer.clone(), limit);
            Ok(Wire::StreamableHttp(Arc::new(endpoint)))
        }
        Transport::Sse(remote) => {
            let (dialer, tasks) = (&environment.dialer, &environment.tasks);
            let opening = sse::Opening { url: &remote.url, headers: headers(remote)?, dialer, tasks, limit };
            Ok(Wire::Sse(Box::new(sse::open(opening, Arc::clone(inbox)).await?)))
        }
    }
}

async fn shake_hands(wire: &Wire, inbox: &Arc<Inbox>, hello: &str, deadline: Instant) -> Result<Message, OpenError> {
    let id = next_id();
    let (events, _) = mpsc::channel(1);
    let expected = Expectation { id, caller: NOBODY, events, token: None };
    let answer = inbox.expect(expected).ok_or_else(|| lost(inbox))?;
    let request = protocol::request(id, "initialize", hello);
    let exchange = wire.exchange(id, request, inbox, answer);
    let answer = timeout_at(deadline, exchange).await.map_err(|_| timed_out())?;
    // A child that died before it read its first line fails the write; why it died is the better reason.
    let message = answer.map_err(|error| if inbox.closed().is_cancelled() { lost(inbox) } else { error })?;
    match message.kind() {
        protocol::Kind::Result => Ok(message),
        _ => Err(OpenError::Refused(message)),
    }
}

fn lost(inbox: &Inbox) -> Error {
    Error::new(Kind::Lost).because(inbox.end().unwrap_or_default())
}

fn timed_out() -> OpenError {
    OpenError::Failed(Kind::TimedOut.into())
}

fn headers(remote: &Remote) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(remote.headers.len());
    for (name, value) in &remote.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| Error::new(Kind::Unreachable).because(e))?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|e| Error::new(Kind::Unreachable).because(e))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Sends answers to the upstream's own requests, in order.
async fn reply(mut queue: mpsc::Receiver<Bytes>, wire: Arc<Wire>, closed: CancellationToken) {
    loop {
        let message = tokio::select! {
            () = closed.cancelled() => return,
            message = queue.recv() => message,
        };
        let Some(message) = message else { return };
        if let Err(error) = wire.send(message).await {
            tracing::debug!(error = %crate::error::Chain(&error), "answer to the upstream's question not sent");
        }
    }
}

async fn close(wire: &Wire, inbox: &Inbox) {
    wire.close().await;
    inbox.close("the session was closed");
}

/// Forgets a request whose caller has gone.
struct Forget<'a> {
    inbox: &'a Inbox,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.inbox.forget(self.id);
    }
}

/// Ends a connection whose handshake did not come to its end.
struct CloseOnDrop<'a> {
    session: Option<(Arc<Wire>, Arc<Inbox>)>,
    environment: &'a Environment,
}

impl CloseOnDrop<'_> {
    fn disarm(mut self) {
        self.session = None;
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some((wire, inbox)) = self.session.take() {
            self.environment.tasks.spawn("close upstream session", async move { close(&wire, &inbox).await });
        }
    }
}
