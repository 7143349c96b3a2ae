//! Serves connections beyond the limit: answers health checks, and everything else with 503 and `Retry-After`.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use httparse::{Header, ParserConfig, Request, Status};
use schemas::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::usual::{MAX_FIELDS, MAX_HEAD_BYTES, Persistence, put_head};
use crate::downstream::origin::HEALTH_PATHS;
use crate::downstream::{Front, Peer};

/// Timeout for the whole exchange, because few such connections are served at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers the first request of a connection, and closes it.
pub(crate) async fn serve(stream: TcpStream, peer: Peer, front: &Front) {
    drop(timeout(PATIENCE, exchange(stream, peer, front)).await);
}

async fn exchange(mut stream: TcpStream, peer: Peer, front: &Front) -> io::Result<()> {
    let mut received = Vec::with_capacity(MAX_HEAD_BYTES);
    let response = loop {
        if (&mut stream).take(MAX_HEAD_BYTES as u64).read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        match check(&received) {
            Ok(None) if received.len() < MAX_HEAD_BYTES => {}
            Ok(None) | Err(()) => break full(),
            Ok(Some(request)) => break front.answer(peer, request.map(|()| Empty::<Bytes>::new())).await,
        }
    };
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut text = Vec::new();
    put_head(&mut text, parts.status, Some(&parts.headers), body.len(), Persistence::Close);
    if !received.starts_with(b"HEAD ") {
        text.extend_from_slice(&body);
    }
    stream.write_all(&text).await?;
    stream.shutdown().await?;
    // Closing a socket with unread data would discard the response.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

/// Parses a health check. Returns `None` while the bytes may become one, and an error for everything else.
fn check(text: &[u8]) -> Result<Option<http::Request<()>>, ()> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut head = Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut head, text, &mut slots) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(()),
    }
    let path = head.path.unwrap_or_default();
    let method = [Method::GET, Method::HEAD].into_iter().find(|method| head.method == Some(method.as_str()));
    let method = method.filter(|_| HEALTH_PATHS.contains(&path)).ok_or(())?;
    let version = if head.version == Some(0) { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    let request = http::Request::builder().method(method).uri(path).version(version);
    let fields = head.headers.iter();
    fields.fold(request, |request, field| request.header(field.name, field.value)).body(()).map(Some).map_err(drop)
}

fn full() -> Response {
    let problem = Problem::new("Limit reached").details("too many connections; the limit is --max-connections");
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_checks_are_answered() {
        for text in ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /readyz HTTP/1.0\r\n\r\n"] {
            let request = check(text.as_bytes()).expect(text).expect(text);
            assert_eq!(request.version() == http::Version::HTTP_10, text.starts_with("HEAD"), "{text}");
        }
        for text in ["", "GET /hea", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
            assert!(check(text.as_bytes()).expect(text).is_none(), "{text}");
        }
        for text in [
            "POST /healthz HTTP/1.1\r\n\r\n",
            "GET /mcp HTTP/1.1\r\n\r\n",
            "SSH-2.0-x\r\n",
            "GET /healthz?x HTTP/1.1\r\n\r\n",
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
    }
}
