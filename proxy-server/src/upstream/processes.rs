//! Processes of one upstream that have not ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::sync::lock;

/// Processes that have not ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    running: TaskTracker,
    ids: Arc<Mutex<BTreeSet<u32>>>,
}

/// A process, until dropped.
pub(crate) struct RunningProcess {
    id: Option<u32>,
    ids: Arc<Mutex<BTreeSet<u32>>>,
    _running: TaskTrackerToken,
}

impl Processes {
    /// Adds a process, whose id is unknown if it has ended already.
    pub(super) fn add(&self, id: Option<u32>) -> RunningProcess {
        lock(&self.ids).extend(id);
        RunningProcess { id, ids: Arc::clone(&self.ids), _running: self.running.token() }
    }

    /// Returns the ids of the processes.
    pub(super) fn ids(&self) -> Vec<u32> {
        lock(&self.ids).iter().copied().collect()
    }

    /// Waits until all have ended.
    pub(super) async fn ended(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.id.map(|id| lock(&self.ids).remove(&id));
    }
}
