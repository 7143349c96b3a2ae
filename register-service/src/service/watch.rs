//! Polls the gateway for changes while somebody receives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemas::ServerName;
use schemas::admin::Tool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

use crate::service::call::address::ToolAddress;
use crate::service::changes::{Changes, Seen};
use crate::service::failure::chain;
use crate::service::lease::Shared;
use crate::service::metrics::hex;
use crate::sync::lock;

/// Time limit of one poll.
const LOOK: Duration = Duration::from_secs(10);

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

    pub(super) fn listen(&self) -> Changes {
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
