//! The GET stream of a session, for messages that belong to no request (2025-11-25, transports, "Listening for Messages
//! from the Server"). It is optional, and its failure does not end the session.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::retry::{Attempts, Next, retry_after};
use super::{Endpoint, Standing, read_events, receive};
use crate::error::{Chain, Kind};
use crate::http::client::Response;
use crate::http::event_stream::Decoder;
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::outgoing::skipped;

/// Timeout for the head of the response. Long, because some servers send the head with the first event.
const HEAD_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Minimum duration of a stream that counts as successful, even without events.
const LIVED: Duration = Duration::from_secs(1);

impl Endpoint {
    /// Reads the GET stream while the session lives, or until the upstream refuses to offer one.
    pub(crate) async fn listen(self: Arc<Self>, inbox: Arc<Inbox>) {
        let mut decoder = Decoder::new(self.limit);
        let mut attempts = Attempts::default();
        while let Some(pause) = self.attempt(&mut attempts, &mut decoder, &inbox).await {
            tokio::select! {
                () = inbox.closed().cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Requests the stream once and reads it to its end. Returns the pause before the next attempt; `None` to stop.
    async fn attempt(&self, attempts: &mut Attempts, decoder: &mut Decoder, inbox: &Inbox) -> Option<Duration> {
        let resumes = decoder.last_id().is_some();
        let is_gap = attempts.begin() && !resumes;
        let response = timeout(HEAD_PATIENCE, Box::pin(self.get(decoder.last_id()))).await;
        // Release tasks that wait for the stream, whatever the response.
        inbox.settle_stream();
        let mut response = match response {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.kind() == Kind::Unreachable && attempts.is_out_of_reach() => {
                return Box::pin(self.ask_session(attempts, inbox)).await;
            }
            Ok(Err(_)) | Err(_) => return Some(attempts.failed()),
        };
        let (status, has_events) = (response.status(), response.has_events());
        match attempts.judge(status, has_events, retry_after(response.field(&RETRY_AFTER))) {
            Next::Read => {
                if is_gap {
                    inbox.gap();
                }
                response.expect_silence();
                Some(read_to_end(response, attempts, decoder, inbox).await)
            }
            Next::Stop => {
                debug!(status = status.as_u16(), "upstream offers no stream of its own");
                None
            }
            Next::After(pause) => {
                if status == StatusCode::GONE {
                    decoder.forget_id();
                }
                Some(pause)
            }
            Next::AskSession if self.session.get().is_none() => Some(attempts.failed()),
            Next::AskSession => {
                decoder.forget_id();
                Box::pin(self.ask_session(attempts, inbox)).await
            }
        }
    }

    async fn ask_session(&self, attempts: &mut Attempts, inbox: &Inbox) -> Option<Duration> {
        match self.standing().await {
            Standing::Known => Some(attempts.failed()),
            Standing::Unknown => {
                inbox.close("the upstream no longer knows the session");
                None
            }
            Standing::OutOfReach(error) => {
                inbox.close(Chain(&error).to_string());
                None
            }
        }
    }
}

/// Reads a stream to its end. Returns the pause before the next attempt.
async fn read_to_end(response: Response, attempts: &mut Attempts, decoder: &mut Decoder, inbox: &Inbox) -> Duration {
    let began = Instant::now();
    let never = &mut oneshot::channel().1;
    let (_, seen) = read_events(response, decoder, (inbox, None), |event| match event {
        Ok(event) => receive(event, None, inbox, never).map(drop),
        Err(error) => {
            skipped(error, inbox);
            None
        }
    })
    .await;
    attempts.ended(seen.events > 0 || began.elapsed() >= LIVED, seen.retry)
}
