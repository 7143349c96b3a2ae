//! Keeps the snapshot current: one task per upstream reads its lists on every connect and every change notification,
//! when a list that can change without notice is old, and when the admin API asks for it.

mod ask;
mod freshness;
pub(super) mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::ask::{Listed, ask};
use self::freshness::{Freshness, Terms};
use self::requests::{Demand, Done, Refresh, Refreshes};
use crate::catalog::list::Lists;
use crate::catalog::{Catalog, GatewayName, Item, List, Naming, Offer};
use crate::error::{Chain, Error, Kind, Limit};
use crate::live::Live;
use crate::tasks::Tasks;
use crate::upstream::{Session, Upstream, Upstreams};

/// Delay that turns a burst of change notifications into one request.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Upper bound of the time between one attempt to read a list and the next.
const SLACK: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A value that no count of changes has.
const NEVER: u64 = u64::MAX;

impl Catalog {
    /// Creates a catalog that follows these upstreams.
    pub(crate) fn follow(upstreams: Upstreams, naming: Live<Naming>, own: GatewayName, tasks: &Tasks) -> Self {
        let (renamed, snapshot) = (naming.watch(), watch::Sender::default());
        let catalog = Self { upstreams, naming, snapshot, demand: Demand::new(), refreshes: Refreshes::default(), own };
        tasks.spawn("catalog", run(catalog.clone(), tasks.clone()));
        tasks.spawn("naming", catalog.clone().rename(renamed, tasks.stopping().clone()));
        catalog
    }

    /// Reads all lists of an upstream again, due or not. Returns the numbers of tools, prompts, resources, resource
    /// templates and skills.
    pub(crate) async fn refresh(&self, upstream: &Arc<Upstream>) -> Result<[usize; 5], Error> {
        let name = &upstream.definition().name;
        let is_connected = upstream.observed().borrow().session.as_ref().is_some_and(|session| !session.is_closed());
        if !is_connected {
            return Err(Error::new(Kind::NotReady).at(name));
        }
        let refresh = self.refreshes.of(upstream);
        let mut number = 0;
        refresh.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        let mut done = refresh.done.subscribe();
        let all = done.wait_for(|done| done.iter().all(|list| list.number >= number));
        // Allow twice the time limit: a read that is under way is completed first.
        let allowed = upstream.list_timeout();
        let all = timeout(allowed * 2 + SLACK, all).await;
        let timed_out =
            || Error::new(Kind::TimedOut).limited(Some(Limit::time(allowed, "--list-timeout", "listTimeout")));
        let all = all.map_err(|_| timed_out().at(name))?.map_err(|_| Error::new(Kind::NotReady).at(name))?;
        let mut counts = [0; 5];
        for (count, list) in counts.iter_mut().zip(all.iter()) {
            *count = list
                .outcome
                .clone()
                .map_err(|why| Error::new(Kind::InvalidResponse).because(why.to_string()).at(name))?;
        }
        Ok(counts)
    }

    /// Reads all items of a list in one session of an upstream.
    pub(crate) async fn read(&self, list: List, upstream: &Upstream, session: &Session) -> Result<Vec<Item>, Error> {
        ask(list, upstream, session, &self.own).await.map(|listed| listed.items)
    }
}

/// Starts and stops the followers as upstreams are added and removed.
async fn run(catalog: Catalog, tasks: Tasks) {
    let mut upstreams = catalog.upstreams.watch();
    let mut followed: Vec<(Arc<Upstream>, CancellationToken)> = Vec::new();
    loop {
        let live = Arc::clone(&upstreams.borrow_and_update());
        followed.retain(|(upstream, stop)| {
            let lives = live.values().any(|other| Arc::ptr_eq(upstream, other));
            if !lives {
                stop.cancel();
                catalog.withdraw(upstream);
                catalog.refreshes.forget(upstream);
            }
            lives
        });
        for upstream in live.values() {
            if !followed.iter().any(|(known, _)| Arc::ptr_eq(known, upstream)) {
                let stop = tasks.stopping().child_token();
                let follower = follow(catalog.clone(), Arc::clone(upstream));
                let stopped = stop.clone();
                tasks.spawn("catalog follower", async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = follower => {}
                    }
                });
                followed.push((Arc::clone(upstream), stop));
            }
        }
        tokio::select! {
            () = tasks.stopping().cancelled() => return,
            changed = upstreams.changed() => if changed.is_err() { return },
        }
    }
}

/// State of one session's lists while they are followed.
struct Following<'a> {
    catalog: &'a Catalog,
    upstream: &'a Upstream,
    refresh: &'a Refresh,
    offer: watch::Sender<Offer>,
    /// Flags of the lists that were read successfully in this session or an earlier one.
    listed: &'a [AtomicBool; 5],
}

