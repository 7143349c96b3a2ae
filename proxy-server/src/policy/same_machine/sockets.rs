//! TCP sockets of this network namespace, from the kernel's socket diagnostics (sock_diag(7)), or from its tables in `/proc`
//! where it does not offer those. A connection is found in microseconds by the former, in milliseconds by the latter.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// TCP states.
pub(super) const TIME_WAIT: u8 = 6;
pub(super) const LISTEN: u8 = 10;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Address families, protocol and message types of netlink (`linux/socket.h`, `linux/netlink.h`, `linux/sock_diag.h`).
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const TCP: u8 = 6;
const BY_FAMILY: u16 = 20;
/// Older type (`linux/inet_diag.h`), whose dump has both families: one walk through the kernel's table instead of two.
const BOTH_FAMILIES: u16 = 18;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Flags of a request for one socket, and for all.
const ONE: u16 = 0x1;
const ALL: u16 = 0x301;
/// All states of a connection that its process has not closed.
const CONNECTIONS: u32 = 0xfff & !(1 << LISTEN) & !(1 << TIME_WAIT);

const HEADER_BYTES: usize = 16;
/// Size of `inet_diag_req` before its states: family, lengths, extensions, and the addresses of a socket.
const ALL_BYTES: usize = 52;
const BUFFER_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);

/// A TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: u8,
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// Returns the sockets that decide about a connection: the peer's end and all listeners; if anything but the gateway
/// listens, also all connections. Empty on systems that tell nothing.
pub(super) fn around(peer: SocketAddr, local: SocketAddr) -> Vec<Socket> {
    diagnosed(canonical(peer), canonical(local)).unwrap_or_else(|_| listed())
}

/// Returns all listeners and connections; `None` on systems that tell nothing.
pub(super) fn all() -> Option<Vec<Socket>> {
    let diagnosed = Diagnostics::open().and_then(|diagnostics| {
        let mut sockets = diagnostics.ask(&every(1 << LISTEN))?;
        sockets.extend(diagnostics.ask(&every(CONNECTIONS))?);
        Ok(sockets)
    });
    diagnosed.ok().or_else(|| Some(listed()).filter(|sockets| !sockets.is_empty()))
}

fn diagnosed(peer: SocketAddr, local: SocketAddr) -> io::Result<Vec<Socket>> {
    let diagnostics = Diagnostics::open()?;
    let mut sockets = diagnostics.ask(&one(peer, local))?;
    sockets.extend(diagnostics.ask(&every(1 << LISTEN))?);
    if sockets.iter().any(|socket| socket.state == LISTEN && socket.local != local) {
        sockets.extend(diagnostics.ask(&every(CONNECTIONS))?);
    }
    Ok(sockets)
}

/// A netlink socket for socket diagnostics.
struct Diagnostics(OwnedFd);

impl Diagnostics {
    fn open() -> io::Result<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }

    fn ask(&self, request: &Request) -> io::Result<Vec<Socket>> {
        send(&self.0, &request.bytes(), SendFlags::empty())?;
        let mut sockets = Vec::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let (_, length) = recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, answer, more)) = message(rest) {
                match kind {
                    DONE => return Ok(sockets),
                    ERROR => return Err(io::ErrorKind::Unsupported.into()),
                    _ => sockets.extend(Socket::diagnosed(answer)),
                }
                rest = more;
            }
            if request.flags == ONE {
                return Ok(sockets);
            }
        }
    }
}

