//! Upstreams over HTTP with the variations found in practice: optional streams, unusual statuses, polling, batches.

mod network;
mod own_stream;
mod places;
mod real;
mod responses;
mod sessions;

use harness::raw::{Session, session};
use harness::web::Web;
use harness::{InProcess, gateway};

/// Connects a gateway to this upstream, and a client to the gateway.
async fn connected(server: &Web) -> (InProcess, Session) {
    let gateway = gateway().start().await;
    gateway.admin.connect(&server.definition("web")).await;
    let client = session(&gateway.url, "web").open().await;
    (gateway, client)
}
