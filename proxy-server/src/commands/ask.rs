//! Asks a gateway that runs with this configuration.

mod pinned;

use std::path::Path;
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

/// Sends a GET request, with the first admin token. Returns the status and the body of the answer.
pub(super) async fn get(
    config: &Config,
    place: Place<'_>,
    path: &str,
    patience: Duration,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let answer = async {
        match place {
            Place::Tcp(host, port) => ask_at(config, (host, port), path).await,
            Place::Unix(socket) => ask_on(config, socket, path).await,
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

/// Asks on a Unix socket.
async fn ask_on(config: &Config, socket: &Path, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    exchange(config, UnixStream::connect(socket).await?, "localhost", path).await
}

/// Asks at an IP address or host name.
async fn ask_at(config: &Config, (host, port): (&str, u16), path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let host = match host {
        "0.0.0.0" | "" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let stream = TcpStream::connect((host, port)).await.context("cannot connect")?;
    let named = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match &config.tls.certificate {
        None => exchange(config, stream, &named, path).await,
        Some(certificate) => {
            let stream = pinned::connect(certificate, stream).await.context("cannot speak TLS")?;
            exchange(config, stream, &named, path).await
        }
    }
}

/// Sends the request, and reads the answer.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    config: &Config,
    stream: S,
    host: &str,
    path: &str,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(credentials(config)?);
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
