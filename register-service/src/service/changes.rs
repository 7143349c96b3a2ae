//! Changes at the gateway while a worker runs: states of servers, and tools.
//!
//! There is no queue: a late reader gets the difference between its last state and the current one, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, stream};
use schemas::ServerName;
use schemas::admin::{State, Tool};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

use crate::service::call::address::ToolAddress;
use crate::service::lease::Shared;
use crate::service::metrics::hex;
use crate::service::{RegisterService, chain};
use crate::sync::lock;

/// Time limit of one poll.
const LOOK: Duration = Duration::from_secs(10);

/// The changes since the last call of [`Changes::next`].
///
/// ```no_run
/// # async fn run(mut changes: register_service::Changes) {
/// while let Some(observed) = changes.next().await {
///     if observed.gateway == Some(false) {
///         eprintln!("the gateway is gone");
///     }
///     if !observed.tools.is_empty() {
///         println!("models are to be told of other tools");
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Observed {
    /// True if the gateway answers now, false if not; `None` if unchanged.
    pub gateway: Option<bool>,
    /// Needed servers whose state changed.
    pub servers: Vec<ServerChange>,
    /// Tools of these servers that were added, removed or altered.
    pub tools: Vec<ToolChange>,
}

/// A changed state of a server.
///
/// ```no_run
/// use schemas::admin::State;
///
/// # fn run(observed: register_service::Observed) {
/// for server in observed.servers.iter().filter(|server| server.now == Some(State::Error)) {
///     eprintln!("{} is lost: {}", server.name, server.last_error.as_deref().unwrap_or("nobody knows why"));
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerChange {
    /// Name of the server.
    pub name: ServerName,
    /// The previous state; `None` if the server was not registered or not observed yet.
    pub before: Option<State>,
    /// The current state; `None` if the server is not registered.
    pub now: Option<State>,
    /// Message of the last failure.
    pub last_error: Option<String>,
}

/// A change of one tool.
///
/// ```no_run
/// # fn run(observed: register_service::Observed) {
/// for tool in observed.tools {
///     println!("{} {:?}", tool.address, tool.what);
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolChange {
    /// Address of the tool, with the gateway's name of the server.
    pub address: ToolAddress,
    /// Kind of the change.
    pub what: ToolChanged,
}

/// Kind of a tool's change.
///
/// ```no_run
/// use register_service::ToolChanged;
///
/// # fn run(observed: register_service::Observed) {
/// let is_gone = |it: &&register_service::ToolChange| it.what == ToolChanged::Removed;
/// for tool in observed.tools.iter().filter(is_gone) {
///     println!("steps that use {} will fail", tool.address);
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChanged {
    /// The tool was added.
    Added,
    /// The tool was removed.
    Removed,
    /// The description or the schema of the tool changed.
    Altered,
}

/// Receiver of changes. Several receivers work independently.
///
/// ```no_run
/// # async fn run(service: register_service::RegisterService) {
/// let (mut for_the_log, mut for_the_models) = (service.changes(), service.changes());
/// println!("{:?}", for_the_log.next().await);
/// // A late reader misses nothing.
/// println!("{:?}", for_the_models.next().await);
/// # }
/// ```
#[derive(Debug)]
pub struct Changes {
    receiver: watch::Receiver<Option<Arc<Seen>>>,
    known: Arc<Seen>,
}

/// State observed by one poll.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    is_there: bool,
    servers: BTreeMap<ServerName, (State, Option<String>)>,
    /// Digests of description and schema.
    tools: BTreeMap<ToolAddress, String>,
}

impl Changes {
    /// Waits for the next change. The first call returns the complete state. `None` once the service has shut down.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) {
    /// let mut changes = service.changes();
    /// while let Some(change) = changes.next().await {
    ///     for server in change.servers {
    ///         println!("{}: {:?} -> {:?}", server.name, server.before, server.now);
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<Observed> {
        loop {
            let latest = self.receiver.borrow_and_update().clone();
            if let Some(latest) = latest.filter(|latest| *latest != self.known) {
                let change = difference(&self.known, &latest);
                self.known = latest;
                return Some(change);
            }
            self.receiver.changed().await.ok()?;
        }
    }

    /// Converts to a stream of changes.
    ///
    /// ```no_run
    /// use futures_util::StreamExt;
    ///
    /// # async fn run(service: register_service::RegisterService) {
    /// let mut changes = std::pin::pin!(service.changes().into_stream());
    /// while let Some(change) = changes.next().await {
    ///     println!("{change:?}");
    /// }
    /// # }
    /// ```
    pub fn into_stream(self) -> impl Stream<Item = Observed> + Send {
        stream::unfold(self, |mut changes| async move { changes.next().await.map(|change| (change, changes)) })
    }
}

fn difference(before: &Seen, now: &Seen) -> Observed {
    let gateway = (before.is_there != now.is_there).then_some(now.is_there);
    let names: BTreeSet<_> = before.servers.keys().chain(now.servers.keys()).collect();
    let server = |name: &&ServerName| {
        let (was, is) = (before.servers.get(*name), now.servers.get(*name));
        (was != is).then(|| ServerChange {
            name: (*name).clone(),
            before: was.map(|it| it.0),
            now: is.map(|it| it.0),
            last_error: is.and_then(|it| it.1.clone()),
        })
    };
    let addresses: BTreeSet<_> = before.tools.keys().chain(now.tools.keys()).collect();
    let tool = |address: &&ToolAddress| {
        let what = match (before.tools.get(*address), now.tools.get(*address)) {
            (None, _) => ToolChanged::Added,
            (_, None) => ToolChanged::Removed,
            (Some(was), Some(is)) if was != is => ToolChanged::Altered,
            (Some(_), Some(_)) => return None,
        };
        Some(ToolChange { address: (*address).clone(), what })
    };
    let servers = names.iter().filter_map(server).collect();
    Observed { gateway, servers, tools: addresses.iter().filter_map(tool).collect() }
}

