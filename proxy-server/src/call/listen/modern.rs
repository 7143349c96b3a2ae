//! Serves `subscriptions/listen` of a modern client at a modern upstream: forwards the request unchanged, and again
//! whenever the upstream was lost, so that the client's stream outlives the upstream's.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::call::attempt;
use crate::call::listen::filter::Filter;
use crate::call::listen::stream::{Output, Stream, ended};
use crate::call::modern_to_modern::class;
use crate::call::request::{Answer, Call};
use crate::call::services::Services;
use crate::call::target::Target;
use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, Era, Message};
use crate::upstream::{Deadline, Event, EventQueue, ListChanges, UpstreamCall, event_queue, updated};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Lifetime below which a lost stream doubles the delay before the next attempt.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// Deadline of a subscription, which only the client ends.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An open stream.
pub(super) struct Relayed {
    request: Message,
    target: Target,
    /// Filter that the upstream accepted; `None` before its acknowledgement.
    agreed: Option<Filter>,
    upstream: Source,
    /// Notifications of the gateway's own.
    own: VecDeque<Bytes>,
    unannounced: watch::Receiver<ListChanges>,
    told: ListChanges,
    delay: Duration,
    stopping: CancellationToken,
}

/// State of the upstream's stream.
enum Source {
    Open {
        queue: EventQueue,
        outcome: BoxFuture<'static, Result<Message, Error>>,
        since: Instant,
    },
    /// Lost: waits until it can be opened again.
    Lost(BoxFuture<'static, Result<(), Error>>),
}

/// Opens the stream.
pub(super) fn open(services: &Services, call: Call, target: Target) -> Relayed {
    let mut unannounced = target.upstream.unannounced();
    let (told, upstream) = (*unannounced.borrow_and_update(), connect(&target));
    let (own, delay, stopping) = (VecDeque::new(), FIRST_RETRY, services.closing.clone());
    Relayed { request: call.message, target, agreed: None, upstream, own, unannounced, told, delay, stopping }
}

/// Forwards the request to the upstream.
fn connect(target: &Target) -> Source {
    let (events, queue) = event_queue();
    let target = target.clone();
    let outcome = async move {
        let (_never, cancelled) = oneshot::channel();
        let deadline = Deadline::at(Instant::now() + FOREVER);
        let call = UpstreamCall { message: &target.request, events, cancelled, deadline };
        attempt::listen(&target.upstream, call).await
    };
    Source::Open { queue, outcome: Box::pin(outcome), since: Instant::now() }
}

impl Stream for Relayed {
    async fn next(&mut self) -> Output {
        loop {
            if let Some(notice) = self.own.pop_front() {
                return Output::Notification(notice);
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return ended(&self.request),
                () = self.target.upstream.retired().cancelled() => return ended(&self.request),
                Ok(()) = self.unannounced.changed(), if self.agreed.is_some() => self.look(),
                happened = self.upstream.next() => match happened {
                    Happened::Told(event) => if let Some(told) = self.hear(event) {
                        return Output::Notification(told);
                    },
                    Happened::Ended(outcome, lived) => if let Some(end) = self.lost(outcome, lived) {
                        return end;
                    },
                    Happened::Back => self.upstream = connect(&self.target),
                    Happened::Gone => return ended(&self.request),
                },
            }
        }
    }
}

/// Event on the upstream's stream.
enum Happened {
    Told(Event),
    /// The stream ended after this lifetime.
    Ended(Result<Message, Error>, Duration),
    /// The upstream is connected again.
    Back,
    /// The upstream no longer speaks the modern era.
    Gone,
}

impl Source {
    async fn next(&mut self) -> Happened {
        match self {
            Self::Open { queue, outcome, since } => tokio::select! {
                biased;
                Some(event) = queue.recv() => Happened::Told(event),
                outcome = outcome => Happened::Ended(outcome, since.elapsed()),
            },
            Self::Lost(back) => match back.await {
                Ok(()) => Happened::Back,
                Err(_) => Happened::Gone,
            },
        }
    }
}

impl Relayed {
    /// Returns the message to send to the client for an upstream event, if any.
    fn hear(&mut self, event: Event) -> Option<Bytes> {
        // A modern upstream asks questions only in its responses.
        let Event::Notification(notice) = event else { return None };
        let message = Message::parse(notice.clone()).ok()?;
        if message.method() != "notifications/subscriptions/acknowledged" {
            return self.target.notification(notice);
        }
        let agreed = Filter::read(message.params()).unwrap_or_default();
        if self.agreed.is_none() {
            self.agreed = Some(agreed);
            return self.target.notification(notice);
        }
        self.catch_up(&agreed);
        None
    }

