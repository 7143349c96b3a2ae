//! `watch`: keeps the gateway in sync with files while both change.
//!
//! Polls the files instead of using inotify, so that it works alike on every disk, network share and mounted volume. A
//! change is loaded once it has stayed the same for one more poll, so unfinished edits are ignored. While the files
//! have errors, the gateway keeps the last valid state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use register_service::files::Loaded;
use register_service::load;
use register_service::plan::{Done, Policy, apply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::cli::Watch;
use crate::commands::changes::{self, Declared};
use crate::commands::lock::{self, NoLock};
use crate::commands::prepare::{self, Context, Prepared, Reach, unreachable};
use crate::commands::progress::Clock;
use crate::commands::sync::{CONCURRENCY, settle};
use crate::exit::Exit;
use crate::report::Report;

const COMMAND: &str = "watch";
/// Pause before an absent gateway is mentioned again.
const REMIND: Duration = Duration::from_secs(30);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time limit for the lock of another run of the same owner; then files and gateway are compared again.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Time limit for one health probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Snapshot of the files: every path with its size and modification time.
type Look = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

pub(super) async fn run(args: &Watch, context: &Context) -> anyhow::Result<Report> {
    let in_step = Arc::new(AtomicBool::new(false));
    let follow = follow(args, context, &in_step);
    match args.health {
        None => follow.await,
        Some(address) => {
            let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            context.printer.progress(&format!("health at http://{}/healthz", listener.local_addr()?));
            tokio::select! {
                report = follow => report,
                failed = answer_probes(listener, Arc::clone(&in_step)) => failed,
            }
        }
    }
}

/// Failures that were reported already, so that each is reported once and not in every round.
#[derive(Default)]
struct Told {
    /// Clock that runs while the gateway does not answer.
    lost: Option<Clock>,
    failures: Vec<String>,
}

impl Told {
    /// Reports the result of a round, unless it was reported before.
    fn report(&mut self, report: &Report, context: &Context) {
        let (printer, gateway) = (context.printer, prepare::gateway_at(&context.client));
        if report.exit == Exit::NotReady {
            if self.lost.is_none() {
                printer.report(report);
                printer.progress(&format!("lost {gateway}; trying again until it answers"));
                self.lost = Some(Clock::new(REMIND));
            }
            return;
        }
        if let Some(lost) = self.lost.take() {
            printer.live("");
            printer.progress(&format!("{gateway} is back after {}s", lost.elapsed().as_secs()));
        }
        let failures: Vec<String> = report.failures.iter().map(|failure| failure.message.clone()).collect();
        let is_news = !report.text.is_empty() || (!failures.is_empty() && failures != self.failures);
        if is_news {
            printer.report(report);
        }
        self.failures = failures;
    }

    /// Reports at growing intervals that the gateway is still away.
    fn remind(&mut self, context: &Context) {
        if let Some(lost) = &mut self.lost {
            let (gateway, seconds) = (prepare::gateway_at(&context.client), lost.elapsed().as_secs());
            lost.tell(context.printer, &format!("{gateway} does not answer since {seconds}s; trying again"));
        }
    }
}

/// Polls and syncs until the process ends.
async fn follow(args: &Watch, context: &Context, in_step: &AtomicBool) -> anyhow::Result<Report> {
    let printer = context.printer;
    let paths = &args.changes.files.paths;
    let (mut seen, mut settled): (Look, Option<(Loaded, Policy)>) = (Look::new(), None);
    let (mut next_sync, mut failures, mut is_valid) = (Instant::now(), 0_u32, true);
    let mut told = Told::default();
    loop {
        let now = look(paths);
        if now != seen && stays(&now, paths, args.interval).await {
            seen = now;
            match load(paths, &context.settings) {
                Ok(loaded) => {
                    let policy = prepare::policy(&args.changes, context, &loaded.desired)?;
                    settled = Some((loaded, policy));
                    is_valid = true;
                    next_sync = Instant::now();
                }
                Err(invalid) => {
                    is_valid = false;
                    in_step.store(false, Ordering::Relaxed);
                    printer.report(&Report::invalid(COMMAND, invalid));
                    printer.progress("nothing was changed; waiting for the files to be mended");
                }
            }
        }
        if let Some((loaded, policy)) = settled.as_ref().filter(|_| Instant::now() >= next_sync) {
            let report = step(loaded.clone(), policy.clone(), args, context).await;
            let is_done = report.exit == Exit::Done;
            failures = if is_done { 0 } else { failures.saturating_add(1) };
            in_step.store(is_done && is_valid, Ordering::Relaxed);
            told.report(&report, context);
            next_sync = Instant::now() + if is_done { args.resync } else { pause(failures) };
        }
        told.remind(context);
        sleep(args.interval).await;
    }
}

/// Runs one round: applies the differences under the owner's lock. Without differences, it reports nothing.
async fn step(loaded: Loaded, policy: Policy, args: &Watch, context: &Context) -> Report {
    let (report, prepared) = match prepare::compare(COMMAND, loaded, policy, context).await {
        Ok(prepared) => (refuse(&prepared, args), prepared),
        Err(report) => return report,
    };
    if report.exit != Exit::Done || prepared.plan.is_empty() {
        return report;
    }
    match lock::take(context, &prepared.policy.owner, LOCK_PATIENCE).await {
        Ok(Some(lock)) => {
            let work = async {
                // The previous holder of the lock may have changed something.
                match prepared.again(COMMAND, context).await {
                    Ok(prepared) => apply_once(&prepared, args, context).await,
                    Err(report) => report,
                }
            };
            lock::under(&context.client, lock, Box::pin(work)).await
        }
        Ok(None) => apply_once(&prepared, args, context).await,
        Err(NoLock::Gateway(error)) => unreachable(report, &error),
        Err(held) => report.failed(Exit::Refused, format!("{held}; nothing was changed"), None),
    }
}

/// Returns a report with the reasons why the plan must not be applied.
fn refuse(prepared: &Prepared, args: &Watch) -> Report {
    let report = Report::new(COMMAND, prepared.remarks.clone());
    prepared.refuse(report, &prepare::guards(&args.changes), Reach::Everything)
}

async fn apply_once(prepared: &Prepared, args: &Watch, context: &Context) -> Report {
    let mut report = refuse(prepared, args);
    if report.exit != Exit::Done {
        return report;
    }
    let outcome = apply(&context.client, &prepared.plan, CONCURRENCY).await;
    let is_changed = outcome.values().any(|came| !matches!(came, Ok(Done::Kept)));
    if is_changed {
        let declared = Declared::of(&prepared.desired);
        report.text = changes::text(&prepared.plan, &outcome, &declared, context.printer.is_verbose());
        report.json = serde_json::json!({ "changes": changes::objects(&prepared.plan, &outcome) });
    }
    settle(report, &outcome)
}

/// Returns the pause after a number of failures; it doubles, starting with a second.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(1 << failures.saturating_sub(1).min(5)).min(LONGEST_PAUSE)
}

