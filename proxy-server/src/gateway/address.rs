//! Address that a gateway listens on.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Address that a gateway listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Absolute path of a Unix socket; only processes of this machine reach it.
    Unix(PathBuf),
}

impl Address {
    /// Returns the IP address and port; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Returns the path of a Unix socket.
    pub fn unix(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

/// Writes `127.0.0.1:6001`, or `unix:/run/mcp-proxy.sock`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
