//! Upstreams over HTTP as they are in the world: optional streams, odd statuses, polling, batches.

mod network;
mod own_stream;
mod places;
mod real;
mod responses;
mod sessions;

use harness::raw::{Session, session};
use harness::web::Web;
use harness::{InProcess, gateway};

/// A gateway with this upstream, and a client of it.
async fn connected(server: &Web) -> (InProcess, Session) {
    let gateway = gateway().start().await;
    gateway.admin.connect(&server.definition("web")).await;
    let client = session(&gateway.url, "web").open().await;
    (gateway, client)
}
