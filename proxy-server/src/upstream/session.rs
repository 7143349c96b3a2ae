//! One live protocol relationship with an upstream: the handshake, or `server/discover` in the modern era, and then
//! requests.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use schemas::Definition;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::protocol::{
    self, ClientMeta, Era, HEADER_MISMATCH, INITIALIZED, LATEST_LEGACY, LATEST_MODERN, Message, Object, Offer,
    UNSUPPORTED_VERSION,
};
use crate::upstream::changes::ListChanges;
use crate::upstream::connection::{Connection, Sender};
use crate::upstream::deadline::Deadline;
use crate::upstream::environment::Environment;
use crate::upstream::events::{Events, event_queue};
use crate::upstream::ids::NOBODY;
use crate::upstream::inbox::Inbox;
use crate::upstream::listen::{self, Listening};
use crate::upstream::transport::Wire;

/// Time to wait for the stream of a client's session, because a question that is asked before it is open is lost.
pub(super) const STREAM_PATIENCE: Duration = Duration::from_millis(1_500);
/// Likewise for an upstream that is known to delay its stream until it has something to send.
const SILENT_STREAM_PATIENCE: Duration = Duration::from_millis(150);
/// Likewise for the gateway's own session, which is asked nothing; its lists are read again if the stream opens later.
const OWN_STREAM_PATIENCE: Duration = Duration::from_millis(250);
/// Maximum number of pages of the tool list that are read to refresh header annotations.
const MAX_PAGES: usize = 1_000;

/// The handshake of a session: the gateway's own, or that of the client it is opened for.
pub(super) enum Hello<'a> {
    /// `initialize` with these raw parameters.
    Legacy(&'a str),
    /// No handshake: each request carries the metadata.
    Modern,
}

/// A session after its handshake.
pub(crate) struct Session {
    connection: Arc<Connection>,
    handshake: Message,
    since: Instant,
    /// Time to wait for the upstream's own stream, if it is opened only when it is needed.
    patience: OnceLock<Duration>,
    /// Deadline for requests to wait for the upstream's own stream; set when the session begins to read it.
    settled_by: OnceLock<Instant>,
    /// True if requests wait for the stream.
    is_settling: AtomicBool,
    /// True if the upstream has no stream of its own, so that it cannot announce anything.
    is_mute: Arc<AtomicBool>,
    /// Acknowledged notifications of a modern upstream.
    listening: Listening,
}

/// One request with its caller's data.
pub(crate) struct Exchange<'a> {
    /// The client's request, in the session's era.
    pub(crate) message: &'a Message,
    /// Id of the attachment that sends the request.
    pub(crate) caller: u64,
    /// Queue for its progress and questions.
    pub(crate) events: Events,
    /// Fires with the client's `notifications/cancelled`.
    pub(crate) cancelled: &'a mut oneshot::Receiver<Message>,
    pub(crate) deadline: Deadline,
}

/// The reason why no session was opened.
pub(crate) enum OpenError {
    /// The upstream responded to the handshake with this error.
    Refused(Message),
    Failed(Error),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Failed(error) => error,
            OpenError::Refused(answer) => {
                Self::new(Kind::InvalidResponse).because(format!("it answered {}", answer.body()))
            }
        }
    }
}

impl Session {
    /// Connects and performs the handshake.
    pub(super) async fn open(
        environment: &Environment,
        definition: &Definition,
        hello: Hello<'_>,
        deadline: Instant,
    ) -> Result<Arc<Self>, OpenError> {
        let opening = timeout_at(deadline, Connection::open(environment, definition, hello.era()));
        let connection = opening.await.map_err(|_| Error::new(Kind::TimedOut))??;
        Self::greet(connection, hello, deadline).await
    }

    /// Performs the handshake on a connection, and closes it on failure.
    pub(super) async fn greet(
        connection: Arc<Connection>,
        hello: Hello<'_>,
        deadline: Instant,
    ) -> Result<Arc<Self>, OpenError> {
        let guard = CloseOnDrop::of(&connection);
        let (era, greeting) = (hello.era(), hello.request()?);
        let mut handshake = connection.greet(&greeting, deadline).await?;
        let offer = Offer::read(&handshake).filter(|_| handshake.kind() == protocol::Kind::Error);
        // The upstream refused a version that it claims to support: the specification requires one repetition.
        if era == Era::Modern && offer.is_some_and(|offer| offer.is_modern) {
            handshake = connection.greet(&greeting, deadline).await?;
        }
        let session = Self::begin(connection, handshake, era)?;
        guard.disarm();
        Ok(session)
    }

