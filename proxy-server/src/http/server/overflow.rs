//! Serves connections beyond the limit: answers requests to vital paths, and refuses all others.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use httparse::{Header, ParserConfig, Request, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::request_head::{MAX_FIELDS, MAX_HEAD_BYTES};
use super::response_head::{Persistence, put_head};
use super::service::{Peer, Service};
use super::stream::Stream;

/// Timeout for the whole exchange, because few such connections are served at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers the first request of a connection, and closes it.
pub(crate) async fn serve<S: Service>(stream: impl Stream, peer: Peer, service: &S) {
    drop(timeout(PATIENCE, exchange(stream, peer, service)).await);
}

async fn exchange<S: Service>(mut stream: impl Stream, peer: Peer, service: &S) -> io::Result<()> {
    let mut received = Vec::with_capacity(MAX_HEAD_BYTES);
    let response = loop {
        if (&mut stream).take(MAX_HEAD_BYTES as u64).read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        match parse(&received, |path| service.is_vital(path)) {
            Ok(None) if received.len() < MAX_HEAD_BYTES => {}
            Ok(None) | Err(()) => break service.overloaded(),
            Ok(Some(request)) => break service.answer(peer, request.map(|()| Empty::<Bytes>::new())).await,
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

/// Parses a GET or HEAD request to a vital path. Returns `None` while the bytes may become one, and an error for
/// everything else.
fn parse(text: &[u8], is_vital: impl Fn(&str) -> bool) -> Result<Option<http::Request<()>>, ()> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut head = Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut head, text, &mut slots) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(()),
    }
    let path = head.path.unwrap_or_default();
    let method = [Method::GET, Method::HEAD].into_iter().find(|method| head.method == Some(method.as_str()));
    let method = method.filter(|_| is_vital(path)).ok_or(())?;
    let version = if head.version == Some(0) { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    let request = http::Request::builder().method(method).uri(path).version(version);
    let fields = head.headers.iter();
    fields.fold(request, |request, field| request.header(field.name, field.value)).body(()).map(Some).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_to_vital_paths_are_answered() {
        let is_vital = |path: &str| ["/healthz", "/readyz"].contains(&path);
        for text in ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /readyz HTTP/1.0\r\n\r\n"] {
            let request = parse(text.as_bytes(), is_vital).expect(text).expect(text);
            assert_eq!(request.version() == http::Version::HTTP_10, text.starts_with("HEAD"), "{text}");
        }
        for text in ["", "GET /hea", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
            assert!(parse(text.as_bytes(), is_vital).expect(text).is_none(), "{text}");
        }
        for text in [
            "POST /healthz HTTP/1.1\r\n\r\n",
            "GET /mcp HTTP/1.1\r\n\r\n",
            "SSH-2.0-x\r\n",
            "GET /healthz?x HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes(), is_vital).is_err(), "{text}");
        }
    }
}
