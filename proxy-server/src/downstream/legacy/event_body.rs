//! Body of a resumable event stream: the events of a log, with comments during silence.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, timeout};

use crate::downstream::edge::Edge;
use crate::downstream::legacy::event_log::{EventLog, Reader};
use crate::downstream::legacy::session::Session;
use crate::http::server::{KEEP_ALIVE, Pulse, frame, respond_with_events};

/// A resumable stream, with the position to read from.
pub(in crate::downstream) struct Resumable {
    /// Number of the stream in its session; 0 is the session's own.
    pub(in crate::downstream) number: u64,
    pub(in crate::downstream) log: Arc<EventLog>,
    /// Number of the last event that the client has seen.
    pub(in crate::downstream) seen: u64,
    /// True if the stream begins with an event that carries only an id.
    pub(in crate::downstream) prime: bool,
}

/// Responds with a stream whose events have ids.
pub(in crate::downstream) fn resumable(edge: &Arc<Edge>, session: Arc<Session>, stream: Resumable) -> Response {
    let Resumable { number, log, seen, prime } = stream;
    let first = prime.then(|| Bytes::from(format!("id: {number}-{seen}\ndata:\n\n")));
    respond_with(Follower::new(edge, session, log, (seen, Some(number))), first)
}

/// Responds with the session's own stream, after this first event. The session ends with the stream.
pub(in crate::downstream) fn own(edge: &Arc<Edge>, session: Arc<Session>, first: Bytes) -> Response {
    let log = session.own_stream();
    respond_with(Follower::new(edge, session, log, (0, None)), Some(first))
}

/// Reads a log for one response body.
struct Follower {
    edge: Arc<Edge>,
    session: Arc<Session>,
    reader: Reader,
    /// Number of the stream, if its events have ids.
    number: Option<u64>,
    /// True if the session ends with this stream.
    owns_session: bool,
    pulse: Pulse,
}

impl Follower {
    /// Starts to read after an event. `number` is that of the stream, if its events have ids.
    fn new(edge: &Arc<Edge>, session: Arc<Session>, log: Arc<EventLog>, (seen, number): (u64, Option<u64>)) -> Self {
        session.reader_opened();
        let reader = log.read_after(seen);
        let pulse = Pulse::new(edge.config.call_keep_alive.min(edge.config.keep_alive), Instant::now());
        Self { edge: Arc::clone(edge), session, reader, number, owns_session: number.is_none(), pulse }
    }

    /// Returns the interval at which the stream checks if a comment is due.
    fn step(&self) -> Duration {
        let config = &self.edge.config;
        match self.number {
            Some(0) => config.keep_alive,
            None if self.session.has_calls() => self.pulse.pause(),
            // A call may begin while its session's stream is silent.
            _ => config.call_keep_alive.min(config.keep_alive),
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        let chunk = self.next_chunk().await;
        self.pulse.written();
        chunk
    }

    async fn next_chunk(&mut self) -> Option<Bytes> {
        let is_of_a_call = self.number.is_some_and(|number| number > 0);
        let step = self.step();
        let mut silence = Duration::ZERO;
        loop {
            // Remaining events are sent first, even after the session has ended.
            tokio::select! {
                biased;
                next = timeout(step, self.reader.next()) => match next {
                    Ok(Some((event, message))) => return Some(frame(self.number.map(|number| (number, event)), message)),
                    Ok(None) => return None,
                    Err(_) => silence += step,
                },
                () = self.session.closed().cancelled() => return None,
            }
            let cancels_calls = self.owns_session && self.session.has_calls();
            if is_of_a_call || cancels_calls || silence >= self.edge.config.keep_alive {
                return Some(Bytes::from_static(KEEP_ALIVE));
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.session.reader_closed();
        if self.owns_session {
            self.edge.sessions.end(&self.session);
        }
    }
}

fn respond_with(follower: Follower, first: Option<Bytes>) -> Response {
    respond_with_events(stream::unfold((follower, first), |(mut follower, first)| async move {
        let chunk = match first {
            Some(first) => first,
            None => follower.next().await?,
        };
        Some((chunk, (follower, None)))
    }))
}

/// Parses a `Last-Event-ID` into the numbers of the stream and of the event.
pub(in crate::downstream) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (stream, event) = id.split_once('-')?;
    Some((stream.parse().ok()?, event.parse().ok()?))
}