/// The task that polls, shared by all receivers.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    sender: Mutex<watch::Sender<Option<Arc<Seen>>>>,
    task: Mutex<JoinSet<()>>,
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sender: Mutex::new(watch::Sender::new(None)), task: Mutex::default() }
    }

    fn listen(&self) -> Changes {
        let sender = lock(&self.sender);
        let receiver = sender.subscribe();
        let mut task = lock(&self.task);
        while task.try_join_next().is_some() {}
        if task.is_empty() {
            task.spawn(look_on(Arc::clone(&self.shared), sender.clone()));
        }
        Changes { receiver, known: Arc::default() }
    }

    /// Ends the task and all receivers.
    pub(super) fn stop(&self) {
        lock(&self.task).abort_all();
        *lock(&self.sender) = watch::Sender::new(None);
    }
}

async fn look_on(shared: Arc<Shared>, sender: watch::Sender<Option<Arc<Seen>>>) {
    let mut seen = Seen::default();
    while sender.receiver_count() > 0 {
        seen = look(&shared, seen).await;
        let latest = Arc::new(seen.clone());
        sender.send_if_modified(|slot| {
            let is_new = slot.as_deref() != Some(&*latest);
            if is_new {
                *slot = Some(latest);
            }
            is_new
        });
        sleep(shared.options.watch_interval.max(Duration::from_millis(1))).await;
    }
}

/// Polls the current state. If the gateway does not answer, keeps the last known servers and tools.
async fn look(shared: &Shared, before: Seen) -> Seen {
    let (client, edition) = (shared.client.within(LOOK), shared.catalog.edition());
    let answers = async { tokio::try_join!(client.list(), client.list_tools()) };
    let (registrations, tools) = match answers.await {
        Ok(answers) => answers,
        Err(error) => {
            debug!(error = chain(&error), "the gateway cannot be watched");
            return Seen { is_there: false, ..before };
        }
    };
    shared.count_connected(&registrations);
    let needed = shared.held().needed.clone();
    let is_needed = |name: &ServerName| needed.is_empty() || needed.contains(name);
    let mut servers = BTreeMap::new();
    for registration in registrations {
        if let Some(name) = ServerName::stored(registration.definition.name()).ok().filter(is_needed) {
            servers.insert(name, (registration.status.status, registration.status.last_error));
        }
    }
    let of_ours = |tool: &&Tool| servers.keys().any(|name| name.as_str() == tool.mcp_name);
    let address = |tool: &Tool| ToolAddress { server: tool.mcp_name.clone(), tool: tool.name.clone() };
    let described = tools.iter().filter(of_ours).map(|tool| (address(tool), digest(tool))).collect();
    shared.catalog.put(edition, tools);
    Seen { is_there: true, servers, tools: described }
}

fn digest(tool: &Tool) -> String {
    let schema = tool.input_schema.as_deref().map_or("null", |raw| raw.get());
    hex(format!("{}\0{schema}", tool.description).as_bytes(), 16)
}

impl RegisterService {
    /// Subscribes to changes of the servers that this worker needs, or of all servers while it needs none. While there
    /// is a receiver, the gateway is polled every [`Options::watch_interval`](crate::Options::watch_interval), once
    /// for all receivers.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) {
    /// let mut changes = service.changes();
    /// while let Some(change) = changes.next().await {
    ///     println!("{} servers, {} tools", change.servers.len(), change.tools.len());
    /// }
    /// # }
    /// ```
    pub fn changes(&self) -> Changes {
        self.watch.listen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ServerName {
        name.parse().expect(name)
    }

    fn seen(state: State, tools: &[(&str, &str)]) -> Seen {
        let address = |tool: &str| ToolAddress { server: "a".to_owned(), tool: tool.to_owned() };
        let tools = tools.iter().map(|(tool, digest)| (address(tool), (*digest).to_owned())).collect();
        Seen { is_there: true, servers: [(named("a"), (state, None))].into(), tools }
    }

    #[test]
    fn a_difference_names_what_came_went_and_is_another() {
        let before = seen(State::Connecting, &[("x", "1"), ("y", "1")]);
        let change = difference(&before, &seen(State::Connected, &[("y", "2"), ("z", "1")]));
        assert_eq!(
            (change.gateway, change.servers[0].before, change.servers[0].now),
            (None, Some(State::Connecting), Some(State::Connected))
        );
        let tools: Vec<_> = change.tools.iter().map(|it| (it.address.tool.as_str(), it.what)).collect();
        use ToolChanged::{Added, Altered, Removed};
        assert_eq!(tools, [("x", Removed), ("y", Altered), ("z", Added)]);
    }

    #[tokio::test]
    async fn who_looks_late_sees_the_difference_once() {
        let sender = watch::Sender::new(None);
        let mut changes = Changes { receiver: sender.subscribe(), known: Arc::default() };
        for state in [State::Connecting, State::Error, State::Connected] {
            sender.send_replace(Some(Arc::new(seen(state, &[]))));
        }
        let change = changes.next().await.expect("a change");
        assert_eq!(
            (change.gateway, change.servers[0].before, change.servers[0].now),
            (Some(true), None, Some(State::Connected))
        );
        drop(sender);
        assert_eq!(changes.next().await, None);
    }
}
