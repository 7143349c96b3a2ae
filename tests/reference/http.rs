//! Streamable HTTP at `/mcp`: single modern requests, and legacy sessions with resumable streams.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::caller::Caller;
use crate::events::{Events, fault_status, json};
use crate::headers::{self, text};
use crate::message::{self, Fault, INVALID_REQUEST, Incoming, NO_SESSION, Request, refusal, response};
use crate::outbox::Outbox;
use crate::server::{Admitted, LEGACY, Server};
use crate::session::{Running, Session};
use crate::{Era, lock};

/// Maximum number of resumable streams per session.
const KEPT_STREAMS: usize = 100;

struct Http {
    server: &'static Server,
    sessions: Mutex<HashMap<String, Arc<Legacy>>>,
}

/// A legacy session with its streams. Stream 0 belongs to no request.
struct Legacy {
    session: Arc<Session>,
    streams: Mutex<VecDeque<(usize, Arc<Outbox>)>>,
    standing: Arc<Outbox>,
    last_stream: AtomicUsize,
    running: Arc<Running>,
}

pub(crate) async fn serve(server: &'static Server, address: SocketAddr) -> io::Result<()> {
    let http = Arc::new(Http { server, sessions: Mutex::default() });
    let router = Router::new().route("/mcp", get(listen).post(talk).delete(leave)).with_state(http);
    accept(router, address, "/mcp").await
}

