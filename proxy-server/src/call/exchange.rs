//! A call in progress, as the edges render it: events in order, and the outcome last.

use std::future::pending;

use futures_util::future::BoxFuture;

use crate::upstream::{Event, EventQueue, Events, event_queue};

/// A call in progress. Dropping it before its outcome ends the call.
pub(crate) struct Exchange<T> {
    queue: EventQueue,
    /// Keeps the queue open: closing it would wake the task for nothing.
    _events: Events,
    call: BoxFuture<'static, T>,
    /// Outcome, while events that precede it are still in the queue.
    outcome: Option<T>,
}

/// Output of a call.
pub(crate) enum Output<T, E = Event> {
    /// Notification or question that precedes the outcome.
    Event(E),
    /// Outcome. Nothing follows.
    Outcome(T),
}

impl<T> Exchange<T> {
    /// Creates a call, which puts its events into the given queue. It runs while [`Exchange::next`] is polled.
    pub(crate) fn new(call: impl FnOnce(Events) -> BoxFuture<'static, T>) -> Self {
        let (events, queue) = event_queue();
        Self { call: call(events.clone()), queue, _events: events, outcome: None }
    }

    /// Waits for the next output. Cancel-safe. While `takes_events` is false, the call goes on, but its events stay in
    /// the queue until its outcome is known.
    pub(crate) async fn next(&mut self, takes_events: bool) -> Output<T> {
        if self.outcome.is_none() {
            tokio::select! {
                biased;
                Some(event) = self.queue.recv(), if takes_events => return Output::Event(event),
                outcome = &mut self.call => self.outcome = Some(outcome),
            }
        }
        // Events that came at the same moment precede the outcome.
        if let Some(event) = self.queue.try_recv() {
            return Output::Event(event);
        }
        match self.outcome.take() {
            Some(outcome) => Output::Outcome(outcome),
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;

    fn notice(text: &'static str) -> Event {
        Event::Notification(Bytes::from_static(text.as_bytes()))
    }

    fn told(output: Output<u8>) -> String {
        match output {
            Output::Event(Event::Notification(text)) => String::from_utf8_lossy(&text).into_owned(),
            Output::Event(Event::Question(_)) => "question".to_owned(),
            Output::Outcome(number) => number.to_string(),
        }
    }

    #[tokio::test]
    async fn events_precede_the_outcome_and_wait_for_a_reader_that_takes_none() {
        let (go_on, wait) = oneshot::channel::<()>();
        let mut exchange = Exchange::new(|events| {
            Box::pin(async move {
                events.put(notice("first"), 1_000).ok();
                events.put(notice("second"), 1_000).ok();
                wait.await.ok();
                events.put(notice("third"), 1_000).ok();
                7
            })
        });
        tokio::select! {
            biased;
            _ = exchange.next(false) => panic!("the call has not ended"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(told(exchange.next(true).await), "first");
        go_on.send(()).expect("a call");
        for expected in ["second", "third", "7"] {
            assert_eq!(told(exchange.next(false).await), expected);
        }
    }
}
