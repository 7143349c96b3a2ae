//! Threads that serve connections, one per core.
//!
//! A downstream connection stays on its thread, together with its calls and the upstream connections that these use. No
//! cross-thread wake-ups on the call path, which costs a third less than a work-stealing runtime.

use std::cell::Cell;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::Tasks;
use super::alarm::Alarm;

thread_local! {
    /// Number of this thread's lane.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// The threads of one gateway. They end with [`Lanes::stop`], or with the runtime that started them.
pub(crate) struct Lanes {
    threads: Vec<Handle>,
    turn: AtomicUsize,
    keeper: Tasks,
}

impl Lanes {
    /// Starts one thread per core.
    pub(crate) fn start() -> io::Result<Self> {
        let (ended, keeper) = (CancellationToken::new(), Tasks::default());
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let guard = ended.clone().drop_guard();
        let threads = (0..count).map(|number| lane(number, ended.clone())).collect::<io::Result<_>>()?;
        let stopping = keeper.stopping().clone();
        keeper.spawn("lanes", async move {
            stopping.cancelled().await;
            drop(guard);
        });
        Ok(Self { threads, turn: AtomicUsize::new(0), keeper })
    }

    /// Returns the number of lanes.
    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Returns the next lane in round-robin order, with its element of `belongings`.
    pub(crate) fn next<'a, T>(&'a self, belongings: &'a [T]) -> Option<(&'a Handle, &'a T)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.count().max(1);
        self.threads.get(turn).zip(belongings.get(turn))
    }

    /// Stops the threads and the tasks that still run there.
    pub(crate) async fn stop(&self) {
        self.keeper.stop(Duration::from_secs(1)).await;
    }
}

fn lane(number: usize, ended: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name(format!("lane {number}"));
    thread.spawn(move || {
        NUMBER.set(number);
        runtime.block_on(async {
            let alarm = Alarm::new();
            alarm.serve_this_thread();
            tokio::select! {
                never = alarm.ring() => match never {},
                () = ended.cancelled() => {}
            }
        });
    })?;
    Ok(handle)
}

/// A value for each lane, so that threads do not contend for one. Threads outside of the lanes use the first.
pub(crate) struct PerLane<T>(Box<[T]>);

impl<T: Default> Default for PerLane<T> {
    fn default() -> Self {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        Self((0..count).map(|_| T::default()).collect())
    }
}

impl<T> PerLane<T> {
    /// Returns the value of the current lane.
    pub(crate) fn own(&self) -> Option<&T> {
        self.0.get(lane_number()).or_else(|| self.0.first())
    }

    /// Returns the values of all lanes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// Returns the number of the current lane; 0 outside of the lanes.
pub(crate) fn lane_number() -> usize {
    NUMBER.get()
}