/// Prints the URL, then serves local clients forever.
pub(crate) async fn accept(router: Router, address: SocketAddr, path: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("http://{}{path}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let router = router.layer(from_fn(headers::local_only)).layer(DefaultBodyLimit::disable());
    axum::serve(listener, router).await
}

async fn talk(State(http): State<Arc<Http>>, headers: HeaderMap, body: Bytes) -> Response {
    let accepted = text(&headers, "accept").unwrap_or_default();
    if !accepted.contains("*/*")
        && !["application/json", "text/event-stream"].iter().all(|kind| accepted.contains(kind))
    {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    if !text(&headers, "content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match message::read(&body) {
        Ok(Incoming::Request(request)) => http.request(&headers, request).await,
        Ok(Incoming::Notification(Request { method, params, .. })) => http.within_session(&headers, |legacy| {
            if let Some(id) = params.request_id.filter(|_| method == "notifications/cancelled") {
                legacy.running.cancel(id.get());
            }
        }),
        Ok(Incoming::Response(id, answer)) => {
            http.within_session(&headers, |legacy| legacy.session.asked.resolve(id, answer))
        }
        Err((id, fault)) => json(StatusCode::BAD_REQUEST, refusal(id.as_deref(), fault)),
    }
}

async fn listen(State(http): State<Arc<Http>>, headers: HeaderMap) -> Response {
    let Some(legacy) = http.session(&headers) else { return http.no_session(&headers) };
    let resumed = text(&headers, "last-event-id").and_then(|id| {
        let (stream, number) = id.split_once('.')?;
        Some((stream.parse().ok()?, number.parse().ok()?))
    });
    let (number, reader) = match resumed {
        Some((stream, number)) => match lock(&legacy.streams).iter().find(|(other, _)| *other == stream) {
            Some((_, outbox)) => (stream, outbox.reader_after(number)),
            None if stream == 0 => (0, legacy.standing.reader_after(number)),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
        None => (0, legacy.standing.reader()),
    };
    Events::kept(number, reader, None).stream()
}

async fn leave(State(http): State<Arc<Http>>, headers: HeaderMap) -> Response {
    let Some(legacy) = http.session(&headers) else { return http.no_session(&headers) };
    lock(&http.sessions).remove(&legacy.session.id);
    legacy.running.cancel_all();
    legacy.standing.end();
    StatusCode::NO_CONTENT.into_response()
}

impl Http {
    async fn request(&self, headers: &HeaderMap, request: Request) -> Response {
        let legacy = self.session(headers);
        let version = text(headers, "mcp-protocol-version");
        let known = legacy.as_ref().map(|legacy| Arc::clone(&legacy.session));
        let refused = |status, fault| json(status, response(&request.id, Err(fault)));
        let caller = match self.server.admit(&request, known, version) {
            Ok(Admitted::Ignored) => pending().await,
            Ok(Admitted::Handshake) => return self.open(&request),
            Ok(Admitted::Stranger) => return self.no_session(headers),
            Ok(Admitted::Caller(caller)) => caller,
            Err(fault) => return refused(StatusCode::BAD_REQUEST, fault),
        };
        let checked = match &caller {
            Caller::Modern { .. } => headers::check(&request, headers, &self.server.catalog),
            Caller::Legacy(_) if version.is_none_or(|version| LEGACY.contains(&version)) => Ok(()),
            Caller::Legacy(_) => Err(Fault::new(NO_SESSION, "Bad Request: Unsupported protocol version")),
        };
        if let Err(fault) = checked {
            return refused(StatusCode::BAD_REQUEST, fault);
        }
        if let Some(outcome) = self.server.answer_now(&caller, &request) {
            let status = status(&caller, &outcome);
            return self.reply(status, response(&request.id, outcome));
        }
        match (caller, legacy) {
            (Caller::Legacy(_), Some(legacy)) => legacy.work(self.server, request),
            (caller, _) => Events::working(self.server, caller, request),
        }
        .respond(self.server.settings.events)
        .await
    }

    fn open(&self, request: &Request) -> Response {
        let standing = Outbox::keeping();
        let (session, result) = self.server.initialize(&request.params, &standing);
        let id = session.id.clone();
        let legacy = Legacy {
            session,
            streams: Mutex::default(),
            standing,
            last_stream: AtomicUsize::new(0),
            running: Arc::default(),
        };
        lock(&self.sessions).insert(id.clone(), Arc::new(legacy));
        let answer = self.reply(StatusCode::OK, response(&request.id, Ok(result)));
        ([("mcp-session-id", id)], answer).into_response()
    }

    /// Applies `act` to the session of a notification or response.
    fn within_session(&self, headers: &HeaderMap, act: impl FnOnce(&Legacy)) -> Response {
        let is_modern = text(headers, "mcp-protocol-version").is_some_and(|version| !LEGACY.contains(&version));
        match self.session(headers) {
            Some(legacy) => act(&legacy),
            None if is_modern || self.server.settings.era == Era::Modern => {}
            None => return self.no_session(headers),
        }
        StatusCode::ACCEPTED.into_response()
    }

    fn session(&self, headers: &HeaderMap) -> Option<Arc<Legacy>> {
        lock(&self.sessions).get(text(headers, "mcp-session-id")?).cloned()
    }

    /// Responds to a message whose session does not exist.
    fn no_session(&self, headers: &HeaderMap) -> Response {
        if self.server.settings.era == Era::Modern {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        // Use `null` as the id, as old servers do if the id is unknown.
        let body = |code, message| {
            let error = Fault::new(code, message).to_value();
            serde_json::json!({ "jsonrpc": "2.0", "error": error, "id": null }).to_string()
        };
        if headers.contains_key("mcp-session-id") {
            json(StatusCode::NOT_FOUND, body(INVALID_REQUEST, "Session not found"))
        } else {
            json(StatusCode::BAD_REQUEST, body(NO_SESSION, "Bad Request: No valid session ID provided"))
        }
    }

    fn reply(&self, status: StatusCode, text: String) -> Response {
        if self.server.settings.events && status.is_success() {
            let event = ["event: message\ndata: ", &text, "\n\n"].concat();
            ([(header::CONTENT_TYPE, "text/event-stream")], event).into_response()
        } else {
            json(status, text)
        }
    }
}

impl Legacy {
    /// Works on a request independently of its stream's connection.
    fn work(&self, server: &'static Server, request: Request) -> Events {
        let number = self.last_stream.fetch_add(1, Ordering::Relaxed) + 1;
        let out = Outbox::keeping();
        {
            let mut streams = lock(&self.streams);
            streams.push_back((number, Arc::clone(&out)));
            if streams.len() > KEPT_STREAMS {
                streams.pop_front();
            }
        }
        // Send the event without data only in the latest revision: older clients take it for a broken message.
        let is_latest = self.session.version == LEGACY[0];
        let events =
            Events::kept(number, out.reader(), is_latest.then(|| format!("id: {number}.0\nretry: 50\ndata: \n\n")));
        let caller = Caller::Legacy(Arc::clone(&self.session));
        self.running.start(&request.id.clone(), async move {
            let ended = EndsOnDrop(Arc::clone(&out));
            let id = request.id.clone();
            let outcome = server.answer(caller, request, out).await;
            ended.0.finish(response(&id, outcome));
        });
        events
    }
}

/// Ends a stream when its work ends, for any reason.
struct EndsOnDrop(Arc<Outbox>);

impl Drop for EndsOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn status(caller: &Caller, outcome: &Result<String, Fault>) -> StatusCode {
    if matches!(caller, Caller::Modern { .. }) { fault_status(outcome) } else { StatusCode::OK }
}
