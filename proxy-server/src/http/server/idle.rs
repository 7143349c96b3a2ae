//! Timeouts of a connection without a request, and its end when the gateway drains.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFuture;

use super::drain::{Drain, Unanswered};
use super::response_head::Persistence;
use crate::tasks::{Wait, wait_until};

/// Timeout for a complete request head, once it has begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout for a connection's first request when connections are to end: it may have been opened just before.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(400);

/// Conditions that end a connection while no request is under way.
pub(super) struct IdleWatch<'a> {
    drain: &'a Drain,
    /// Future of the second step. Polled only after it was woken, and not with every packet.
    drained: FuturesUnordered<WaitForCancellationFuture<'a>>,
    /// Length of a period. A connection ends after a full period without a request.
    idle: Duration,
    round: Wait,
    /// Deadline for a complete request head, once it has begun.
    head: Option<Wait>,
    /// True if a request began or was received completely in this period.
    is_broken: bool,
    /// True if a request was received completely.
    is_used: bool,
    /// Deadline for the first request while connections are to end.
    first: Option<Wait>,
    /// Guard that is held until the first response.
    unanswered: Option<Unanswered>,
}

impl<'a> IdleWatch<'a> {
    pub(super) fn new(drain: &'a Drain, unanswered: Unanswered, idle: Duration) -> Self {
        let (drained, round) = (FuturesUnordered::from_iter([drain.closed()]), wait_until(Instant::now() + idle));
        let unanswered = Some(unanswered);
        Self { drain, drained, idle, round, head: None, is_broken: false, is_used: false, first: None, unanswered }
    }

    /// Takes the guard, which the caller drops at the first response.
    pub(super) fn take_unanswered(&mut self) -> Option<Unanswered> {
        self.unanswered.take()
    }

    /// Returns `Close` if a response that is written now is the last.
    pub(super) fn persistence(&self) -> Persistence {
        if self.drain.is_announced() { Persistence::Close } else { Persistence::KeepAlive }
    }

    pub(super) fn drain(&self) -> &'a Drain {
        self.drain
    }

    /// True once a request was received completely.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// Waits until connections are to end.
    pub(super) async fn drained(&mut self) {
        self.drained.next().await;
    }

    /// Notes that a request begins.
    pub(super) fn request_began(&mut self) {
        self.is_broken = true;
    }

    /// Notes that a request was received completely.
    pub(super) fn request_received(&mut self) {
        (self.is_broken, self.is_used) = (true, true);
        self.head = None;
    }

    /// Completes after a full period without a request, when a request head is not complete in time, or when
    /// connections are to end and no request has begun.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>, is_quiet: bool) -> Poll<()> {
        if is_quiet {
            if self.drained.poll_next_unpin(context).is_ready() {
                let first = self.first.get_or_insert_with(|| wait_until(Instant::now() + FIRST_REQUEST));
                if self.is_used || Pin::new(first).poll(context).is_ready() {
                    return Poll::Ready(());
                }
            }
        } else {
            let head = self.head.get_or_insert_with(|| wait_until(Instant::now() + HEAD_TIMEOUT));
            if Pin::new(head).poll(context).is_ready() {
                return Poll::Ready(());
            }
        }
        loop {
            ready!(Pin::new(&mut self.round).poll(context));
            if !std::mem::take(&mut self.is_broken) {
                return Poll::Ready(());
            }
            self.round = wait_until(Instant::now() + self.idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const IDLE: Duration = Duration::from_secs(130);

    /// Checks that a connection ends after `expected` seconds if requests begin and end at these seconds.
    async fn check(requests: &[u64], expected: u64) {
        let began = Instant::now();
        let drain = Drain::default();
        let mut watch = IdleWatch::new(&drain, drain.accepted(), IDLE);
        for second in requests {
            let due = began + Duration::from_secs(*second);
            tokio::select! {
                () = poll_fn(|context| watch.poll_end(context, true)) => break,
                () = wait_until(due) => watch.request_received(),
            }
        }
        poll_fn(|context| watch.poll_end(context, true)).await;
        assert_eq!(began.elapsed().as_secs(), expected, "{requests:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_round_of_watch_ends_a_connection() {
        check(&[], 130).await;
        check(&[1], 260).await;
        check(&[129], 260).await;
        check(&[129, 131, 261, 400], 650).await;
        check(&[131], 130).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_come_to_its_end_sooner() {
        let drain = Drain::default();
        let mut watch = IdleWatch::new(&drain, drain.accepted(), IDLE);
        for _ in 0..3 {
            let began = Instant::now();
            watch.request_began();
            tokio::select! {
                () = poll_fn(|context| watch.poll_end(context, false)) => panic!("after {:?}", began.elapsed()),
                () = wait_until(began + HEAD_TIMEOUT - Duration::from_secs(1)) => watch.request_received(),
            }
        }
        let began = Instant::now();
        poll_fn(|context| watch.poll_end(context, false)).await;
        assert_eq!(began.elapsed(), HEAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_leaves_a_quiet_connection_open_and_closing_ends_it() {
        let drain = Drain::default();
        let of_one = drain.of_one();
        let mut watch = IdleWatch::new(&of_one, drain.accepted(), IDLE);
        drain.announce();
        assert_eq!(watch.persistence(), Persistence::Close);
        let began = Instant::now();
        tokio::select! {
            () = poll_fn(|context| watch.poll_end(context, true)) => panic!("after {:?}", began.elapsed()),
            () = wait_until(began + Duration::from_secs(10)) => {}
        }
        drain.close();
        poll_fn(|context| watch.poll_end(context, true)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(10) + FIRST_REQUEST, "its first request may be on its way");
        watch.request_received();
        poll_fn(|context| watch.poll_end(context, true)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(10) + FIRST_REQUEST, "it had a request");
        poll_fn(|context| watch.poll_end(context, false)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(40) + FIRST_REQUEST, "a request has begun");
    }
}
