//! HTTP+SSE towards an upstream (2024-11-05): a GET stream names an address for POST requests, and carries every
//! message of the upstream.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Chain, Error, Kind};
use crate::http::client::{Destination, Dialer, Response, Target};
use crate::http::event_stream::{Decoder, Event};
use crate::pieces::Pieces;
use crate::tasks::Tasks;
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::outgoing::{deliver, skipped};
use crate::upstream::transport::refusal::{Refusal, Verdict, transport_error};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sender of messages by POST.
pub(crate) struct Poster {
    target: Target,
    end: CancellationToken,
    limit: usize,
}

/// Parameters for opening a stream.
pub(crate) struct Opening<'a> {
    pub(crate) place: Destination<'a>,
    pub(crate) dialer: &'a Dialer,
    pub(crate) tasks: &'a Tasks,
}

/// Opens the stream and waits for the `endpoint` event. The caller sets the deadline.
pub(crate) async fn open(opening: Opening<'_>, inbox: Arc<Inbox>) -> Result<Poster, Error> {
    let Opening { place, dialer, tasks } = opening;
    let (url, limit) = (place.url, place.message_limit);
    let stream = dialer.target(&place).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
    let mut response =
        stream.request(&Method::GET).header(&ACCEPT, &EVENTS).send(Pieces::default()).await.map_err(transport_error)?;
    if !response.status().is_success() {
        return Err(Refusal::read(response, limit).await.error());
    }
    if !response.has_events() {
        let kind = String::from_utf8_lossy(response.field(&CONTENT_TYPE).unwrap_or(b"of no type")).into_owned();
        return Err(Error::new(Kind::InvalidResponse).because(format!("the response is no event stream, but {kind}")));
    }
    let mut decoder = Decoder::new(limit);
    let endpoint = loop {
        if let Some(event) = decoder.next_event().map_err(|error| Error::new(Kind::InvalidResponse).because(error))? {
            if event.name == "endpoint" {
                break event;
            }
            continue;
        }
        let chunk = response.chunk().await.map_err(transport_error)?;
        decoder.push(chunk.ok_or_else(|| bad("the stream ended before its `endpoint` event"))?);
    };
    let address = std::str::from_utf8(&endpoint.data).unwrap_or_default();
    // Resolve a relative address against the final address of the stream, after redirects.
    let found_at = response.moved_to().unwrap_or(url);
    let target = found_at.join(address.trim()).map_err(|error| Error::new(Kind::InvalidResponse).because(error))?;
    // Send the headers, credentials among them, only to the declared origin.
    if target.origin() != url.origin() {
        return Err(bad("the `endpoint` event names another origin"));
    }
    let end = CancellationToken::new();
    response.expect_silence();
    tasks.spawn("sse stream", read(response, decoder, inbox, end.clone()));
    let target =
        dialer.sibling(&stream, &place, &target).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
    Ok(Poster { target, end, limit })
}

impl Poster {
    /// Posts a message. Succeeds also for a refusal that contains the response to `request`, which goes to the inbox.
    pub(super) async fn send(&self, message: Bytes, request: Option<(u64, &Inbox)>) -> Result<(), Error> {
        let posting = self.target.request(&Method::POST).header(&CONTENT_TYPE, &JSON);
        let response = posting.send(message.into()).await.map_err(transport_error)?;
        let status = response.status();
        if status.is_success() {
            response.finish();
            return Ok(());
        }
        let refusal = Refusal::read(response, self.limit).await;
        if let Some((id, inbox)) = request
            && let Verdict::Answer(answer) = refusal.judge(id, true)
        {
            inbox.receive(&answer, Some(id));
            return Ok(());
        }
        match status {
            StatusCode::NOT_FOUND => Err(Error::new(Kind::SessionLost).because("status 404 Not Found")),
            _ => Err(refusal.error()),
        }
    }

    pub(super) fn close(&self) {
        self.end.cancel();
    }
}

impl Drop for Poster {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn read(mut response: Response, mut decoder: Decoder, inbox: Arc<Inbox>, end: CancellationToken) {
    loop {
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => receive(event, &inbox),
                Ok(None) => break,
                Err(error) => skipped(error, &inbox),
            }
        }
        tokio::select! {
            () = end.cancelled() => return inbox.close("the session was closed"),
            () = inbox.room(None) => {}
        }
        tokio::select! {
            () = end.cancelled() => return inbox.close("the session was closed"),
            chunk = response.chunk() => match chunk {
                Ok(Some(chunk)) => decoder.push(chunk),
                Ok(None) => return inbox.close("the upstream ended its event stream"),
                Err(error) => return inbox.close(format!("the event stream broke: {}", Chain(&error))),
            }
        }
    }
}

fn receive(event: Event, inbox: &Inbox) {
    if event.data.is_empty() || !(event.name.is_empty() || event.name == "message") {
        return;
    }
    if let Err(error) = deliver(event.data, inbox, None) {
        debug!(%error, "event is no message");
    }
}

fn bad(why: &'static str) -> Error {
    Error::new(Kind::InvalidResponse).because(why)
}
