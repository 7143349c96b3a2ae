//! A registration as it is shown: with a placeholder for every secret, or whole for callers who may see secrets.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use jiff::Timestamp;
use schemas::admin::{DefinitionView, Fingerprints, Status};
use tracing::warn;

use crate::admin::leases;
use crate::admin::problem::{bad_request, denied, unrecorded};
use crate::admin::state::Admin;
use crate::registry::{Registration, Tenure};
use crate::telemetry::{Entry, EventType};

/// Part of a definition that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// A placeholder for every secret.
    Redacted,
    /// All of it.
    Whole,
}

/// Decides whether a request gets to see secrets, and records who did: an admin token is needed, wherever the caller is.
pub(super) fn reveal(admin: &Arc<Admin>, request: &Request) -> impl Future<Output = Result<Shown, Response>> + use<> {
    let (decided, admin) = (revealed(admin, request), Arc::clone(admin));
    async move {
        let Some(entry) = decided? else { return Ok(Shown::Redacted) };
        admin.policy.audit().record(entry).await.map_err(|reason| unrecorded(&reason))?;
        Ok(Shown::Whole)
    }
}

/// Returns the audit record of a request that gets to see secrets; `None` if it does not ask for them.
fn revealed(admin: &Admin, request: &Request) -> Result<Option<Entry>, Response> {
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|part| part.strip_prefix("secrets=")) {
        None | Some("false") => return Ok(None),
        Some("true") => {}
        Some(_) => return Err(bad_request("`secrets` is `true` or `false`")),
    }
    let credentials = (admin.credentials)(request);
    let by = admin.policy.actor(&credentials);
    let (peer, path) = (credentials.from.peer.ip(), request.uri().path());
    match admin.policy.revealer(&credentials) {
        Ok(token) => {
            warn!(%peer, path, admin_token = token, "secrets of definitions shown");
            Ok(Some(Entry::new(EventType::SecretsRead, &by, Timestamp::now()).about(path)))
        }
        Err(why) => {
            warn!(%peer, path, "secrets of definitions refused");
            Err(denied((admin, &by), path, why))
        }
    }
}

/// Forbids every cache to keep an answer, whatever the edge says of others.
pub(super) fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn view(admin: &Admin, registration: &Registration, shown: Shown) -> schemas::admin::Registration {
    let Registration { definition, created_at, updated_at, revision, tenure, .. } = registration;
    let name = definition.name.as_str();
    let status = admin.upstreams.get(name).map_or_else(|| Status::new(name), |upstream| upstream.status());
    let values = definition.fingerprints(&admin.salt);
    let leases = leases::on(admin, name);
    let (created_at, updated_at) = (created_at.to_string(), updated_at.to_string());
    let view = match shown {
        Shown::Redacted => DefinitionView::new(definition.clone(), created_at, updated_at),
        Shown::Whole => DefinitionView::whole(definition.clone(), created_at, updated_at),
    };
    let mut viewed = schemas::admin::Registration::new(view, status);
    viewed.fingerprints = Some(Fingerprints { salt: admin.salt.clone(), values });
    viewed.revision = Some(*revision);
    viewed.leased = *tenure == Tenure::Leased;
    viewed.leases = leases;
    viewed
}
