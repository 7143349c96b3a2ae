//! One origin with its idle connections.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::connect::{Connector, Way};
use super::connection::Connection;
use super::error::DialError;
use super::idle_pool::IdlePool;
use super::response::Response;
use crate::http::write::Written;

/// One origin (scheme, host, port) with its path and its idle connections.
pub(super) struct Origin {
    address: Uri,
    way: Way,
    idle: Arc<IdlePool>,
}

impl Origin {
    pub(super) fn new(address: Uri, way: Way, idle_timeout: Duration) -> Self {
        Self { address, way, idle: Arc::new(IdlePool::new(idle_timeout)) }
    }

    /// Sends a request on an idle connection, or on a new one if there is none.
    pub(super) async fn send(&self, connector: &Connector, request: &mut Written) -> Result<Response, DialError> {
        while let Some(mut connection) = self.idle.take() {
            match connection.send(request).await {
                Ok(head) => return Ok(Response::new(head, connection, Arc::clone(&self.idle))),
                // The upstream closed the connection while it was idle. No byte was sent, so another connection is safe
                // to use.
                Err(_) if request.gone() == 0 => {}
                Err(fault) => return Err(DialError::Broken(fault)),
            }
        }
        let stream = Box::pin(connector.connect(&self.address, &self.way)).await.map_err(DialError::Unreachable)?;
        let mut connection = Connection::open(stream);
        let head = connection.send(request).await.map_err(DialError::Broken)?;
        Ok(Response::new(head, connection, Arc::clone(&self.idle)))
    }

    /// Returns the pool of idle connections.
    #[cfg(test)]
    pub(super) fn idle(&self) -> &IdlePool {
        &self.idle
    }

    /// Closes expired connections. Returns true if any are left.
    pub(super) fn sweep(&self) -> bool {
        self.idle.sweep()
    }
}