    /// Announces changes that may have been missed between two streams: those that the upstream announced on the
    /// gateway's own stream since it reconnected, and every accepted resource. Lists that differ from those before the
    /// loss are announced by the gateway itself, as `unannounced` changes.
    fn catch_up(&mut self, agreed: &Filter) {
        let own = self.target.upstream.observed().borrow().session.clone();
        let announced = own.map(|own| *own.lists_changed().borrow()).unwrap_or_default();
        let notices: Vec<Bytes> = announced.notices_since(ListChanges::default()).collect();
        notices.into_iter().for_each(|notice| self.tell(notice));
        agreed.uris.iter().for_each(|uri| self.tell(updated(uri)));
    }

    fn look(&mut self) {
        let now = *self.unannounced.borrow_and_update();
        let notices: Vec<Bytes> = now.notices_since(std::mem::replace(&mut self.told, now)).collect();
        notices.into_iter().for_each(|notice| self.tell(notice));
    }

    /// Queues a notification, if the accepted filter includes it.
    fn tell(&mut self, notice: Bytes) {
        let Some(agreed) = &self.agreed else { return };
        if let Ok(notice) = Message::parse(notice)
            && agreed.wants(&notice)
        {
            self.own.push_back(protocol::subscribed(&notice, self.request.id()));
        }
    }

    /// Ends the client's stream with the upstream's answer.
    fn end(&self, answer: &Message) -> Output {
        let body = answer.with_id(self.request.id(), &[]).into();
        Output::End(Ok(Answer { body, class: class(answer) }))
    }

    /// Returns the output for the end of the upstream's stream, or `None` if the stream is to be opened again.
    fn lost(&mut self, outcome: Result<Message, Error>, lived: Duration) -> Option<Output> {
        match (outcome, &self.agreed) {
            (Ok(answer), None) => {
                return Some(self.end(&answer));
            }
            // An upstream that ends its stream with a result ends the client's stream.
            (Ok(answer), Some(_)) if answer.kind() == protocol::Kind::Result => {
                return Some(self.end(&answer));
            }
            (Err(error), None) => return Some(Output::End(Err(error))),
            (Ok(_), Some(_)) => debug!("the upstream refuses to be listened to again"),
            (Err(error), Some(_)) => debug!(error = %Chain(&error), "stream of the upstream lost"),
        }
        self.delay = if lived < SHORT_LIFE { (self.delay * 2).min(LONGEST_RETRY) } else { FIRST_RETRY };
        let (target, delay) = (self.target.clone(), self.delay);
        self.upstream = Source::Lost(Box::pin(async move {
            sleep(delay).await;
            back(&target).await
        }));
        None
    }
}

/// Waits until the upstream is connected again. Fails if it no longer speaks the modern era.
async fn back(target: &Target) -> Result<(), Error> {
    let mut observed = target.upstream.observed();
    let connected = observed.wait_for(|observed| observed.session.as_ref().is_some_and(|own| !own.is_closed())).await;
    let era = connected.ok().and_then(|observed| observed.session.as_ref().map(|own| own.era()));
    if era == Some(Era::Modern) { Ok(()) } else { Err(Kind::NotReady.into()) }
}
