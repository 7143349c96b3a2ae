//! Calls that wait for their clients to answer a question. A call is claimed by the `requestState` that the client
//! received: once, by the same principal, for the same request, before it expires.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::call::kept::{Holder, Kept, Rank};
use crate::call::modern_to_legacy::round_trips::RoundTrips;
use crate::error::{Error, Kind, Limit};
use crate::keys::seal::{Purpose, Seal};
use crate::sync::lock;
use crate::tasks::Tasks;

/// Maximum number of parked calls per upstream: each counts against the upstream's limit of requests in flight.
const MAX_PER_UPSTREAM: usize = 128;

/// All parked calls.
pub(crate) struct Parked {
    state: Mutex<ParkedState>,
    seal: Seal,
    closed: CancellationToken,
    /// Maximum number of parked calls, and maximum time for which a client may take to answer one round of questions.
    limits: (usize, Duration),
    kept: Arc<Kept>,
}

/// Memory of a parked call, as counted by the budget of the process.
struct MemoryUse {
    bytes: AtomicUsize,
    since: Instant,
    given_up: CancellationToken,
    kept: Arc<Kept>,
}

struct ParkedState {
    waiting: HashMap<u64, Waiting>,
    last: u64,
}

/// Entry of a parked call.
struct Waiting {
    /// Passes the claimant's channel to the task that holds the call.
    claim: oneshot::Sender<oneshot::Sender<RoundTrips>>,
    /// Address of its upstream.
    upstream: usize,
}

/// Reservation for a call that is about to be parked.
pub(in crate::call) struct Reservation {
    entry: Entry,
    claimed: oneshot::Receiver<oneshot::Sender<RoundTrips>>,
    state: String,
}

/// Removes the call's entry when dropped, whatever the reason.
struct Entry {
    parked: Arc<Parked>,
    number: u64,
}

impl Parked {
    pub(in crate::call) fn new(most: usize, lifetime: Duration, kept: Arc<Kept>, seal: Seal) -> Arc<Self> {
        let (closed, limits) = (CancellationToken::new(), (most, lifetime));
        // Numbers of an earlier process, whose keys may have been the same, are not used again.
        let last = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        let state = Mutex::new(ParkedState { waiting: HashMap::new(), last });
        Arc::new(Self { state, seal, closed, limits, kept })
    }

    /// Reserves an entry for a call of the upstream at this address, to be claimed for this purpose. Fails if too many
    /// calls are parked, or the gateway stops.
    pub(in crate::call) fn reserve(self: &Arc<Self>, upstream: usize, purpose: &Purpose) -> Result<Reservation, Error> {
        let (claim, claimed) = oneshot::channel();
        let mut state = self.state();
        let of_upstream = state.waiting.values().filter(|waiting| waiting.upstream == upstream).count();
        let most = self.limits.0;
        if state.waiting.len() >= most {
            let limit = Limit::count(most, "--max-parked-calls", None);
            let full = Error::new(Kind::Cancelled).because("too many calls wait for their clients");
            return Err(full.limited(Some(limit)));
        }
        if of_upstream >= MAX_PER_UPSTREAM {
            let why = format!("{MAX_PER_UPSTREAM} calls of this server wait for their clients");
            return Err(Error::new(Kind::Cancelled).because(why));
        }
        if self.closed.is_cancelled() {
            return Err(Error::new(Kind::Cancelled).because("the gateway stops"));
        }
        state.last += 1;
        let number = state.last;
        let sealed = self.seal.seal(&number.to_be_bytes(), purpose).map_err(|_| Error::new(Kind::Cancelled))?;
        let sealed = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        state.waiting.insert(number, Waiting { claim, upstream });
        drop(state);
        Ok(Reservation { entry: Entry { parked: Arc::clone(self), number }, claimed, state: sealed })
    }

    /// Returns the call that a `requestState` belongs to. Every invalid state gives `None`, so that clients cannot tell
    /// the reasons apart.
    pub(in crate::call) async fn claim(&self, sealed: &str, purpose: &Purpose) -> Option<RoundTrips> {
        let number = self.seal.open(BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?, purpose)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        let waiting = self.state().waiting.remove(&number)?;
        let (to, trips) = oneshot::channel();
        waiting.claim.send(to).ok()?;
        trips.await.ok()
    }

    /// Returns the number of parked calls.
    pub(in crate::call) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Ends every parked call.
    pub(in crate::call) fn end_all(&self) {
        self.closed.cancel();
    }

    fn state(&self) -> MutexGuard<'_, ParkedState> {
        lock(&self.state)
    }
}

impl Reservation {
    /// Returns the `requestState` for the client.
    pub(in crate::call) fn state(&self) -> &str {
        &self.state
    }

    /// Parks a call whose questions were sent to a client with these raw capabilities.
    pub(in crate::call) fn keep(self, trips: RoundTrips, capabilities: &str, tasks: &Tasks) {
        let Self { entry, claimed, .. } = self;
        let until = trips.deadline().min(Instant::now() + entry.parked.limits.1);
        let waited = Waited { trips, capabilities: capabilities.into(), until };
        tasks.spawn("parked call", wait(entry, waited, claimed));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.parked.state().waiting.remove(&self.number);
    }
}

