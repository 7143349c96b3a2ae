//! HTTP with a separate event stream towards an upstream (2024-11-05): a GET stream names an address to POST to, and
//! carries everything the upstream sends.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use url::Url;

use crate::error::{Chain, Error, Kind};
use crate::protocol::{Message, Pieces};
use crate::tasks::Tasks;
use crate::upstream::dialer::{Dialer, Response, Target};
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::event_stream::{Decoder, Event};
use crate::upstream::transport::streamable_http::{refused, transport_error};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The address that messages are posted to.
pub(in crate::upstream) struct Poster {
    target: Target,
    end: CancellationToken,
}

/// What a stream is opened with.
pub(in crate::upstream) struct Opening<'a> {
    pub(in crate::upstream) url: &'a Url,
    pub(in crate::upstream) headers: HeaderMap,
    pub(in crate::upstream) dialer: &'a Dialer,
    pub(in crate::upstream) tasks: &'a Tasks,
    pub(in crate::upstream) limit: usize,
}

/// Opens the stream and waits for the `endpoint` event. The caller sets the deadline.
pub(in crate::upstream) async fn open(opening: Opening<'_>, inbox: Arc<Inbox>) -> Result<Poster, Error> {
    let Opening { url, headers, dialer, tasks, limit } = opening;
    let stream = dialer.target(url, headers.clone()).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
    let mut response =
        stream.request(&Method::GET).header(&ACCEPT, &EVENTS).send(Pieces::default()).await.map_err(transport_error)?;
    if !response.status().is_success() {
        return Err(refused(response.status()));
    }
    let mut decoder = Decoder::new(limit);
    let endpoint = loop {
        if let Some(event) = decoder.next_event() {
            if event.name == "endpoint" {
                break event;
            }
            continue;
        }
        let chunk = response.chunk().await.map_err(transport_error)?;
        let chunk = chunk.ok_or_else(|| bad("the stream ended before its `endpoint` event"))?;
        decoder.push(chunk).map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
    };
    let address = std::str::from_utf8(&endpoint.data).unwrap_or_default();
    let target = url.join(address.trim()).map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
    // The upstream's headers, credentials among them, go to the address it was declared with and nowhere else.
    if target.origin() != url.origin() {
        return Err(bad("the `endpoint` event names another origin"));
    }
    let end = CancellationToken::new();
    tasks.spawn("sse stream", read(response, decoder, inbox, end.clone()));
    let target = dialer.target(&target, headers).map_err(|error| Error::new(Kind::Unreachable).because(error))?;
    Ok(Poster { target, end })
}

impl Poster {
    pub(super) async fn send(&self, message: Bytes) -> Result<(), Error> {
        let request = self.target.request(&Method::POST).header(&CONTENT_TYPE, &JSON);
        let response = request.send(message.into()).await.map_err(transport_error)?;
        let status = response.status();
        response.finish();
        match status {
            status if status.is_success() => Ok(()),
            http::StatusCode::NOT_FOUND => Err(Error::new(Kind::SessionLost).because("status 404 Not Found")),
            status => Err(refused(status)),
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
        while let Some(event) = decoder.next_event() {
            receive(event, &inbox);
        }
        tokio::select! {
            () = end.cancelled() => return inbox.close("the session was closed"),
            chunk = response.chunk() => match chunk {
                Ok(Some(chunk)) => if decoder.push(chunk).is_err() {
                    return inbox.close("an event is larger than the limit");
                },
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
    match Message::parse(event.data) {
        Ok(message) => inbox.receive(&message, None),
        Err(error) => debug!(%error, "event is no message"),
    }
}

fn bad(why: &'static str) -> Error {
    Error::new(Kind::BadAnswer).because(why)
}
