//! Listening socket: bound here, or passed by the service manager, which keeps it open while the gateway restarts
//! (socket activation, `sd_listen_fds(3)`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};
use tracing::info;

use crate::config::{Config, Place};
use crate::gateway::address::Address;
use crate::gateway::start_error::StartError;
use crate::gateway::unix::{SocketFile, UnixSocket};

/// Length of the listen backlog: after a restart, thousands of clients reconnect at once.
pub(super) const LISTEN_QUEUE: u32 = 4096;

/// A listening socket outside the runtime.
pub(super) enum Blocking {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Blocking {
    /// Accepts a connection from the backlog, if there is one.
    fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Unix(stream))
            }
        }
    }

    fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(listener) => {
                let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
                Ok(Address::Unix(path.unwrap_or_default()))
            }
        }
    }
}

/// A listening socket of the service manager.
pub(crate) struct Inherited(Blocking);

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
        Self::first(&mut passed).map_err(StartError::Inherited)
    }

    fn first(passed: &mut ListenFd) -> io::Result<Option<Self>> {
        // The check of the family leaves the socket where it is.
        let listener = match passed.take_unix_listener(0) {
            Ok(listener) => listener.map(checked).transpose()?.map(Blocking::Unix),
            Err(_) => passed.take_tcp_listener(0)?.map(checked).transpose()?.map(Blocking::Tcp),
        };
        Ok(listener.map(Self))
    }

    /// Checks that the socket's address is not open to strangers.
    pub(super) fn bound(self, config: &Config) -> Result<Bound, StartError> {
        let address = self.0.address().map_err(StartError::Inherited)?;
        info!(%address, "the service manager has passed the socket; --host and --port have no effect");
        if config.tls.certificate.is_some() && address.unix().is_some() {
            let reason = "a Unix socket speaks plain HTTP: leave --tls-cert out, or pass a TCP socket";
            return Err(StartError::Inherited(io::Error::other(reason)));
        }
        if config.admin_listen.is_empty() {
            refuse_strangers(config, &address)?;
        }
        Ok(Bound::Inherited(self.0, address))
    }
}

/// Prepares a socket for the runtime. Refuses one that does not listen, such as a connection that `Accept=yes` passes.
fn checked<T: AsFd>(listener: T) -> io::Result<T> {
    if !socket_acceptconn(&listener)? {
        return Err(io::Error::other("the socket does not listen: set `Accept=no`"));
    }
    ioctl_fionbio(&listener, true)?;
    Ok(listener)
}

/// A socket with an address, which refuses connections until [`Bound::listen`] unless it is inherited.
pub(super) enum Bound {
    Own(TcpSocket),
    Unix(UnixSocket, PathBuf),
    Inherited(Blocking, Address),
}

/// A listening socket.
pub(super) struct Listening {
    pub(super) address: Address,
    pub(super) listener: Listener,
    /// True if connections in the backlog stay for the next process after this one ends.
    pub(super) is_inherited: bool,
}

/// A socket from which connections are accepted.
pub(super) enum Listener {
    Tcp(TcpListener),
    /// With the file to remove at the end, if it is the gateway's own.
    Unix(UnixListener, Option<SocketFile>),
}

/// An accepted connection.
pub(super) enum Accepted {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp(stream.into_std()?, peer))
            }
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0.into_std()?)),
        }
    }

    /// Accepts the connections in the backlog. Asks the system instead of the runtime, which may not know yet of a
    /// connection that is there.
    pub(super) fn backlog(self) -> impl Iterator<Item = Accepted> {
        let (listener, file) = match self {
            Self::Tcp(listener) => (listener.into_std().map(Blocking::Tcp), None),
            Self::Unix(listener, file) => (listener.into_std().map(Blocking::Unix), file),
        };
        let next = move || {
            let _until_the_end = &file;
            listener.as_ref().ok()?.accept().ok()
        };
        std::iter::from_fn(next).take(LISTEN_QUEUE as usize)
    }
}

