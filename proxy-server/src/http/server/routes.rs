//! Routes that declare their audience, so that a test can try each of them with each credential.

use axum::Router;
use axum::routing::MethodRouter;

/// Callers that may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Callers without any credential.
    Everyone,
    /// Callers that may use the upstream in the path, or one of all upstreams. Handlers decide, because they know which.
    Clients,
    /// Callers of the admin API. A layer around the routes decides.
    Admins,
}

/// A declared route.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test that tries each route with each credential"))]
pub(crate) struct Route {
    /// Path with its parameters in braces.
    pub(crate) path: String,
    pub(crate) audience: Audience,
}

/// Routes for one audience, under construction.
pub(crate) struct Routes<S> {
    audience: Audience,
    router: Router<S>,
    declared: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Begins a set of routes for an audience.
    pub(crate) fn of(audience: Audience) -> Self {
        Self { audience, router: Router::new(), declared: Vec::new() }
    }

    /// Adds a route.
    #[must_use]
    pub(crate) fn route(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        self.declared.push(Route { path: path.to_owned(), audience: self.audience });
        Self { router: self.router.route(path, methods), ..self }
    }

    /// Returns the router, and what it declares.
    pub(crate) fn finish(self) -> (Router<S>, Vec<Route>) {
        (self.router, self.declared)
    }
}
