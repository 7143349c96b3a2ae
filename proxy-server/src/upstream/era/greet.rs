//! Handshake with an upstream in a given era.

use std::sync::Arc;

use schemas::Definition;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Kind};
use crate::protocol::Era;
use crate::upstream::connection::Connection;
use crate::upstream::environment::Environment;
use crate::upstream::session::{Hello, OpenError, Session, own_hello};

/// Opens a session in an era. If the handshake fails, the program has ended before this returns.
pub(super) async fn greet(
    environment: &Environment,
    definition: &Definition,
    era: Era,
    deadline: Instant,
) -> Result<Arc<Session>, OpenError> {
    let own = own_hello();
    let hello = match era {
        Era::Legacy => Hello::Legacy(&own),
        Era::Modern => Hello::Modern,
    };
    let opening = timeout_at(deadline, Connection::open(environment, definition, era));
    let connection = opening.await.map_err(|_| Error::new(Kind::TimedOut))??;
    let greeted = Session::greet(Arc::clone(&connection), hello, deadline).await;
    if greeted.is_err() {
        connection.close().await;
        connection.ended().await;
    }
    greeted
}
