//! Reasons why a gateway does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::registry::OpenError;

/// The reason why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {host}:{port}")]
    Bind {
        /// The host as configured.
        host: String,
        /// The port as configured.
        port: u16,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The Unix socket is in use, or its folder cannot be written.
    #[error("cannot listen on unix:{}", .path.display())]
    BindUnix {
        /// The path as configured.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The service manager has passed something else than one socket that listens.
    #[error("cannot listen on the socket that the service manager passed (LISTEN_FDS)")]
    Inherited(#[source] io::Error),
    /// The gateway's certificate cannot be used.
    #[error("cannot speak TLS (--tls-cert, --tls-key, --tls-client-ca)")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The admin API would be open to everyone who reaches the address.
    #[error(
        "{0} can be reached from other machines, and the admin API asks for no token: set --admin-tokens (or \
         --admin-allow-ips), listen on 127.0.0.1, or accept it with --allow-insecure-admin"
    )]
    OpenAdmin(SocketAddr),
    /// The threads that serve connections cannot be started.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
    /// The storage of registrations cannot be opened: another process uses it, it is damaged, or its folder cannot be
    /// written.
    #[error("cannot open the storage of registrations (--storage, --data-dir)")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The audit log cannot be written, or is none.
    #[error("cannot write an audit log (--audit-log)")]
    Audit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The access log cannot be opened.
    #[error("cannot open the access log {} (--access-log)", .path.display())]
    AccessLog {
        /// The path as configured.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The system provides no random numbers.
    #[error("cannot draw random numbers")]
    Random(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Keys(error) => Self::Random(error.into()),
            error => Self::Storage(error.into()),
        }
    }
}