    /// Creates the session of a connection from the upstream's response to the handshake.
    pub(super) fn begin(connection: Arc<Connection>, handshake: Message, era: Era) -> Result<Arc<Self>, OpenError> {
        if handshake.kind() != protocol::Kind::Result {
            return Err(OpenError::Refused(handshake));
        }
        match era {
            Era::Legacy => agree(&connection, &handshake)?,
            Era::Modern => check_versions(&handshake)?,
        }
        connection.settle(era);
        let (patience, settled_by, is_settling) = (OnceLock::new(), OnceLock::new(), AtomicBool::new(false));
        let (since, is_mute, listening) = (Instant::now(), Arc::default(), Listening::default());
        let handshake = handshake.compact();
        Ok(Arc::new(Self { connection, handshake, since, patience, settled_by, is_settling, is_mute, listening }))
    }

    /// Completes the handshake of a session of the gateway itself. Closes the session if that fails.
    pub(super) async fn complete_handshake(&self, deadline: Instant) -> Result<(), Error> {
        let sent = self.initialized_within(INITIALIZED.into(), OWN_STREAM_PATIENCE);
        let sent = timeout_at(deadline, sent).await.unwrap_or_else(|_| Err(Kind::TimedOut.into()));
        if sent.is_err() {
            self.close().await;
        }
        sent
    }

    /// Completes the handshake with the client's notification. Returns once the upstream's own stream is open, is known
    /// not to exist, or `patience` has expired; questions and notifications may arrive from then on.
    pub(super) async fn initialized_within(&self, message: Bytes, patience: Duration) -> Result<(), Error> {
        if self.era() == Era::Legacy {
            self.connection.send(message).await?;
        }
        if self.settled_by.set(Instant::now() + patience).is_ok() {
            self.listen();
        }
        self.settle().await;
        Ok(())
    }

    /// Completes the handshake with the notification of a client that has no stream yet. The upstream's own stream opens
    /// with the client's first request or stream: until then nothing could be passed on to it.
    pub(super) async fn initialized_for_later(&self, message: Bytes, patience: Duration) -> Result<(), Error> {
        if self.era() != Era::Legacy || !matches!(self.connection.wire, Wire::StreamableHttp(_)) {
            return self.initialized_within(message, patience).await;
        }
        self.patience.set(patience).ok();
        self.is_settling.store(true, Ordering::Relaxed);
        self.connection.send(message).await
    }

    /// Returns the time to wait for the streams of further sessions with the same upstream.
    pub(super) fn stream_patience(&self) -> Duration {
        let is_silent = self.settled_by.get().is_some() && !self.inbox().stream_settled().is_cancelled();
        let has_stream = matches!(self.connection.wire, Wire::StreamableHttp(_)) && self.era() == Era::Legacy;
        if is_silent && has_stream { SILENT_STREAM_PATIENCE } else { STREAM_PATIENCE }
    }

    /// Waits until the upstream's own stream is open, at most until its deadline. Opens it if that was put off.
    pub(super) async fn settle(&self) {
        if !self.is_settling.load(Ordering::Relaxed) {
            return;
        }
        if let Some(patience) = self.patience.get()
            && self.settled_by.set(Instant::now() + *patience).is_ok()
        {
            self.listen();
        }
        let Some(by) = self.settled_by.get() else { return };
        tokio::select! {
            () = self.inbox().stream_settled().cancelled() => {}
            () = self.closed().cancelled() => {}
            () = sleep_until(*by) => {}
        }
        self.is_settling.store(false, Ordering::Relaxed);
    }

    fn listen(&self) {
        let (connection, closed) = (Arc::clone(&self.connection), self.closed().clone());
        let is_mute = Arc::clone(&self.is_mute);
        match (self.era(), &self.connection.wire) {
            (Era::Legacy, Wire::StreamableHttp(endpoint)) => {
                self.is_settling.store(true, Ordering::Relaxed);
                let endpoint = Arc::clone(endpoint);
                let by = self.settled_by.get().copied().unwrap_or_else(Instant::now);
                self.connection.tasks().spawn("upstream stream", async move {
                    let inbox = &connection.inbox;
                    // Announcements before a stream that opens late are lost. An upstream without a stream makes none.
                    let mut late = pin!(async {
                        sleep_until(by).await;
                        if !inbox.stream_settled().is_cancelled() {
                            inbox.stream_settled().cancelled().await;
                            inbox.late_stream();
                        }
                        std::future::pending::<Infallible>().await
                    });
                    tokio::select! {
                        () = closed.cancelled() => {}
                        () = endpoint.listen(Arc::clone(inbox)) => is_mute.store(true, Ordering::Relaxed),
                        never = &mut late => match never {},
                    }
                });
            }
            (Era::Legacy, Wire::Stdio(_) | Wire::Sse(_)) => {}
            (Era::Modern, _) => {
                let (listening, offers) = (self.listening.clone(), listen::Offers::read(&self.handshake));
                self.connection.tasks().spawn("upstream stream", async move {
                    tokio::select! {
                        () = closed.cancelled() => {}
                        () = listen::run(connection, offers, listening) => is_mute.store(true, Ordering::Relaxed),
                    }
                });
            }
        }
    }