/// A parked call with its deadline.
struct Waited {
    trips: RoundTrips,
    capabilities: Box<str>,
    until: Instant,
}

/// Drains the upstream's events until the call is claimed. Cancels it at its deadline, when the gateway stops, or when
/// the budget needs its memory.
async fn wait(entry: Entry, waited: Waited, mut claimed: oneshot::Receiver<oneshot::Sender<RoundTrips>>) {
    let Waited { mut trips, capabilities, until } = waited;
    let memory = MemoryUse::new(&entry.parked.kept);
    loop {
        memory.set(trips.bytes());
        tokio::select! {
            biased;
            () = sleep_until(until) => return,
            () = entry.parked.closed.cancelled() => return,
            () = memory.given_up.cancelled() => return,
            Ok(to) = &mut claimed => return drop(to.send(trips)),
            () = trips.rest(&capabilities) => {}
        }
    }
}

impl MemoryUse {
    fn new(kept: &Arc<Kept>) -> Arc<Self> {
        let (bytes, since, given_up) = (AtomicUsize::new(0), Instant::now(), CancellationToken::new());
        let memory = Arc::new(Self { bytes, since, given_up, kept: Arc::clone(kept) });
        kept.add(&memory);
        memory
    }

    fn set(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.kept.changed(before, bytes);
    }
}

impl Holder for MemoryUse {
    fn idle(&self) -> Option<(Rank, Instant)> {
        (!self.given_up.is_cancelled()).then_some((Rank::Running, self.since))
    }

    fn release(&self) -> usize {
        self.given_up.cancel();
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Drop for MemoryUse {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::keys::Keys;

    const LIFETIME: Duration = Duration::from_secs(300);
    const MINE: Purpose = [1; 32];

    fn seal() -> Seal {
        Keys::of(1).seal
    }

    fn park(parked: &Arc<Parked>, tasks: &Tasks, lifetime: Duration) -> String {
        let slot = parked.reserve(7, &MINE).expect("a place");
        let state = slot.state().to_owned();
        slot.keep(RoundTrips::silent(Instant::now() + lifetime, tasks), "{}", tasks);
        state
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_good_for_one_claim_before_it_expires() {
        let (parked, tasks) = (Parked::new(1_000, LIFETIME, Kept::new(usize::MAX), seal()), Tasks::default());
        let day = Duration::from_secs(24 * 60 * 60);
        let (early, late) = (park(&parked, &tasks, day), park(&parked, &tasks, day));
        advance(LIFETIME - Duration::from_secs(1)).await;
        assert!(parked.claim(&early, &[2; 32]).await.is_none(), "somebody else's");
        assert!(parked.claim(&early, &MINE).await.is_some());
        assert!(parked.claim(&early, &MINE).await.is_none(), "again");
        advance(Duration::from_secs(2)).await;
        assert!(parked.claim(&late, &MINE).await.is_none(), "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_parked_beyond_its_own_deadline() {
        let (parked, tasks) = (Parked::new(1_000, LIFETIME, Kept::new(usize::MAX), seal()), Tasks::default());
        let state = park(&parked, &tasks, Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(parked.claim(&state, &MINE).await.is_none());
        assert!(parked.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn an_upstream_has_so_many_places() {
        let parked = Parked::new(1_000, LIFETIME, Kept::new(usize::MAX), seal());
        let slots: Vec<Reservation> =
            (0..MAX_PER_UPSTREAM).map(|_| parked.reserve(7, &MINE).expect("a place")).collect();
        let full = parked.reserve(7, &MINE).err().expect("no place");
        assert_eq!(full.kind(), Kind::Cancelled);
        assert!(full.limit().is_none(), "no setting changes this limit");
        assert!(parked.reserve(8, &MINE).is_ok());
        drop(slots);
        assert!(parked.reserve(7, &MINE).is_ok());
        parked.end_all();
        assert!(parked.reserve(7, &MINE).is_err(), "the gateway stops");
    }

    #[tokio::test]
    async fn over_the_budget_of_the_process_the_oldest_parked_call_ends() {
        let (kept, tasks) = (Kept::new(100), Tasks::default());
        let parked = Parked::new(1_000, LIFETIME, Arc::clone(&kept), seal());
        let oldest = park(&parked, &tasks, LIFETIME);
        while kept.used() == 0 {
            tokio::task::yield_now().await;
        }
        let one = kept.used();
        assert!((51..=100).contains(&one), "two are too much: {one}");
        let newest = park(&parked, &tasks, LIFETIME);
        while parked.state().waiting.len() > 1 {
            tokio::task::yield_now().await;
        }
        assert!(parked.claim(&oldest, &MINE).await.is_none());
        assert!(parked.claim(&newest, &MINE).await.is_some());
    }
}
