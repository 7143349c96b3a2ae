//! Subscriptions to changes: the streams of `subscriptions/listen`, and all legacy sessions.

use std::sync::{Arc, Mutex, Weak};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::lock;
use crate::message::notification;
use crate::outbox::Outbox;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The changes that a listener subscribes to.
#[derive(Serialize, Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Filter {
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tools_list_changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) prompts_list_changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) resources_list_changed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_subscriptions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) task_ids: Vec<String>,
}

/// A change to announce.
pub(crate) enum Change {
    Tools,
    Prompts,
    Resources,
    Resource(String),
    /// A changed task, with its full description.
    Task(String, Map<String, Value>),
}

/// A subscriber; unsubscribed on drop.
pub(crate) struct Listener {
    pub(crate) filter: Mutex<Filter>,
    /// Id of the `subscriptions/listen` request; `None` for a legacy session.
    subscription: Option<Box<RawValue>>,
    out: Arc<Outbox>,
}

#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Listener>>>);

impl Listeners {
    pub(crate) fn add(&self, filter: Filter, subscription: Option<Box<RawValue>>, out: &Arc<Outbox>) -> Arc<Listener> {
        let listener = Arc::new(Listener { filter: Mutex::new(filter), subscription, out: Arc::clone(out) });
        let mut all = lock(&self.0);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&listener));
        listener
    }

    pub(crate) fn tell(&self, change: &Change) {
        for listener in lock(&self.0).iter().filter_map(Weak::upgrade) {
            let wants = {
                let filter = lock(&listener.filter);
                match change {
                    Change::Tools => filter.tools_list_changed,
                    Change::Prompts => filter.prompts_list_changed,
                    Change::Resources => filter.resources_list_changed,
                    Change::Resource(uri) => filter.resource_subscriptions.contains(uri),
                    Change::Task(id, _) => filter.task_ids.contains(id),
                }
            };
            if wants {
                listener.tell(change.method(), change.params());
            }
        }
    }
}

impl Listener {
    /// Sends the first message on the stream of a `subscriptions/listen`: the accepted subscriptions.
    pub(crate) fn acknowledge(&self) {
        let filter = json!({ "notifications": &*lock(&self.filter) });
        self.tell("notifications/subscriptions/acknowledged", filter);
    }

    fn tell(&self, method: &str, mut params: Value) {
        if let Some(id) = &self.subscription {
            params["_meta"] = json!({ SUBSCRIPTION: id });
        }
        self.out.push(notification(method, &params));
    }
}

impl Change {
    fn method(&self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Resource(_) => "notifications/resources/updated",
            Self::Task(..) => "notifications/tasks",
        }
    }

    fn params(&self) -> Value {
        match self {
            Self::Resource(uri) => json!({ "uri": uri }),
            Self::Task(_, task) => json!(task),
            Self::Tools | Self::Prompts | Self::Resources => json!({}),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