    /// Sends a request of the session's own era and waits for its response. Repeats it once if a modern upstream
    /// refused it without executing it: with up-to-date tool headers, or if it refused a version that it claims to
    /// support.
    pub(crate) async fn request(&self, exchange: Exchange<'_>) -> Result<Message, Error> {
        if self.is_settling.load(Ordering::Relaxed) {
            Box::pin(self.settle()).await;
        }
        let Exchange { message, caller, events, cancelled, deadline } = exchange;
        let again = (self.era() == Era::Modern).then(|| events.clone());
        let sender = Sender { caller, events, cancelled, deadline };
        let answer = self.connection.request(message, sender).await?;
        let (Some(events), Some(code)) = (again, answer.error_code()) else { return Ok(answer) };
        match (code, message.method()) {
            (HEADER_MISMATCH, "tools/call") => Box::pin(self.relist(deadline.next())).await?,
            (UNSUPPORTED_VERSION, _) if Offer::read(&answer).is_some_and(|offer| offer.is_modern) => {}
            (_, _) => return Ok(answer),
        }
        let (_never, mut cancelled) = oneshot::channel();
        let sender = Sender { caller, events, cancelled: &mut cancelled, deadline };
        Box::pin(self.connection.request(message, sender)).await
    }

    /// Sends a request of the gateway's own. `params` is raw JSON.
    pub(crate) async fn ask(&self, method: &str, params: &str, deadline: Instant) -> Result<Message, Error> {
        let request = parse(protocol::request(0, method, params))?;
        self.request_as_nobody(&request, Deadline::at(deadline)).await
    }

    /// Sends a legacy request of the gateway's own, which declares no client capabilities.
    pub(crate) async fn request_as_nobody(&self, request: &Message, deadline: Deadline) -> Result<Message, Error> {
        let stamped = match self.era() {
            Era::Legacy => None,
            Era::Modern => Some(ClientMeta::own().apply(request, None, &[]).map_err(malformed)?),
        };
        let message = stamped.as_ref().unwrap_or(request);
        let (events, _nobody) = event_queue();
        let (_never, mut cancelled) = oneshot::channel();
        self.request(Exchange { message, caller: NOBODY, events, cancelled: &mut cancelled, deadline }).await
    }

    /// Checks that the upstream still responds.
    pub(super) async fn ping(&self, deadline: Instant) -> Result<(), Error> {
        let method = match self.era() {
            Era::Legacy => "ping",
            Era::Modern => "server/discover",
        };
        self.ask(method, "{}", deadline).await.map(drop)
    }

    pub(crate) async fn notify(&self, message: Bytes) -> Result<(), Error> {
        self.connection.send(message).await
    }

    /// Returns the era of this session.
    pub(crate) fn era(&self) -> Era {
        self.connection.era()
    }

    /// Returns the upstream's response to `initialize` or `server/discover`.
    pub(crate) fn handshake(&self) -> &Message {
        &self.handshake
    }

    /// Returns the name by which the upstream's own logs know the session, shortened; `None` without one.
    pub(crate) fn label(&self) -> Option<String> {
        self.connection.label()
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        self.connection.inbox.closed()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed().is_cancelled()
    }

    /// Ends the session locally, because the upstream no longer knows it.
    pub(crate) fn give_up(&self) {
        self.inbox().close("the upstream no longer knows the session");
    }

    /// Returns the reason for the end of the session.
    pub(super) fn end(&self) -> String {
        self.inbox().end().unwrap_or_default()
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.connection.inbox
    }

    /// Waits until a modern upstream has acknowledged notifications for this resource.
    pub(super) async fn told_of(&self, uri: &str, deadline: Instant) -> Result<(), Error> {
        self.listening.covers(self.inbox(), uri, deadline).await
    }

