//! Pings to a connected upstream, where its definition asks for them.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Chain;
use crate::upstream::session::Session;

const PATIENCE: Duration = Duration::from_secs(10);

/// Pings until one fails and says why. An upstream that answers anything at all is alive.
pub(super) async fn watch(session: &Session, interval: Option<Duration>) -> String {
    let Some(interval) = interval else { return std::future::pending().await };
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = session.ask("ping", "{}", Instant::now() + PATIENCE).await {
            return format!("health check failed: {}", Chain(&error));
        }
    }
}
