//! Entry point of every HTTP request: checks `Host` and `Origin`, then answers by the fast path or by the router.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Json, Router};
use bytes::Bytes;
use http_body::Body as HttpBody;
use schemas::Problem;
use tower_service::Service as _;

use crate::downstream::edge::Edge;
use crate::downstream::fields::Fields;
use crate::downstream::origin::{HEALTH_PATHS, Origins};
use crate::downstream::router::endpoint;
use crate::downstream::{error_response, streamable_http};
use crate::http::server::{
    self, Admission, BodyError, Head, Limits, Peer, Reply, cors, is_under, without_trailing_slash,
};
use crate::policy::{Credentials, Page};

/// Application behind the HTTP server: the endpoints, the admin API and the health checks.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) origins: Origins,
    pub(crate) edge: Arc<Edge>,
    /// Router for all requests that are not answered before it.
    pub(crate) router: Router,
    /// True if the endpoints of servers are served, and not only the admin API.
    pub(crate) has_endpoints: bool,
}

/// Request to an endpoint that was authorized by its head.
pub(crate) struct Admitted<'a> {
    caller: streamable_http::Authorized,
    method: Method,
    fields: Fields<'a>,
}

impl Service {
    /// Returns a copy with its own `Edge`, for one more lane.
    pub(crate) fn another(&self) -> Self {
        Self { edge: Arc::new(self.edge.another()), ..self.clone() }
    }
}

impl server::Service for Service {
    type Admitted<'a> = Admitted<'a>;

    fn limits(&self) -> Limits {
        let config = &self.edge.config;
        Limits {
            idle_timeout: config.connection_idle_timeout,
            body_timeout: config.body_timeout,
            write_timeout: config.write_timeout,
            has_fast_path: config.has_fast_path,
        }
    }

    fn admit<'a>(self: &Arc<Self>, peer: Peer, head: Head<'a>) -> Admission<Admitted<'a>> {
        let Some(name) = endpoint(head.path).filter(|_| self.has_endpoints) else { return Admission::NotFast };
        let fields = Fields::among(head.fields.into());
        let page = self.origins.page(&fields, peer.local.ip(), "");
        if page.is_ok() && fields.origin.is_some() {
            // Responses to pages have additional header fields.
            return Admission::NotFast;
        }
        let mut credentials = Credentials { path: head.path, ..fields.credentials(peer) };
        if page.is_ok() && self.unverified(&mut credentials).is_some() {
            // The verification of a token may have to wait for the keys of its issuer.
            return Admission::NotFast;
        }
        let admitted = page.map_err(Reply::from).and_then(|_| {
            let caller = streamable_http::Authorized::admit(Arc::clone(&self.edge), name, &credentials)?;
            caller.takes(&head.method, &fields, head.length)
        });
        match admitted {
            Ok(caller) => Admission::Accepted(Admitted { caller, method: head.method, fields }),
            Err(refusal) => Admission::Refused(refusal),
        }
    }

    async fn answer<B>(&self, peer: Peer, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = without_trailing_slash(request);
        let page = match self.origins.page(&Fields::of(&request), peer.local.ip(), request.uri().path()) {
            Ok(page) => page,
            Err(refusal) => return fresh(refusal),
        };
        let is_admin = is_under("/admin", request.uri().path());
        let is_shown = page == Page::Allowed || (page == Page::Neighbour && !is_admin);
        let origin = request.headers().get(header::ORIGIN).filter(|_| is_shown).cloned();
        let mut response = if origin.is_some() && cors::is_preflight(request.method(), request.headers()) {
            cors::allow_page(request.headers())
        } else {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(page);
            let path = request.uri().path();
            if !is_admin && !HEALTH_PATHS.contains(&path) {
                self.verify_token(peer, &mut request).await;
            }
            let Ok(response) = self.router.clone().call(request).await;
            response
        };
        if let Some(origin) = origin {
            cors::show_to(origin, &mut response);
        }
        fresh(response)
    }

    fn unread(&self, error: BodyError) -> Reply {
        error_response::unread(error, self.edge.config.max_body_bytes)
    }

    fn overloaded(&self) -> Response {
        let problem = Problem::new("Limit reached").details("too many connections; the limit is --max-connections");
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    fn is_vital(&self, path: &str) -> bool {
        HEALTH_PATHS.contains(&path)
    }
}

impl server::Admitted for Admitted<'_> {
    async fn answer(self, body: Bytes) -> Reply {
        self.caller.answer(streamable_http::Request { method: self.method, fields: &self.fields, body }).await
    }
}

impl Service {
    /// Verifies the token of a request, if an authorization server may have issued it, and notes the outcome.
    async fn verify_token(&self, peer: Peer, request: &mut Request<Body>) {
        let mut credentials = Fields::of(request).credentials(peer);
        let token = self.unverified(&mut credentials);
        let known = credentials.verdict;
        let verdict = match (self.edge.services.policy.oauth(), token) {
            (Some(oauth), Some(token)) => Some(oauth.verify(&token).await),
            _ => known,
        };
        if let Some(verdict) = verdict {
            request.extensions_mut().insert(verdict);
        }
    }

    /// Completes credentials from what is known about their token. Returns the token if it has to be verified first.
    fn unverified(&self, credentials: &mut Credentials<'_>) -> Option<String> {
        let services = &self.edge.services;
        let all = std::cell::OnceCell::new();
        services.policy.recall(credentials, || {
            let all = all.get_or_init(|| services.upstreams.all());
            all.values().map(|upstream| upstream.definition()).collect()
        })
    }
}

/// Adds `Cache-Control: no-store` unless the response has that field: a missing resource may exist soon, and most
/// responses are for one caller only.
fn fresh(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
