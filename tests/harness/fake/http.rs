//! A fake server over HTTP: Streamable HTTP at `/mcp`, the older transport at `/sse` and `/message`.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

use super::call::{Action, Peer, queue};
use super::server::{Refusal, Server};
use super::{Received, Via};
use crate::envelope::Envelope;

const SESSION: &str = "mcp-session-id";

/// A response; an error resets the connection.
type Answer = io::Result<Response<Body>>;

/// Serves connections until aborted, which resets them.
pub(super) async fn accept(listener: TcpListener, server: Arc<Server>, via: Via) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        stream.set_zero_linger().ok();
        let server = Arc::clone(&server);
        let serve = service_fn(move |request| serve(Arc::clone(&server), via, request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}

async fn serve(server: Arc<Server>, via: Via, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let envelope = Envelope::read(&bytes);
    let method = if head.method == Method::POST { envelope.method.clone() } else { head.method.to_string() };
    let named = match via {
        Via::Sse => head.uri.query().and_then(|query| query.strip_prefix("session=")),
        Via::Stdio | Via::Events | Via::Json => head.headers.get(SESSION).and_then(|id| id.to_str().ok()),
    };
    let named = named.map(|id| server.peer(id.parse().unwrap_or(usize::MAX)).filter(|peer| peer.is_live()));
    let is_stateless = server.script.stateless && head.method == Method::POST;
    let opens = if via == Via::Sse { head.method == Method::GET } else { method == "initialize" || is_stateless };
    let refusal = server.refusal(&method);
    let is_new = opens && named.is_none() && refusal.is_none();
    let peer = if is_new { Some(server.new_peer(Vec::new())) } else { named.clone().flatten() };
    let number = peer.as_ref().map_or(usize::MAX, |peer| peer.number);
    // Open the stream before recording the request: a test that sees the record can rely on the stream.
    let listens = head.method == Method::GET && refusal.is_none() && server.script.listens;
    let actions = peer.as_ref().filter(|_| listens).map(|peer| peer.listen());
    let received = Received { peer: number, method, headers: head.headers, bytes, envelope: Arc::new(envelope) };
    server.record(received.clone());
    match refusal {
        Some(Refusal::Status(refusal)) => return status(refusal),
        Some(Refusal::Silence) => std::future::pending::<()>().await,
        None => {}
    }
    let Some(peer) = peer else { return status(if named.is_some() { 404 } else { 400 }) };
    if let Some(actions) = actions {
        let session = (via == Via::Sse).then(|| EndOnDrop(Arc::clone(&peer)));
        let first = (via == Via::Sse).then(|| endpoint(&peer));
        return event_stream(first, (actions, session), &peer);
    }
    match (&head.method, via) {
        (&Method::DELETE, _) => {
            peer.end();
            status(200)
        }
        (&Method::POST, Via::Sse) => {
            server.take(&peer, received, None);
            status(202)
        }
        (&Method::POST, _) => post(&server, &peer, received, via).await,
        _ => status(405),
    }
}

async fn post(server: &Arc<Server>, peer: &Arc<Peer>, received: Received, via: Via) -> Answer {
    let is_request = !received.envelope.id.is_empty() && received.method != "response";
    let (own, mut actions) = queue();
    server.take(peer, received, Some(own));
    if !is_request {
        return status(202);
    }
    if via == Via::Events {
        return match actions.recv().await {
            Some(Action::HangUp) => Err(reset()),
            first => event_stream(first, (actions, None), peer),
        };
    }
    loop {
        match actions.recv().await {
            Some(Action::HangUp) => return Err(reset()),
            Some(Action::Message(message)) if is_answer(&message) => return json(message, peer),
            Some(Action::Message(message)) => peer.act(Action::Message(message)),
            Some(Action::Bytes(bytes)) => return json(bytes, peer),
            None => return json(Bytes::new(), peer),
        }
    }
}

fn is_answer(message: &[u8]) -> bool {
    Envelope::read(message).method == "response"
}

fn endpoint(peer: &Peer) -> Action {
    Action::Bytes(format!("event: endpoint\ndata: /message?session={}\n\n", peer.number).into())
}

fn json(body: Bytes, peer: &Peer) -> Answer {
    let builder = Response::builder().header("content-type", "application/json").header(SESSION, peer.number);
    builder.body(Body::from(body)).map_err(io::Error::other)
}

/// The actions for a stream, and the session that ends together with the stream.
type Actions = (mpsc::Receiver<Action>, Option<EndOnDrop>);

fn event_stream(first: Option<Action>, actions: Actions, peer: &Peer) -> Answer {
    let events = stream::unfold((first, actions), |(first, mut actions)| async move {
        let action = match first {
            Some(first) => first,
            None => actions.0.recv().await?,
        };
        if matches!(action, Action::HangUp) {
            // Flush the previous messages before the reset.
            yield_now().await;
        }
        Some((frame(action), (None, actions)))
    });
    let builder = Response::builder().header("content-type", "text/event-stream").header(SESSION, peer.number);
    builder.body(Body::from_stream(events)).map_err(io::Error::other)
}

/// Ends the session when its stream is dropped.
struct EndOnDrop(Arc<Peer>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Frames a message as an event, with one `data` line per line of the message.
fn frame(action: Action) -> io::Result<Bytes> {
    match action {
        Action::Message(message) => {
            let text = String::from_utf8_lossy(&message);
            let data: Vec<String> = text.split('\n').map(|line| format!("data: {line}\n")).collect();
            Ok(format!("event: message\n{}\n", data.concat()).into())
        }
        Action::Bytes(bytes) => Ok(bytes),
        Action::HangUp => Err(reset()),
    }
}

fn status(status: u16) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    Ok(response)
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
