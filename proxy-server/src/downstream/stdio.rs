//! Serves one client on standard input and output, for desktop programs that start their servers themselves: one
//! message per line, in either era.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use schemas::{Definition, EraMode, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::call::{Exchange, Output};
use crate::control::Control;
use crate::downstream::edge::Edge;
use crate::downstream::error_response::{self, JsonResponse};
use crate::downstream::fields::Fields;
use crate::downstream::legacy::batch;
use crate::downstream::legacy::session::{Scope, Session};
use crate::downstream::modern::endpoint;
use crate::downstream::modern::response::{Outcome, next};
use crate::downstream::sse;
use crate::lines::{Lines, TooLong, write_lines};
use crate::policy::{Credentials, Sender};
use crate::protocol::{self, Era, INVALID_REQUEST, Invalid, Kind, METHOD_NOT_FOUND, Message, anonymous_error};
use crate::registry::{Expected, Tenure, Write};
use crate::sync::lock;
use crate::telemetry::Actor;

/// Maximum number of queued lines, for each direction.
const QUEUE: usize = 256;
/// Timeout for upstreams to connect before the first response, because desktop programs take the first lists as final.
const SETTLING: Duration = Duration::from_secs(10);
/// Maximum time for which requests may continue after the end of input, so that piped requests get their responses.
const LAST_CALLS: Duration = Duration::from_millis(700);
/// Timeout for writing the last lines.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Upstreams offered to a client on standard streams.
pub(crate) enum Servers {
    /// All of these upstreams together, with qualified names.
    All(Vec<Definition>),
    /// This upstream alone, with its own names.
    One(Box<Definition>),
}

/// The client and its requests.
struct Client {
    edge: Arc<Edge>,
    /// Upstream that the client uses; `None` for all.
    target: Option<ServerName>,
    out: mpsc::Sender<Bytes>,
    /// Session of a legacy client.
    session: Option<Arc<Session>>,
    /// Modern requests in flight by raw id.
    asked: Arc<Mutex<HashMap<Box<str>, AbortHandle>>>,
    /// Tracks all requests in flight.
    calls: TaskTracker,
}

/// Serves until the input ends, the output is closed, or the gateway stops.
pub(crate) async fn serve(
    edge: Arc<Edge>,
    control: &Control,
    servers: Servers,
    (input, output): (impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static),
) {
    let limit = edge.config.max_body_bytes;
    let (out, answers) = mpsc::channel(QUEUE);
    let (heard, mut lines) = mpsc::channel(QUEUE);
    let (written, mut all_written) = oneshot::channel::<()>();
    let ended = CancellationToken::new();
    let patience = edge.config.write_timeout;
    edge.services.tasks.spawn("standard output", async move {
        if let Err(error) = write_lines(answers, output, patience).await {
            warn!(%error, "standard output is not read any more");
        }
        drop(written);
    });
    let (stopping, at_end) = (edge.services.tasks.stopping().clone(), ended.clone());
    edge.services.tasks.spawn("standard input", async move {
        stopping.run_until_cancelled(Lines::new(input, limit).forward(heard)).await;
        at_end.cancel();
    });
    let (asked, calls) = (Arc::default(), TaskTracker::new());
    let mut client = Client { edge, target: None, out, session: None, asked, calls };
    let served = async {
        client.hear_out(control, servers, &mut lines).await;
        client.calls.close();
        client.calls.wait().await;
    };
    let given_up = async {
        ended.cancelled().await;
        sleep(LAST_CALLS).await;
    };
    tokio::select! {
        () = served => {}
        () = given_up => debug!("requests were given up at the end of the input"),
        // A client that reads no responses needs none.
        _ = &mut all_written => {}
    }
    client.leave();
    drop(client);
    timeout(LAST_WORDS, all_written).await.ok();
}

