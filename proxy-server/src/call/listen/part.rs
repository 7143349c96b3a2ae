//! Subscription at one of several upstreams on behalf of a listener. It lasts as long as the listener, is opened again
//! whenever the upstream was lost, and translates URIs and task ids to the names that the listener uses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemas::ServerName;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::call::attempt;
use crate::call::listen::filter::{Filter, part_of};
use crate::call::listen::subscribed::{Subscribed, subscribe};
use crate::call::modern_client::ModernClient;
use crate::call::modern_to_legacy::notices::tells_of_loss;
use crate::call::modern_to_legacy::pool::Requester;
use crate::call::modern_to_legacy::pooled_session::Mode;
use crate::call::services::Services;
use crate::catalog::View;
use crate::error::{Chain, Error, Kind};
use crate::policy::{Caller, Principal};
use crate::protocol::{self, Era, Message, Object, quote};
use crate::route;
use crate::upstream::{Deadline, Event, EventQueue, Events, Upstream, UpstreamCall, event_queue, updated};

/// Timeout for an upstream's acknowledgement, its start included.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Deadline of a subscription, which only the listener ends.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Client of all upstreams that listens.
pub(super) struct Listening {
    pub(super) services: Arc<Services>,
    pub(super) principal: Principal,
    pub(super) caller: Caller,
    pub(super) client: ModernClient,
}

/// One upstream's share of a listener's subscription.
pub(super) struct Part {
    pub(super) listening: Arc<Listening>,
    /// Client's request.
    pub(super) request: Message,
    pub(super) upstream: ServerName,
    pub(super) wanted: Wanted,
    pub(super) told: Events,
}

/// Resources and tasks, each as a pair of the upstream's name and the listener's.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) uris: Vec<(String, String)>,
    pub(super) tasks: Vec<(String, String)>,
}

/// Origin of an upstream's notifications.
enum Source {
    Legacy { notices: EventQueue, subscribed: Subscribed },
    Modern { queue: EventQueue, outcome: BoxFuture<'static, Result<Message, Error>> },
}

/// Keeps the subscription open until dropped. Gives up if the first attempt fails or the upstream accepts nothing.
pub(super) async fn hear(part: Part, acknowledge: oneshot::Sender<Filter>) {
    let (mut acknowledge, mut delay) = (Some(acknowledge), FIRST_RETRY);
    loop {
        match part.open().await {
            Ok((source, agreed)) => {
                match acknowledge.take() {
                    Some(acknowledge) => drop(acknowledge.send(part.exposed(&agreed))),
                    // Nothing was received in the meantime, so all resources count as updated.
                    None => agreed.uris.iter().for_each(|uri| part.tell(updated(uri))),
                }
                delay = FIRST_RETRY;
                part.follow(source).await;
            }
            Err(error) => debug!(upstream = %part.upstream, error = %Chain(&error), "cannot listen to the upstream"),
        }
        if acknowledge.is_some() {
            return;
        }
        sleep(delay).await;
        delay = (delay * 2).min(LONGEST_RETRY);
    }
}

impl Listening {
    /// Returns the client's view of all upstreams.
    pub(super) fn view(&self) -> Arc<View> {
        self.services.pool.view(&self.caller, self.principal, &self.client.capabilities)
    }

    /// Returns an upstream by its name, if the client may use it.
    pub(super) fn reachable(&self, name: &str) -> Option<Arc<Upstream>> {
        self.services.reachable(&self.caller, name)
    }
}

impl Part {
    /// Opens the subscription. Returns the accepted filter with the upstream's own names.
    async fn open(&self) -> Result<(Source, Filter), Error> {
        let upstream = self.listening.reachable(self.upstream.as_str()).ok_or(Kind::NotReady)?;
        let opening = async {
            match upstream.era(Instant::now() + PATIENCE).await? {
                Era::Legacy => self.open_legacy(&upstream).await,
                Era::Modern => self.open_modern(&upstream).await,
            }
        };
        let (source, agreed) = timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(Kind::TimedOut.into()))?;
        if agreed.uris.is_empty() && agreed.tasks.is_empty() {
            return Err(Error::new(Kind::InvalidResponse).because("it agrees to tell of nothing"));
        }
        Ok((source, agreed))
    }

    async fn open_legacy(&self, upstream: &Arc<Upstream>) -> Result<(Source, Filter), Error> {
        let Listening { services, principal, client, .. } = &*self.listening;
        let requester = Requester { upstream, principal: *principal, capabilities: &client.capabilities };
        let checkout = services.pool.take(requester, Mode::Shared).await?;
        let session = Arc::clone(checkout.session());
        // Received from here on, so that no notification is missed between the subscription and the first event.
        let notices = session.notices();
        let wanted = Filter { uris: own(&self.wanted.uris), ..Filter::default() }.offered(session.handshake());
        let subscribed = subscribe(&session, wanted.uris, &services.tasks).await;
        let agreed = Filter { uris: subscribed.uris.clone(), ..Filter::default() };
        Ok((Source::Legacy { notices, subscribed }, agreed))
    }

