//! Subscriptions to the resources of a legacy upstream, shared by the listeners on one pooled session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::call::modern_to_legacy::pooled_session::PooledSession;
use crate::protocol;
use crate::sync::lock;
use crate::tasks::Tasks;

/// Timeout for `resources/subscribe`. Resources without a response by then are left out of the acknowledgement.
const SUBSCRIBING: Duration = Duration::from_secs(3);
const UNSUBSCRIBING: Duration = Duration::from_secs(2);

/// Resource subscriptions of one listener; dropping it ends them.
pub(super) struct Subscribed {
    pub(super) session: Arc<PooledSession>,
    pub(super) uris: BTreeSet<String>,
    tasks: Tasks,
}

/// Subscribes to resources; sends a request only for those that no other listener on this session has subscribed to.
/// Leaves out those that the upstream refuses.
pub(super) async fn subscribe(session: &Arc<PooledSession>, uris: BTreeSet<String>, tasks: &Tasks) -> Subscribed {
    let deadline = Instant::now() + SUBSCRIBING;
    let mut subscribed = Subscribed { session: Arc::clone(session), uris: BTreeSet::new(), tasks: tasks.clone() };
    let mut asked = Vec::new();
    for uri in uris {
        let is_accepted = {
            let mut all = lock(&session.subscriptions);
            let subscription = all.entry(uri.clone()).or_default();
            subscription.listeners += 1;
            Arc::clone(&subscription.is_accepted)
        };
        subscribed.uris.insert(uri.clone());
        asked.push(async move {
            let ask = || async {
                let answer = session.ask("resources/subscribe", &params(&uri), deadline).await;
                answer.is_ok_and(|answer| answer.kind() == protocol::Kind::Result)
            };
            let is_accepted = *is_accepted.get_or_init(ask).await;
            (!is_accepted).then_some(uri)
        });
    }
    for refused in join_all(asked).await.into_iter().flatten() {
        subscribed.uris.remove(&refused);
        forget(session, &refused);
    }
    subscribed
}

/// Removes one subscriber of a resource. Returns true if it was the last.
fn forget(session: &PooledSession, uri: &str) -> bool {
    let mut all = lock(&session.subscriptions);
    let Some(subscription) = all.get_mut(uri) else { return false };
    subscription.listeners -= 1;
    let is_last = subscription.listeners == 0;
    if is_last {
        all.remove(uri);
    }
    is_last
}

fn params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, serde_json::Value::from(uri))
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let uris = std::mem::take(&mut self.uris);
        let last: Vec<String> = uris.into_iter().filter(|uri| forget(&self.session, uri)).collect();
        if last.is_empty() || self.session.closed().is_cancelled() {
            return;
        }
        let session = Arc::clone(&self.session);
        self.tasks.spawn("unsubscribe", async move {
            let deadline = Instant::now() + UNSUBSCRIBING;
            for uri in last {
                session.ask("resources/unsubscribe", &params(&uri), deadline).await.ok();
            }
        });
    }
}
