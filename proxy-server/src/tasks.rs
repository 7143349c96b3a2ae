//! Spawns tasks. Every task of the gateway starts here, so that it has a name, and is cancelled and awaited at
//! shutdown.

mod alarm;
mod lanes;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub(crate) use self::alarm::{Wait, wait_until};
pub(crate) use self::lanes::{Lanes, PerLane, lane_number};

/// The tasks of one gateway. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// Spawns a task, which must end by itself once [`Tasks::stopping`] is cancelled.
    pub(crate) fn spawn<F>(&self, name: &'static str, future: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(future.instrument(tracing::debug_span!(parent: None, "task", name))).abort_handle()
    }

    /// Spawns a task on another thread's runtime.
    pub(crate) fn spawn_on<F>(&self, lane: &Handle, name: &'static str, future: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let future = future.instrument(tracing::debug_span!(parent: None, "task", name));
        self.tracker.spawn_on(future, lane).abort_handle()
    }

    /// Runs a future in the caller, and finishes it in a task of its own if the caller drops it.
    pub(crate) fn finish_anyway<F>(&self, name: &'static str, future: F) -> FinishAnyway<'_, F>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        FinishAnyway { name, future: Some(Box::pin(future)), tasks: self }
    }

    /// Returns the token that is cancelled when the gateway stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Cancels every task and waits for their end, at most for `grace`. Returns true if all ended.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        self.stopping.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

/// A future that outlives its caller: if dropped unfinished, it continues in a task of its own.
///
/// Needed because the loss of a stream does not cancel a legacy client's request.
pub(crate) struct FinishAnyway<'a, F: Future<Output: Send> + Send + 'static> {
    name: &'static str,
    future: Option<Pin<Box<F>>>,
    tasks: &'a Tasks,
}

impl<F: Future<Output: Send> + Send + 'static> Future for FinishAnyway<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let output = std::task::ready!(future.as_mut().poll(context));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for FinishAnyway<'_, F> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.tasks.spawn(self.name, async move {
                future.await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_unfinished_still_finishes() {
        let tasks = Tasks::default();
        let (go, wait) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel::<()>();
        let work = tasks.finish_anyway("work", async move {
            wait.await.ok();
            done.send(()).ok();
        });
        drop(work);
        go.send(()).expect("the task waits");
        finished.await.expect("the task finished");
        assert!(tasks.stop(Duration::from_secs(5)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_is_bounded_by_the_grace_period() {
        let tasks = Tasks::default();
        tasks.spawn("stuck", std::future::pending());
        assert!(!tasks.stop(Duration::from_secs(10)).await);
    }
}
