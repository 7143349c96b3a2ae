//! The connections to one origin that are kept open between requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::DialError;
use super::connect::Connector;
use super::connection::{Connection, Readiness, Response};
use crate::http1::Written;
use crate::tasks::lane_number;

/// How long a connection may stay unused.
pub(super) const LONGEST_IDLE: Duration = Duration::from_secs(90);
/// Connections that are kept in one place; one more is closed.
const MAX_IDLE: usize = 256;
/// Places that connections are kept in, so that lanes do not wait for each other.
const PLACES: usize = 8;

/// A scheme, a host and perhaps a port, and the connections to it.
pub(super) struct Origin {
    address: Uri,
    idle: [Mutex<Vec<Idle>>; PLACES],
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Origin {
    pub(super) fn new(address: Uri) -> Self {
        Self { address, idle: Default::default() }
    }

    /// Sends a request on a connection that is open, or else on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        connector: &Connector,
        mut request: Written,
    ) -> Result<Response, DialError> {
        while let Some(connection) = self.take() {
            match connection.send(&mut request, self).await {
                Ok(response) => return Ok(response),
                // The other side closed it while it was idle, and nothing was sent.
                Err(_) if request.gone() == 0 => {}
                Err(fault) => return Err(DialError::Broken(fault)),
            }
        }
        let stream = Box::pin(connector.connect(&self.address)).await.map_err(DialError::Unreachable)?;
        Connection::open(stream).send(&mut request, self).await.map_err(DialError::Broken)
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, connection: Connection) {
        let idle = Idle { connection, since: Instant::now() };
        let mut all = self.here();
        if all.len() < MAX_IDLE {
            all.push(idle);
        }
    }

    /// Closes what has not been used for long. Says whether anything is left.
    pub(super) fn sweep(&self) -> bool {
        let mut is_used = false;
        for place in &self.idle {
            let mut all = lock(place);
            all.retain(|idle| idle.since.elapsed() < LONGEST_IDLE);
            is_used |= !all.is_empty();
        }
        is_used
    }

    /// The connection that was used last, among those that can be used.
    pub(super) fn take(&self) -> Option<Connection> {
        let runtime = Handle::current().id();
        let mut all = self.here();
        let mut at = all.len();
        while at > 0 {
            at -= 1;
            let Some(idle) = all.get_mut(at).filter(|idle| idle.connection.runtime() == runtime) else { continue };
            match idle.connection.settle() {
                Readiness::Ready => return Some(all.remove(at).connection),
                Readiness::Later => {}
                Readiness::Never => drop(all.remove(at)),
            }
        }
        None
    }

    /// What is kept for the lane that runs this.
    fn here(&self) -> MutexGuard<'_, Vec<Idle>> {
        let [first, ..] = &self.idle;
        lock(self.idle.get(lane_number() % PLACES).unwrap_or(first))
    }
}

fn lock(place: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
