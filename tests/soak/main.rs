//! Soak test: a gateway under load with a fault every second, twelve upstreams, and a record of every call.
//!
//! Run `cargo run --release -p tests --bin soak -- --minutes 60 --gateway target/release/mcp-proxy`. Exits with 1 if a
//! call was executed twice, an answer was lost, or a process, a descriptor or memory leaked.

#![expect(clippy::indexing_slicing, reason = "only JSON values are indexed, and the fixed set of session slots")]

mod caller;
mod fault;
mod ledger;
mod resources;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::caller::Caller;
use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::resources::Resources;
use crate::world::World;

/// Maximum number of concurrent calls; further calls wait for the next tick.
const MOST_CALLS: usize = 4_000;
/// Time for the last calls to end: longer than any tool waits.
const DRAIN: Duration = Duration::from_secs(30);

/// Break something every second while calls go on
#[derive(Debug, Parser)]
struct Options {
    /// Duration of the test in minutes
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Calls per second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Faults per second
    #[arg(long, default_value_t = 1.0)]
    faults: f64,
    /// Seed of the random faults; equal seeds give equal faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Path of the gateway binary
    #[arg(long, default_value = "target/release/mcp-proxy")]
    gateway: PathBuf,
}

/// Pseudo-random numbers (xorshift), reproducible by the seed.
struct Draw(AtomicU64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    fn below(&self, bound: u64) -> u64 {
        let step = |mut state: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            Some(state ^ (state << 17))
        };
        let drawn = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_default();
        (drawn >> 11) % bound.max(1)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let options = Options::parse();
    let gateway = options.gateway.canonicalize().context("build the gateway first, or name it by --gateway")?;
    let ledger = Arc::new(Ledger::default());
    let draw = Arc::new(Draw::new(options.seed));
    let mut world = World::start(&gateway, &ledger).await?;
    let mut resources = Resources::of(world.pid());
    let mut faults = Faults::new(Arc::clone(&draw), options.seed);
    let caller = Arc::new(Caller::new(&world, Arc::clone(&ledger), Arc::clone(&draw)));
    let mut calls = JoinSet::new();
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    let (mut call_due, mut fault_due) =
        (ticks(1.0 / f64::from(options.rate.max(1))), ticks(1.0 / options.faults.max(0.001)));
    let mut look_due = ticks(10.0);
    while Instant::now() < end {
        tokio::select! {
            _ = call_due.tick(), if calls.len() < MOST_CALLS => {
                let caller = Arc::clone(&caller);
                calls.spawn(async move { caller.call().await });
            }
            _ = fault_due.tick() => faults.inflict(&world, &ledger),
            _ = look_due.tick() => {
                resources.look();
                eprintln!("{} | {}", resources.line(), ledger.line());
            }
            Some(ended) = calls.join_next() => ended.context("a client panicked")?,
        }
    }
    faults.end(&world).await;
    let drained = tokio::time::timeout(DRAIN, async { while calls.join_next().await.is_some() {} }).await;
    let mut wrong = ledger.wrong();
    if drained.is_err() {
        wrong.push(format!("{} calls had no outcome {DRAIN:?} after the load ended", calls.len()));
    }
    resources.look();
    wrong.extend(resources.wrong());
    let left = world.stop().await?;
    if left > 0 {
        wrong.push(format!("{left} processes outlived the gateway"));
    }
    println!("{}\n{}\n{}", faults.report(), ledger.report(), resources.report());
    if wrong.is_empty() {
        println!("nothing wrong");
        return Ok(());
    }
    bail!("{}", wrong.join("\n"));
}

fn ticks(seconds: f64) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs_f64(seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
