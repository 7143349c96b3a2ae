//! Asks a gateway that runs with this configuration.

mod pinned;

use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::{Config, Place};

/// Maximum size of the answer in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// A request for a document of the gateway.
pub(super) struct Question<'a> {
    pub(super) config: &'a Config,
    pub(super) path: &'a str,
    /// True if the request carries the first admin token. Whoever listens at the address gets to see it.
    pub(super) is_admin: bool,
}

/// Sends a GET request. Returns the status and the body of the answer.
pub(super) async fn get(
    question: Question<'_>,
    place: Place<'_>,
    patience: Duration,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let answer = async {
        match place {
            Place::Tcp(host, port) => ask_at(&question, (host, port)).await,
            Place::Unix(socket) => exchange(&question, UnixStream::connect(socket).await?, "localhost").await,
        }
    };
    timeout(patience, answer).await.context("it does not answer")?
}

/// Returns the header fields with the first admin token.
fn credentials(config: &Config) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if let Some(token) = config.policy.admin_tokens.first() {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", token.expose()))?);
    }
    Ok(headers)
}

/// Asks at an IP address or host name.
async fn ask_at(question: &Question<'_>, (host, port): (&str, u16)) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let host = match host {
        "0.0.0.0" | "" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let stream = TcpStream::connect((host, port)).await.context("cannot connect")?;
    let named = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match &question.config.tls.certificate {
        None => exchange(question, stream, &named).await,
        Some(certificate) => {
            let stream = pinned::connect(certificate, stream).await.context("cannot speak TLS")?;
            exchange(question, stream, &named).await
        }
    }
}

/// Sends the request, and reads the answer.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    question: &Question<'_>,
    stream: S,
    host: &str,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(question.path).header(HOST, host).body(Empty::<Bytes>::new())?;
    if question.is_admin {
        request.headers_mut().extend(credentials(question.config)?);
    }
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes().to_vec()))
    };
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // With `Connection: close` it may end before the answer, which it has brought, is read.
        ended = connection => {
            ended?;
            answer.await
        }
    }
}
