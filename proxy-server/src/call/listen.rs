//! Serves `subscriptions/listen` of modern clients (2026-07-28, basic, "Subscriptions"): an event stream that begins with
//! the acknowledgement and carries only the notifications that the client requested.

mod all;
mod filter;
mod legacy;
mod modern;
mod part;
mod stream;
mod subscribed;

use std::sync::Arc;

use tracing::debug;

use crate::call::exchange::Exchange;
use crate::call::record::CallRecord;
use crate::call::request::{Answer, Call, Client, Scope};
use crate::call::services::Services;
use crate::call::target::Target;
use crate::error::{Error, Kind};
use crate::protocol::{self, Era};
use crate::upstream::Events;

/// Opens a stream. It ends when the client drops the exchange.
pub(crate) fn listen(services: &Arc<Services>, call: Call) -> Exchange<Result<Answer, Error>> {
    let services = Arc::clone(services);
    Exchange::new(|events| Box::pin(async move { run(&services, call, events).await }))
}

async fn run(services: &Arc<Services>, mut call: Call, events: Events) -> Result<Answer, Error> {
    let Client::Modern(_) = &call.client else { return Err(Kind::UnknownMethod.into()) };
    let principal = call.principal;
    debug!(%principal, method = call.message.method(), "call admitted");
    let ended = Answer::given(protocol::listening_ended(call.message.id()));
    let (upstream, caller) = match &call.scope {
        Scope::One(upstream) => (Some(Arc::clone(upstream)), None),
        Scope::All { caller, .. } => (None, Some(caller.clone())),
    };
    let place = (caller.as_ref(), upstream.as_ref().map(|upstream| upstream.definition()));
    call.attribution.record = CallRecord::begin(&services.access_log, principal, &call.message);
    let counted = services.tally.begin(principal, call.message.method(), &call.attribution);
    let outcome = tokio::select! {
        outcome = stream(services, call, events) => outcome,
        () = services.policy.access_lost(principal, place) => Ok(ended),
    };
    counted.end(outcome.as_ref().map(|answer| answer.body.len()).map_err(Error::kind));
    outcome
}

async fn stream(services: &Arc<Services>, call: Call, events: Events) -> Result<Answer, Error> {
    let limit = services.limits.queued_bytes;
    let target = match &call.scope {
        Scope::All { .. } => return stream::send(all::open(services, call)?, &events, limit).await,
        Scope::One(upstream) => Target { upstream: Arc::clone(upstream), request: call.message.clone(), view: None },
    };
    match target.era(call.deadline).await? {
        Era::Modern => stream::send(modern::open(services, call, target), &events, limit).await,
        Era::Legacy => stream::send(legacy::open(services, call, &target).await?, &events, limit).await,
    }
}
