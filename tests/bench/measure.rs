//! One measurement of one row on one hop.

use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::poll;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, timeout};

use crate::hop::{Hop, Launch, first_answer};
use crate::load::Load;
use crate::options::Options;
use crate::rows::{Route, Row, Work};
use crate::session::{Endpoint, Session};
use crate::table::{Column, Sample};
use crate::upstream::Upstream;

/// Time for memory usage to settle.
const SETTLE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);

/// Options and upstream of the measurements.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) upstream: &'a Upstream,
}

impl Bench<'_> {
    /// Measures a row on a running hop, or on a new hop if the row measures its start or memory.
    pub(crate) async fn measure(&self, row: &Row, hop: &Hop, launch: &Launch) -> Result<Sample> {
        let endpoint = hop.endpoint(row.route)?;
        match row.work {
            Work::Closed { clients, step } if row.route == Route::All => {
                // Start a new hop: a shared gateway would also list its other upstreams.
                let fresh = launch.start(self.upstream, &[row.route]).await?;
                let endpoint = fresh.endpoint(row.route)?;
                all_listed(&endpoint, row.route.tools()).await?;
                let load = Load::start(&endpoint, clients, step, row.route.tools()).await?;
                self.count(&fresh, load).await
            }
            Work::Closed { clients, step } => {
                let load = Load::start(&endpoint, clients, step, row.route.tools()).await?;
                self.count(hop, load).await
            }
            Work::Rate { clients, step } => {
                let load = Load::start_at(self.options.rate, &endpoint, clients, step).await?;
                self.count(hop, load).await
            }
            Work::Idle { sessions } => {
                let fresh = launch.start(self.upstream, &[row.route]).await?;
                idle(&fresh, &fresh.endpoint(row.route)?, sessions).await
            }
            Work::Start => {
                let began = Instant::now();
                let fresh = launch.launch(self.upstream, &[row.route]).await?;
                first_answer(&fresh.endpoint(row.route)?).await?;
                Ok(vec![(Column::FirstAnswer, began.elapsed().as_secs_f64() * 1e3)])
            }
        }
    }

    /// Measures a load after its warm-up.
    async fn count(&self, hop: &Hop, load: Load) -> Result<Sample> {
        sleep(self.options.warm_up()).await;
        let (began, before) = (Instant::now(), hop.usage());
        load.count();
        sleep(self.options.counted()).await;
        load.stop();
        let (took, after) = (began.elapsed(), hop.usage());
        let times = load.finish().await?;
        let micros = |share: f64| quantile(&times, share).as_secs_f64() * 1e6;
        let mut sample = vec![
            (Column::Rate, times.len() as f64 / took.as_secs_f64()),
            (Column::P50, micros(0.5)),
            (Column::P99, micros(0.99)),
            (Column::P999, micros(0.999)),
        ];
        if let Some((before, after)) = before.zip(after) {
            let cpu = after.cpu_ns.saturating_sub(before.cpu_ns);
            sample.push((Column::Cpu, cpu as f64 / 1e3 / times.len() as f64));
            sample.push((Column::Memory, after.memory_kib as f64 / 1024.0));
        }
        Ok(sample)
    }
}

/// Waits until all tools are listed: the gateway reads an upstream's list after connecting.
async fn all_listed(endpoint: &Endpoint, count: usize) -> Result<()> {
    let mut session = Session::open(endpoint).await?;
    let listed = async {
        while session.list(count).await.is_err() {
            sleep(SETTLE / 10).await;
        }
    };
    timeout(PATIENCE, listed).await.context("not all tools are listed")?;
    session.end().await
}

/// Measures the memory per session that only holds its stream open.
async fn idle(hop: &Hop, endpoint: &Endpoint, count: usize) -> Result<Sample> {
    sleep(SETTLE).await;
    let before = hop.usage();
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let mut session = Session::open(endpoint).await.with_context(|| format!("session {number}"))?;
        let stream = session.listen().await.with_context(|| format!("stream {number}"))?;
        open.push((session, stream));
    }
    sleep(SETTLE).await;
    let after = hop.usage();
    for (session, stream) in &mut open {
        ensure!(!is_over(stream).await, "a stream has ended");
        timeout(PATIENCE, still_answers(session, endpoint)).await.context("an idle session no longer answers")??;
    }
    let used = before.zip(after).map(|(before, after)| after.memory_kib.saturating_sub(before.memory_kib));
    Ok(used.map(|used| (Column::Session, used as f64 / count as f64)).into_iter().collect())
}

async fn still_answers(session: &Session, endpoint: &Endpoint) -> Result<()> {
    let mut elsewhere = session.elsewhere(endpoint).await?;
    elsewhere.call("still here").await?;
    elsewhere.end().await
}

/// Returns true if a stream has ended. Keep-alive comments may have arrived.
async fn is_over(stream: &mut Incoming) -> bool {
    !matches!(poll!(stream.frame()), Poll::Pending | Poll::Ready(Some(Ok(_))))
}

/// Returns the quantile of sorted values.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
