//! Authorizes requests, and reads their bodies.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{RawPathParams, Request, State};
use axum::http::Extensions;
use bytes::Bytes;
use http_body::Body as HttpBody;

use crate::downstream::edge::Edge;
use crate::downstream::error_response;
use crate::downstream::fields::Fields;
use crate::downstream::legacy::session::Scope;
use crate::http::server::{Peer, Reply, collect};
use crate::policy::{Credentials, Sender};

/// Scope and sender of a request, or the refusal.
pub(super) type Admitted = Result<(Scope, Sender), Reply>;

/// Authorizes a request to the named upstream, or to all upstreams.
pub(super) fn admit(edge: &Edge, name: Option<&str>, credentials: &Credentials<'_>) -> Admitted {
    let policy = &edge.services.policy;
    let refuse = |denied, definition| error_response::denied(denied, policy.refuse(denied, credentials, definition));
    let Some(name) = name else {
        let caller = policy.caller(credentials);
        let all = edge.services.upstreams.all();
        let definitions = all.values().map(|upstream| upstream.definition());
        let principal = policy.client_of_all(&caller, definitions).map_err(|denied| refuse(denied, None))?;
        return Ok((Scope::All(caller), policy.sender(principal, credentials)));
    };
    let upstream = edge.services.upstreams.get(name).ok_or_else(|| error_response::unknown_upstream(name))?;
    let definition = upstream.definition();
    let principal = policy.client(credentials, definition).map_err(|denied| refuse(denied, Some(definition)))?;
    let sender = policy.sender(principal, credentials);
    Ok((Scope::One(upstream), sender))
}

/// Returns the upstream's name in a path; `None` for the endpoint of all upstreams.
pub(super) fn upstream_name(path: &RawPathParams) -> Option<&str> {
    path.iter().find(|(name, _)| *name == "name").map(|(_, value)| value)
}

/// Reads the whole body, within the limits of size and time.
pub(super) async fn read_body(edge: &Edge, body: impl HttpBody<Data = Bytes>) -> Result<Bytes, Reply> {
    let (max_bytes, patience) = (edge.config.max_body_bytes, edge.config.body_timeout);
    collect(body, max_bytes, patience).await.map_err(|error| error_response::unread(error, max_bytes))
}

/// Returns the credentials of a request that goes through the router.
pub(crate) fn shown(request: &Request) -> Credentials<'_> {
    Fields::of(request).credentials(peer(request.extensions()))
}

/// Returns the peer of a request that goes through the router; `0.0.0.0:0` if it is missing.
pub(super) fn peer(extensions: &Extensions) -> Peer {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    extensions.get().copied().unwrap_or(Peer { peer: unknown, local: unknown, certificate: None, process: None })
}

/// Shared state of a handler.
pub(super) type Shared = State<Arc<Edge>>;
