//! Immutable in-memory snapshots of the items that the upstreams offer. Listing sends no request to an upstream.

mod build;
pub(crate) mod card;
mod list;
mod name;
mod provenance;
mod refresh;
mod tool;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sync::lock;
use bytes::Bytes;
use indexmap::IndexMap;
use schemas::{Definition, ServerName};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use self::build::{Candidate, Members, Name, Page, View, page_uris};
use self::build::{Offered, build};
use self::list::Lists;
pub(crate) use self::list::{Item, List};
pub(crate) use self::name::{Conflict, Mode, Naming, Separator, qualified_id, split_id, split_uri};
pub(crate) use self::provenance::{GatewayName, asked_by, audience};
use self::refresh::requests::{Demand, Refreshes};
pub(crate) use self::tool::{Mirrored, Tool};
use crate::live::Live;
use crate::upstream::{Session, Upstream, Upstreams};

/// Time that the admin API waits for the tools of an upstream that has just connected.
const PATIENCE: Duration = Duration::from_secs(1);
/// Priority of a definition that sets none.
const DEFAULT_PRIORITY: u32 = 1;
/// Maximum number of cached views per snapshot, one for each set of upstreams that a client may use.
const KEPT_VIEWS: usize = 64;

/// Handle to the current snapshot. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalog {
    upstreams: Upstreams,
    naming: Live<Naming>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    demand: Demand,
    refreshes: Refreshes,
    own: GatewayName,
}

/// The items of all upstreams at one moment, in registration order.
#[derive(Default)]
pub(crate) struct Snapshot {
    offers: IndexMap<ServerName, Offer>,
    views: Mutex<Views>,
}

/// Lists that an upstream returns only to one client's session, in place of its shared lists.
pub(crate) type OwnItems = Vec<(List, Arc<[Item]>)>;

/// Views, each with a flag per upstream that tells if the view includes it.
type Views = Vec<(Box<[bool]>, Arc<View>)>;

/// The items that one upstream session offers.
#[derive(Clone)]
struct Offer {
    upstream: Arc<Upstream>,
    session: Arc<Session>,
    lists: Lists,
    /// True once the tools were requested, whether the request succeeded or failed.
    has_told_tools: bool,
    /// Number of tool changes that the upstream had announced when its tools were last listed.
    tools_told_at: Arc<AtomicU64>,
}

impl Catalog {
    /// Returns the view for all clients that may use the upstreams of these definitions. Built once and cached until
    /// the snapshot changes.
    pub(crate) fn view(&self, may_use: &dyn Fn(&Definition) -> bool) -> Arc<View> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        snapshot.view(&self.naming, may_use)
    }

    /// Returns a page of a list for another gateway, named `asked_by`.
    pub(crate) fn page_for_gateway(&self, view: &View, place: Page<'_>, asked_by: &str) -> Option<Bytes> {
        view.page_for_gateway(&self.own, place, asked_by)
    }

    /// Notes that a client reads a list, so that outdated lists are read again. The client does not wait for this.
    pub(crate) fn asked(&self) {
        self.demand.tell();
    }

    /// Returns the current snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Builds the view of [`Catalog::view`] for a session that gets other lists from these upstreams. Not cached.
    pub(crate) fn view_with(
        &self,
        snapshot: &Snapshot,
        may_use: &dyn Fn(&Definition) -> bool,
        own: &HashMap<ServerName, OwnItems>,
    ) -> Arc<View> {
        let seen = snapshot.offers.iter().filter(|(_, offer)| may_use(offer.upstream.definition()));
        let offered = seen.map(|(name, offer)| {
            let mut offered = offer.offered();
            for (list, items) in own.get(name).into_iter().flatten() {
                offered.lists.set(*list, Arc::clone(items));
            }
            offered
        });
        Arc::new(build(offered.collect(), &self.naming))
    }

    /// Subscribes to the snapshots.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Returns the tools of all connected upstreams, in registration order, and the view of all upstreams. Waits
    /// briefly for upstreams that have just connected, so that a caller who saw one as connected also sees its tools.
    pub(crate) async fn tools(&self) -> (Vec<(ServerName, Arc<[Item]>)>, Arc<View>) {
        self.asked();
        let mut snapshot = self.snapshot.subscribe();
        timeout(PATIENCE, snapshot.wait_for(|snapshot| self.is_complete(snapshot))).await.ok();
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let live = self.upstreams.all();
        let is_live = |(name, offer): &(&ServerName, &Offer)| {
            live.get(*name).is_some_and(|upstream| Arc::ptr_eq(upstream, &offer.upstream))
        };
        let offers = snapshot.offers.iter().filter(is_live);
        let tools = offers.map(|(name, offer)| (name.clone(), Arc::clone(offer.lists.get(List::Tools)))).collect();
        (tools, snapshot.view(&self.naming, &|_| true))
    }

    /// Applies `read` to the known properties of an upstream's tool, named as the upstream names it. Waits briefly if
    /// the upstream has just connected. Returns `None` if nothing special is known, or if the upstream has announced a
    /// change of its tools since they were listed.
    pub(crate) async fn tool<T>(
        &self,
        upstream: &Arc<Upstream>,
        name: &str,
        read: impl FnOnce(&Tool) -> T,
    ) -> Option<T> {
        let session = upstream.observed().borrow().session.clone()?;
        let mut snapshot = self.snapshot.subscribe();
        let told = snapshot.wait_for(|snapshot| snapshot.tools_of(upstream, &session).is_some());
        let snapshot = Arc::clone(&*timeout(PATIENCE, told).await.ok()?.ok()?);
        let offer = snapshot.tools_of(upstream, &session)?;
        let changes = List::Tools.changes(&session.lists_changed().borrow());
        let is_current = offer.tools_told_at.load(Ordering::Relaxed) == changes;
        if is_current { offer.lists.tool(name).map(read) } else { None }
    }

    fn is_complete(&self, snapshot: &Snapshot) -> bool {
        self.upstreams.all().values().all(|upstream| {
            let observed = upstream.observed();
            let session = observed.borrow().session.clone();
            session.as_ref().is_none_or(|session| snapshot.tools_of(upstream, session).is_some())
        })
    }

    /// Publishes each change of the naming, as a snapshot without views: those that were built have the former names.
    async fn rename(self, mut renamed: watch::Receiver<()>, stopping: CancellationToken) {
        while stopping.run_until_cancelled(renamed.changed()).await.is_some_and(|changed| changed.is_ok()) {
            self.snapshot.send_modify(|snapshot| {
                *snapshot = Arc::new(Snapshot { offers: snapshot.offers.clone(), views: Mutex::default() });
            });
        }
    }

    /// Publishes the items of an upstream, unless the upstream has been replaced: the task that follows the old one
    /// may still run, and must not overwrite its successor's items.
    fn publish(&self, offer: Offer) {
        let name = &offer.upstream.definition().name;
        let live = self.upstreams.all();
        let is_published = self.snapshot.send_if_modified(|snapshot| {
            let is_live = live.get(name).is_some_and(|live| Arc::ptr_eq(live, &offer.upstream));
            if is_live {
                let mut offers = snapshot.offers.clone();
                offers.insert(name.clone(), offer.clone());
                offers.sort_by_cached_key(|name, _| live.get_index_of(name));
                *snapshot = Arc::new(Snapshot { offers, views: Mutex::default() });
            }
            is_live
        });
        if is_published {
            let lengths = List::ALL.map(|list| (list.member(), offer.lists.get(list).len().into()));
            offer.upstream.announce_lists(&lengths);
        }
    }

    /// Withdraws the items of this upstream, but not those of another upstream with the same name.
    fn withdraw(&self, upstream: &Arc<Upstream>) {
        let name = &upstream.definition().name;
        self.snapshot.send_if_modified(|snapshot| {
            let is_own = snapshot.offers.get(name).is_some_and(|offer| Arc::ptr_eq(&offer.upstream, upstream));
            if is_own {
                let mut offers = snapshot.offers.clone();
                offers.shift_remove(name);
                *snapshot = Arc::new(Snapshot { offers, views: Mutex::default() });
            }
            is_own
        });
    }
}

