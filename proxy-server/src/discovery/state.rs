//! State that the handlers share.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemas::{Eras, Problem};

use crate::policy::{Credentials, Policy};
use crate::upstream::Upstreams;

/// State shared by the handlers.
pub(crate) struct Discovery {
    pub(crate) upstreams: Upstreams,
    pub(crate) policy: Arc<Policy>,
    /// True if there are server cards.
    pub(crate) has_cards: bool,
    /// Scheme of that URL if none is configured.
    pub(crate) scheme: &'static str,
    /// URL by which clients reach the gateway, if one is configured.
    pub(crate) base_url: Option<String>,
    /// Returns the protocol eras of the endpoint of all upstreams.
    pub(crate) eras: Box<dyn Fn() -> Eras + Send + Sync>,
    /// Extracts the caller's credentials from a request.
    pub(crate) credentials: for<'a> fn(&'a Request) -> Credentials<'a>,
}

/// The state, as handlers extract it.
pub(super) type Shared = State<Arc<Discovery>>;

pub(super) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(Problem::new("Not found"))).into_response()
}
