//! A client's request on its way to an upstream.

use tokio::sync::oneshot;

use crate::error::Error;
use crate::protocol::Message;
use crate::upstream::deadline::Deadline;
use crate::upstream::events::Events;

/// A client's request with its queues and deadline.
pub(crate) struct UpstreamCall<'a> {
    pub(crate) message: &'a Message,
    pub(crate) events: Events,
    pub(crate) cancelled: oneshot::Receiver<Message>,
    pub(crate) deadline: Deadline,
}

/// Forwards a cancellation, so that the caller can still retry the request.
pub(crate) async fn forward_cancellation(
    request: impl Future<Output = Result<Message, Error>>,
    cancelled: &mut oneshot::Receiver<Message>,
    relay: oneshot::Sender<Message>,
) -> Result<Message, Error> {
    tokio::pin!(request);
    if cancelled.is_terminated() {
        return request.await;
    }
    tokio::select! {
        outcome = &mut request => return outcome,
        Ok(cancel) = cancelled => drop(relay.send(cancel)),
    }
    request.await
}
