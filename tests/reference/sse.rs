//! HTTP with a separate event stream (revision 2024-11-05): `GET /sse` to receive, `POST /message` to send.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;

use crate::connection::Connection;
use crate::events::KEEP_ALIVE;
use crate::http::accept;
use crate::server::Server;
use crate::{lock, unique};

struct Sse {
    server: &'static Server,
    connections: Mutex<HashMap<String, Arc<Connection>>>,
}

/// Registers a connected client until dropped.
struct Connected {
    sse: Arc<Sse>,
    id: String,
}

pub(crate) async fn serve(server: &'static Server, address: SocketAddr) -> io::Result<()> {
    let sse = Arc::new(Sse { server, connections: Mutex::default() });
    let router = Router::new().route("/sse", get(listen)).route("/message", post(talk)).with_state(sse);
    accept(router, address, "/sse").await
}

async fn listen(State(sse): State<Arc<Sse>>) -> Response {
    let connection = Arc::new(Connection::new(sse.server));
    let reader = connection.out.reader();
    let id = unique();
    let endpoint = Some(format!("event: endpoint\ndata: /message?sessionId={id}\n\n"));
    lock(&sse.connections).insert(id.clone(), connection);
    let connected = Connected { sse, id };
    let events = stream::unfold((endpoint, reader, connected), |(endpoint, mut reader, connected)| async move {
        let event = match endpoint {
            Some(endpoint) => endpoint,
            None => match tokio::time::timeout(KEEP_ALIVE, reader.next()).await {
                Ok(said) => format!("event: message\ndata: {}\n\n", said?.text),
                Err(_) => ":\n\n".to_owned(),
            },
        };
        Some((Ok::<_, Infallible>(Bytes::from(event)), (None, reader, connected)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], Body::from_stream(events))
        .into_response()
}

async fn talk(State(sse): State<Arc<Sse>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let id = query.as_deref().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")));
    let connection = id.and_then(|id| lock(&sse.connections).get(id).cloned());
    match connection {
        Some(connection) => {
            connection.take(&body);
            (StatusCode::ACCEPTED, "Accepted").into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such session").into_response(),
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        lock(&self.sse.connections).remove(&self.id);
    }
}
