//! Timers that rarely expire, such as the deadlines of calls.
//!
//! Tokio keeps its timers ordered, and a timer that is earlier than all others wakes the runtime. Here all waits of a
//! lane share one timer, which is set to the earliest deadline each time it fires; most calls end before that. The list
//! of waits is scanned each time the timer fires, about once a second under load.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sync::lock;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

/// Interval of the timer while there are no waits.
const LATEST: Duration = Duration::from_secs(3600);

thread_local! {
    /// The alarm of the lane that runs on this thread.
    static OF_LANE: RefCell<Option<Alarm>> = const { RefCell::new(None) };
}

/// The shared timer of a lane, with its waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Alarm(Arc<Shared>);

struct Shared {
    waits: Mutex<Waits>,
    /// Notified of a wait that is earlier than the timer.
    sooner: Notify,
}

struct Waits {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    next_ring: Instant,
}

struct Entry {
    deadline: Instant,
    /// Waker of the waiting task; `None` once the deadline has passed.
    waker: Option<Waker>,
}

/// A future that waits for a deadline.
pub(crate) struct Wait(Progress);

enum Progress {
    New(Instant),
    Listed {
        alarm: Alarm,
        place: usize,
    },
    /// Tokio's own timer, on threads outside of the lanes.
    Own(Pin<Box<Sleep>>),
}

/// Waits until a deadline.
pub(crate) fn wait_until(deadline: Instant) -> Wait {
    Wait(Progress::New(deadline))
}

impl Alarm {
    pub(super) fn new() -> Self {
        let waits = Waits { entries: Vec::new(), free: Vec::new(), next_ring: Instant::now() };
        Self(Arc::new(Shared { waits: Mutex::new(waits), sooner: Notify::new() }))
    }

    /// Installs this alarm on the current thread.
    pub(super) fn serve_this_thread(&self) {
        OF_LANE.set(Some(self.clone()));
    }

    /// Runs the timer and wakes due waits. Without it, no wait of the lane ends.
    pub(super) async fn ring(&self) -> Infallible {
        loop {
            let next = self.wake_due(Instant::now());
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.0.sooner.notified() => {}
            }
        }
    }

    /// Wakes due waits. Returns the time for the next run.
    fn wake_due(&self, now: Instant) -> Instant {
        let (mut due, mut next) = (Vec::new(), now + LATEST);
        let mut waits = self.waits();
        for entry in waits.entries.iter_mut().flatten() {
            if entry.deadline <= now {
                due.extend(entry.waker.take());
            } else {
                next = next.min(entry.deadline);
            }
        }
        waits.next_ring = next;
        drop(waits);
        due.into_iter().for_each(Waker::wake);
        next
    }

    fn list(&self, deadline: Instant, waker: &Waker) -> usize {
        let mut waits = self.waits();
        let entry = Some(Entry { deadline, waker: Some(waker.clone()) });
        let place = waits.free.pop().unwrap_or(waits.entries.len());
        match waits.entries.get_mut(place) {
            Some(free) => *free = entry,
            None => waits.entries.push(entry),
        }
        if deadline < waits.next_ring {
            waits.next_ring = deadline;
            self.0.sooner.notify_one();
        }
        place
    }

    fn is_due(&self, place: usize, waker: &Waker) -> bool {
        match self.waits().entries.get_mut(place) {
            Some(Some(Entry { waker: Some(listed), .. })) => {
                listed.clone_from(waker);
                false
            }
            Some(_) | None => true,
        }
    }

    fn strike(&self, place: usize) {
        let mut waits = self.waits();
        if let Some(entry) = waits.entries.get_mut(place) {
            *entry = None;
            waits.free.push(place);
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        lock(&self.0.waits)
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Progress::New(deadline) = self.0 {
            self.0 = match OF_LANE.with_borrow(Option::clone) {
                Some(alarm) => {
                    let place = alarm.list(deadline, context.waker());
                    Progress::Listed { alarm, place }
                }
                None => Progress::Own(Box::pin(sleep_until(deadline))),
            };
        }
        match &mut self.0 {
            Progress::Listed { alarm, place } if alarm.is_due(*place, context.waker()) => Poll::Ready(()),
            Progress::New(_) | Progress::Listed { .. } => Poll::Pending,
            Progress::Own(sleep) => sleep.as_mut().poll(context),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Progress::Listed { alarm, place } = &self.0 {
            alarm.strike(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs `work` on a thread with a running alarm.
    async fn in_lane<T>(work: impl Future<Output = T>) -> T {
        let alarm = Alarm::new();
        alarm.serve_this_thread();
        let done = tokio::select! {
            never = alarm.ring() => match never {},
            done = work => done,
        };
        assert_eq!(alarm.waits().entries.iter().flatten().count(), 0, "nothing is left");
        OF_LANE.set(None);
        done
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_in_its_own_time() {
        in_lane(async {
            let began = Instant::now();
            let after = |seconds: u32| async move {
                wait_until(began + seconds * SECOND).await;
                began.elapsed().as_secs()
            };
            assert_eq!(tokio::join!(after(3), after(1), after(2), after(7200)), (3, 1, 2, 7200));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_makes_room_and_holds_up_nobody() {
        in_lane(async {
            for _ in 0..10 {
                let given_up = wait_until(Instant::now() + SECOND);
                tokio::time::timeout(SECOND / 2, given_up).await.expect_err("given up before its time");
            }
            let began = Instant::now();
            wait_until(began + SECOND).await;
            assert_eq!(began.elapsed().as_secs(), 1);
            wait_until(began).await;
            assert_eq!(began.elapsed().as_secs(), 1, "the past is over at once");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn outside_of_the_lanes_it_is_a_wait_as_any() {
        let began = Instant::now();
        wait_until(began + SECOND).await;
        assert_eq!(began.elapsed().as_secs(), 1);
    }
}
