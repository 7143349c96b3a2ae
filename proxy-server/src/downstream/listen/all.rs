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

use crate::catalog::{Snapshot, View};
use crate::downstream::aggregate::changes;
use crate::downstream::listen::filter::Filter;
use crate::downstream::listen::part::{Part, Wanted, hear};
use crate::downstream::listen::{acknowledgement, ended, place};
use crate::downstream::modern::Asking;
use crate::downstream::notices::tells_of_loss;
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::error::Error;
use crate::http::server::Reply;
use crate::policy::Caller;
use crate::protocol::{self, Message};
use crate::route;
use crate::upstream::{Event, EventQueue, event_queue};

/// Delay that combines changes of several upstreams into one comparison.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// An open stream.
struct Listener {
    asking: Arc<Asking>,
    caller: Caller,
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

/// Opens the stream, or returns the error response.
pub(in crate::downstream) async fn open_to_all(asking: Arc<Asking>, caller: Caller) -> Reply {
    match listen(&asking, caller) {
        Ok(listener) => respond_with(listener, &asking.edge.config).await,
        Err(error) => respond::modern_failure(&asking.message, &error),
    }
}

fn listen(asking: &Arc<Asking>, caller: Caller) -> Result<Listener, Error> {
    let edge = &asking.edge;
    let wanted = Filter::read(asking.message.params())?;
    let place = place(edge)?;
    // Changes are announced from here on.
    let snapshots = edge.catalog.watch();
    let (own_lists, seen) = (edge.pool.own_changed(), asking.view(&caller));
    let (teller, told) = event_queue();
    let stop = edge.closing.child_token();
    let mut opening = Vec::new();
    for (upstream, wanted) in by_upstream(asking, &caller, &seen, &wanted) {
        let (acknowledge, acknowledged) = oneshot::channel();
        let (asking, caller, told) = (Arc::clone(asking), caller.clone(), teller.clone());
        let part = Part { asking, caller, upstream, wanted, told };
        let stopped = stop.clone();
        edge.tasks.spawn("listen", async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = hear(part, acknowledge) => {}
            }
        });
        opening.push(async move { acknowledged.await.unwrap_or_default() });
    }
    let filter = Filter { uris: Default::default(), tasks: Default::default(), ..wanted };
    Ok(Listener {
        asking: Arc::clone(asking),
        caller,
        filter,
        opening: Some(Box::pin(join_all(opening))),
        seen,
        snapshots,
        own_lists,
        look_at: None,
        changed: VecDeque::new(),
        told,
        stopping: edge.closing.clone(),
        _stop: stop.drop_guard(),
        _place: place,
    })
}

/// Assigns the requested resources and tasks to their upstreams. Leaves out those without exactly one.
fn by_upstream(asking: &Asking, caller: &Caller, view: &View, wanted: &Filter) -> BTreeMap<ServerName, Wanted> {
    let known = |name: &str| Some(asking.edge.reachable(caller, name)?.definition().name.clone());
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

impl Talk for Listener {
    fn request(&self) -> &Message {
        &self.asking.message
    }

    async fn next(&mut self) -> Said {
        if let Some(opening) = &mut self.opening {
            for part in opening.await {
                self.filter.uris.extend(part.uris);
                self.filter.tasks.extend(part.tasks);
            }
            self.opening = None;
            return Said::Told(acknowledgement(self.request().id(), &self.filter));
        }
        loop {
            if let Some(change) = self.changed.pop_front() {
                return Said::Told(change);
            }
            let look_at = self.look_at;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return ended(self.request()),
                Some(Event::Notification(told)) = self.told.recv() => {
                    if !Message::parse(told.clone()).is_ok_and(|message| tells_of_loss(&message)) {
                        return Said::Told(told);
                    }
                    self.changed = self.filter.everything(self.asking.message.id());
                    if let Some(change) = self.changed.pop_front() {
                        return Said::Told(change);
                    }
                }
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => self.look(),
                Ok(()) = self.snapshots.changed(), if look_at.is_none() => {
                    self.look_at = Some(Instant::now() + DEBOUNCE);
                }
                Ok(()) = self.own_lists.changed(), if look_at.is_none() => {
                    self.look_at = Some(Instant::now() + DEBOUNCE);
                }
                else => return ended(self.request()),
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
        let view = self.asking.view(&self.caller);
        for (notice, wanted) in
            changes(&self.seen, &view).into_iter().zip([self.filter.tools, self.filter.prompts, self.filter.resources])
        {
            let notice = notice.filter(|_| wanted).map(Message::parse);
            if let Some(Ok(notice)) = notice {
                self.changed.push_back(protocol::subscribed(&notice, self.request().id()));
            }
        }
        self.seen = view;
    }
}
