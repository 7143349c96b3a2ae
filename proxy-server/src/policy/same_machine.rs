//! Proves that a request was made on this machine, by the user who runs the gateway. A loopback peer alone proves
//! nothing: a reverse proxy on this machine is one, whoever it forwards for.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::policy::authenticate::{Credentials, Denied};
use crate::policy::client_addr::is_trusted;
use crate::policy::host::is_loopback_host;

/// Kernel tables of TCP sockets in this network namespace.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// TCP states in these tables.
const TIME_WAIT: u8 = 0x06;
const LISTEN: u8 = 0x0a;

/// Decides whether a caller of the admin API may have processes started, once a request turns out to need that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starter(Verdict);

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Decided(Result<(), Denied>),
    /// All that a request shows speaks for this machine; the kernel's tables decide.
    Ask {
        peer: SocketAddr,
        local: SocketAddr,
    },
}

/// Why a request is not proved to come from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The peer is another machine.
    Peer,
    /// A trusted proxy is configured on the peer's address.
    TrustedProxy,
    /// A header or HTTP/1.0 shows that a proxy forwards the request.
    Forwarded,
    /// `Host` is no loopback name.
    Host,
    /// The peer's socket belongs to another user, or to nobody that can be found.
    Owner,
    /// The peer's process is serving a connection from another machine.
    Relay,
}

/// A row of the kernel's tables.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    uid: u32,
    inode: u64,
}

impl Starter {
    /// Everybody may.
    pub(super) fn vouched() -> Self {
        Self(Verdict::Decided(Ok(())))
    }

    /// Whoever proves to be on this machine may.
    pub(super) fn prove(credentials: &Credentials<'_>, trusted: &[IpNet]) -> Self {
        Self(match shown(credentials, trusted) {
            Some(why) => Verdict::Decided(Err(Denied::MayNotStart(why))),
            None => Verdict::Ask { peer: credentials.peer, local: credentials.local },
        })
    }

    /// Whether the caller may. Reads the kernel's tables, for some milliseconds, so call it only if a process is to start.
    pub(crate) fn may_start(self) -> Result<(), Denied> {
        match self.0 {
            Verdict::Decided(verdict) => verdict,
            Verdict::Ask { peer, local } => match judge(&sockets(), (peer, local), own_uid(), sockets_beside) {
                Some(why) => Err(Denied::MayNotStart(why)),
                None => Ok(()),
            },
        }
    }
}

impl Elsewhere {
    /// The reason in public words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Peer => "the request comes from another machine",
            Self::TrustedProxy => "the request comes from an address in --trusted-proxies",
            Self::Forwarded => "a header or HTTP/1.0 shows that a proxy forwards the request",
            Self::Host => "Host is no loopback name",
            Self::Owner => "the connection is not one of the user that runs the gateway",
            Self::Relay => "the connecting process is serving a connection from another machine",
        }
    }
}

/// What the request itself shows against this machine.
fn shown(credentials: &Credentials<'_>, trusted: &[IpNet]) -> Option<Elsewhere> {
    let peer = credentials.peer.ip().to_canonical();
    if !peer.is_loopback() {
        return Some(Elsewhere::Peer);
    }
    if is_trusted(peer, trusted) {
        return Some(Elsewhere::TrustedProxy);
    }
    if credentials.is_forwarded {
        return Some(Elsewhere::Forwarded);
    }
    let is_local = credentials.host.and_then(|host| std::str::from_utf8(host).ok()).is_some_and(is_loopback_host);
    (!is_local).then_some(Elsewhere::Host)
}

/// What these sockets show against this machine, where `beside` finds the sockets of all processes that hold the one with
/// this inode.
fn judge(
    sockets: &[Socket],
    (peer, local): (SocketAddr, SocketAddr),
    own_uid: u32,
    beside: impl Fn(u64) -> Option<HashSet<u64>>,
) -> Option<Elsewhere> {
    let (peer, local) = (canonical(peer), canonical(local));
    let is_peer = |socket: &&Socket| socket.local == peer && socket.remote == local && !socket.is_past();
    let Some(end) = sockets.iter().find(is_peer) else { return Some(Elsewhere::Owner) };
    if end.uid != own_uid || end.inode == 0 {
        return Some(Elsewhere::Owner);
    }
    // A proxy of the same user, in its shortest configuration: only the connection that it forwards gives it away.
    let ports: HashSet<u16> = sockets.iter().filter(|it| it.state == LISTEN).map(|it| it.local.port()).collect();
    let is_from_elsewhere = |socket: &&Socket| {
        socket.state != LISTEN && ports.contains(&socket.local.port()) && !socket.remote.ip().is_loopback()
    };
    let mut suspects = sockets.iter().filter(is_from_elsewhere).filter(|socket| socket.uid == own_uid).peekable();
    suspects.peek()?;
    match beside(end.inode) {
        Some(inodes) => suspects.any(|socket| inodes.contains(&socket.inode)).then_some(Elsewhere::Relay),
        None => Some(Elsewhere::Owner),
    }
}

impl Socket {
    /// Whether it is no end of a connection, or its process has closed it.
    fn is_past(&self) -> bool {
        matches!(self.state, LISTEN | TIME_WAIT)
    }

    /// Reads a row: number, local, remote, state, queues, timer, retransmissions, user, timeout, inode.
    fn read(line: &str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace();
        let (local, remote) = (address(columns.nth(1)?)?, address(columns.next()?)?);
        let state = u8::from_str_radix(columns.next()?, 16).ok()?;
        let uid = columns.nth(3)?.parse().ok()?;
        let inode = columns.nth(1)?.parse().ok()?;
        Some(Self { local, remote, state, uid, inode })
    }
}

/// Reads an address, which the kernel prints as words in its own byte order.
fn address(text: &str) -> Option<SocketAddr> {
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

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Every TCP socket in this network namespace; none where the system has no such tables.
fn sockets() -> Vec<Socket> {
    let tables = TABLES.iter().filter_map(|path| fs::read_to_string(path).ok());
    tables.flat_map(|table| table.lines().skip(1).filter_map(Socket::read).collect::<Vec<_>>()).collect()
}

/// The inodes of all sockets of the processes that hold this one; nothing if no process can be seen to hold it.
fn sockets_beside(inode: u64) -> Option<HashSet<u64>> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let folders = processes.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let of_each = folders.map(|folder| held(&folder.path().join("fd")));
    of_each.filter(|inodes| inodes.contains(&inode)).reduce(|all, more| all.into_iter().chain(more).collect())
}

/// The inodes of the sockets among these descriptors.
fn held(descriptors: &std::path::Path) -> HashSet<u64> {
    let Ok(entries) = fs::read_dir(descriptors) else { return HashSet::new() };
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    entries.flatten().filter_map(inode).collect()
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests;
