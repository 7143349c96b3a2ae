//! Pool of idle connections to one origin.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connection::{Connection, Readiness};
use crate::sync::lock;
use crate::tasks::lane_number;

/// Maximum idle time of a connection, even if the upstream announces a longer one.
const LONGEST_IDLE: Duration = Duration::from_secs(90);
/// Connections are closed this much before the announced idle time ends, because a request needs time to arrive.
const MARGIN: Duration = Duration::from_secs(1);
/// Interval between checks for expired connections.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of idle connections per shard; a further one is closed.
const MAX_IDLE: usize = 256;
/// Number of shards of idle connections, so that lanes do not contend for one lock.
const PLACES: usize = 8;

/// Idle connections.
pub(super) struct IdlePool {
    /// Idle time of connections for which the upstream announces none.
    idle_timeout: Duration,
    idle: [Mutex<Vec<Idle>>; PLACES],
}

struct Idle {
    connection: Connection,
    until: Instant,
}

impl IdlePool {
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, idle: Default::default() }
    }

    /// Keeps an idle connection for the next request.
    pub(super) fn keep(&self, connection: Connection) {
        let until = Instant::now() + connection.idle().map_or(self.idle_timeout, usable);
        let idle = Idle { connection, until };
        let mut all = self.here();
        if all.len() < MAX_IDLE {
            all.push(idle);
        }
    }

    /// Closes expired connections. Returns true if any are left.
    pub(super) fn sweep(&self) -> bool {
        let (mut is_used, now) = (false, Instant::now());
        for place in &self.idle {
            let mut all = lock(place);
            all.retain(|idle| now < idle.until);
            is_used |= !all.is_empty();
        }
        is_used
    }

    /// Takes the most recently used connection that is usable.
    pub(super) fn take(&self) -> Option<Connection> {
        let (runtime, now) = (Handle::current().id(), Instant::now());
        let mut all = self.here();
        let mut at = all.len();
        while at > 0 {
            at -= 1;
            let Some(idle) = all.get_mut(at).filter(|idle| idle.connection.runtime() == runtime) else { continue };
            if now >= idle.until {
                drop(all.remove(at));
                continue;
            }
            match idle.connection.settle() {
                Readiness::Ready => return Some(all.remove(at).connection),
                Readiness::Later => {}
                Readiness::Never => drop(all.remove(at)),
            }
        }
        None
    }

    /// Locks the idle connections of the current lane.
    fn here(&self) -> MutexGuard<'_, Vec<Idle>> {
        let [first, ..] = &self.idle;
        lock(self.idle.get(lane_number() % PLACES).unwrap_or(first))
    }
}

/// Returns the part of an announced idle time in which a connection is reused.
fn usable(announced: Duration) -> Duration {
    (announced - MARGIN.max(announced / 10).min(announced / 2)).min(LONGEST_IDLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_before_the_other_side_does() {
        let check = |announced, expected| {
            assert_eq!(usable(Duration::from_secs(announced)), Duration::from_millis(expected), "{announced} s");
        };
        check(0, 0);
        check(1, 500);
        check(2, 1_000);
        check(5, 4_000);
        check(60, 54_000);
        check(u64::MAX, 90_000);
    }
}
