//! Upstreams: one supervised task each, their sessions, and the transports below.
//!
//! This module knows nothing of callers: no HTTP of a client, no tool policy. One upstream's failure is never
//! another's.

mod attachment;
mod changes;
mod connection;
mod deadline;
mod environment;
mod era;
mod event;
mod events;
mod health;
mod ids;
mod inbox;
mod legacy_session;
mod legacy_side;
mod level;
mod listen;
mod noise;
mod one;
mod parameters;
mod question;
mod session;
mod state;
mod status;
mod supervisor;
mod transport;
mod upstream_call;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use schemas::{Definition, ServerName, Transport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::attachment::Attachment;
pub(crate) use self::changes::{ListChanges, list_changed, updated};
pub(crate) use self::deadline::Deadline;
pub(crate) use self::environment::{Config, Environment};
pub(crate) use self::event::Event;
pub(crate) use self::events::{EventQueue, Events, event_queue, loss};
pub(crate) use self::level::{is_level, is_severe};
pub(crate) use self::one::Upstream;
pub(crate) use self::question::{Question, Reply};
pub(crate) use self::session::{OpenError, Session};
pub(crate) use self::transport::descriptors::raise_descriptor_limit;
pub use self::transport::stdio::warden;
pub(crate) use self::transport::stdio::{ChildEnvironment, INHERITED, StartError};
pub(crate) use self::upstream_call::{UpstreamCall, forward_cancellation};

use crate::sync::lock;
use crate::upstream::one::Succession;

/// The live set of upstreams, in registration order. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstreams {
    environment: Environment,
    /// Tokens per name, cancelled once the newest upstream of that name has ended completely.
    ends: Arc<Mutex<HashMap<ServerName, CancellationToken>>>,
    live: watch::Sender<Arc<IndexMap<ServerName, Arc<Upstream>>>>,
}

/// The right to start and retire upstreams. There is one per set, so that nobody but its owner changes the set.
pub(crate) struct Lifecycle(Upstreams);

impl Upstreams {
    pub(crate) fn new(environment: Environment) -> (Self, Lifecycle) {
        let upstreams = Self { environment, ends: Arc::default(), live: watch::Sender::default() };
        (upstreams.clone(), Lifecycle(upstreams))
    }

    /// Checks that the definition's program, if it has one, can be found. Starts nothing.
    pub(crate) fn check(&self, definition: &Definition) -> Result<(), StartError> {
        match &definition.transport {
            Transport::Stdio(program) => {
                transport::stdio::locate(definition, program, &self.environment.children).map(drop)
            }
            Transport::Sse(_) | Transport::StreamableHttp(_) => Ok(()),
        }
    }

    /// Returns the maximum number of upstreams.
    pub(crate) fn capacity(&self) -> usize {
        self.environment.config.upstreams
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        self.live.borrow().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Arc<IndexMap<ServerName, Arc<Upstream>>> {
        Arc::clone(&self.live.borrow())
    }

    /// Subscribes to changes of the set.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<IndexMap<ServerName, Arc<Upstream>>>> {
        self.live.subscribe()
    }
}

impl Lifecycle {
    /// Starts an upstream, and retires one of the same name with its sessions in the same step. The new one connects
    /// after the old one has ended completely, because programs hold locks and ports.
    pub(crate) fn start(&self, definition: Definition) {
        let ended = CancellationToken::new();
        let mut ends = lock(&self.0.ends);
        ends.retain(|_, ended| !ended.is_cancelled());
        let predecessor = ends.insert(definition.name.clone(), ended.clone());
        drop(ends);
        let known = self.0.get(definition.name.as_str()).and_then(|old| old.verdict_for(&definition));
        let succession = Succession { predecessor, ended: ended.drop_guard(), known };
        let upstream = Upstream::start(&self.0.environment, definition, succession);
        self.0.live.send_modify(|live| {
            let mut next = IndexMap::clone(live);
            if let Some(old) = next.insert(upstream.definition.name.clone(), upstream) {
                old.retired.cancel();
            }
            *live = Arc::new(next);
        });
    }

    /// Stops an upstream and ends every session that uses it.
    pub(crate) fn retire(&self, name: &str) {
        self.0.live.send_modify(|live| {
            let mut next = IndexMap::clone(live);
            if let Some(old) = next.shift_remove(name) {
                old.retired.cancel();
            }
            *live = Arc::new(next);
        });
    }
}
