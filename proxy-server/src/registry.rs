//! The durable set of registrations, with their leases, the locks of owners and access tokens. Does not know the state of an upstream.
//!
//! Every change is a transaction: all of it is applied, or nothing. `records` has the rules and no clock or storage. A
//! transaction is applied to a copy of the records, the difference is stored, and only then do readers see it. Reads come
//! from memory, which includes every transaction that has returned; they go on while the storage is lost.

mod change_context;
mod delta;
mod embedded;
mod failure;
mod leases;
mod locks;
mod open;
mod record;
mod records;
mod redis;
mod registration;
mod snapshot;
mod storage;
mod token_changes;
mod tokens;
mod transaction;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Holder, Owner, Secret};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

pub(crate) use self::change_context::ChangeContext;
use self::delta::Delta;
pub(crate) use self::failure::StorageError;
use self::failure::{Fault, PersistError};
pub(crate) use self::leases::{Held, TooManyHolders, expiry};
pub(crate) use self::locks::{Lock, NotTaken};
#[cfg(test)]
pub(crate) use self::open::Place;
pub(crate) use self::open::{Config, OpenError, Opened, StorageKind};
use self::records::{Limits, Records};
pub(crate) use self::registration::{Registration, Tenure};
pub(crate) use self::snapshot::Snapshot;
use self::storage::Storage;
pub(crate) use self::tokens::{
    AccessToken, NoCall, TokenDigest, TokenError, TokenGrant, TokenId, Tokens, token_digest,
};
pub(crate) use self::transaction::{
    Effect, EndedLeases, Expected, Grant, RequestedLease, TransactError, Write, Written,
};
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::telemetry::{Actor, Audit, Entry, EventType, Histogram, PendingRecords, StateChanges};

/// Maximum time for which a change waits for the changes before it, and maximum time for which it is decided on again
/// because other gateways have changed the records.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Time after a start, or after the storage was lost, in which no lease ends: meanwhile holders could not renew any.
const LEASE_GRACE: Duration = Duration::from_secs(60);
/// Delay between two attempts to reach a lost storage: constant and short, so that its return is told within a second.
const RETRY: Duration = Duration::from_millis(500);

/// The registrations with their storage. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    storage: Storage,
    limits: Limits,
    records: Mutex<Records>,
    newest: watch::Sender<Arc<Snapshot>>,
    tokens: watch::Sender<Arc<Tokens>>,
    /// The failure of a lost storage.
    failure: watch::Sender<Option<StorageError>>,
    /// Time before which no lease ends.
    leases_until: Mutex<Timestamp>,
    /// Durations of the changes of the storage.
    writes: Mutex<Histogram>,
    /// One permit: one transaction at a time.
    turn: Semaphore,
    /// Notified after every change of the records.
    published: Notify,
    tasks: Tasks,
    audit: Audit,
    /// True if a change was refused because it could not be recorded, and leases have not been given more time for that yet.
    was_unrecorded: AtomicBool,
    events: StateChanges,
}

impl Registry {
    /// Takes over an opened storage, and starts the task that follows it.
    pub(crate) fn start(
        Opened { storage, records, limits, .. }: Opened,
        (audit, events): (Audit, StateChanges),
        tasks: &Tasks,
    ) -> Self {
        let newest = watch::Sender::new(Arc::clone(records.snapshot()));
        let access = watch::Sender::new(Arc::clone(records.tokens()));
        let is_durable = !matches!(storage, Storage::Memory);
        let leases_until = if is_durable { expiry(Timestamp::now(), LEASE_GRACE) } else { Timestamp::MIN };
        let registry = Self(Arc::new(Shared {
            storage,
            limits,
            records: Mutex::new(records),
            newest,
            tokens: access,
            failure: watch::Sender::new(None),
            leases_until: Mutex::new(leases_until),
            writes: Mutex::default(),
            turn: Semaphore::new(1),
            published: Notify::new(),
            tasks: tasks.clone(),
            audit,
            was_unrecorded: AtomicBool::new(false),
            events,
        }));
        if is_durable {
            let registrations = registry.snapshot().len();
            info!(storage = registry.kind(), registrations, "registrations read");
            let (following, stopping) = (registry.clone(), tasks.stopping().clone());
            tasks.spawn("follow storage", async move {
                stopping.run_until_cancelled(following.follow()).await;
            });
        }
        registry
    }

