//! Event streams of the admin API.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use schemas::admin::Right;
use tokio::time::{Instant, timeout};

use crate::admin::state::Admin;
use crate::http::server::{KEEP_ALIVE, Pulse, respond_with_events};
use crate::policy::AdminPrincipal;
use crate::telemetry::Ring;

/// Items that one frame may hold, so that a slow reader does not make the gateway copy all of them.
const ITEMS_A_FRAME: usize = 100;

/// Responds with these frames, and comments in between. The stream ends with the gateway, and when the caller may have lost
/// its access.
pub(super) fn respond(
    admin: &Arc<Admin>,
    principal: AdminPrincipal,
    frames: impl Stream<Item = Bytes> + Send + Unpin + 'static,
) -> Response {
    let ending = {
        let admin = Arc::clone(admin);
        async move {
            tokio::select! {
                () = admin.calls.closing.cancelled() => {}
                () = admin.policy.admin_access_lost(principal, Right::Read) => {}
            }
        }
    };
    let pulse = Pulse::new((admin.keep_alive)(), Instant::now());
    let frames = stream::unfold((frames, pulse), |(mut frames, mut pulse)| async move {
        let next = timeout(pulse.pause(), pin!(frames.next())).await;
        let frame = next.unwrap_or(Some(Bytes::from_static(KEEP_ALIVE)))?;
        pulse.written();
        Some((frame, (frames, pulse)))
    });
    respond_with_events(frames.take_until(Box::pin(ending)))
}

/// Returns the items after the one with this number, and all that follow, as frames. `encode` writes an item with its id;
/// `gap` is called when items after the one with a number are gone.
pub(super) fn frames<T: Clone + Send + 'static>(
    ring: Ring<T>,
    seen: u64,
    mut encode: impl FnMut(&str, u64, &T) -> Option<Bytes> + Send + 'static,
    gap: fn(&str) -> Option<Bytes>,
) -> impl Stream<Item = Bytes> + Send + Unpin + 'static {
    let newest = ring.watch();
    let next = stream::unfold((ring, newest, seen), |(ring, mut newest, seen)| async move {
        // An error means that nobody adds items any more.
        newest.wait_for(|newest| *newest > seen).await.ok()?;
        let items = ring.first_after(seen, ITEMS_A_FRAME);
        let last = items.last().map_or_else(|| ring.newest(), |(number, _)| *number);
        Some(((ring.begun(), seen, items), (ring, newest, last)))
    });
    let frames = next.map(move |(begun, seen, items)| {
        let mut frame = Vec::new();
        if items.first().is_some_and(|(first, _)| *first > seen + 1) {
            frame.extend(gap(&format!("{begun}-{seen}")));
        }
        for (number, item) in &items {
            frame.extend(encode(&format!("{begun}-{number}"), *number, item));
        }
        Bytes::from(frame.concat())
    });
    Box::pin(frames.filter(|frame| ready(!frame.is_empty())))
}

/// Returns the number of the item that a client of an earlier stream has seen; `None` if that was of another sequence.
pub(super) fn resumed<T: Clone>(ring: &Ring<T>, headers: &HeaderMap) -> Option<u64> {
    let (begun, number) = headers.get("last-event-id")?.to_str().ok()?.split_once('-')?;
    (begun == ring.begun().to_string()).then(|| number.parse().ok())?
}
