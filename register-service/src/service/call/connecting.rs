//! Waits for a server that the gateway is still connecting to, so that the first call after a registration is validated
//! like any other.

use std::time::Duration;

use schemas::ServerName;
use schemas::admin::{State, Tool};
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::service::RegisterService;
use crate::service::call::CallError;
use crate::service::call::address::ToolAddress;

/// Longest time for a connected server to list a tool, before it counts as having none.
const LISTING: Duration = Duration::from_secs(2);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

impl RegisterService {
    /// Returns the tools of a server that this worker registered, once it has connected. Returns none if waiting is
    /// useless, because the server has none, failed to connect, or is gone; the gateway then reports the reason in its
    /// answer to the call.
    pub(super) async fn tools_once_connected(
        &self,
        address: &ToolAddress,
        server: &ServerName,
        end: Instant,
    ) -> Result<Vec<Tool>, CallError> {
        let at_gateway = |source| CallError::Gateway { address: address.clone(), source };
        let options = &self.shared.options;
        let end = end.min(Instant::now() + options.readiness_timeout);
        let pause = options.poll_interval.max(SHORTEST_PAUSE);
        let (mut connected_since, mut last_error): (Option<Instant>, Option<String>) = (None, None);
        debug!(upstream = %server, "call waits until its server is connected");
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(SHORTEST_PAUSE);
            let client = self.shared.client.within(left);
            let found = match client.get(server).await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Vec::new()),
                // The time left for the call is over.
                Err(error) if error.is_timeout() => {
                    return Err(CallError::NotConnected { address: address.clone(), last_error });
                }
                Err(error) => return Err(at_gateway(error)),
            };
            last_error = found.status.last_error;
            match found.status.status {
                State::Error => return Ok(Vec::new()),
                State::Connected => {
                    self.shared.catalog.outdate();
                    let tools = self.tools_of(&client, server, &address.tool).await.map_err(at_gateway)?;
                    let since = *connected_since.get_or_insert_with(Instant::now);
                    if !tools.is_empty() || since.elapsed() >= LISTING || Instant::now() + pause >= end {
                        return Ok(tools);
                    }
                }
                State::Connecting | State::Disconnected => {
                    if Instant::now() + pause >= end {
                        return Err(CallError::NotConnected { address: address.clone(), last_error });
                    }
                }
            }
            sleep(pause).await;
        }
    }
}
