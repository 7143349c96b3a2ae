//! Documents by which clients find endpoints and learn what these ask for. They name an upstream only to callers that may
//! use it.

mod cards;
mod protected_resource;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

use crate::catalog::card::CATALOG_PATH;
pub(crate) use crate::discovery::state::Discovery;
use crate::http::server::{Audience, Route, Routes};
use crate::policy::oauth::METADATA_PATH;

/// Builds the routes of the documents. Each also exists under `/mcp-proxy`, except the catalog of cards.
pub(crate) fn router(discovery: Arc<Discovery>) -> (Router, Vec<Route>) {
    let (mut open, mut of_one) = (Routes::of(Audience::Everyone), Routes::of(Audience::Clients));
    if discovery.has_cards {
        open = open.route(CATALOG_PATH, any(cards::catalog));
        for prefix in ["", "/mcp-proxy"] {
            open = open.route(&format!("{prefix}{}", cards::PATH_OF_ALL), any(cards::card));
            for path in cards::PATHS {
                of_one = of_one.route(&format!("{prefix}{path}"), any(cards::card));
            }
        }
    }
    if discovery.policy.oauth().is_some() {
        for prefix in ["", "/mcp-proxy"] {
            open = open
                .route(&format!("{prefix}{METADATA_PATH}"), any(protected_resource::metadata))
                .route(&format!("{prefix}{METADATA_PATH}/{{*endpoint}}"), any(protected_resource::metadata));
        }
    }
    let ((open, declared), (of_one, more)) = (open.finish(), of_one.finish());
    (open.merge(of_one).with_state(discovery), [declared, more].concat())
}