impl Client {
    /// Registers the upstreams, then handles lines until the input ends.
    async fn hear_out(&mut self, control: &Control, servers: Servers, lines: &mut mpsc::Receiver<Line>) {
        let mut line = match servers {
            Servers::All(definitions) => {
                let create = |definition| Write::Create { definition, lease: None };
                commit(control, definitions.into_iter().map(create).collect()).await;
                self.edge.services.settle(Instant::now() + SETTLING).await;
                lines.recv().await
            }
            Servers::One(definition) => {
                let first = lines.recv().await;
                self.dial(control, *definition, first.as_ref()).await;
                first
            }
        };
        while let Some(next) = line {
            match next {
                Ok(line) => self.take(line).await,
                Err(TooLong) => self.say(error_response::line_too_long(self.edge.config.max_body_bytes)).await,
            }
            line = lines.recv().await;
        }
    }

    /// Connects to the one upstream. If the client's first line is legacy and no era is configured, tries the legacy
    /// era first, so that nothing needs bridging.
    async fn dial(&mut self, control: &Control, definition: Definition, first: Option<&Line>) {
        self.target = Some(definition.name.clone());
        let message = first.and_then(|line| line.as_ref().ok()).and_then(|line| Message::parse(line.clone()).ok());
        let is_modern = message.is_some_and(|message| endpoint::era(&Fields::default(), &message) == Era::Modern);
        let write = if !is_modern && definition.era == EraMode::Auto {
            let legacy = Definition { era: EraMode::Legacy, ..definition.clone() };
            commit(control, vec![Write::Create { definition: legacy, lease: None }]).await;
            if self.edge.services.settle(Instant::now() + SETTLING).await {
                return;
            }
            Write::Update { definition, tenure: Tenure::Permanent, lease: None }
        } else {
            Write::Create { definition, lease: None }
        };
        commit(control, vec![write]).await;
    }

    async fn take(&mut self, line: Bytes) {
        match Message::parse(line.clone()) {
            Ok(message) => self.hear(message).await,
            Err(Invalid::Batch) => match self.session.as_ref().map(|session| batch::read(session, &line)) {
                Some(Ok(messages)) => {
                    for message in messages {
                        self.hear(message).await;
                    }
                }
                Some(Err(invalid)) => self.say(error_response::invalid_body(&invalid)).await,
                None => self.say(error_response::invalid_body(&Invalid::Batch)).await,
            },
            Err(invalid) => self.say(error_response::invalid_body(&invalid)).await,
        }
    }

    async fn hear(&mut self, message: Message) {
        if message.method() == "notifications/cancelled" && self.cancel(&message) {
            return;
        }
        let speaks_modern = self.scope().is_none_or(|scope| self.edge.speaks_modern(&scope));
        match endpoint::era(&Fields::default(), &message) {
            Era::Modern if speaks_modern => self.ask(message).await,
            _ if self.session.is_none() && message.method() == "server/discover" => {
                let why = if speaks_modern { "`_meta` lacks the protocol version" } else { "Method not found" };
                self.say(protocol::error_response(message.id(), METHOD_NOT_FOUND, why, "")).await;
            }
            Era::Legacy | Era::Modern => self.converse(message).await,
        }
    }

    /// Handles a message of a legacy client. Responses come on the session's own stream.
    async fn converse(&mut self, message: Message) {
        let session = match &self.session {
            Some(session) => Arc::clone(session),
            None => match self.begin() {
                Ok(session) => session,
                Err(line) => return self.say(line).await,
            },
        };
        if message.method() == "initialize" && message.kind() == Kind::Request {
            // Executed inline, because later messages require an initialized session.
            return sse::run_to_stream(Arc::clone(&self.edge), session, message).await;
        }
        if message.kind() == Kind::Request {
            let call = self.calls.track_future(sse::run_to_stream(Arc::clone(&self.edge), session, message));
            self.edge.services.tasks.spawn("call", call);
            return;
        }
        let answer = sse::take(Arc::clone(&self.edge), session, message).await;
        // Only requests have responses, so a refusal is only logged.
        if !answer.status().is_success() {
            warn!(status = answer.status().as_u16(), "a message of the client was refused");
        }
    }

