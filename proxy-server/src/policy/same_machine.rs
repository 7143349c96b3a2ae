//! Proves that a request was made on this machine, by the user who runs the gateway. A loopback peer is not enough: it
//! may be a reverse proxy that forwards for a remote client.

mod sockets;

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;

use self::sockets::{LISTEN, Socket, canonical};
use crate::http::server::PeerProcess;
use crate::policy::client_addr::is_trusted;
use crate::policy::credentials::Credentials;
use crate::policy::denied::{Denied, Elsewhere};
use crate::policy::host::is_loopback_host;

/// Decides whether a caller of the admin API may start processes. Evaluated only for requests that start one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starter(Verdict);

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Decided(Result<(), Denied>),
    /// The request's headers and addresses pass; the kernel's sockets decide.
    Ask {
        peer: SocketAddr,
        local: SocketAddr,
    },
    /// As above, over a Unix socket.
    AskOf(PeerProcess),
}

impl Starter {
    /// Accepts every caller.
    pub(super) fn vouched() -> Self {
        Self(Verdict::Decided(Ok(())))
    }

    /// Refuses every caller for this reason.
    pub(super) fn refused(why: Denied) -> Self {
        Self(Verdict::Decided(Err(why)))
    }

    /// Accepts only callers that are proved to be on this machine.
    pub(super) fn prove(credentials: &Credentials<'_>, trusted: &[IpNet]) -> Self {
        Self(match (shown(credentials, trusted), credentials.from.process) {
            (Some(why), _) => Verdict::Decided(Err(Denied::MayNotStart(why))),
            (None, Some(process)) => Verdict::AskOf(process),
            (None, None) => Verdict::Ask { peer: credentials.from.peer, local: credentials.from.local },
        })
    }

    /// Decides. Asks the kernel, which takes up to milliseconds, so call it only if a process is to be started.
    pub(crate) fn may_start(self) -> Result<(), Denied> {
        let why = match self.0 {
            Verdict::Decided(verdict) => return verdict,
            Verdict::Ask { peer, local } => {
                judge(&sockets::around(peer, local), (peer, local), own_uid(), sockets_beside)
            }
            Verdict::AskOf(process) => judge_process(sockets::all(), process, own_uid(), sockets_of),
        };
        why.map_or(Ok(()), |why| Err(Denied::MayNotStart(why)))
    }
}

/// Returns the first reason against the request that its headers and addresses show.
fn shown(credentials: &Credentials<'_>, trusted: &[IpNet]) -> Option<Elsewhere> {
    let peer = credentials.from.peer.ip().to_canonical();
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

/// Returns the first reason against the request that the sockets show. `beside` returns the sockets of all processes
/// that hold the socket with this inode.
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
    relayed(sockets, own_uid, || beside(end.inode))
}

/// Returns the first reason against a request over a Unix socket. `held` returns the sockets of a process.
fn judge_process(
    sockets: Option<Vec<Socket>>,
    process: PeerProcess,
    own_uid: u32,
    held: impl FnOnce(i32) -> Option<HashSet<u64>>,
) -> Option<Elsewhere> {
    if process.user != own_uid {
        return Some(Elsewhere::Owner);
    }
    // A process of another network may relay from connections that are not among these.
    match (sockets, held(process.pid)) {
        (Some(sockets), Some(held)) => relayed(&sockets, own_uid, || Some(held)),
        _ => Some(Elsewhere::Owner),
    }
}

/// Returns a reason if the sockets that the sender holds show that it may relay for another machine.
fn relayed(sockets: &[Socket], own_uid: u32, held: impl FnOnce() -> Option<HashSet<u64>>) -> Option<Elsewhere> {
    // A proxy of the same user with a minimal configuration adds no headers: only its connection to the remote client
    // shows.
    let ports: HashSet<u16> = sockets.iter().filter(|it| it.state == LISTEN).map(|it| it.local.port()).collect();
    let is_from_elsewhere = |socket: &&Socket| {
        socket.state != LISTEN && ports.contains(&socket.local.port()) && !socket.remote.ip().is_loopback()
    };
    let mut suspects = sockets.iter().filter(is_from_elsewhere).filter(|socket| socket.uid == own_uid).peekable();
    suspects.peek()?;
    match held() {
        Some(inodes) => suspects.any(|socket| inodes.contains(&socket.inode)).then_some(Elsewhere::Relay),
        None => Some(Elsewhere::Owner),
    }
}

/// Returns the inodes of all sockets of the processes that hold this one; `None` if no visible process holds it.
fn sockets_beside(inode: u64) -> Option<HashSet<u64>> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let folders = processes.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let of_each = folders.map(|folder| held(&folder.path().join("fd")));
    of_each.filter(|inodes| inodes.contains(&inode)).reduce(|all, more| all.into_iter().chain(more).collect())
}

/// Returns the inodes of all sockets of a process; `None` if they are not visible, as those of another network are not.
fn sockets_of(pid: i32) -> Option<HashSet<u64>> {
    let process = Path::new("/proc").join(pid.to_string());
    let network = |process: &Path| fs::read_link(process.join("ns/net")).ok();
    let is_here = network(&process)? == network(Path::new("/proc/self"))?;
    let descriptors = process.join("fd");
    (is_here && fs::read_dir(&descriptors).is_ok()).then(|| held(&descriptors))
}

/// Returns the inodes of the sockets among these descriptors.
fn held(descriptors: &Path) -> HashSet<u64> {
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
