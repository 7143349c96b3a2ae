//! TLS towards clients: the gateway's certificate, which can be replaced while it runs, and certificates of clients.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustls::crypto::ring::default_provider;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::pem::{PemError, certificates, private_key};
use crate::live::Live;

/// Timeout for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// First byte of a TLS connection: a record of the handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 36\r\nConnection: close\r\n\r\n\
                         this port speaks TLS: use https://\r\n";

/// Files of the gateway's certificate (PEM).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Certificate chain, the gateway's own first.
    pub(crate) certificate: Option<PathBuf>,
    /// Private key of the certificate.
    pub(crate) key: Option<PathBuf>,
    /// Certificates of authorities whose certificates clients may show.
    pub(crate) client_authorities: Vec<PathBuf>,
}

/// The reason why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    File(#[from] PemError),
    #[error("the certificate and its key cannot be used")]
    Setup(#[from] rustls::Error),
    #[error("the certificates of client authorities cannot be used")]
    Clients(#[from] VerifierBuilderError),
}

/// Accepts TLS connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls(Live<Offers>);

/// Settings of handshakes.
struct Offers {
    usual: Arc<ServerConfig>,
    /// For connections beyond the limit, which get one response in HTTP/1.1.
    http_1_only: Arc<ServerConfig>,
}

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) is_http_2: bool,
    /// Digest of the client's certificate, which was verified, if it has shown one.
    pub(crate) certificate: Option<u64>,
}

impl Tls {
    /// Reads the files; `None` if none is configured.
    pub(crate) fn load(files: &TlsFiles) -> Result<Option<Self>, TlsError> {
        Ok(config(files)?.map(|config| Self(Live::new(config))))
    }

    /// Reads the files again. Connections that are open keep what they have.
    pub(crate) fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        if let Some(config) = config(files)? {
            self.0.replace(config);
        }
        Ok(())
    }

    /// Performs the handshake. A client that speaks plain HTTP is told so.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        let usual = Arc::clone(&self.0.usual);
        timeout(HANDSHAKE, shake_hands(usual, stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Performs the handshake of a connection that gets one response in HTTP/1.1. The caller sets the deadline.
    pub(crate) async fn accept_overflow(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(shake_hands(Arc::clone(&self.0.http_1_only), stream).await?.stream)
    }
}

async fn shake_hands(config: Arc<ServerConfig>, mut stream: TcpStream) -> io::Result<Secured> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE_RECORD] {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        // Closing a socket with unread data would discard the response.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let session = stream.get_ref().1;
    let is_http_2 = session.alpn_protocol() == Some(HTTP_2);
    let own = session.peer_certificates().and_then(<[_]>::first);
    let certificate = own
        .and_then(|certificate| digest(&SHA256, certificate).as_ref().first_chunk().copied().map(u64::from_be_bytes));
    Ok(Secured { stream, is_http_2, certificate })
}

fn config(files: &TlsFiles) -> Result<Option<Offers>, TlsError> {
    let Some((certificate, key)) = files.certificate.as_ref().zip(files.key.as_ref()) else { return Ok(None) };
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match files.client_authorities.as_slice() {
        [] => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        authorities => {
            let mut roots = RootCertStore::empty();
            for file in authorities {
                for certificate in certificates(file)? {
                    roots.add(certificate)?;
                }
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(certificates(certificate)?, private_key(key)?)?;
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    let http_1_only = Arc::new(config.clone());
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(Some(Offers { usual: Arc::new(config), http_1_only }))
}