/// True if the files do not change during one interval.
async fn stays(now: &Look, paths: &[PathBuf], interval: Duration) -> bool {
    sleep(interval).await;
    look(paths) == *now
}

/// Takes a snapshot of the files. Leaves out missing paths, which `load` reports.
fn look(paths: &[PathBuf]) -> Look {
    let mut look = Look::new();
    paths.iter().for_each(|path| look_at(path, &mut look));
    look
}

fn look_at(path: &Path, look: &mut Look) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if metadata.is_dir() {
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
        inside.for_each(|entry| look_at(&entry.path(), look));
    }
    look.insert(path.to_owned(), (metadata.len(), metadata.modified().ok()));
}

async fn answer_probes(listener: TcpListener, in_step: Arc<AtomicBool>) -> anyhow::Result<Report> {
    loop {
        let (mut probe, _) = listener.accept().await?;
        let (status, body) = match in_step.load(Ordering::Relaxed) {
            true => ("200 OK", r#"{"status":"in step"}"#),
            false => ("503 Service Unavailable", r#"{"status":"not in step"}"#),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            // Wait for a request, but ignore its content: every probe gets the same answer.
            if probe.read(&mut [0; 1024]).await? == 0 {
                return Ok(());
            }
            probe.write_all(answer.as_bytes()).await?;
            probe.shutdown().await
        };
        timeout(PROBE_PATIENCE, exchange).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute() {
        let pauses = [1, 2, 3, 6, 7, 1_000].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 30, 30, 30]);
    }

    #[test]
    fn a_look_tells_what_was_written_and_what_went_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = [folder.path().to_owned()];
        let empty = look(&paths);
        std::fs::write(folder.path().join("a.yaml"), "a: 1").expect("a file");
        let written = look(&paths);
        assert_ne!(empty, written);
        assert_eq!(written, look(&paths));
        std::fs::remove_dir_all(folder.path()).expect("the folder goes");
        assert_eq!(look(&paths), Look::new());
    }
}
