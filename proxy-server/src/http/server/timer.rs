//! Timer for hyper's timeout of request heads. Hardly any of its waits expires.

#![expect(
    clippy::disallowed_types,
    reason = "hyper's trait has times of the standard library; here they come from tokio's"
)]

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time;

use crate::tasks::{Wait, wait_until};

/// Timer on the shared alarm of the lane.
#[derive(Clone, Copy)]
pub(super) struct LaneTimer;

struct LaneSleep(Wait);

impl Timer for LaneTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(LaneSleep(wait_until(deadline.into())))
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for LaneSleep {}

impl Future for LaneSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}
