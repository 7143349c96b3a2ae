//! Event streams of the admin API.

use std::pin::pin;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use schemas::admin::Right;
use tokio::time::{Instant, timeout};

use crate::admin::state::Admin;
use crate::http::server::{KEEP_ALIVE, Pulse, respond_with_events};
use crate::policy::AdminPrincipal;

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