    /// Returns the word for the storage kind in `/healthz`.
    pub(crate) fn kind(&self) -> &'static str {
        self.0.storage.kind()
    }

    /// True if other gateways may use the storage too.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.storage.is_shared()
    }

    /// Returns the failure of the storage, if it is lost. Changes are refused meanwhile.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.0.failure.borrow().clone()
    }

    /// Leaves a storage that only one process can have to the next gateway. Reads go on, changes are refused.
    pub(crate) async fn hand_over(&self) {
        if !self.0.storage.is_exclusive() {
            return;
        }
        let Ok(Ok(_turn)) = timeout(MAX_WAIT, self.0.turn.acquire()).await else { return };
        self.0.storage.close();
        let handed_over = StorageError::new(Fault::HandedOver, "this one is about to stop");
        self.0.failure.send_replace(Some(handed_over));
    }

    /// Returns the newest state of all registrations.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.newest.borrow())
    }

    /// Subscribes to the newest state of all registrations.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.newest.subscribe()
    }

    /// Applies all writes, if every registration is in its expected state, or none of them.
    pub(crate) async fn transact(
        &self,
        writes: Vec<Write>,
        expected: &Expected,
        context: &ChangeContext,
    ) -> Result<Vec<Written>, TransactError> {
        let now = context.now;
        let expected = expected.clone();
        self.change(context, move |records| records.transact(writes.clone(), &expected, now)).await?
    }

    /// Sets the leases of a holder to exactly these names, or renews those it has. Registrations that have lost their
    /// last lease by this are removed.
    pub(crate) async fn hold(
        &self,
        holder: &Holder,
        names: Option<Vec<String>>,
        ttl: Duration,
        context: &ChangeContext,
    ) -> Result<Grant, TransactError> {
        let now = context.now;
        let holder = holder.clone();
        Ok(self.change(context, move |records| records.hold(&holder, names.clone(), ttl, now)).await??)
    }

    /// Ends all leases of a holder, and removes the registrations that have lost their last lease by this.
    pub(crate) async fn release(&self, holder: &Holder, context: &ChangeContext) -> Result<EndedLeases, StorageError> {
        let holder = holder.clone();
        self.change(context, move |records| records.release(&holder)).await
    }

    /// Ends expired leases, and removes the registrations that have lost their last lease by this.
    pub(crate) async fn expire(&self, context: &ChangeContext) -> Result<EndedLeases, StorageError> {
        let now = context.now;
        let shared = Arc::clone(&self.0);
        // Asked when it is this change's turn, because the storage may have been lost while it waited.
        let expire = move |records: &mut Records| {
            if shared.audit.failure().is_some() {
                shared.was_unrecorded.store(true, Ordering::Relaxed);
                return EndedLeases::default();
            }
            // Holders could take no leases meanwhile, as after a loss of the storage.
            if shared.was_unrecorded.swap(false, Ordering::Relaxed) {
                *lock(&shared.leases_until) = expiry(now, LEASE_GRACE);
            }
            let is_due = now >= *lock(&shared.leases_until);
            if is_due { records.expire(now) } else { EndedLeases::default() }
        };
        self.change(context, expire).await
    }

    /// Takes the lock of an owner. With the token of the held lock, extends that lock.
    pub(crate) async fn take_lock(
        &self,
        owner: &Owner,
        wanted: Lock,
        context: &ChangeContext,
    ) -> Result<Lock, NotTaken> {
        let now = context.now;
        let owner = owner.clone();
        self.change(context, move |records| records.locks.take(&owner, wanted.clone(), now)).await?
    }

    /// Extends the held lock; fails if there is none, or the token differs.
    pub(crate) async fn renew_lock(
        &self,
        owner: &Owner,
        wanted: Lock,
        context: &ChangeContext,
    ) -> Result<Lock, NotTaken> {
        let now = context.now;
        let owner = owner.clone();
        self.change(context, move |records| records.locks.renew(&owner, wanted.clone(), now)).await?
    }

    /// Releases a lock. Returns true if the token matched.
    pub(crate) async fn release_lock(
        &self,
        owner: &Owner,
        token: &Secret,
        context: &ChangeContext,
    ) -> Result<bool, StorageError> {
        let now = context.now;
        let (owner, token) = (owner.clone(), token.clone());
        self.change(context, move |records| records.locks.release(&owner, &token, now)).await
    }

    /// Returns the durations of the changes of the storage.
    pub(crate) fn write_durations(&self) -> Histogram {
        lock(&self.0.writes).clone()
    }

    /// Returns the number of registrations that can still be added.
    pub(crate) fn room(&self) -> usize {
        self.records().room()
    }

    /// Checks that the holder may take a lease.
    pub(crate) fn admits(&self, holder: &Holder) -> Result<(), TooManyHolders> {
        self.records().leases.admits([holder])
    }

    /// Returns the holders of leases on a registration, with the end of their leases, ordered by holder.
    pub(crate) fn leases_on(&self, name: &str) -> Vec<(Holder, Timestamp)> {
        self.records().leases.on(name).map(|(holder, ends_at)| (holder.clone(), ends_at)).collect()
    }

    /// Returns every holder with its leases.
    pub(crate) fn leases(&self) -> Vec<(Holder, Held)> {
        self.records().leases.all().iter().map(|(holder, held)| (holder.clone(), held.clone())).collect()
    }

    /// Waits for a change of the records, of leases too, by whatever gateway. Sees every change after its first poll.
    pub(crate) fn published(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.published.notified()
    }

    /// Returns the time at which the next lease may end.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        let next = self.records().leases.next()?;
        Some(next.max(*lock(&self.0.leases_until)))
    }

    /// Makes a change, stores it, and waits until its audit records are stored. Once begun, it is finished also if the caller
    /// drops the future, because it may be stored already.
    async fn change<T: Send + 'static>(
        &self,
        context: &ChangeContext,
        change: impl FnMut(&mut Records) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let (registry, context) = (self.clone(), context.clone());
        let finished = async move {
            let (outcome, records) = registry.commit(&context, change).await?;
            records.written().await;
            Ok(outcome)
        };
        self.0.tasks.finish_anyway("registry change", finished).await
    }

    async fn commit<T>(
        &self,
        context: &ChangeContext,
        mut change: impl FnMut(&mut Records) -> T,
    ) -> Result<(T, PendingRecords), StorageError> {
        let shared = &*self.0;
        let busy = || StorageError::new(Fault::Failed, "other changes are still being stored");
        let Ok(Ok(_turn)) = timeout(MAX_WAIT, shared.turn.acquire()).await else { return Err(busy()) };
        let until = Instant::now() + MAX_WAIT;
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        while Instant::now() < until {
            let before = self.records().clone();
            let mut after = before.clone();
            let outcome = change(&mut after);
            let delta = Delta::between(&before, &after);
            if delta.is_empty() {
                return Ok((outcome, PendingRecords::none()));
            }
            let entries = context.entries(&before, &delta);
            // Renewals of leases have no record, so they go on while none can be written.
            let place = (!entries.is_empty()).then(|| shared.audit.reserve()).transpose();
            let place = place.map_err(|reason| {
                shared.was_unrecorded.store(true, Ordering::Relaxed);
                StorageError::new(Fault::Unrecorded, reason)
            })?;
            let began = Instant::now();
            let persisted = shared.storage.persist(delta).await;
            lock(&shared.writes).observe(began.elapsed());
            match persisted {
                Ok(()) => {
                    // While no other change can come between.
                    let records = place.map_or_else(PendingRecords::none, |place| place.record(entries.clone()));
                    self.publish(after, entries);
                    return Ok((outcome, records));
                }
                Err(PersistError::Conflict) => self.reload().await.map_err(|error| self.fail(error))?,
                Err(PersistError::Failed(error)) => {
                    // It may be stored nevertheless.
                    let unknown = entries.into_iter().map(|entry| entry.with("outcome", "unknown")).collect();
                    if let Some(place) = place {
                        place.record(unknown).written().await;
                    }
                    return Err(self.fail(error));
                }
            }
        }
        Err(busy())
    }

    /// Returns the differences of records from those that are in effect.
    fn differences(&self, records: &Records) -> Vec<Entry> {
        let before = self.records().clone();
        let context = ChangeContext { by: Actor::Gateway, now: Timestamp::now() };
        context.entries(&before, &Delta::between(&before, records))
    }

    /// Replaces the records, announces their differences, and publishes the snapshot if it is another one. Only the holder of
    /// the turn may call this, so that readers see snapshots in order.
    fn publish(&self, records: Records, differences: Vec<Entry>) {
        self.0.events.note_all(differences);
        let mut current = self.records();
        *current = records;
        self.0.newest.send_if_modified(|newest| {
            let is_new = !Arc::ptr_eq(newest, current.snapshot());
            if is_new {
                *newest = Arc::clone(current.snapshot());
            }
            is_new
        });
        self.0.tokens.send_if_modified(|tokens| {
            let is_new = !Arc::ptr_eq(tokens, current.tokens());
            if is_new {
                tokens.clone_from(current.tokens());
            }
            is_new
        });
        self.0.published.notify_waiters();
    }

    /// Reads the storage again, which another process has changed, or which was lost.
    async fn reload(&self) -> Result<(), StorageError> {
        let shared = &*self.0;
        let until = Instant::now() + MAX_WAIT;
        while Instant::now() < until {
            let late = |_| Err(StorageError::new(Fault::Unreachable, "reading all records took too long"));
            let loaded = timeout(MAX_WAIT, shared.storage.reload(shared.limits)).await.unwrap_or_else(late)?;
            let Some(loaded) = loaded else { return Ok(()) };
            let Some(loss) = loaded.loss else {
                let differences = self.differences(&loaded.records);
                self.publish(loaded.records, differences);
                return Ok(());
            };
            let merged = self.records().merge(&loaded.records, loss, shared.limits);
            let delta = Delta::between(&loaded.records, &merged);
            let (registrations, leases, locks) = (delta.registrations.len(), delta.leases.len(), delta.locks.len());
            let tokens = delta.tokens.len();
            warn!(registrations, leases, locks, tokens, "the storage has lost changes; storing them again");
            let context = ChangeContext { by: Actor::Gateway, now: Timestamp::now() };
            let recorded = context.entries(&loaded.records, &delta);
            match shared.storage.persist(delta).await {
                Ok(()) => {
                    shared.storage.made_good();
                    recorded.into_iter().for_each(|entry| shared.audit.note(entry));
                    let differences = self.differences(&merged);
                    self.publish(merged, differences);
                    return Ok(());
                }
                // Another gateway has changed the records meanwhile, perhaps to the same.
                Err(PersistError::Conflict) => {}
                Err(PersistError::Failed(error)) => return Err(error),
            }
        }
        Err(StorageError::new(Fault::Failed, "other gateways change the records all the time"))
    }

    /// Notes that the storage is lost, once per loss.
    fn fail(&self, failure: StorageError) -> StorageError {
        let kind = self.kind();
        let is_new = self.0.failure.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&failure);
            *current = Some(failure.clone());
            is_new
        });
        if is_new {
            self.0.events.note(EventType::StorageLost, kind, &[("reason", failure.to_string().into())]);
            error!(storage = kind, error = %failure, "storage lost; serving from memory, and refusing changes");
        }
        failure
    }

    /// Follows the storage for as long as the gateway runs: takes over what others have changed, and reopens a lost one.
    async fn follow(&self) {
        loop {
            match self.0.storage.changed().await {
                Ok(()) => {
                    let Ok(_turn) = self.0.turn.acquire().await else { return };
                    if self.0.storage.is_ahead()
                        && let Err(error) = self.reload().await
                    {
                        self.fail(error);
                    }
                }
                Err(error) => drop(self.fail(error)),
            }
            // The loss may also have been noticed by a change, which calls `fail` itself.
            if self.failure().is_some() {
                self.recover().await;
            }
        }
    }

    /// Tries to reopen the storage until that succeeds, or until it is left to the next gateway.
    async fn recover(&self) {
        loop {
            tokio::time::sleep(RETRY).await;
            let Ok(_turn) = self.0.turn.acquire().await else { return };
            if self.failure().is_some_and(|failure| failure.is_handed_over()) {
                return std::future::pending().await;
            }
            match self.reload().await {
                Ok(()) => {
                    // While no change can come between.
                    *lock(&self.0.leases_until) = expiry(Timestamp::now(), LEASE_GRACE);
                    self.0.failure.send_replace(None);
                    self.0.events.note(EventType::StorageFound, self.kind(), &[]);
                    info!(storage = self.kind(), "storage found again; changes are accepted");
                    return;
                }
                Err(error) => drop(self.fail(error)),
            }
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.0.records)
    }
}
