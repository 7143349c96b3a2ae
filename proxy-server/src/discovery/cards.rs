//! Server cards (SEP-2127): the data that a client needs to connect to an endpoint, at `ENDPOINT/server-card`, and a
//! catalog of the cards, at `/.well-known/ai-catalog.json`. A card names no tools and no capabilities; clients request
//! those from the endpoint.
//!
//! Everybody, including any web page, may read the card of all upstreams together, which names none of them. The card
//! of one upstream is only for callers that may use that upstream; for others it does not exist, as for an unknown
//! name.

use axum::extract::{RawPathParams, Request, State};
use axum::http::header;
use axum::response::Response;
use serde_json::Value;

use crate::catalog::card::{CARD_SUFFIX, CARD_TYPE, CATALOG_TYPE, Site};
use crate::discovery::state::{Discovery, Shared, not_found};
use crate::http::server::document;
use crate::policy::{Page, Principal};
use crate::upstream::Upstream;

/// Path of the card of all upstreams, without any prefix.
pub(super) const PATH_OF_ALL: &str = "/mcp/server-card";
/// Paths of the card of one upstream, without any prefix.
pub(super) const PATHS: [&str; 2] = ["/{name}/mcp/server-card", "/{name}/stream/server-card"];

/// Responds with the card of the endpoint that the path names.
pub(super) async fn card(State(discovery): Shared, path: RawPathParams, request: Request) -> Response {
    if !document::reads(request.method()) {
        return document::respond(request.method(), request.headers(), CARD_TYPE, &Value::Null);
    }
    let Some(site) = site(&discovery, &request) else { return not_found() };
    let policy = &discovery.policy;
    let endpoint = request.uri().path().strip_suffix(CARD_SUFFIX).unwrap_or_default();
    let card = match name(&path) {
        None => {
            let all = discovery.upstreams.all();
            let needs_token = policy.needs_token_for_all(all.values().map(|upstream| upstream.definition()));
            site.card_of_all(endpoint, (discovery.eras)(), needs_token)
        }
        Some(name) => {
            let upstream = discovery.upstreams.get(name).filter(|upstream| may_see(&discovery, &request, upstream));
            let Some(upstream) = upstream else { return not_found() };
            site.card_of(&upstream, endpoint, policy.needs_token(upstream.definition()))
        }
    };
    document::respond(request.method(), request.headers(), CARD_TYPE, &card)
}

/// Responds with the catalog of the cards that the caller may read.
pub(super) async fn catalog(State(discovery): Shared, request: Request) -> Response {
    if !document::reads(request.method()) {
        return document::respond(request.method(), request.headers(), CATALOG_TYPE, &Value::Null);
    }
    let Some(site) = site(&discovery, &request) else { return not_found() };
    let all = discovery.upstreams.all();
    let visible = all.iter().filter(|(_, upstream)| may_see(&discovery, &request, upstream));
    let catalog = site.catalog(visible.map(|(name, _)| name));
    document::respond(request.method(), request.headers(), CATALOG_TYPE, &catalog)
}

/// True if the sender of a request may know of an upstream. A foreign page may do so only with a token.
fn may_see(discovery: &Discovery, request: &Request, upstream: &Upstream) -> bool {
    let credentials = (discovery.credentials)(request);
    let is_foreign = request.extensions().get::<Page>() == Some(&Page::Foreign);
    match discovery.policy.client(&credentials, upstream.definition()) {
        Ok(Principal::Anonymous) => !is_foreign,
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Returns the URL by which the sender of a request reaches the gateway.
fn site(discovery: &Discovery, request: &Request) -> Option<Site> {
    let configured = discovery.base_url.as_deref();
    let host = || request.headers().get(header::HOST)?.to_str().ok();
    let url = configured.map(str::to_owned).or_else(|| Some(format!("{}://{}", discovery.scheme, host()?)))?;
    Site::new(&url, configured.is_some())
}

/// Returns the upstream's name in a path; `None` for the card of all upstreams.
fn name(path: &RawPathParams) -> Option<&str> {
    path.iter().find(|(name, _)| *name == "name").map(|(_, value)| value)
}
