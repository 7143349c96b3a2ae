//! Calls whose clients are thinking about a question. Each is claimed by the `requestState` that the client was given:
//! once, by the same principal, for the same request, before it expires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::downstream::conversation::Conversation;
use crate::downstream::seal::{Purpose, Seal};
use crate::error::{Error, Kind};
use crate::tasks::Tasks;
use crate::upstream::Upstream;

/// How long a client may think about one round of questions.
const LIFETIME: Duration = Duration::from_secs(300);
/// Parked calls, all in all and of one upstream: each holds a place among the upstream's requests in flight.
const MAX: usize = 1_000;
const MAX_PER_UPSTREAM: usize = 128;

/// The parked calls.
pub(super) struct Parked {
    state: Mutex<State>,
    seal: Seal,
    closed: CancellationToken,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    last: u64,
}

/// One parked call.
struct Waiting {
    /// Where to say to whom it goes.
    claim: oneshot::Sender<oneshot::Sender<Conversation>>,
    /// The address of its upstream.
    upstream: usize,
}

/// A place for a call that is about to be parked.
pub(super) struct Slot {
    place: Place,
    claimed: oneshot::Receiver<oneshot::Sender<Conversation>>,
    state: String,
}

/// Removes a call from the list, whatever ends it.
struct Place {
    parked: Arc<Parked>,
    number: u64,
}

impl Parked {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), seal: Seal::new(), closed: CancellationToken::new() })
    }

    /// A place for a call of this upstream, to be claimed for this purpose.
    pub(super) fn reserve(self: &Arc<Self>, upstream: &Arc<Upstream>, purpose: &Purpose) -> Result<Slot, Error> {
        let (claim, claimed) = oneshot::channel();
        let upstream = Arc::as_ptr(upstream).addr();
        let mut state = self.state();
        let of_upstream = state.waiting.values().filter(|waiting| waiting.upstream == upstream).count();
        if state.waiting.len() >= MAX || of_upstream >= MAX_PER_UPSTREAM || self.closed.is_cancelled() {
            return Err(Kind::Busy.into());
        }
        state.last += 1;
        let number = state.last;
        let sealed = self.seal.seal(number, purpose)?;
        state.waiting.insert(number, Waiting { claim, upstream });
        drop(state);
        Ok(Slot { place: Place { parked: Arc::clone(self), number }, claimed, state: sealed })
    }

    /// The call that this state belongs to. Whatever is wrong with the state, the answer is the same.
    pub(super) async fn claim(&self, sealed: &str, purpose: &Purpose) -> Option<Conversation> {
        let number = self.seal.open(sealed, purpose)?;
        let waiting = self.state().waiting.remove(&number)?;
        let (to, conversation) = oneshot::channel();
        waiting.claim.send(to).ok()?;
        conversation.await.ok()
    }

    /// Ends every parked call.
    pub(super) fn end_all(&self) {
        self.closed.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The `requestState` for the client.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Keeps a call whose questions a client with these raw capabilities has been asked.
    pub(super) fn keep(self, conversation: Conversation, capabilities: &str, tasks: &Tasks) {
        tasks.spawn("parked call", wait(self.place, conversation, capabilities.into(), self.claimed));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.parked.state().waiting.remove(&self.number);
    }
}

/// Keeps the upstream served until the call is claimed or has waited too long, which cancels it.
async fn wait(
    place: Place,
    mut conversation: Conversation,
    capabilities: Box<str>,
    claimed: oneshot::Receiver<oneshot::Sender<Conversation>>,
) {
    let until = conversation.deadline().min(Instant::now() + LIFETIME);
    tokio::select! {
        biased;
        Ok(to) = claimed => drop(to.send(conversation)),
        () = place.parked.closed.cancelled() => {}
        () = sleep_until(until) => {}
        never = conversation.rest(&capabilities) => match never {},
    }
}
