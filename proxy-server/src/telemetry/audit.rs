//! Audit log: a file with a record of every change, and of every refused access.
//!
//! Each record carries the SHA-256 of the record before it (`chain`), and the file `FILE.head` the digest of the last one,
//! so that a record that was removed, edited or moved is found. A thread writes; whoever makes a change waits until its
//! record is on the disk. While records cannot be written, changes are refused.

pub(crate) mod chain;
mod entry;
pub(crate) mod file;
mod read;
mod refusals;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::entry::{Actor, Entry, EventType};
pub(crate) use self::file::AuditError;
use self::file::AuditFile;
pub(crate) use self::read::{Records, records};
pub(crate) use self::refusals::Refusal;
use self::refusals::Refusals;
use crate::sync::lock;

/// Maximum number of changes whose records wait to be written.
const QUEUE: usize = 1_024;
/// Maximum number of records that are written at once.
const BATCH: usize = 512;
/// Time that a change waits for its record to be on the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time that the end of the gateway waits for the last records.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Delay before records are written again that could not be written.
const RETRY: Duration = Duration::from_secs(1);
/// Interval at which the numbers of repeated refusals are recorded.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(10);

/// The audit log of a gateway; one without a file records nothing. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Audit(Option<Arc<Shared>>);

struct Shared {
    path: PathBuf,
    queue: mpsc::Sender<Vec<Entry>>,
    /// Number of changes whose records are on the disk.
    written: watch::Receiver<u64>,
    /// Number of changes that were put in the queue.
    queued: Mutex<u64>,
    /// The reason why records cannot be written.
    failure: watch::Receiver<Option<Arc<str>>>,
    refusals: Mutex<Refusals>,
    /// Number of records of refusals and settings that were left out, because the queue was full.
    lost: AtomicU64,
}

/// Place in the queue for the records of one change.
pub(crate) struct Reserved<'a>(Option<(&'a Shared, mpsc::Permit<'a, Vec<Entry>>)>);

/// Records that are to be written.
#[must_use = "the change is answered once its records are on the disk"]
pub(crate) struct PendingRecords(Option<(watch::Receiver<u64>, u64)>);

impl Audit {
    /// Opens the file, and starts the thread that writes to it.
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let file = AuditFile::open(path)?;
        let (queue, entries) = mpsc::channel(QUEUE);
        let (written, failure) = (watch::Sender::new(0), watch::Sender::new(None));
        let shared = Shared {
            path: path.to_owned(),
            queue,
            written: written.subscribe(),
            queued: Mutex::new(0),
            failure: failure.subscribe(),
            refusals: Mutex::default(),
            lost: AtomicU64::new(0),
        };
        let writer = thread::Builder::new().name("audit".to_owned());
        let started = writer.spawn(move || write_all(file, entries, &written, &failure));
        started.map_err(|error| AuditError::new("cannot start the thread that writes", path, error))?;
        Ok(Self(Some(Arc::new(shared))))
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|shared| shared.path.as_path())
    }

    /// Returns the reason why records cannot be written. Changes are refused meanwhile.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.0.as_ref()?.failure.borrow().clone()
    }

    /// Takes a place in the queue before a change is made, so that none is made that cannot be recorded.
    pub(crate) fn reserve(&self) -> Result<Reserved<'_>, Arc<str>> {
        let Some(shared) = &self.0 else { return Ok(Reserved(None)) };
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let place = shared.queue.try_reserve();
        place.map(|place| Reserved(Some((&**shared, place)))).map_err(|_| "its writer does not keep up".into())
    }

    /// Records something that has happened, as far as there is room in the queue.
    pub(crate) fn note(&self, entry: Entry) {
        let Some(shared) = &self.0 else { return };
        let mut queued = lock(&shared.queued);
        // Half of the queue is for changes, which would be refused without a place.
        let has_room = shared.queue.capacity() > QUEUE / 2;
        if has_room && shared.queue.try_send(vec![entry]).is_ok() {
            *queued += 1;
        } else {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records what is about to happen, and waits until that is on the disk.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), Arc<str>> {
        self.reserve()?.record(vec![entry]).written().await;
        Ok(())
    }

    /// Records a refused access. Repeated ones of one address are counted, and their number is recorded every now and then.
    pub(crate) fn refused(&self, refusal: impl FnOnce() -> Refusal) {
        let Some(shared) = &self.0 else { return };
        let first = lock(&shared.refusals).add(refusal());
        if let Some(entry) = first {
            self.note(entry);
        }
    }

    /// Records the numbers of repeated refusals until the gateway stops.
    pub(crate) async fn follow_refusals(self, stopping: CancellationToken) {
        let Some(shared) = &self.0 else { return };
        let mut is_running = true;
        while is_running {
            is_running = stopping.run_until_cancelled(sleep(REFUSALS_INTERVAL)).await.is_some();
            let repeated = lock(&shared.refusals).take();
            repeated.into_iter().for_each(|entry| self.note(entry));
            let lost = shared.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                warn!(
                    records = lost,
                    "the audit log does not keep up; records of refused accesses or settings are missing"
                );
            }
        }
    }

    /// Waits until everything that was queued is on the disk, for a while: the end of the gateway.
    pub(crate) async fn flush(&self) {
        let Some(shared) = &self.0 else { return };
        let queued = *lock(&shared.queued);
        let mut written = shared.written.clone();
        // An error means that the writer has ended.
        if timeout(LAST_PATIENCE, written.wait_for(|written| *written >= queued)).await.is_err() {
            let lost = queued - *shared.written.borrow();
            error!(changes = lost, "the audit log cannot be written; the records of these changes are lost");
        }
    }
}

impl Reserved<'_> {
    /// Queues the records of the change that was made. Changes are recorded in the order of these calls.
    pub(crate) fn record(self, entries: Vec<Entry>) -> PendingRecords {
        let Some((shared, place)) = self.0.filter(|_| !entries.is_empty()) else { return PendingRecords(None) };
        let mut queued = lock(&shared.queued);
        place.send(entries);
        *queued += 1;
        PendingRecords(Some((shared.written.clone(), *queued)))
    }
}

impl PendingRecords {
    /// Returns those of a change without records.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Waits until the records are on the disk. Gives up after a while: the change was made, and its records are written as
    /// soon as they can be.
    pub(crate) async fn written(self) {
        let Some((mut written, number)) = self.0 else { return };
        // An error means that the writer has ended, with the process.
        if timeout(PATIENCE, written.wait_for(|written| *written >= number)).await.is_err() {
            error!("a change was made whose audit record is not on the disk yet");
        }
    }
}

/// Writes records until nobody has any more.
fn write_all(
    mut file: AuditFile,
    mut queue: mpsc::Receiver<Vec<Entry>>,
    written: &watch::Sender<u64>,
    failure: &watch::Sender<Option<Arc<str>>>,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut changes = vec![first];
        while changes.len() < BATCH
            && let Ok(more) = queue.try_recv()
        {
            changes.push(more);
        }
        let count = changes.len() as u64;
        let entries: Vec<Entry> = changes.into_iter().flatten().collect();
        while let Err(error) = file.append(&entries) {
            let reason: Arc<str> = error.words().into();
            if failure.borrow().as_ref() != Some(&reason) {
                error!(reason = &*reason, "the audit log cannot be written; changes are refused");
                failure.send_replace(Some(reason));
            }
            if queue.is_closed() {
                return;
            }
            thread::sleep(RETRY);
        }
        if failure.borrow().is_some() {
            info!("the audit log is written again; changes are accepted");
            failure.send_replace(None);
        }
        written.send_modify(|written| *written += count);
    }
}
