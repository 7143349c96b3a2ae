//! Streamable HTTP towards an upstream (2025-03-26 on): one POST per message, answered by JSON or an event stream, and
//! one GET stream for messages that belong to no request.

mod own_stream;
mod retry;

use std::sync::{OnceLock, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::debug;

use self::retry::{Polls, retry_after};
use crate::error::{Error, Kind, Shown};
use crate::http::client::{Destination, DialError, Dialer, Prepared, Response, Target};
use crate::http::event_stream::{Decoder, Event, TooLarge};
use crate::pieces::Pieces;
use crate::protocol::{self, Message};
use crate::sync::{read, write};
use crate::upstream::ids::next_id;
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::outgoing::{Outgoing, deliver, skipped};
use crate::upstream::transport::oversize;
use crate::upstream::transport::refusal::{Refusal, Verdict, described, read_body, too_large, transport_error};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const BOTH_FOR_JSON: &[u8] = b"accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n";
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Timeout of the `ping` that checks whether the upstream still knows a session.
const PING_PATIENCE: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of letters of a session id that are shown: enough to find it in a log, too few to use it.
const SHOWN_OF_ID: usize = 8;

/// A session at one endpoint.
pub(crate) struct Endpoint {
    target: Target,
    limit: usize,
    session: OnceLock<HeaderValue>,
    version: RwLock<Option<HeaderValue>>,
}

/// The state of a session, as a `ping` shows it.
enum Standing {
    Known,
    Unknown,
    /// The connection failed.
    OutOfReach(Error),
}

impl Endpoint {
    pub(crate) fn new(place: &Destination<'_>, dialer: &Dialer) -> Result<Self, Error> {
        let target = dialer.target(place).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
        Ok(Self { target, limit: place.message_limit, session: OnceLock::new(), version: RwLock::new(None) })
    }

    /// Sets the negotiated revision, which all further requests carry in `MCP-Protocol-Version`.
    pub(crate) fn set_version(&self, version: &str) {
        *write(&self.version) = HeaderValue::from_str(version).ok();
    }

    fn has_agreed(&self) -> bool {
        read(&self.version).is_some()
    }

    pub(super) async fn send(&self, message: Bytes) -> Result<(), Error> {
        let response = self.post(message.into(), &[]).await.map_err(transport_error)?;
        if response.status().is_success() {
            response.finish();
            return Ok(());
        }
        if response.status() == StatusCode::NOT_FOUND && self.session.get().is_some() {
            return Err(Kind::SessionLost.into());
        }
        Err(Refusal::read(response, self.limit).await.error())
    }

    pub(super) async fn exchange(
        &self,
        request: Outgoing,
        inbox: &Inbox,
        mut answer: oneshot::Receiver<Message>,
    ) -> Result<Message, Error> {
        let Outgoing { id, message, fields } = request;
        let response = self.post(message, &fields).await.map_err(transport_error)?;
        if !response.status().is_success() {
            return Box::pin(self.refused_answer(id, response, inbox, &mut answer)).await;
        }
        // The response to `initialize` carries the session id, if any (2025-03-26, transports, "Session Management");
        // the revision is negotiated after it.
        if !self.has_agreed()
            && let Some(Ok(session)) = response.field(&SESSION_ID).map(HeaderValue::from_bytes)
        {
            self.session.set(session).ok();
        }
        if response.has_events() {
            return self.follow(id, response, inbox, &mut answer).await;
        }
        let kind = if response.has_json() { None } else { response.field(&CONTENT_TYPE).map(<[u8]>::to_vec) };
        let body = read_body(response, self.limit).await?;
        match kind {
            None => deliver(body, inbox, Some(id))
                .map_err(|error| Error::new(Kind::InvalidResponse).because(Shown::whole(error)))?,
            Some(kind) => deliver(body.clone(), inbox, Some(id)).map_err(|error| {
                Error::new(Kind::InvalidResponse)
                    .because(Shown::whole(format!("{error}: {}", described(Some(&kind), &body))))
            })?,
        }
        answer.try_recv().map_err(|_| Kind::InvalidResponse.into())
    }

    /// Returns the first letters of the session id.
    pub(super) fn session_start(&self) -> Option<String> {
        let id = self.session.get()?.to_str().ok()?;
        let start = id.get(..SHOWN_OF_ID.min(id.len() / 2)).filter(|start| !start.is_empty());
        start.map(str::to_owned)
    }

    /// Ends the session at the upstream, which may refuse.
    pub(super) async fn close(&self) {
        if self.session.get().is_some()
            && let Ok(Ok(response)) =
                timeout(CLOSE_TIMEOUT, self.request(&Method::DELETE).send(Pieces::default())).await
        {
            response.finish();
        }
    }

    /// Reads the stream of a response. An upstream that numbers its events may end the stream at any time and let the
    /// client poll for the rest (2025-11-25, transports, "Resumability and Redelivery").
    async fn follow(
        &self,
        id: u64,
        response: Response,
        inbox: &Inbox,
        answer: &mut oneshot::Receiver<Message>,
    ) -> Result<Message, Error> {
        let mut decoder = Decoder::new(self.limit);
        let mut stream = response;
        let mut polls = Polls::new();
        let mut skipped_limit = None;
        loop {
            let (answered, seen) = read_events(stream, &mut decoder, (inbox, Some(id)), |event| match event {
                Ok(event) => receive(event, Some(id), inbox, answer).map(Ok),
                Err(error) if oversize::answered_by(&error) == Some(id) => Some(Err(too_large(error.limit(), error))),
                Err(error) => {
                    // The skipped event may have been the response.
                    skipped_limit = Some(error.limit());
                    skipped(error, inbox);
                    None
                }
            })
            .await;
            if let Some(answer) = answered {
                return answer;
            }
            if let Some(error) = seen.undecodable {
                return Err(transport_error(error));
            }
            if let Some(limit) = skipped_limit {
                return Err(too_large(limit, "an event was skipped that may have been the answer"));
            }
            let Some(last) = decoder.last_id().map(str::to_owned) else { return Err(lost()) };
            // Only the caller's deadline ends the polling. The response may also arrive on the session's own stream.
            tokio::select! {
                poll = Box::pin(self.poll(&last, polls.ended(seen.retry), &mut polls)) => stream = poll?,
                answer = &mut *answer => return answer.map_err(|_| inbox.failure(id)),
            }
        }
    }

    /// Polls for the rest of a response until a poll is accepted. The upstream has accepted the request, so after any
    /// error it may have been executed.
    async fn poll(&self, last: &str, mut pause: Duration, polls: &mut Polls) -> Result<Response, Error> {
        loop {
            sleep(pause).await;
            let (status, later) = match self.get(Some(last)).await {
                Ok(resumed) if resumed.status().is_success() && resumed.has_events() => return Ok(resumed),
                Ok(refused) => (Some(refused.status()), retry_after(refused.field(&RETRY_AFTER))),
                Err(_) => (None, None),
            };
            pause = polls.failed(status, later).ok_or_else(lost)?;
        }
    }

    /// Handles a refusal, whose body may contain the JSON-RPC response.
    async fn refused_answer(
        &self,
        id: u64,
        response: Response,
        inbox: &Inbox,
        answer: &mut oneshot::Receiver<Message>,
    ) -> Result<Message, Error> {
        let has_session = self.session.get().is_some();
        let refusal = Refusal::read(response, self.limit).await;
        let error = refusal.error();
        match refusal.judge(id, has_session) {
            Verdict::Answer(message) => {
                inbox.receive(&message, Some(id));
                answer.try_recv().map_err(|_| error)
            }
            Verdict::SessionLost => Err(Kind::SessionLost.into()),
            Verdict::AskSession => match self.standing().await {
                Standing::Unknown => Err(Kind::SessionLost.into()),
                Standing::Known | Standing::OutOfReach(_) => Err(error),
            },
            Verdict::Refused => Err(error),
        }
    }

    /// Checks by a `ping` whether the upstream still knows the session, after another request gave reason to doubt it.
    async fn standing(&self) -> Standing {
        let id = next_id();
        let ping = protocol::request(id, "ping", "{}");
        let judged = async {
            let response = self.post(ping.into(), &[]).await.map_err(transport_error)?;
            if response.status().is_success() {
                response.finish();
                return Ok::<_, Error>(Standing::Known);
            }
            let has_session = self.session.get().is_some();
            Ok(match Refusal::read(response, self.limit).await.judge(id, has_session) {
                Verdict::SessionLost | Verdict::AskSession => Standing::Unknown,
                Verdict::Answer(_) | Verdict::Refused => Standing::Known,
            })
        };
        match timeout(PING_PATIENCE, judged).await {
            Ok(Ok(standing)) => standing,
            Ok(Err(error)) if error.kind() == Kind::Unreachable => Standing::OutOfReach(error),
            // Any other failure of one request says nothing about the session.
            Ok(Err(_)) | Err(_) => Standing::Known,
        }
    }

    fn post<'a>(
        &'a self,
        message: Pieces,
        fields: &[u8],
    ) -> impl Future<Output = Result<Response, DialError>> + use<'a> {
        self.request(&Method::POST).accepting(BOTH_FOR_JSON).fields(fields).send(message)
    }

    async fn get(&self, last_id: Option<&str>) -> Result<Response, Error> {
        let mut request = self.request(&Method::GET).header(&ACCEPT, &EVENTS);
        // Leave out an id that is not a valid header value; the upstream cannot accept it.
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
            request = request.header(&LAST_EVENT_ID, &id);
        }
        request.send(Pieces::default()).await.map_err(transport_error)
    }

    fn request(&self, method: &Method) -> Prepared<'_> {
        let mut request = self.target.request(method);
        if let Some(session) = self.session.get() {
            request = request.header(&SESSION_ID, session);
        }
        if let Some(version) = &*read(&self.version) {
            request = request.header(&PROTOCOL_VERSION, version);
        }
        request
    }
}

