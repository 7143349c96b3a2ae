//! Changes at the gateway while a worker runs: states of servers, and tools.
//!
//! There is no queue: a late reader gets the difference between its last state and the current one, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{Stream, stream};
use schemas::ServerName;
use schemas::admin::State;
use tokio::sync::watch;

use crate::service::call::address::ToolAddress;

/// The changes since the last call of [`Changes::next`].
///
/// ```no_run
/// # async fn run(mut changes: register_service::worker::Changes) {
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
/// # fn run(observed: register_service::worker::Observed) {
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
/// # fn run(observed: register_service::worker::Observed) {
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
/// use register_service::worker::ToolChanged;
///
/// # fn run(observed: register_service::worker::Observed) {
/// let is_gone = |it: &&register_service::worker::ToolChange| it.what == ToolChanged::Removed;
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
    pub(super) receiver: watch::Receiver<Option<Arc<Seen>>>,
    pub(super) known: Arc<Seen>,
}

/// State observed by one poll.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(super) is_there: bool,
    pub(super) servers: BTreeMap<ServerName, (State, Option<String>)>,
    /// Digests of description and schema.
    pub(super) tools: BTreeMap<ToolAddress, String>,
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
