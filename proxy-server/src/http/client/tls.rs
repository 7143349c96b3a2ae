//! TLS towards upstreams: trusted authorities and client certificates.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::pem::{PemError, certificates, private_key};

/// Trust settings of the connections to an upstream. All files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    /// Files with CA certificates that are trusted in addition to the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Files with the client certificate chain and its private key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Opens TLS sessions with one set of trust settings.
#[derive(Default)]
pub(super) struct Tls {
    trust: Trust,
    /// Built once, because reading the system's certificates takes tens of milliseconds.
    verifier: OnceLock<Arc<Verifier>>,
    /// Built once if there is no client certificate.
    anonymous: OnceLock<TlsConnector>,
}

/// The reason why TLS cannot be used on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error(transparent)]
    File(#[from] PemError),
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    #[error("the host is no name that a certificate can hold")]
    Name(#[source] rustls::pki_types::InvalidDnsNameError),
    #[error(
        "the upstream's certificate is issued by an unknown authority; name its CA file by `--upstream-ca-file`, \
         `caFile` in the definition, or SSL_CERT_FILE"
    )]
    UnknownIssuer,
    #[error("the upstream requires a client certificate; name one by `clientCertFile` in the definition")]
    CertificateWanted,
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
}

impl Tls {
    pub(super) fn new(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Performs the TLS handshake as a client of this host.
    pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, TlsError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(TlsError::Name)?;
        self.connector()?.connect(name, stream).await.map_err(|error| explained(error, self.trust.identity.is_some()))
    }

    /// Returns the configuration for the next connection. Reads a client certificate each time, so that a renewed file is used
    /// without a restart.
    fn connector(&self) -> Result<TlsConnector, TlsError> {
        if let Some(known) = self.anonymous.get() {
            return Ok(known.clone());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier()?);
        let mut config = match &self.trust.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(certificates(chain)?, private_key(key)?).map_err(TlsError::Setup)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        if self.trust.identity.is_none() {
            self.anonymous.set(connector.clone()).ok();
        }
        Ok(connector)
    }

    fn verifier(&self) -> Result<Arc<Verifier>, TlsError> {
        if let Some(known) = self.verifier.get() {
            return Ok(Arc::clone(known));
        }
        let mut authorities = Vec::new();
        for file in &self.trust.authorities {
            authorities.extend(certificates(file)?);
        }
        let verifier = Verifier::new_with_extra_roots(authorities, Arc::new(ring::default_provider()));
        let verifier = Arc::new(verifier.map_err(TlsError::Setup)?);
        Ok(Arc::clone(self.verifier.get_or_init(|| verifier)))
    }
}

/// Maps handshake errors that a setting can solve to errors that name the setting.
fn explained(error: io::Error, has_identity: bool) -> TlsError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => TlsError::UnknownIssuer,
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) if !has_identity => {
            TlsError::CertificateWanted
        }
        _ => TlsError::Handshake(error),
    }
}