    /// Waits, for a moment at the most, until a modern upstream has acknowledged the subscriptions as they are now.
    pub(super) async fn resubscribed(&self) {
        self.listening.settle(self.inbox()).await;
    }

    pub(super) fn lived(&self) -> Duration {
        self.since.elapsed()
    }

    /// Subscribes to the counters of reasons to read its lists again.
    pub(crate) fn lists_changed(&self) -> watch::Receiver<ListChanges> {
        self.inbox().lists_changed.subscribe()
    }

    /// True if the upstream announces changes of the lists of this capability: it declares so, and has a stream to send
    /// them.
    pub(crate) fn announces(&self, capability: &str) -> bool {
        let says = || {
            let result = Object::read(self.handshake.body()).ok()?;
            let capabilities = Object::read(result.get("capabilities")?).ok()?;
            Some(Object::read(capabilities.get(capability)?).ok()?.get("listChanged") == Some("true"))
        };
        !self.is_mute.load(Ordering::Relaxed) && says() == Some(true)
    }

    pub(super) async fn close(&self) {
        self.connection.close().await;
    }

    /// Waits until a closed session has ended completely, including its process.
    pub(super) async fn ended(&self) {
        self.connection.ended().await;
    }

    /// Reads all tools, to update their header annotations.
    async fn relist(&self, deadline: Instant) -> Result<(), Error> {
        let mut params = "{}".to_owned();
        for _ in 0..MAX_PAGES {
            let page = Box::pin(self.ask("tools/list", &params, deadline)).await?;
            let result = Object::read(page.body()).ok();
            let next = result.as_ref().and_then(|result| result.get("nextCursor")).filter(|next| *next != "null");
            match next.map(|next| format!(r#"{{"cursor":{next}}}"#)) {
                Some(next) if next != params => params = next,
                Some(_) | None => break,
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    /// Closes the inbox, so that the tasks around the session release its parts.
    fn drop(&mut self) {
        self.inbox().close("nobody uses the session any more");
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Returns the `params` of the gateway's own `initialize`. They declare no capabilities, because no client can answer.
pub(super) fn own_hello() -> Box<str> {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"protocolVersion":"{LATEST_LEGACY}","capabilities":{{}},"clientInfo":{{"name":"mcp-proxy","version":"{version}"}}}}"#
    )
    .into()
}

impl Hello<'_> {
    pub(super) fn era(&self) -> Era {
        match self {
            Self::Legacy(_) => Era::Legacy,
            Self::Modern => Era::Modern,
        }
    }

    /// Builds the first request of the era.
    pub(super) fn request(&self) -> Result<Message, Error> {
        match self {
            Self::Legacy(params) => parse(protocol::request(0, "initialize", params)),
            Self::Modern => {
                let request = parse(protocol::request(0, "server/discover", "{}"))?;
                ClientMeta::own().apply(&request, None, &[]).map_err(malformed)
            }
        }
    }
}

/// Stores the revision that a legacy upstream agreed to.
fn agree(connection: &Connection, handshake: &Message) -> Result<(), Error> {
    let result = Object::read(handshake.body()).ok();
    let Some(version) = result.as_ref().and_then(|result| result.text("protocolVersion")) else {
        return Err(Error::new(Kind::InvalidResponse).because("`initialize` names no revision"));
    };
    if let Wire::StreamableHttp(endpoint) = &connection.wire {
        endpoint.set_version(&version);
    }
    Ok(())
}

/// Checks that the upstream supports the gateway's modern revision.
fn check_versions(handshake: &Message) -> Result<(), Error> {
    let versions = Object::read(handshake.body()).ok().and_then(|result| result.get("supportedVersions"));
    let versions: Vec<String> = versions.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    if versions.iter().any(|version| version == LATEST_MODERN) {
        return Ok(());
    }
    let why = format!("`server/discover` does not offer {LATEST_MODERN} but [{}]", versions.join(", "));
    Err(Error::new(Kind::InvalidResponse).because(why))
}

fn parse(bytes: Bytes) -> Result<Message, Error> {
    Message::parse(bytes).map_err(malformed)
}

fn malformed(invalid: protocol::Invalid) -> Error {
    Error::new(Kind::Malformed).because(invalid)
}

/// Closes a connection on drop, unless its handshake succeeded.
pub(super) struct CloseOnDrop(Option<Arc<Connection>>);

impl CloseOnDrop {
    pub(super) fn of(connection: &Arc<Connection>) -> Self {
        Self(Some(Arc::clone(connection)))
    }

    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.close_later();
        }
    }
}
