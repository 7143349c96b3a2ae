//! Forwards requests of modern clients to modern upstreams, and their answers, without translation between eras.

use tokio::sync::oneshot;

use crate::call::attempt::forward;
use crate::call::relay::relay;
use crate::call::request::{Answer, Call, Class};
use crate::call::services::Services;
use crate::call::target::{Target, borrowed};
use crate::error::Error;
use crate::protocol::{HEADER_MISMATCH, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, UNSUPPORTED_VERSION};
use crate::upstream::{Event, Events, UpstreamCall, event_queue};

/// Sends the request of a call to its target, and returns the answer.
pub(super) async fn send(services: &Services, call: &Call, target: &Target, events: &Events) -> Result<Answer, Error> {
    let (upstream, message, deadline) = (&target.upstream, &target.request, target.upstream.call_deadline());
    let (_never, cancelled) = oneshot::channel();
    let answer = if target.view.is_some() {
        let (own, queue) = event_queue();
        let forwarded =
            forward(upstream, &call.attribution, UpstreamCall { message, events: own, cancelled, deadline });
        relay(queue, events, services.limits.queued_bytes, |event| translated(target, event), forwarded).await?
    } else {
        forward(upstream, &call.attribution, UpstreamCall { message, events: events.clone(), cancelled, deadline })
            .await?
    };
    let body = answer.with_id(call.message.id(), &borrowed(&target.modern_edits(&answer)));
    Ok(Answer { body: body.into(), class: class(&answer) })
}

/// Translates an event. A modern upstream asks questions only in its results.
fn translated(target: &Target, event: Event) -> Option<Event> {
    match event {
        Event::Notification(notification) => target.notification(notification).map(Event::Notification),
        Event::Question(_) => None,
    }
}

/// Returns the class of a modern upstream's answer (2026-07-28, transports, "Error Handling").
pub(super) fn class(answer: &Message) -> Class {
    match answer.error_code() {
        Some(METHOD_NOT_FOUND) => Class::UnknownMethod,
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => Class::Refused,
        Some(_) | None => Class::Given,
    }
}
