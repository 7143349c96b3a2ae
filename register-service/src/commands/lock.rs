//! Holds the lock of an owner during a `sync`, so that two runs do not interfere.

use std::time::Duration;

use proxy_client::{Client, Lock, Locking, Renewal};
use schemas::{Owner, format_duration};
use tokio::time::{Instant, sleep, sleep_until};

use crate::commands::prepare::Context;
use crate::commands::progress::Clock;

/// Lifetime of a lock after its run was killed.
const TTL: Duration = Duration::from_secs(30);
/// Pause between attempts to take a lock that is held.
const POLL: Duration = Duration::from_millis(500);

/// Reason why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLock {
    #[error("`{holder}` holds the lock of owner `{owner}` since {since}, and did not give it back within {limit}")]
    Held { owner: Owner, holder: String, since: String, limit: String },
    #[error(transparent)]
    Gateway(#[from] proxy_client::Error),
}

/// Takes the lock, waiting for it up to `within`; `None` if the gateway has no locks.
pub(super) async fn take(context: &Context, owner: &Owner, within: Duration) -> Result<Option<Lock>, NoLock> {
    let Context { client, printer, holder, .. } = context;
    let (started, mut clock) = (Instant::now(), Clock::new(Duration::ZERO));
    let deadline = started + within;
    loop {
        let held = match client.lock(owner, holder, TTL).await {
            Ok(Locking::Taken(lock)) => {
                printer.live("");
                return Ok(Some(lock));
            }
            Ok(Locking::Held(held)) => held,
            Err(error) if error.is_unsupported() => {
                printer.progress(
                    "this gateway has no locks and revisions: changes of others at the same time may be overwritten",
                );
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if Instant::now() >= deadline {
            printer.live("");
            let (holder, since, limit) = (held.holder.to_string(), held.since.clone(), format_duration(within));
            return Err(NoLock::Held { owner: owner.clone(), holder, since, limit });
        }
        let (so_far, limit) = (started.elapsed().as_secs(), format_duration(within));
        let line = format!("waiting for `{}`, which syncs as owner `{owner}` since {}", held.holder, held.since);
        clock.tell(*printer, &format!("{line}, {so_far}s of {limit}"));
        sleep_until(deadline.min(Instant::now() + POLL)).await;
    }
}

/// Runs some work under a lock, which is renewed meanwhile and released at the end.
pub(super) async fn under<T>(client: &Client, mut lock: Lock, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                // A lock that cannot be released expires.
                client.unlock(&lock).await.ok();
                return done;
            }
            () = sleep(TTL / 3) => match client.renew(&lock, TTL).await {
                Ok(Renewal::Renewed(renewed)) => lock = renewed,
                // Every change is conditional on its revision, so nothing is overwritten even without the lock.
                Ok(Renewal::Lost(_)) | Err(_) => {}
            },
        }
    }
}
