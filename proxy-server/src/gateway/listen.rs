//! Listening socket: bound here, or passed by the service manager, which keeps it open while the gateway restarts
//! (socket activation, `sd_listen_fds(3)`).

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tracing::info;

use crate::config::Config;
use crate::gateway::start_error::StartError;

/// Length of the listen backlog: after a restart, thousands of clients reconnect at once.
pub(super) const LISTEN_QUEUE: u32 = 4096;

/// A listening TCP socket of the service manager.
pub(crate) struct Inherited(std::net::TcpListener);

impl Inherited {
    /// Takes the socket that the service manager passed to this process, if any, and removes its variables from the
    /// environment. Has to be called while the process has one thread only.
    pub(crate) fn take() -> Result<Option<Self>, StartError> {
        let mut passed = ListenFd::from_env();
        let count = passed.len();
        if count > 1 {
            let reason = format!("{count} sockets are passed, the gateway listens on one: name one `ListenStream=`");
            return Err(StartError::Inherited(io::Error::other(reason)));
        }
        let listener = passed.take_tcp_listener(0).and_then(|listener| listener.map(checked).transpose());
        Ok(listener.map_err(StartError::Inherited)?.map(Self))
    }

    /// Checks that the socket's address is not open to strangers.
    pub(super) fn bound(self, config: &Config) -> Result<Bound, StartError> {
        let address = self.0.local_addr().map_err(StartError::Inherited)?;
        info!(%address, "the service manager has passed the socket; --host and --port have no effect");
        if config.admin_listen.is_empty() {
            refuse_strangers(config, address)?;
        }
        Ok(Bound::Inherited(self.0, address))
    }
}

/// Refuses a socket that does not listen, such as a connection that `Accept=yes` passes.
fn checked(listener: std::net::TcpListener) -> io::Result<std::net::TcpListener> {
    if !socket_acceptconn(&listener)? {
        return Err(io::Error::other("the socket does not listen: set `Accept=no`"));
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket with an address, which refuses connections until [`Bound::listen`] unless it is inherited.
pub(super) enum Bound {
    Own(TcpSocket),
    Inherited(std::net::TcpListener, SocketAddr),
}

/// A listening socket.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) listener: TcpListener,
    /// True if connections in the backlog stay for the next process after this one ends.
    pub(super) is_inherited: bool,
}

impl Bound {
    /// Binds to the address of the endpoints, and checks that the admin API is not open to strangers there.
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let (socket, address) = bind((&config.host, config.port), config).await?;
        if config.admin_listen.is_empty() {
            refuse_strangers(config, address)?;
        }
        Ok(Self::Own(socket))
    }

    /// Binds to the address of the admin API, if it has one of its own, and checks that it is not open to strangers.
    pub(super) async fn bind_admin(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(place) = config.admin_place() else { return Ok(None) };
        let (socket, address) = bind(place, config).await?;
        refuse_strangers(config, address)?;
        Ok(Some(Self::Own(socket)))
    }

    /// Returns the port by which the storage's default folder is named; 0 if the port is drawn anew at each start.
    pub(super) fn storage_port(&self, config: &Config) -> u16 {
        match self {
            Self::Own(_) => config.port,
            Self::Inherited(_, address) => address.port(),
        }
    }

    /// Listens.
    pub(super) fn listen(self, config: &Config) -> Result<Listening, StartError> {
        match self {
            Self::Own(socket) => {
                let listening = socket.listen(LISTEN_QUEUE).and_then(|listener| Ok((listener.local_addr()?, listener)));
                let (address, listener) =
                    listening.map_err(|source| bind_error((&config.host, config.port), source))?;
                Ok(Listening { address, listener, is_inherited: false })
            }
            Self::Inherited(listener, address) => {
                let listener = TcpListener::from_std(listener).map_err(StartError::Inherited)?;
                Ok(Listening { address, listener, is_inherited: true })
            }
        }
    }
}

/// Checks that a gateway with this configuration would not be open to strangers, without binding to its address.
pub(crate) async fn check_address(config: &Config) -> Result<(), StartError> {
    let place = config.admin_place().unwrap_or((&config.host, config.port));
    let found = lookup_host(place).await;
    let first = found.map_err(|source| bind_error(place, source))?.next();
    first.map_or(Ok(()), |address| refuse_strangers(config, address))
}

fn refuse_strangers(config: &Config, address: SocketAddr) -> Result<(), StartError> {
    if config.is_open_to_strangers(address.ip()) { Err(StartError::OpenAdmin(address)) } else { Ok(()) }
}

fn bind_error((host, port): (&str, u16), source: io::Error) -> StartError {
    StartError::Bind { host: host.to_owned(), port, source }
}

async fn bind(place: (&str, u16), config: &Config) -> Result<(TcpSocket, SocketAddr), StartError> {
    let socket = bind_first(place, config.reuse_port).await;
    let bound = socket.and_then(|socket| Ok((socket.local_addr()?, socket)));
    bound.map(|(address, socket)| (socket, address)).map_err(|source| bind_error(place, source))
}

/// Binds to the first usable address of the host.
async fn bind_first((host, port): (&str, u16), reuse_port: bool) -> io::Result<TcpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Reuse a port whose former connections are in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(reuse_port)?;
        match socket.bind(address) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
