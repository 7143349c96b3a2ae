//! Ports for programs that cannot choose a free one themselves.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port, below Linux's ephemeral range, so that no connection takes the port before its use.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns a free port of the loopback interface. All calls in one process return different ports.
///
/// # Panics
///
/// If no port is free.
#[must_use]
pub fn free_port() -> u16 {
    // Start at a different port in each process, so that concurrent test processes rarely collide.
    let start = u16::try_from(u64::from(std::process::id()) * 7919 % u64::from(COUNT)).unwrap_or_default();
    let turns = (0..COUNT).map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut free = turns.filter(is_free);
    free.next().expect("one of 20,000 ports is free")
}
