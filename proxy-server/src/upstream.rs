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
mod in_flight;
mod inbox;
mod legacy_session;
mod legacy_side;
mod level;
mod listen;
mod log;
mod noise;
mod one;
mod parameters;
mod processes;
mod question;
mod session;
mod state;
mod status;
mod supervisor;
mod tally;
mod transport;
mod upstream_call;

use std::collections::{BTreeMap, HashMap};
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
pub(crate) use self::log::{LineSource, LogLine};
pub(crate) use self::one::Upstream;
pub(crate) use self::question::{Question, Reply};
pub(crate) use self::session::{OpenError, Session};
pub(crate) use self::tally::{ANSWERED, ANSWERED_WITH_ERROR, EndedRequest, RequestCounts};
pub(crate) use self::transport::descriptors::{descriptor_limit, raise_descriptor_limit};
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

    /// Checks that the definition's program, if it has one, can be started. Starts nothing.
    pub(crate) fn check(&self, definition: &Definition) -> Result<(), StartError> {
        match &definition.transport {
            Transport::Stdio(program) => transport::stdio::check(definition, program, &self.environment.children),
            Transport::Sse(_) | Transport::StreamableHttp(_) => Ok(()),
        }
    }

    /// Returns the numbers of failures of requests, by the word of their kind.
    pub(crate) fn failures(&self) -> BTreeMap<&'static str, u64> {
        self.environment.failures.all()
    }

    /// Returns the maximum number of upstreams.
    pub(crate) fn capacity(&self) -> usize {
        self.environment.config.upstreams
    }

    /// Returns the maximum number of programs of all upstreams.
    pub(crate) fn most_processes(&self) -> usize {
        self.environment.config.processes
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
    /// Retires upstreams with their sessions, and starts others, all in one step. An upstream of the same name as a new one
    /// is retired; the new one connects after it has ended completely, because programs hold locks and ports.
    pub(crate) fn apply(&self, retired: &[ServerName], started: Vec<Definition>) {
        if retired.is_empty() && started.is_empty() {
            return;
        }
        let started: Vec<_> = started.into_iter().map(|definition| self.0.start(definition)).collect();
        self.0.live.send_modify(|live| {
            let mut next = IndexMap::clone(live);
            let gone = retired.iter().filter_map(|name| next.shift_remove(name.as_str())).collect::<Vec<_>>();
            let replaced = started.into_iter().filter_map(|upstream| {
                let name = upstream.definition.name.clone();
                next.insert(name, upstream)
            });
            replaced.chain(gone).for_each(|old| old.retired.cancel());
            *live = Arc::new(next);
        });
        lock(&self.0.ends).retain(|_, ended| !ended.is_cancelled());
    }
}

impl Upstreams {
    /// Starts an upstream that is not in the set yet.
    fn start(&self, definition: Definition) -> Arc<Upstream> {
        let ended = CancellationToken::new();
        let predecessor = lock(&self.ends).insert(definition.name.clone(), ended.clone());
        let known = self.get(definition.name.as_str()).and_then(|old| old.verdict_for(&definition));
        let succession = Succession { predecessor, ended: ended.drop_guard(), known };
        Upstream::start(&self.environment, definition, succession)
    }
}
