//! What the upstreams offer, as immutable snapshots in memory. Listing asks no upstream.

mod refresh;

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use schemas::ServerName;
use schemas::admin::Tool;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::tasks::Tasks;
use crate::upstream::{Session, Upstream, Upstreams};

/// How long a list waits for an upstream that has just connected to tell its tools.
const PATIENCE: Duration = Duration::from_secs(1);

/// The current snapshot. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalog {
    upstreams: Upstreams,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

/// What was offered at one moment, by upstream.
#[derive(Default, Clone)]
pub(crate) struct Snapshot {
    offers: IndexMap<ServerName, Offer>,
}

/// What one upstream session offers.
#[derive(Clone)]
struct Offer {
    upstream: Arc<Upstream>,
    session: Arc<Session>,
    tools: Arc<[Tool]>,
}

impl Catalog {
    /// A catalog that follows these upstreams.
    pub(crate) fn follow(upstreams: Upstreams, tasks: &Tasks) -> Self {
        let catalog = Self { upstreams, snapshot: watch::Sender::default() };
        tasks.spawn("catalog", refresh::run(catalog.clone(), tasks.clone()));
        catalog
    }

    /// The tools of every connected upstream, in registration order. An upstream that has only just connected is
    /// waited for briefly, so that who saw it connected also sees its tools.
    pub(crate) async fn tools(&self) -> Vec<(ServerName, Arc<[Tool]>)> {
        let mut snapshot = self.snapshot.subscribe();
        timeout(PATIENCE, snapshot.wait_for(|snapshot| self.is_complete(snapshot))).await.ok();
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let upstreams = self.upstreams.all();
        let offers = upstreams.keys().filter_map(|name| snapshot.offers.get(name).map(|offer| (name, offer)));
        offers.map(|(name, offer)| (name.clone(), Arc::clone(&offer.tools))).collect()
    }

    fn is_complete(&self, snapshot: &Snapshot) -> bool {
        self.upstreams.all().values().all(|upstream| {
            let observed = upstream.observed();
            let session = observed.borrow().session.clone();
            let offer = snapshot.offers.get(&upstream.definition().name);
            session.is_none_or(|session| offer.is_some_and(|offer| Arc::ptr_eq(&offer.session, &session)))
        })
    }

    /// Publishes what an upstream offers, unless it has been replaced: its follower may still be at work then, and must
    /// not stand in for its successor's.
    fn publish(&self, offer: Offer) {
        let name = &offer.upstream.definition().name;
        self.snapshot.send_if_modified(|snapshot| {
            let is_live = self.upstreams.get(name.as_str()).is_some_and(|live| Arc::ptr_eq(&live, &offer.upstream));
            if is_live {
                let mut next = Snapshot::clone(snapshot);
                next.offers.insert(name.clone(), offer.clone());
                *snapshot = Arc::new(next);
            }
            is_live
        });
    }

    /// Withdraws what this upstream offers. What another one of the same name offers stays.
    fn withdraw(&self, upstream: &Arc<Upstream>) {
        let name = &upstream.definition().name;
        self.snapshot.send_if_modified(|snapshot| {
            let is_own = snapshot.offers.get(name).is_some_and(|offer| Arc::ptr_eq(&offer.upstream, upstream));
            if is_own {
                let mut next = Snapshot::clone(snapshot);
                next.offers.shift_remove(name);
                *snapshot = Arc::new(next);
            }
            is_own
        });
    }
}
