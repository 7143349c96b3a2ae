//! Load generation: clients that repeat a step, and the durations measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::rows::Step;
use crate::session::{Endpoint, Session};

/// Maximum number of queued requests per client at a fixed rate.
const BACKLOG: usize = 1 << 16;
/// Time limit for the last steps after counting has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// Running clients.
pub(crate) struct Load {
    clients: JoinSet<Result<Vec<Duration>>>,
    phase: Arc<Phase>,
}

/// Phase of a running load, checked by clients after each step.
#[derive(Default)]
struct Phase(AtomicU8);

const WARMING: u8 = 0;
const COUNTING: u8 = 1;
const OVER: u8 = 2;

/// A scheduled step. It counts if scheduled while counting, even if it ends later: otherwise slow steps would be
/// missing.
struct Due {
    at: Instant,
    counts: bool,
}

/// One client with its step.
struct Client {
    session: Session,
    step: Step,
    tools: usize,
    text: String,
    number: usize,
    steps: u64,
}

impl Load {
    /// Connects this many clients, each with its own session, and starts them.
    pub(crate) async fn start(endpoint: &Endpoint, clients: usize, step: Step, tools: usize) -> Result<Self> {
        let (connected, phase) = (connect(endpoint, clients, step, tools).await?, Arc::<Phase>::default());
        let mut clients = JoinSet::new();
        for client in connected {
            clients.spawn(client.at_will(Arc::clone(&phase)));
        }
        Ok(Self { clients, phase })
    }

    /// Starts clients that together make `rate` steps per second, in turn.
    pub(crate) async fn start_at(rate: u32, endpoint: &Endpoint, clients: usize, step: Step) -> Result<Self> {
        let (connected, phase) = (connect(endpoint, clients, step, 1).await?, Arc::<Phase>::default());
        let mut clients = JoinSet::new();
        let mut queues = Vec::new();
        for client in connected {
            let (sender, queue) = mpsc::channel(BACKLOG);
            queues.push(sender);
            clients.spawn(client.on_time(queue));
        }
        let pacer = Arc::clone(&phase);
        thread::spawn(move || pace(rate, &queues, &pacer));
        Ok(Self { clients, phase })
    }

    /// Starts counting steps.
    pub(crate) fn count(&self) {
        self.phase.0.store(COUNTING, Ordering::Relaxed);
    }

    /// Stops counting steps.
    pub(crate) fn stop(&self) {
        self.phase.0.store(OVER, Ordering::Relaxed);
    }

    /// Returns the durations of all counted steps, sorted.
    pub(crate) async fn finish(mut self) -> Result<Vec<Duration>> {
        let mut all = Vec::new();
        while let Some(client) = timeout(PATIENCE, self.clients.join_next()).await.context("a reply never came")? {
            all.extend(client??);
        }
        ensure!(!all.is_empty(), "nothing was answered in time to be counted");
        all.sort_unstable();
        Ok(all)
    }
}

async fn connect(endpoint: &Endpoint, clients: usize, step: Step, tools: usize) -> Result<Vec<Client>> {
    let mut connected = Vec::with_capacity(clients);
    for number in 0..clients {
        let mut session = Session::open(endpoint).await?;
        if matches!(step, Step::Session) {
            session.end().await?;
        }
        let bytes = if let Step::Call { bytes } = step { bytes } else { 0 };
        connected.push(Client { session, step, tools, text: "x".repeat(bytes), number, steps: 0 });
    }
    Ok(connected)
}

impl Client {
    async fn at_will(mut self, phase: Arc<Phase>) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(1 << 14);
        loop {
            let began = Instant::now();
            self.step().await?;
            match phase.0.load(Ordering::Relaxed) {
                WARMING => {}
                COUNTING => times.push(began.elapsed()),
                _ => return self.leave(times).await,
            }
        }
    }

    async fn on_time(mut self, mut queue: mpsc::Receiver<Due>) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(1 << 14);
        while let Some(due) = queue.recv().await {
            self.step().await?;
            if due.counts {
                times.push(due.at.elapsed());
            }
        }
        self.leave(times).await
    }

    async fn step(&mut self) -> Result<()> {
        self.steps += 1;
        match self.step {
            Step::Call { bytes } => {
                // Make every text unique, so that no reply can be mistaken for another.
                let serial = format!("{:04}-{:012} ", self.number, self.steps);
                self.text.replace_range(..serial.len().min(bytes), serial.get(..bytes).unwrap_or(&serial));
                self.session.call(&self.text).await
            }
            Step::List => self.session.list(self.tools).await,
            Step::Session => {
                self.session.begin().await?;
                self.session.end().await
            }
        }
    }

    async fn leave(mut self, times: Vec<Duration>) -> Result<Vec<Duration>> {
        if !matches!(self.step, Step::Session) {
            self.session.end().await?;
        }
        Ok(times)
    }
}

/// Schedules the steps. Runs on its own thread, because the runtime's timers are a millisecond late.
fn pace(rate: u32, queues: &[mpsc::Sender<Due>], phase: &Phase) {
    let began = Instant::now();
    for (number, queue) in (0_u32..).zip(queues.iter().cycle()) {
        let at = began + Duration::from_secs(1) * number / rate.max(1);
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let phase = phase.0.load(Ordering::Relaxed);
        if phase == OVER || queue.try_send(Due { at, counts: phase == COUNTING }).is_err() {
            return;
        }
    }
}