    async fn open_modern(&self, upstream: &Arc<Upstream>) -> Result<(Source, Filter), Error> {
        let filter = Filter { uris: own(&self.wanted.uris), tasks: own(&self.wanted.tasks), ..Filter::default() };
        let message = &self.request;
        let params = Object::read(message.params()).map_err(|error| Error::new(Kind::Malformed).because(error))?;
        let request = message.replaced(&[(params.get("notifications").unwrap_or_default(), &filter.written())]);
        let (events, mut queue) = event_queue();
        let upstream = Arc::clone(upstream);
        let mut outcome: BoxFuture<'static, _> = Box::pin(async move {
            let (_never, cancelled) = oneshot::channel();
            let deadline = Deadline::at(Instant::now() + FOREVER);
            attempt::listen(&upstream, UpstreamCall { message: &request, events, cancelled, deadline }).await
        });
        loop {
            tokio::select! {
                biased;
                Some(event) = queue.recv() => if let Some(agreed) = acknowledged(&event) {
                    return Ok((Source::Modern { queue, outcome }, agreed));
                },
                outcome = &mut outcome => {
                    let answer = outcome?;
                    return Err(Error::new(Kind::InvalidResponse).because(format!("it answered {}", answer.body())));
                }
            }
        }
    }

    /// Forwards the upstream's notifications until its stream or session ends.
    async fn follow(&self, source: Source) {
        match source {
            Source::Legacy { mut notices, subscribed } => {
                let kept = subscribed.session.attachment().keep();
                tokio::pin!(kept);
                loop {
                    tokio::select! {
                        () = subscribed.session.closed().cancelled() => return,
                        event = notices.recv() => match event {
                            Some(Event::Notification(notice)) => self.tell_in_turn(notice).await,
                            Some(Event::Question(_)) => {}
                            None => return,
                        },
                        // Opens a successor of the upstream session whenever it ends.
                        () = &mut kept => {}
                    }
                }
            }
            Source::Modern { mut queue, mut outcome } => loop {
                tokio::select! {
                    biased;
                    Some(event) = queue.recv() => if let Event::Notification(notice) = event {
                        self.tell_in_turn(notice).await;
                    },
                    _ = &mut outcome => return,
                }
            },
        }
    }

    /// Forwards a notification, and waits until the listener's queue has room for the next.
    async fn tell_in_turn(&self, notice: Bytes) {
        let limit = self.listening.services.limits.queued_bytes;
        match Message::parse(notice.clone()) {
            // The lost notifications are unknown, so all resources count as updated.
            Ok(message) if tells_of_loss(&message) => {
                self.wanted.uris.iter().for_each(|(own, _)| self.tell(updated(own)));
            }
            Ok(_) | Err(_) => self.tell(notice),
        }
        if !self.told.has_room(limit) {
            self.told.room(limit).await;
        }
    }

    /// Sends a notification to the listener, once per name under which the listener requested the changed item.
    fn tell(&self, bytes: Bytes) {
        let Ok(notice) = Message::parse(bytes) else { return };
        let Ok(params) = Object::read(notice.params()) else { return };
        match notice.method() {
            "notifications/resources/updated" => {
                let Some(place) = params.get("uri") else { return };
                for uri in self.exposed_uris(&params) {
                    self.pass(&notice.replaced(&[(place, &quote(&uri))]));
                }
            }
            "notifications/tasks" => {
                let id = params.text("taskId").unwrap_or_default();
                let view = self.listening.services.view(&self.listening.caller);
                let is_wanted = self.wanted.tasks.iter().any(|(own, _)| *own == id);
                let told = route::notification(&view, self.upstream.as_str(), notice.bytes().clone());
                if let Some(Ok(told)) = told.filter(|_| is_wanted).map(Message::parse) {
                    self.pass(&told);
                }
            }
            _ => {}
        }
    }

    fn pass(&self, notice: &Message) {
        let marked = match protocol::subscription_id(notice) {
            Some(_) => notice.bytes().clone(),
            None => protocol::subscribed(notice, self.request.id()),
        };
        let limit = self.listening.services.limits.queued_bytes;
        if let Err(error) = self.told.put(Event::Notification(marked), limit) {
            debug!(upstream = %self.upstream, %error, "the listener has left");
        }
    }

    fn exposed_uris(&self, params: &Object<'_>) -> BTreeSet<String> {
        let uri = params.text("uri").unwrap_or_default();
        // The URI may name a part of a subscribed resource (2025-11-25, resources, "Subscriptions").
        let named = |(own, exposed): &(String, String)| part_of(&uri, own).map(|rest| format!("{exposed}{rest}"));
        self.wanted.uris.iter().filter_map(named).collect()
    }

    /// Translates the filter that the upstream accepted to the listener's names.
    fn exposed(&self, agreed: &Filter) -> Filter {
        let exposed = |wanted: &[(String, String)], agreed: &BTreeSet<String>| {
            wanted.iter().filter(|(own, _)| agreed.contains(own)).map(|(_, exposed)| exposed.clone()).collect()
        };
        let (uris, tasks) = (exposed(&self.wanted.uris, &agreed.uris), exposed(&self.wanted.tasks, &agreed.tasks));
        Filter { uris, tasks, ..Filter::default() }
    }
}

fn own(wanted: &[(String, String)]) -> BTreeSet<String> {
    wanted.iter().map(|(own, _)| own.clone()).collect()
}

/// Returns the filter that a modern upstream accepts, if the event is its acknowledgement.
fn acknowledged(event: &Event) -> Option<Filter> {
    let Event::Notification(notice) = event else { return None };
    let notice = Message::parse(notice.clone()).ok()?;
    let is_it = notice.method() == "notifications/subscriptions/acknowledged";
    Filter::read(notice.params()).ok().filter(|_| is_it)
}