impl Bound {
    /// Binds to the address of the endpoints, and checks that the admin API is not open to strangers there.
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let (bound, address) = bind(config.place(), config).await?;
        if config.admin_listen.is_empty() {
            refuse_strangers(config, &address)?;
        }
        Ok(bound)
    }

    /// Binds to the address of the admin API, if it has one of its own, and checks that it is not open to strangers.
    pub(super) async fn bind_admin(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(place) = config.admin_place() else { return Ok(None) };
        let (bound, address) = bind(place, config).await?;
        refuse_strangers(config, &address)?;
        Ok(Some(bound))
    }

    /// Returns the port by which the storage's default folder is named; 0 if the port is drawn anew at each start.
    pub(super) fn storage_port(&self, config: &Config) -> u16 {
        match self {
            Self::Inherited(_, Address::Tcp(address)) => address.port(),
            Self::Own(_) | Self::Unix(..) | Self::Inherited(_, Address::Unix(_)) => config.port,
        }
    }

    /// Listens.
    pub(super) fn listen(self, config: &Config) -> Result<Listening, StartError> {
        match self {
            Self::Own(socket) => {
                let listening = socket.listen(LISTEN_QUEUE).and_then(|listener| Ok((listener.local_addr()?, listener)));
                let (address, listener) = listening.map_err(|source| bind_error(config.place(), source))?;
                Ok(Listening { address: Address::Tcp(address), listener: Listener::Tcp(listener), is_inherited: false })
            }
            Self::Unix(socket, path) => {
                let listening = socket
                    .show()
                    .and_then(|(listener, file)| Ok(Listener::Unix(UnixListener::from_std(listener)?, Some(file))));
                let listener = listening.map_err(|source| bind_error(Place::Unix(&path), source))?;
                Ok(Listening { address: Address::Unix(path), listener, is_inherited: false })
            }
            Self::Inherited(listener, address) => {
                let listener = match listener {
                    Blocking::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
                    Blocking::Unix(listener) => {
                        UnixListener::from_std(listener).map(|listener| Listener::Unix(listener, None))
                    }
                };
                let listener = listener.map_err(StartError::Inherited)?;
                Ok(Listening { address, listener, is_inherited: true })
            }
        }
    }
}

/// Checks that a gateway with this configuration would not be open to strangers, without binding to its address.
pub(crate) async fn check_address(config: &Config) -> Result<(), StartError> {
    let place = config.admin_place().unwrap_or(config.place());
    let Place::Tcp(host, port) = place else { return Ok(()) };
    let found = lookup_host((host, port)).await;
    let first = found.map_err(|source| bind_error(place, source))?.next();
    first.map_or(Ok(()), |address| refuse_strangers(config, &Address::Tcp(address)))
}

/// Refuses an address that other machines reach, if the admin API asks for nothing there.
fn refuse_strangers(config: &Config, address: &Address) -> Result<(), StartError> {
    match address.tcp().filter(|address| config.is_open_to_strangers(address.ip())) {
        Some(address) => Err(StartError::OpenAdmin(address)),
        None => Ok(()),
    }
}

fn bind_error(place: Place<'_>, source: io::Error) -> StartError {
    match place {
        Place::Tcp(host, port) => StartError::Bind { host: host.to_owned(), port, source },
        Place::Unix(path) => StartError::BindUnix { path: path.to_owned(), source },
    }
}

async fn bind(place: Place<'_>, config: &Config) -> Result<(Bound, Address), StartError> {
    let bound = match place {
        Place::Tcp(host, port) => {
            let socket = bind_first((host, port), config.reuse_port).await;
            socket.and_then(|socket| Ok((Address::Tcp(socket.local_addr()?), Bound::Own(socket))))
        }
        Place::Unix(path) => {
            let mode = config.socket_permissions().unwrap_or_default();
            let socket = UnixSocket::bind(path, mode, config.reuse_port);
            socket.map(|socket| (Address::Unix(path.to_owned()), Bound::Unix(socket, path.to_owned())))
        }
    };
    bound.map(|(address, bound)| (bound, address)).map_err(|source| bind_error(place, source))
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
