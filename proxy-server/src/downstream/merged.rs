//! Serves a modern client at the endpoint of all upstreams: discovery and lists come from the catalog in memory and
//! wait for no upstream; other requests go to the upstream that they name.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::catalog::{List, audience};
use crate::downstream::aggregate::page;
use crate::downstream::fields::Fields;
use crate::downstream::modern::{Asking, refuse_undeclared};
use crate::downstream::{listen, respond, routed};
use crate::http::server::Reply;
use crate::policy::Caller;
use crate::protocol::{Era, own_list, result_pieces};

/// Responds to a request at the endpoint of all upstreams that this caller may use.
pub(super) async fn serve(asking: Arc<Asking>, caller: Caller, fields: Option<&Fields<'_>>) -> Reply {
    let (message, view) = (&asking.message, asking.view(&caller));
    if let Some(list) = List::asked_by(message.method()) {
        return match page(&asking.edge, &view, (Era::Modern, list), message) {
            Ok(page) => respond::json(StatusCode::OK, own_list(message.id(), &page)),
            Err(error) => respond::modern_failure(message, &error),
        };
    }
    if let Some(refusal) = refuse_undeclared(&asking) {
        return refusal;
    }
    match message.method() {
        "server/discover" => {
            respond::json(StatusCode::OK, result_pieces(message.id(), view.discovery(audience(message))))
        }
        "subscriptions/listen" => listen::open_to_all(asking, caller).await,
        // Boxed, so that responses from memory do not carry the size of this future.
        _ => Box::pin(routed::answer(asking, caller, view, fields)).await,
    }
}
