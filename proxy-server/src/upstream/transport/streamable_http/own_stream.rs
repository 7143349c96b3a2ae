//! The GET stream of a session, on which an upstream tells what belongs to no request (2025-11-25, transports, "Listening
//! for Messages from the Server"). It is optional, and what becomes of it says nothing about the session.

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
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::event_stream::Decoder;
use crate::upstream::transport::skipped;

/// How long the head of the response may take. Some servers send it with the first event, so it is long.
const HEAD_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// A stream that was open for so long has lived, even if nothing came on it.
const LIVED: Duration = Duration::from_secs(1);

impl Endpoint {
    /// Reads the GET stream for as long as the session lives, or until the upstream says that it has none.
    pub(in crate::upstream) async fn listen(self: Arc<Self>, inbox: Arc<Inbox>) {
        let mut decoder = Decoder::new(self.limit);
        let mut attempts = Attempts::default();
        while let Some(pause) = self.attempt(&mut attempts, &mut decoder, &inbox).await {
            tokio::select! {
                () = inbox.closed().cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Asks for the stream once and reads it to its end. Gives the pause before the next attempt; nothing if there is to
    /// be none.
    async fn attempt(&self, attempts: &mut Attempts, decoder: &mut Decoder, inbox: &Inbox) -> Option<Duration> {
        let resumes = decoder.last_id().is_some();
        let is_gap = attempts.begin() && !resumes;
        let response = timeout(HEAD_PATIENCE, self.get(decoder.last_id())).await;
        // Whoever waits for the stream to be open goes on, whatever the response.
        inbox.settle_stream();
        let response = match response {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.kind() == Kind::Unreachable && attempts.is_out_of_reach() => {
                return self.ask_session(attempts, inbox).await;
            }
            Ok(Err(_)) | Err(_) => return Some(attempts.failed()),
        };
        let (status, has_events) = (response.status(), response.has_events());
        match attempts.judge(status, has_events, retry_after(response.field(&RETRY_AFTER))) {
            Next::Read => {
                if is_gap {
                    inbox.gap();
                }
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
                Some(attempts.ended(seen.events > 0 || began.elapsed() >= LIVED, seen.retry))
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
                self.ask_session(attempts, inbox).await
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