async fn follow(catalog: Catalog, upstream: Arc<Upstream>) {
    let mut observed = upstream.observed();
    let refresh = catalog.refreshes.of(&upstream);
    // Keep the items of the previous session until the next session lists its own.
    let (mut lists, listed) = (Lists::default(), <[AtomicBool; 5]>::default());
    loop {
        let connected = observed.wait_for(|observed| observed.session.as_ref().is_some_and(|s| !s.is_closed())).await;
        let Some(session) = connected.ok().and_then(|observed| observed.session.clone()) else { return };
        let offer = Offer {
            upstream: Arc::clone(&upstream),
            session: Arc::clone(&session),
            lists: std::mem::take(&mut lists),
            has_told_tools: false,
            tools_told_at: Arc::new(AtomicU64::new(NEVER)),
        };
        let offer = watch::Sender::new(offer);
        let following = Following { catalog: &catalog, upstream: &upstream, refresh: &refresh, offer, listed: &listed };
        // Read the lists independently, so that one that hangs or fails does not delay the others.
        let [tools, prompts, resources, templates, skills] = List::ALL.map(|list| following.keep_listed(list));
        tokio::select! {
            () = session.closed().cancelled() => {}
            _ = async { tokio::join!(tools, prompts, resources, templates, skills) } => {}
        }
        catalog.withdraw(&upstream);
        lists = following.offer.borrow().lists.clone();
    }
}

impl Following<'_> {
    /// Reads the list again whenever necessary. After a failure, keeps the previous items and retries.
    async fn keep_listed(&self, list: List) {
        let session = Arc::clone(&self.offer.borrow().session);
        let mut changes = session.lists_changed();
        let mut wanted = self.refresh.wanted.subscribe();
        let mut retry = FIRST_RETRY;
        // Number of announcements that the last result covers.
        let mut known = None;
        loop {
            let reasons = *changes.borrow_and_update();
            let asked_at = list.changes(&reasons);
            let number = *wanted.borrow_and_update();
            let listed = ask(list, self.upstream, &session, &self.catalog.own).await;
            match &listed {
                Ok(_) if list == List::Tools => {
                    self.offer.borrow().tools_told_at.store(asked_at, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => {
                    let name = &self.upstream.definition().name;
                    warn!(upstream = %name, list = list.method(), error = %Chain(error), "cannot list");
                }
            }
            let (failed, ttl) = (listed.is_err(), listed.as_ref().ok().and_then(|listed| listed.ttl));
            let is_announced = known.is_some_and(|known| known != list.announcements(&reasons));
            if !failed {
                known = Some(list.announcements(&reasons));
            }
            self.settle(list, number, listed, is_announced);
            let changed = changes.wait_for(|changes| list.changes(changes) != asked_at);
            tokio::select! {
                change = changed => if change.is_err() { return },
                _ = wanted.wait_for(|wanted| *wanted != number) => {}
                () = sleep(retry), if failed => retry = (retry * 2).min(LONGEST_RETRY),
                () = self.grown_old(list, &session, ttl), if !failed => {}
            }
            if !failed {
                retry = FIRST_RETRY;
            }
            sleep(DEBOUNCE).await;
        }
    }

    /// Waits until a list that was read now must be read again without a change notification.
    async fn grown_old(&self, list: List, session: &Session, ttl: Option<Duration>) {
        let interval = self.upstream.refresh_interval();
        let (listed, mut demand) = (Instant::now(), self.catalog.demand.newest.subscribe());
        loop {
            // Check again after an interval: an upstream may open its notification stream late.
            let look_again = Instant::now() + interval;
            let announces = list.kind().is_some_and(|kind| session.announces(kind));
            let Freshness { due, old } = Terms { announces, ttl, interval }.freshness(listed);
            let asked_for = async {
                match old {
                    Some(old) => drop(demand.wait_for(|asked| *asked >= old).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(due.unwrap_or(look_again)) => if due.is_some() { return },
                () = asked_for => return,
            }
        }
    }

    /// Publishes a list, or keeps the previous items after a failure. Then reports the result to callers of `refresh`.
    fn settle(&self, list: List, number: u64, listed: Result<Listed, Error>, is_announced: bool) {
        let (items, outcome) = match listed {
            Ok(listed) => (Some(listed.items), None),
            Err(error) => (None, Some(Arc::from(Chain(&error).to_string()))),
        };
        let outcome = outcome.map_or_else(|| Ok(items.as_ref().map_or(0, Vec::len)), Err);
        self.publish(list, items, is_announced);
        self.refresh.done.send_modify(|[tools, prompts, resources, templates, skills]| {
            let done = match list {
                List::Tools => tools,
                List::Prompts => prompts,
                List::Resources => resources,
                List::Templates => templates,
                List::Skills => skills,
            };
            *done = Done { number, outcome };
        });
    }

    /// Publishes changed items. If the upstream did not announce the change, the gateway sends the notification to
    /// clients.
    fn publish(&self, list: List, items: Option<Vec<Item>>, is_announced: bool) {
        let was_listed = items.is_some()
            && self.listed.get(list as usize).is_some_and(|listed| listed.swap(true, Ordering::Relaxed));
        let mut is_other = false;
        let has_changed = self.offer.send_if_modified(|offer| {
            let is_first = list == List::Tools && !offer.has_told_tools;
            offer.has_told_tools |= is_first;
            let news = items.filter(|items| **items != **offer.lists.get(list));
            let is_news = news.is_some();
            is_other = is_news;
            if let Some(items) = news {
                let name = &offer.upstream.definition().name;
                debug!(upstream = %name, list = list.method(), items = items.len(), "listed");
                offer.lists.set(list, items.into());
            }
            is_first || is_news
        });
        if has_changed {
            self.catalog.publish(self.offer.borrow().clone());
        }
        if let Some(kind) = list.kind().filter(|_| is_other && was_listed && !is_announced) {
            self.offer.borrow().upstream.note_unannounced(kind);
        }
    }
}
