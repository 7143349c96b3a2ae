//! Pings a connected upstream: at the interval of its definition, and after a call lost the connection or the session.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::error::Chain;
use crate::upstream::session::Session;

const PATIENCE: Duration = Duration::from_secs(10);

/// Pings until one fails, and returns the reason. Any response, even an error, means that the upstream is alive.
pub(super) async fn watch(session: &Session, interval: Option<Duration>, doubt: &Notify) -> String {
    loop {
        tokio::select! {
            () = doubt.notified() => {}
            () = sleep(interval.unwrap_or_default()), if interval.is_some() => {}
        }
        if let Err(error) = session.ping(Instant::now() + PATIENCE).await {
            return format!("health check failed: {}", Chain(&error));
        }
    }
}