/// A request with its flags.
struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// Returns the request behind its `nlmsghdr`.
    fn bytes(&self) -> Vec<u8> {
        let length = HEADER_BYTES + self.body.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend_from_slice(&self.kind.to_ne_bytes());
        bytes.extend_from_slice(&self.flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Asks for the connection with these local and remote addresses (`inet_diag_req_v2`).
fn one(local: SocketAddr, remote: SocketAddr) -> Request {
    let family = if local.is_ipv4() { IPV4 } else { IPV6 };
    let mut body = vec![family, TCP, 0, 0];
    body.extend_from_slice(&CONNECTIONS.to_ne_bytes());
    body.extend_from_slice(&local.port().to_be_bytes());
    body.extend_from_slice(&remote.port().to_be_bytes());
    body.extend_from_slice(&padded(local.ip()));
    body.extend_from_slice(&padded(remote.ip()));
    // Any interface and cookie.
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&[0xff; 8]);
    Request { kind: BY_FAMILY, flags: ONE, body }
}

/// Asks for all TCP sockets in these states, a bit for each (`inet_diag_req`).
fn every(states: u32) -> Request {
    let mut body = vec![0; ALL_BYTES];
    body.extend_from_slice(&states.to_ne_bytes());
    body.extend_from_slice(&[0; 4]);
    Request { kind: BOTH_FAMILIES, flags: ALL, body }
}

fn padded(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Splits the first message off: its type, its body, and the rest.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

impl Socket {
    /// True if the socket is not a connection's end (LISTEN), or its process has closed it (TIME_WAIT).
    pub(super) fn is_past(&self) -> bool {
        matches!(self.state, LISTEN | TIME_WAIT)
    }

    /// Parses `inet_diag_msg` (`linux/inet_diag.h`).
    fn diagnosed(answer: &[u8]) -> Option<Self> {
        let [family, state] = *answer.first_chunk()?;
        let number = |at: usize| Some(u32::from_ne_bytes(*answer.get(at..)?.first_chunk()?));
        let end = |port: usize, ip: usize| {
            let port = u16::from_be_bytes(*answer.get(port..)?.first_chunk()?);
            let bytes: [u8; 16] = *answer.get(ip..)?.first_chunk()?;
            let ip = match family {
                IPV4 => Ipv4Addr::from(*bytes.first_chunk()?).into(),
                _ => Ipv6Addr::from(bytes).into(),
            };
            Some(canonical(SocketAddr::new(ip, port)))
        };
        let (local, remote) = (end(4, 8)?, end(6, 24)?);
        Some(Self { local, remote, state, uid: number(64)?, inode: number(68)?.into() })
    }

    /// Parses a row: number, local, remote, state, queues, timer, retransmissions, user, timeout, inode.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace();
        let (local, remote) = (address(columns.nth(1)?)?, address(columns.next()?)?);
        let state = u8::from_str_radix(columns.next()?, 16).ok()?;
        let uid = columns.nth(3)?.parse().ok()?;
        let inode = columns.nth(1)?.parse().ok()?;
        Some(Self { local, remote, state, uid, inode })
    }
}

/// Parses an address, which the kernel prints as words in its own byte order.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (chunk, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, port)))
}

pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Reads the kernel's tables; empty on systems without them.
fn listed() -> Vec<Socket> {
    let tables = TABLES.iter().filter_map(|path| fs::read_to_string(path).ok());
    tables.flat_map(|table| table.lines().skip(1).filter_map(Socket::read).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn diagnostics_tell_of_a_connection_as_the_tables_do() {
        for host in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(host).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let to = if host.starts_with('[') { "::1" } else { "127.0.0.1" };
            let stream = TcpStream::connect((to, port)).expect("a connection");
            let (peer, local) = (stream.local_addr().expect("an address"), stream.peer_addr().expect("an address"));
            let mut tables = listed();
            let mut found = diagnosed(peer, local).expect("diagnostics");
            let is_of_it = |socket: &Socket| [socket.local, socket.remote].iter().any(|end| end.port() == port);
            for sockets in [&mut tables, &mut found] {
                sockets.retain(is_of_it);
                // The other end is told of only if something else listens.
                sockets.retain(|socket| socket.state == LISTEN || socket.local == peer);
                sockets.sort_by_key(|socket| (socket.state, socket.inode));
                sockets.dedup();
            }
            assert_eq!(found, tables, "{host}");
            assert_eq!(found.len(), 2, "{host}: the peer's end and the listener");
        }
    }

    #[test]
    fn a_connection_that_is_not_there_is_looked_for_in_the_tables() {
        let nowhere = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(diagnosed(nowhere(1), nowhere(2)).is_err());
        assert!(!around(nowhere(1), nowhere(2)).iter().any(|socket| socket.local == nowhere(1)));
    }
}