/// Summary of a stream after its end.
#[derive(Default)]
struct Seen {
    events: u64,
    /// The last requested pause.
    retry: Option<Duration>,
    /// The reason why the rest of the stream cannot be decoded.
    undecodable: Option<DialError>,
}

/// Reads events until one completes the exchange or the stream ends. Waits for room in the inbox (back-pressure).
async fn read_events<T>(
    mut response: Response,
    decoder: &mut Decoder,
    (inbox, origin): (&Inbox, Option<u64>),
    mut take: impl FnMut(Result<Event, TooLarge>) -> Option<T>,
) -> (Option<T>, Seen) {
    let mut seen = Seen::default();
    decoder.restart();
    loop {
        loop {
            let event = match decoder.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => Ok(event),
                Err(error) => Err(error),
            };
            seen.events += 1;
            seen.retry = event.as_ref().ok().and_then(|event| event.retry).or(seen.retry);
            if let Some(complete) = take(event) {
                response.finish();
                return (Some(complete), seen);
            }
        }
        inbox.room(origin).await;
        match response.chunk().await {
            Ok(Some(chunk)) => decoder.push(chunk),
            Err(error @ DialError::Undecodable(_)) => {
                seen.undecodable = Some(error);
                return (None, seen);
            }
            Ok(None) | Err(_) => return (None, seen),
        }
    }
}

fn receive(event: Event, id: Option<u64>, inbox: &Inbox, answer: &mut oneshot::Receiver<Message>) -> Option<Message> {
    if event.data.is_empty() || !(event.name.is_empty() || event.name == "message") {
        return None;
    }
    if let Err(error) = deliver(event.data, inbox, id) {
        debug!(%error, "event is no message");
    }
    id.and_then(|_| answer.try_recv().ok())
}

fn lost() -> Error {
    Error::new(Kind::ConnectionLost).because("the response stream ended before the answer")
}