impl Snapshot {
    /// Returns the length of each list of each upstream.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = (&ServerName, List, usize)> {
        let of_one = |(name, offer): (_, &Offer)| List::ALL.map(|list| (name, list, offer.lists.get(list).len()));
        self.offers.iter().flat_map(of_one)
    }

    /// Returns true if the upstream's shared lists equal these.
    pub(crate) fn agrees(&self, upstream: &ServerName, items: &OwnItems) -> bool {
        let agrees = |offer: &Offer| items.iter().all(|(list, items)| offer.lists.get(*list) == items);
        self.offers.get(upstream).is_some_and(agrees)
    }

    /// Returns the items that an upstream offers in this session, once its tools were requested.
    fn tools_of(&self, upstream: &Upstream, session: &Arc<Session>) -> Option<&Offer> {
        let offer = self.offers.get(&upstream.definition().name)?;
        (offer.has_told_tools && Arc::ptr_eq(&offer.session, session)).then_some(offer)
    }

    fn view(&self, naming: &Naming, may_use: &dyn Fn(&Definition) -> bool) -> Arc<View> {
        let members: Box<[bool]> = self.offers.values().map(|offer| may_use(offer.upstream.definition())).collect();
        // Hold the lock while building, so that concurrent callers wait for the view instead of building it too.
        let mut views = lock(&self.views);
        if let Some((_, view)) = views.iter().find(|(known, _)| *known == members) {
            return Arc::clone(view);
        }
        let seen = self.offers.values().zip(&members).filter(|(_, is_seen)| **is_seen);
        let view = Arc::new(build(seen.map(|(offer, _)| offer.offered()).collect(), naming));
        if views.len() == KEPT_VIEWS {
            views.remove(0);
        }
        views.push((members, Arc::clone(&view)));
        view
    }
}

impl Offer {
    fn offered(&self) -> Offered {
        let definition = self.upstream.definition();
        Offered {
            name: definition.name.clone(),
            priority: definition.priority.unwrap_or(DEFAULT_PRIORITY),
            filter: definition.tool_filter.clone(),
            lists: self.lists.clone(),
            era: self.session.era(),
            handshake: self.session.handshake().body().into(),
        }
    }
}

/// Builds a view of these upstreams, each with a tool `t`, a prompt `p` and a resource `x:r`.
#[cfg(test)]
pub(crate) fn test_view(mode: Mode, upstreams: &[&str]) -> View {
    let offered = |name: &&str| {
        let mut lists = Lists::default();
        for (list, raw) in [
            (List::Tools, r#"{"name":"t"}"#),
            (List::Prompts, r#"{"name":"p"}"#),
            (List::Resources, r#"{"uri":"x:r"}"#),
        ] {
            lists.set(list, Item::read(list, raw).into_iter().collect());
        }
        let handshake = r#"{"capabilities":{"tools":{},"prompts":{},"resources":{}}}"#.into();
        let era = crate::protocol::Era::Legacy;
        Offered { name: name.parse().expect("a name"), priority: 1, filter: None, lists, era, handshake }
    };
    build(upstreams.iter().map(offered).collect(), &Naming { mode, ..Naming::default() })
}
