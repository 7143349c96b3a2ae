//! HTTP responses: one JSON text, or an event stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::timeout;

use crate::caller::Caller;
use crate::message::{
    Fault, HEADER_MISMATCH, METHOD_NOT_FOUND, MISSING_CAPABILITY, Request, UNSUPPORTED_VERSION, response,
};
use crate::outbox::{Outbox, Reader, Said};
use crate::server::Server;

/// Interval between comments that keep a silent stream alive.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time after which the response to a request becomes a stream.
const PATIENCE: Duration = Duration::from_millis(50);

/// The messages of one HTTP response.
pub(crate) struct Events {
    reader: Reader,
    /// Work on a modern request, cancelled when the client disconnects. Returns the status of the response.
    work: Option<Pin<Box<dyn Future<Output = StatusCode> + Send>>>,
    status: StatusCode,
    /// Number of a resumable stream.
    number: Option<usize>,
    /// Text sent before any message.
    first: Option<String>,
}

impl Events {
    /// Creates a resumable stream with this number.
    pub(crate) fn kept(number: usize, reader: Reader, first: Option<String>) -> Self {
        Self { reader, work: None, status: StatusCode::OK, number: Some(number), first }
    }

    /// Creates the response to a modern request, with the work on it.
    pub(crate) fn working(server: &'static Server, caller: Caller, request: Request) -> Self {
        let out = Outbox::new();
        let reader = out.reader();
        let work = Box::pin(async move {
            let id = request.id.clone();
            let outcome = server.answer(caller, request, Arc::clone(&out)).await;
            let status = fault_status(&outcome);
            out.finish(response(&id, outcome));
            status
        });
        Self { reader, work: Some(work), status: StatusCode::OK, number: None, first: None }
    }

    async fn next(&mut self) -> Option<Said> {
        loop {
            let Some(work) = &mut self.work else { return self.reader.next().await };
            tokio::select! {
                biased;
                said = self.reader.next() => return said,
                status = work => (self.status, self.work) = (status, None),
            }
        }
    }

    /// Responds with one JSON text if the response comes soon and alone, otherwise with a stream.
    pub(crate) async fn respond(mut self, always_streams: bool) -> Response {
        match timeout(PATIENCE, self.next()).await {
            Ok(Some(said)) if said.is_last && (!always_streams || !self.status.is_success()) => {
                json(self.status, said.text.to_string())
            }
            Ok(Some(said)) => {
                let event = self.event(&said);
                self.first = Some(self.first.unwrap_or_default() + &event);
                self.stream()
            }
            // No message yet, or the stream was hung up.
            Ok(None) | Err(_) => self.stream(),
        }
    }

    pub(crate) fn stream(self) -> Response {
        let events = stream::unfold(self, |mut events| async move {
            let event = match events.first.take() {
                Some(first) => first,
                None => match timeout(KEEP_ALIVE, events.next()).await {
                    Ok(said) => events.event(&said?),
                    Err(_) => ":\n\n".to_owned(),
                },
            };
            Some((Ok::<_, Infallible>(Bytes::from(event)), events))
        });
        let headers = [
            (header::CONTENT_TYPE.as_str(), "text/event-stream"),
            (header::CACHE_CONTROL.as_str(), "no-cache"),
            ("x-accel-buffering", "no"),
        ];
        (headers, Body::from_stream(events)).into_response()
    }

    fn event(&self, said: &Said) -> String {
        let id = self.number.map(|stream| format!("id: {stream}.{}\n", said.number)).unwrap_or_default();
        [&id, "event: message\ndata: ", &said.text, "\n\n"].concat()
    }
}

pub(crate) fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Returns the status that the modern era prescribes for an outcome.
pub(crate) fn fault_status(outcome: &Result<String, Fault>) -> StatusCode {
    match outcome {
        Err(Fault { code: METHOD_NOT_FOUND, .. }) => StatusCode::NOT_FOUND,
        Err(Fault { code: HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION, .. }) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
