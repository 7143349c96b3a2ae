//! Waiting until upstreams are connected.

use std::time::Duration;

use schemas::ServerName;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::client::needs::{Needs, NotReady, Readiness};

/// Additional wait for optional upstreams that are still connecting once all required ones are connected.
const GRACE: Duration = Duration::from_millis(500);
/// Time reserved for the last poll before the deadline.
const LAST_POLL: Duration = Duration::from_millis(100);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

impl Client {
    /// Waits until all these upstreams are connected, polling the list every `poll`, for at most `deadline`.
    ///
    /// A failed poll and an upstream in state `error` do not end the wait, because gateways restart and reconnect.
    ///
    /// # Errors
    ///
    /// If an upstream is not connected in time; the error names all such upstreams.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let names = ["search".parse()?, "time".parse()?];
    /// if let Err(late) = client.wait_for_connections(&names, Duration::from_millis(200), Duration::from_secs(60)).await {
    ///     for missing in &late.missing {
    ///         eprintln!("{missing}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for_connections(
        &self,
        names: &[ServerName],
        poll: Duration,
        deadline: Duration,
    ) -> Result<(), NotReady> {
        let needs = Needs::required(names.iter().cloned());
        self.wait_until_ready(&needs, poll, deadline).await.into_result().map(drop)
    }

    /// Waits until all required upstreams are connected, polling the list every `poll`, or until `within` has passed.
    ///
    /// Then waits up to 500 ms for optional upstreams that are still connecting. A failed poll and an upstream in
    /// state `error` do not end the wait, because gateways restart and reconnect.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let needs = proxy_client::Needs::required(["search".parse()?]);
    /// let readiness = client.wait_until_ready(&needs, Duration::from_millis(200), Duration::from_secs(60)).await;
    /// println!("{readiness}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_until_ready(&self, needs: &Needs, poll: Duration, within: Duration) -> Readiness {
        self.watch_until_ready(needs, (poll, within), |_| {}).await
    }

    /// Waits like [`wait_until_ready`](Self::wait_until_ready), and calls `see` after each poll, for progress output.
    /// The times are the poll interval and the maximum wait.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let needs = proxy_client::Needs::required(["search".parse()?]);
    /// let times = (Duration::from_millis(200), Duration::from_secs(60));
    /// let readiness = client.watch_until_ready(&needs, times, |now| eprintln!("{now}")).await;
    /// assert!(readiness.is_ready());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch_until_ready(
        &self,
        needs: &Needs,
        (poll, within): (Duration, Duration),
        mut see: impl FnMut(&Readiness),
    ) -> Readiness {
        let mut end = Instant::now() + within.min(LONGEST_WAIT);
        let mut readiness = needs.look(&[]);
        if needs.names().next().is_none() {
            return readiness;
        }
        let mut is_graced = false;
        loop {
            readiness = match self.within(end.saturating_duration_since(Instant::now())).list().await {
                Ok(list) => needs.look(&list),
                Err(error) => readiness.unanswered(error),
            };
            see(&readiness);
            let now = Instant::now();
            if readiness.is_ready() && !is_graced {
                (end, is_graced) = (end.min(now + GRACE), true);
            }
            let last = end.checked_sub(LAST_POLL).unwrap_or(end);
            if (readiness.is_ready() && !readiness.is_coming()) || now >= last {
                return readiness;
            }
            sleep_until((now + poll.clamp(SHORTEST_PAUSE, LONGEST_WAIT)).min(last)).await;
        }
    }
}
