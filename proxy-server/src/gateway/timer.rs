//! The timer of one connection, for what hyper waits for there.
//!
//! With each request a wait begins and ends, and hardly any comes to its time. So the alarm that is set stays set when its
//! wait is given up: the next wait is later, and sets it again once it has rung too early.

#![expect(
    clippy::disallowed_types,
    reason = "hyper's trait has times of the standard library; here they come from tokio's"
)]

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time;

/// What all waits of a connection are woken by. They are all in the connection's task.
#[derive(Clone)]
pub(super) struct ConnectionTimer(Arc<Mutex<Pin<Box<time::Sleep>>>>);

struct Wait {
    timer: ConnectionTimer,
    deadline: time::Instant,
}

impl ConnectionTimer {
    /// A timer whose first wait takes this long.
    pub(super) fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(time::sleep(first)))))
    }
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { timer: self.clone(), deadline: deadline.into() })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alarm.deadline() > self.deadline {
            alarm.as_mut().reset(self.deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            if time::Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_in_its_own_time() {
        let began = time::Instant::now();
        let timer = ConnectionTimer::new(2 * SECOND);
        let mut given_up = timer.sleep(2 * SECOND);
        assert!(given_up.as_mut().now_or_never().is_none());
        time::advance(SECOND).await;
        drop(given_up);
        timer.sleep(3 * SECOND).await;
        assert!(began.elapsed() >= 4 * SECOND && began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
        timer.sleep(SECOND).await;
        assert!(began.elapsed() >= 5 * SECOND && began.elapsed() < 6 * SECOND, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_at_the_same_time_do_not_hold_up_each_other() {
        let began = time::Instant::now();
        let timer = ConnectionTimer::new(SECOND);
        let after = |seconds: u32| {
            let wait = timer.sleep(seconds * SECOND);
            async move {
                wait.await;
                began.elapsed().as_secs()
            }
        };
        assert_eq!(tokio::join!(after(3), after(1), after(2)), (3, 1, 2));
    }
}
