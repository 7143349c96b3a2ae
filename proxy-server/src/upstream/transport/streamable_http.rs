//! Streamable HTTP towards an upstream (2025-03-26 on): one POST per message, answered by JSON or by an event stream,
//! and one GET stream for what belongs to no request.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::debug;
use url::Url;

use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, Message, Pieces};
use crate::upstream::dialer::{DialError, Dialer, Prepared, Response, Target};
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::Outgoing;
use crate::upstream::transport::event_stream::{Decoder, Event};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const BOTH_FOR_JSON: &[u8] = b"accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n";
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How often a broken response stream is taken up again before its request counts as lost.
const RESUMPTIONS: u32 = 5;
/// How many attempts in a row to open the GET stream may fail to connect before the upstream counts as gone.
const LISTEN_FAILURES: u32 = 3;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One session with one endpoint.
pub(in crate::upstream) struct Endpoint {
    target: Target,
    limit: usize,
    session: OnceLock<HeaderValue>,
    version: RwLock<Option<HeaderValue>>,
}

/// How a stream of events came to its end.
enum StreamEnd {
    Answered(Message),
    /// The stream ended without the answer.
    Broken,
}

impl Endpoint {
    pub(in crate::upstream) fn new(
        url: &Url,
        headers: HeaderMap,
        dialer: &Dialer,
        limit: usize,
    ) -> Result<Self, Error> {
        let target = dialer.target(url, headers).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
        Ok(Self { target, limit, session: OnceLock::new(), version: RwLock::new(None) })
    }

    /// Sets the negotiated revision, which every later request names.
    pub(in crate::upstream) fn set_version(&self, version: &str) {
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = HeaderValue::from_str(version).ok();
    }

    fn has_agreed(&self) -> bool {
        self.version.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) async fn send(&self, message: Bytes) -> Result<(), Error> {
        let response = self.post(message.into(), &[]).await.map_err(transport_error)?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        response.finish();
        Ok(())
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
        // With the answer to `initialize` comes the session, if any (2025-03-26, transports, "Session Management"); the
        // revision is agreed after it.
        if !self.has_agreed()
            && let Some(Ok(session)) = response.field(&SESSION_ID).map(HeaderValue::from_bytes)
        {
            self.session.set(session).ok();
        }
        if response.has_events() {
            return self.follow(id, response, inbox, &mut answer).await;
        }
        let body = self.body(response).await?;
        let message = Message::parse(body).map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
        inbox.receive(&message, Some(id));
        answer.try_recv().map_err(|_| Kind::BadAnswer.into())
    }

