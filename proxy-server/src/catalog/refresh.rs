//! Keeps the snapshot in step: one follower per upstream, which lists again on every connect and every change notice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use schemas::ServerName;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::catalog::list::Lists;
use crate::catalog::{Catalog, Item, List, Offer};
use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, METHOD_NOT_FOUND, Object};
use crate::tasks::Tasks;
use crate::upstream::{Session, Upstream};

/// How long all pages of one list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// An upstream that announces changes in a burst is asked once.
const DEBOUNCE: Duration = Duration::from_millis(50);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// What no count of changes is.
const NEVER: u64 = u64::MAX;
const MAX_PAGES: usize = 1_000;
const MAX_ITEMS: usize = 20_000;
/// What all items of one list may be together.
const MAX_BYTES: usize = 32 << 20;

/// Starts and stops followers as upstreams come and go.
pub(super) async fn run(catalog: Catalog, tasks: Tasks) {
    let mut upstreams = catalog.upstreams.watch();
    let mut followed: Vec<(Arc<Upstream>, CancellationToken)> = Vec::new();
    loop {
        let live = Arc::clone(&upstreams.borrow_and_update());
        followed.retain(|(upstream, stop)| {
            let lives = live.values().any(|other| Arc::ptr_eq(upstream, other));
            if !lives {
                stop.cancel();
                catalog.withdraw(upstream);
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

/// What the lists of one session are kept in, and published from.
struct Following<'a> {
    catalog: &'a Catalog,
    offer: watch::Sender<Offer>,
    /// Which lists were read in this session or an earlier one.
    listed: &'a [AtomicBool; 4],
}

async fn follow(catalog: Catalog, upstream: Arc<Upstream>) {
    let mut observed = upstream.observed();
    // What an earlier session offered stands in for a list that the next one does not give.
    let (mut lists, listed) = (Lists::default(), <[AtomicBool; 4]>::default());
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
        let following = Following { catalog: &catalog, offer: watch::Sender::new(offer), listed: &listed };
        // One list that hangs or fails holds up none of the others.
        let [tools, prompts, resources, templates] = List::ALL.map(|list| following.keep_listed(list));
        tokio::select! {
            () = session.closed().cancelled() => {}
            _ = async { tokio::join!(tools, prompts, resources, templates) } => {}
        }
        catalog.withdraw(&upstream);
        lists = following.offer.borrow().lists.clone();
    }
}

impl Following<'_> {
    /// Lists again whenever a change was announced. A list that cannot be had stays as it was, and is asked for again.
    async fn keep_listed(&self, list: List) {
        let (name, session) = {
            let offer = self.offer.borrow();
            (offer.upstream.definition().name.clone(), Arc::clone(&offer.session))
        };
        let mut changes = session.lists_changed();
        let mut retry = FIRST_RETRY;
        // The announcements that the last answer takes into account.
        let mut known = None;
        loop {
            let reasons = *changes.borrow_and_update();
            let asked_at = list.changes(&reasons);
            let listed = ask(list, &name, &session).await;
            let failed = listed.is_err();
            match &listed {
                Ok(_) if list == List::Tools => {
                    self.offer.borrow().tools_told_at.store(asked_at, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(upstream = %name, list = list.method(), error = %Chain(error), "cannot list");
                }
            }
            let is_announced = known.is_some_and(|known| known != list.announcements(&reasons));
            if !failed {
                known = Some(list.announcements(&reasons));
            }
            self.settle(list, listed.ok(), is_announced);
            let changed = changes.wait_for(|changes| list.changes(changes) != asked_at);
            tokio::select! {
                change = changed => if change.is_err() { return },
                () = sleep(retry), if failed => retry = (retry * 2).min(LONGEST_RETRY),
            }
            if !failed {
                retry = FIRST_RETRY;
            }
            sleep(DEBOUNCE).await;
        }
    }

    /// Publishes a list. Without one, the last stays. A change that was not announced is told by the gateway.
    fn settle(&self, list: List, items: Option<Vec<Item>>, is_announced: bool) {
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
        if is_other && was_listed && !is_announced {
            self.offer.borrow().upstream.note_unannounced(list.kind());
        }
    }
}

/// Every page of a list, each once. An upstream that has no such list is not asked.
async fn ask(list: List, name: &ServerName, session: &Session) -> Result<Vec<Item>, Error> {
    let handshake = Object::read(session.handshake().body()).ok();
    let capabilities = handshake.and_then(|result| Object::read(result.get("capabilities")?).ok());
    if capabilities.is_none_or(|all| all.get(list.capability()).is_none()) {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + LIST_TIMEOUT;
    let (mut items, mut bytes, mut params, mut seen) = (Vec::new(), 0, "{}".to_owned(), HashSet::new());
    for _ in 0..MAX_PAGES {
        let answer = session.ask(list.method(), &params, deadline).await?;
        if answer.kind() != protocol::Kind::Result {
            // An upstream may have resources and know nothing of templates.
            let code = Object::read(answer.body()).ok().and_then(|error| error.get("code")?.parse().ok());
            if code == Some(METHOD_NOT_FOUND) {
                return Ok(Vec::new());
            }
            return Err(Error::new(Kind::BadAnswer).because(format!("it answered {}", answer.body())));
        }
        let page = Object::read(answer.body()).map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
        let raw: Vec<&RawValue> = serde_json::from_str(page.get(list.member()).unwrap_or("[]"))
            .map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
        bytes += answer.body().len();
        items.extend(raw.into_iter().filter_map(|raw| {
            let item = Item::read(list, raw.get());
            if item.is_none() {
                debug!(upstream = %name, list = list.method(), "an item without a name is left out");
            }
            item
        }));
        let next = page.get("nextCursor").filter(|cursor| *cursor != "null");
        match next.map(|cursor| format!(r#"{{"cursor":{cursor}}}"#)) {
            Some(next) if seen.insert(next.clone()) && items.len() < MAX_ITEMS && bytes < MAX_BYTES => params = next,
            Some(_) => {
                warn!(upstream = %name, list = list.method(), items = items.len(), "the list has no end; the rest is left out");
                break;
            }
            None => break,
        }
    }
    items.truncate(MAX_ITEMS);
    Ok(items)
}
