//! Serves `subscriptions/listen` at the endpoint of all upstreams. List changes come from the catalog; resources and
//! tasks are subscribed to at their upstreams. A slow, dead or lost upstream never ends the stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use schemas::ServerName;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::call::listen::filter::Filter;
use crate::call::listen::part::{Listening, Part, Wanted, hear};
use crate::call::listen::stream::{Output, Stream, acknowledgement, ended};
use crate::call::lists::changes;
use crate::call::modern_to_legacy::notices::tells_of_loss;
use crate::call::request::{Call, Client, Scope};
use crate::call::services::Services;
use crate::catalog::{Snapshot, View};
use crate::error::{Error, Kind};
use crate::protocol::{self, Message};
use crate::route;
use crate::upstream::{Event, EventQueue, event_queue};

/// Delay that combines changes of several upstreams into one comparison.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// An open stream.
pub(super) struct Listener {
    request: Message,
    listening: Arc<Listening>,
    filter: Filter,
    /// Filters that the upstreams accept; `None` once the acknowledgement has been sent.
    opening: Option<BoxFuture<'static, Vec<Filter>>>,
    /// Lists as last announced to the client.
    seen: Arc<View>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Signals changes of lists that upstreams show only to some clients.
    own_lists: watch::Receiver<u64>,
    /// Due time of the next comparison of lists.
    look_at: Option<Instant>,
    changed: VecDeque<Bytes>,
    /// Notifications from the upstreams.
    told: EventQueue,
    stopping: CancellationToken,
    _stop: DropGuard,
    _place: OwnedSemaphorePermit,
}

/// Opens the stream.
pub(super) fn open(services: &Arc<Services>, call: Call) -> Result<Listener, Error> {
    let (Scope::All { caller, .. }, Client::Modern(client)) = (call.scope, call.client) else {
        return Err(Kind::UnknownMethod.into());
    };
    let listening = Listening { services: Arc::clone(services), principal: call.principal, caller, client };
    let listening = Arc::new(listening);
    let wanted = Filter::read(call.message.params())?;
    let place = services.listener()?;
    // Changes are announced from here on.
    let snapshots = services.catalog.watch();
    let (own_lists, seen) = (services.pool.own_changed(), listening.view());
    let (teller, told) = event_queue();
    let stop = services.closing.child_token();
    let mut opening = Vec::new();
    for (upstream, wanted) in by_upstream(&listening, &seen, &wanted) {
        let (acknowledge, acknowledged) = oneshot::channel();
        let (request, told) = (call.message.clone(), teller.clone());
        let part = Part { listening: Arc::clone(&listening), request, upstream, wanted, told };
        let stopped = stop.clone();
        services.tasks.spawn("listen", async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = hear(part, acknowledge) => {}
            }
        });
        opening.push(async move { acknowledged.await.unwrap_or_default() });
    }
    let filter = Filter { uris: Default::default(), tasks: Default::default(), ..wanted };
    Ok(Listener {
        request: call.message,
        listening,
        filter,
        opening: Some(Box::pin(join_all(opening))),
        seen,
        snapshots,
        own_lists,
        look_at: None,
        changed: VecDeque::new(),
        told,
        stopping: services.closing.clone(),
        _stop: stop.drop_guard(),
        _place: place,
    })
}

/// Assigns the requested resources and tasks to their upstreams. Leaves out those without exactly one.
fn by_upstream(listening: &Listening, view: &View, wanted: &Filter) -> BTreeMap<ServerName, Wanted> {
    let known = |name: &str| Some(listening.reachable(name)?.definition().name.clone());
    let mut all: BTreeMap<ServerName, Wanted> = BTreeMap::new();
    for uri in &wanted.uris {
        if let Ok([candidate]) = route::resource(view, &known, uri).as_deref() {
            let wanted = all.entry(candidate.upstream.clone()).or_default();
            wanted.uris.push((candidate.name.as_ref().into(), uri.clone()));
        }
    }
    for id in &wanted.tasks {
        if let Ok([candidate]) = route::task(&known, id).as_deref() {
            let wanted = all.entry(candidate.upstream.clone()).or_default();
            wanted.tasks.push((candidate.name.as_ref().into(), id.clone()));
        }
    }
    all
}

impl Stream for Listener {
    async fn next(&mut self) -> Output {
        if let Some(opening) = &mut self.opening {
            for part in opening.await {
                self.filter.uris.extend(part.uris);
                self.filter.tasks.extend(part.tasks);
            }
            self.opening = None;
            return Output::Notification(acknowledgement(self.request.id(), &self.filter));
        }
        loop {
            if let Some(change) = self.changed.pop_front() {
                return Output::Notification(change);
            }
            let look_at = self.look_at;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return ended(&self.request),
                Some(Event::Notification(told)) = self.told.recv() => {
                    if !Message::parse(told.clone()).is_ok_and(|message| tells_of_loss(&message)) {
                        return Output::Notification(told);
                    }
                    self.changed = self.filter.everything(self.request.id());
                    if let Some(change) = self.changed.pop_front() {
                        return Output::Notification(change);
                    }
                }
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => self.look(),
                Ok(()) = self.snapshots.changed(), if look_at.is_none() => {
                    self.look_at = Some(Instant::now() + DEBOUNCE);
                }
                Ok(()) = self.own_lists.changed(), if look_at.is_none() => {
                    self.look_at = Some(Instant::now() + DEBOUNCE);
                }
                else => return ended(&self.request),
            }
        }
    }
}

impl Listener {
    /// Queues a notification for each requested list that differs from the last one announced.
    fn look(&mut self) {
        self.look_at = None;
        self.snapshots.mark_unchanged();
        self.own_lists.mark_unchanged();
        let view = self.listening.view();
        for (notice, wanted) in
            changes(&self.seen, &view).into_iter().zip([self.filter.tools, self.filter.prompts, self.filter.resources])
        {
            let notice = notice.filter(|_| wanted).map(Message::parse);
            if let Some(Ok(notice)) = notice {
                self.changed.push_back(protocol::subscribed(&notice, self.request.id()));
            }
        }
        self.seen = view;
    }
}