    /// Reads the GET stream for as long as the session lives. Upstreams without one answer 405.
    pub(in crate::upstream) async fn listen(self: Arc<Self>, inbox: Arc<Inbox>) {
        let mut decoder = Decoder::new(self.limit);
        let (mut delay, mut failures) = (FIRST_RETRY, 0);
        loop {
            let answer = self.get(decoder.last_id()).await;
            // Whoever waits for the stream to be open goes on, whatever the answer.
            inbox.settle_stream();
            match answer {
                Ok(response) if response.status().is_success() && response.has_events() => {
                    failures = 0;
                    let mut seen = 0_u64;
                    let never = &mut oneshot::channel().1;
                    let ended = read_events(response, &mut decoder, |event| {
                        seen += 1;
                        receive(event, None, &inbox, never)
                    });
                    let retry = ended.await.1;
                    delay = if seen > 0 { retry.unwrap_or(FIRST_RETRY) } else { (delay * 2).min(LONGEST_RETRY) };
                }
                Ok(response) if response.status() == StatusCode::NOT_FOUND && self.session.get().is_some() => {
                    inbox.close("the upstream no longer knows the session");
                    return;
                }
                Ok(response) if response.status().is_server_error() => delay = (delay * 2).min(LONGEST_RETRY),
                Ok(response) => {
                    debug!(status = response.status().as_u16(), "upstream offers no stream of its own");
                    return;
                }
                Err(error) if failures + 1 == LISTEN_FAILURES => {
                    inbox.close(Chain(&error).to_string());
                    return;
                }
                Err(_) => {
                    failures += 1;
                    delay = FIRST_RETRY;
                }
            }
            tokio::select! {
                () = inbox.closed().cancelled() => return,
                () = sleep(delay) => {}
            }
        }
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

    /// Reads an answer's stream, taking it up again where it broke if the upstream numbers its events.
    async fn follow(
        &self,
        id: u64,
        response: Response,
        inbox: &Inbox,
        answer: &mut oneshot::Receiver<Message>,
    ) -> Result<Message, Error> {
        let mut decoder = Decoder::new(self.limit);
        let mut stream = Some(response);
        let mut retry = FIRST_RETRY;
        for _ in 0..=RESUMPTIONS {
            if let Some(stream) = stream.take() {
                let take = |event| receive(event, Some(id), inbox, answer);
                let (end, asked) = read_events(stream, &mut decoder, take).await;
                if let StreamEnd::Answered(message) = end {
                    return Ok(message);
                }
                retry = asked.unwrap_or(retry);
            }
            let Some(last) = decoder.last_id().map(str::to_owned) else { break };
            sleep(retry).await;
            // The request was taken: whatever goes wrong from here on, it may have been executed.
            match Box::pin(self.get(Some(&last))).await {
                Ok(resumed) if resumed.status().is_success() && resumed.has_events() => stream = Some(resumed),
                Ok(_) => break,
                Err(_) => {}
            }
        }
        Err(Error::new(Kind::Lost).because("the response stream ended before the answer"))
    }

    /// A refusal may carry the answer: a JSON-RPC error in its body.
    async fn refused_answer(
        &self,
        id: u64,
        response: Response,
        inbox: &Inbox,
        answer: &mut oneshot::Receiver<Message>,
    ) -> Result<Message, Error> {
        let status = response.status();
        if status == StatusCode::NOT_FOUND && self.session.get().is_some() {
            return Err(Kind::SessionLost.into());
        }
        let body = self.body(response).await?;
        // Some servers answer an unknown session with 400 and these words, in no agreed form.
        if status == StatusCode::BAD_REQUEST && self.session.get().is_some() && names_session(&body) {
            return Err(Kind::SessionLost.into());
        }
        if let Ok(message) = Message::parse(body)
            && message.kind() == protocol::Kind::Error
            && (message.id().is_empty() || message.id().parse() == Ok(id))
        {
            inbox.receive(&message, Some(id));
            if let Ok(message) = answer.try_recv() {
                return Ok(message);
            }
        }
        Err(refused(status))
    }

    async fn refusal(&self, response: Response) -> Error {
        let status = response.status();
        if status == StatusCode::NOT_FOUND && self.session.get().is_some() {
            return Kind::SessionLost.into();
        }
        match self.body(response).await {
            Ok(body) if status == StatusCode::BAD_REQUEST && self.session.get().is_some() && names_session(&body) => {
                Kind::SessionLost.into()
            }
            Ok(_) | Err(_) => refused(status),
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
        // An id that cannot be a header's value is no id that the upstream would take back.
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request = request.header(&LAST_EVENT_ID, &id);
        }
        request.send(Pieces::default()).await.map_err(transport_error)
    }

    fn request(&self, method: &Method) -> Prepared<'_> {
        let mut request = self.target.request(method);
        if let Some(session) = self.session.get() {
            request = request.header(&SESSION_ID, session);
        }
        if let Some(version) = &*self.version.read().unwrap_or_else(PoisonError::into_inner) {
            request = request.header(&PROTOCOL_VERSION, version);
        }
        request
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if body.len() + chunk.len() > self.limit {
                return Err(
                    Error::new(Kind::BadAnswer).because(format!("the body is larger than {} bytes", self.limit))
                );
            }
            // Chunks that lie behind one another are not copied.
            body.unsplit(chunk);
        }
        Ok(body.freeze())
    }
}

/// Reads events until one completes the exchange or the stream ends; also says what retry time was asked for.
async fn read_events(
    mut response: Response,
    decoder: &mut Decoder,
    mut take: impl FnMut(Event) -> Option<Message>,
) -> (StreamEnd, Option<Duration>) {
    let mut retry = None;
    decoder.restart();
    loop {
        while let Some(event) = decoder.next_event() {
            retry = event.retry.or(retry);
            if let Some(message) = take(event) {
                response.finish();
                return (StreamEnd::Answered(message), retry);
            }
        }
        match response.chunk().await {
            Ok(Some(chunk)) => match decoder.push(chunk) {
                Ok(()) => {}
                Err(_) => return (StreamEnd::Broken, retry),
            },
            Ok(None) | Err(_) => return (StreamEnd::Broken, retry),
        }
    }
}

fn receive(event: Event, id: Option<u64>, inbox: &Inbox, answer: &mut oneshot::Receiver<Message>) -> Option<Message> {
    if event.data.is_empty() || !(event.name.is_empty() || event.name == "message") {
        return None;
    }
    match Message::parse(event.data) {
        Ok(message) => inbox.receive(&message, id),
        Err(error) => debug!(%error, "event is no message"),
    }
    id.and_then(|_| answer.try_recv().ok())
}

pub(super) fn transport_error(error: DialError) -> Error {
    let kind = match error {
        DialError::Unreachable(_) => Kind::Unreachable,
        DialError::Broken(_) => Kind::Lost,
    };
    Error::new(kind).because(error)
}

/// A gateway between here and the upstream may answer 5xx after the upstream has acted.
pub(super) fn refused(status: StatusCode) -> Error {
    let kind = if status.is_server_error() { Kind::BadAnswer } else { Kind::Refused(status.as_u16()) };
    Error::new(kind).because(format!("status {status}"))
}

fn names_session(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("session")
}