    fn begin(&mut self) -> Result<Arc<Session>, Bytes> {
        let scope = self.scope().ok_or_else(|| anonymous_error(INVALID_REQUEST, "there is no such server"))?;
        let created = self.edge.sessions.create(scope, Sender::STDIO);
        let session = created.map_err(|error| error_response::error("", &error))?;
        self.edge.services.tasks.spawn("standard output feed", feed(Arc::clone(&session), self.out.clone()));
        self.session = Some(Arc::clone(&session));
        Ok(session)
    }

    fn scope(&self) -> Option<Scope> {
        match &self.target {
            Some(name) => self.edge.services.upstreams.get(name.as_str()).map(Scope::One),
            None => {
                let peer = (Ipv4Addr::LOCALHOST, 0).into();
                Some(Scope::All(self.edge.services.policy.caller(&Credentials::of_peer(peer, peer))))
            }
        }
    }

    /// Handles a message of a modern client in a task of its own.
    async fn ask(&self, message: Message) {
        let Some(scope) = self.scope() else {
            let why = "there is no such server";
            return self.say(protocol::error_response(message.id(), INVALID_REQUEST, why, "")).await;
        };
        let (edge, out, id) = (Arc::clone(&self.edge), self.out.clone(), Box::<str>::from(message.id()));
        let (asked, own) = (Arc::clone(&self.asked), id.clone());
        if lock(&self.asked).contains_key(&id) {
            let why = "a request with this id is already in flight";
            return self.say(protocol::error_response(message.id(), INVALID_REQUEST, why, "")).await;
        }
        let mut calls = lock(&self.asked);
        let call = self.calls.track_future(async move {
            let opened = endpoint::open(&edge, &scope, Sender::STDIO, &message, None).await;
            write_outputs(opened, &message, &out).await;
            lock(&asked).remove(&own);
        });
        calls.insert(id, self.edge.services.tasks.spawn("call", call));
    }

    /// Aborts the modern request that a cancellation names. Returns true if there was one.
    fn cancel(&self, message: &Message) -> bool {
        let id = protocol::requested_id(message.params()).unwrap_or_default();
        let call = lock(&self.asked).remove(id);
        call.map(|call| call.abort()).is_some()
    }

    async fn say(&self, line: Bytes) {
        if self.out.send(line).await.is_err() {
            debug!("nobody reads standard output any more");
        }
    }

    fn leave(&self) {
        for (_, call) in lock(&self.asked).drain() {
            call.abort();
        }
        if let Some(session) = &self.session {
            self.edge.sessions.end(session);
        }
    }
}

/// Commits changes of the servers. Fails only if a name stands twice in a file, which its reader rules out.
async fn commit(control: &Control, writes: Vec<Write>) {
    if let Err(error) = control.commit(&Actor::Stdio, writes, &Expected::new()).await {
        error!(%error, "the servers cannot be registered");
    }
}

/// Forwards the session's own stream to the output.
async fn feed(session: Arc<Session>, out: mpsc::Sender<Bytes>) {
    let log = session.own_stream();
    let mut reader = log.read_after(0);
    session.reader_opened();
    loop {
        let next = tokio::select! {
            biased;
            next = reader.next() => next,
            () = session.closed().cancelled() => None,
        };
        let Some((_, message)) = next else { break };
        if out.send(message).await.is_err() {
            break;
        }
    }
    session.reader_closed();
}

/// Writes the outputs of a modern request as lines.
async fn write_outputs(opened: Result<Exchange<Outcome>, JsonResponse>, request: &Message, out: &mpsc::Sender<Bytes>) {
    let mut exchange = match opened {
        Ok(exchange) => exchange,
        Err(response) => return drop(out.send(response.into_message()).await),
    };
    let last = loop {
        match next(&mut exchange).await {
            Output::Event(message) => {
                if out.send(message).await.is_err() {
                    return;
                }
            }
            Output::Outcome(Ok(answer)) => break answer.body.into(),
            Output::Outcome(Err(error)) => break error_response::modern_error_to(request, &error),
        }
    };
    out.send(last).await.ok();
}

type Line = Result<Bytes, TooLong>;
