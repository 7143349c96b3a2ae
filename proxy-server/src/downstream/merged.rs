//! What a modern client of all upstreams is answered: what they offer from memory, everything else by the upstream that its
//! request means. No answer from memory waits for any upstream.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::catalog::{List, audience};
use crate::downstream::aggregate::page;
use crate::downstream::fields::Fields;
use crate::downstream::modern::{Asking, refuse_undeclared};
use crate::downstream::respond::Reply;
use crate::downstream::{listen, respond, routed};
use crate::policy::Caller;
use crate::protocol::{Era, own_list, result_pieces};

/// Answers a request to all upstreams that this caller may use.
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
        // On the heap, so that what is answered from memory does not carry it along.
        _ => Box::pin(routed::answer(asking, caller, view, fields)).await,
    }
}
