//! Records in Redis or Valkey, shared with other gateways.
//!
//! Definitions are stored under Compozy's keys and in its form, so that its proxy and this gateway can be swapped in place;
//! everything else stands beside them:
//!
//! | key | type | contents |
//! |---|---|---|
//! | `mcp_proxy:mcps:NAME` | string | the definition, as Compozy's proxy writes it |
//! | `mcp_proxy:status:NAME` | string | Compozy's; deleted with the definition |
//! | `mcp_proxy:gateway:meta` | hash | `format`, `version` of the records, `revision`, `last` change, `master` secret |
//! | `mcp_proxy:gateway:marks` | hash | revisions by name, with a digest of the definition that they are for |
//! | `mcp_proxy:gateway:leases`, `mcp_proxy:gateway:locks`, `mcp_proxy:gateway:tokens` | hash | by holder, by owner, by name |
//! | `mcp_proxy:gateway:changes` | stream | one entry a change, which other gateways wait for |
//!
//! A change is one script, which refuses to run if another gateway has changed anything since the records were read. It
//! carries a random id, so that it can be sent again when its response was lost: it is not applied twice.

mod adoption;
mod changes;
mod fault;
mod layout;
mod server;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncCommands, RedisError, Script, cmd};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::info;

use self::adoption::{History, Read, adopt, names};
use self::changes::{Op, ops};
use self::fault::storage_error;
use self::layout::{CHANGES, Entries, FORMAT, LEASES, LOCKS, MARKS, META, TOKENS, change_of, hex};
use self::server::Server;
pub(super) use self::server::Settings;
use crate::keys::{MASTER_LEN, draw_master};
use crate::registry::delta::Delta;
use crate::registry::failure::{Fault, PersistError, StorageError};
use crate::registry::records::{Limits, Loaded, Loss};
use crate::sync::lock;

/// Time for a server to become reachable at start, and the interval at which it is tried.
const START_PATIENCE: Duration = Duration::from_secs(5);
const START_INTERVAL: Duration = Duration::from_millis(250);
/// Time for which one read waits for changes. Short, so that a server that is silent is noticed within a second or two.
const WATCH_BLOCK: Duration = Duration::from_millis(500);
/// Number of changes whose ids are remembered.
const MAX_KNOWN: usize = 1_000;
/// Maximum number of readings during which other gateways change the records.
const MAX_READINGS: u32 = 20;
/// Applies a change.
static CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/change.lua")));

/// A store of the records of several gateways.
pub(super) struct Redis {
    server: Server,
    /// The connection for commands; `None` before the first and after a failure.
    commands: Mutex<Option<MultiplexedConnection>>,
    /// The connection that waits for changes, between two of them.
    waiting: Mutex<Option<MultiplexedConnection>>,
    /// Names of definitions that cannot be read, which every reading looks for again.
    skipped: Mutex<Vec<String>>,
    position: Mutex<Position>,
    master: Mutex<Option<[u8; MASTER_LEN]>>,
    failure: watch::Sender<Option<StorageError>>,
}

/// The state of the store that the records in memory are from.
#[derive(Debug, Default)]
struct Position {
    /// Number of changes so far.
    version: u64,
    /// Version in the last entry of the stream that was read.
    seen: u64,
    /// Id of the last entry of the stream of changes.
    entry: String,
    /// Ids of the newest changes by the version that they led to, by which another history is recognised.
    known: BTreeMap<u64, String>,
    /// Loss of the store that was noticed, until the lost changes are stored again.
    loss: Option<Loss>,
}

impl Redis {
    /// Connects to the server, for which it waits a little, and reads all records.
    pub(super) async fn open(settings: &Settings, limits: Limits) -> Result<(Self, Loaded), StorageError> {
        let server = Server::new(settings)?;
        let redis = Self {
            server,
            commands: Mutex::default(),
            waiting: Mutex::default(),
            skipped: Mutex::default(),
            position: Mutex::default(),
            master: Mutex::default(),
            failure: watch::Sender::new(None),
        };
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match redis.reload(limits).await {
                Ok(loaded) => return Ok((redis, loaded)),
                Err(error) if error.fault.may_pass() && Instant::now() < deadline => sleep(START_INTERVAL).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies a change to the version of the records that was read last.
    pub(super) async fn persist(&self, delta: &Delta) -> Result<(), PersistError> {
        let ops = ops(delta).map_err(|error| self.failed(StorageError::new(Fault::Failed, error)))?;
        self.apply(&ops, delta.revision.get()).await
    }

    /// Waits until another gateway has changed the records; an error if the server cannot be reached.
    pub(super) async fn changed(&self) -> Result<(), StorageError> {
        let mut failure = self.failure.subscribe();
        tokio::select! {
            failed = failure.wait_for(Option::is_some) => Err(failed.ok().and_then(|failed| failed.clone()).unwrap_or_else(closed)),
            changed = self.wait_for_entry() => changed.map_err(|error| self.lost(&error)),
        }
    }

    /// True if the stream has shown a change that is not in the records. Own changes may be seen before they have returned.
    pub(super) fn is_outdated(&self) -> bool {
        let position = lock(&self.position);
        position.seen != position.version
    }

    /// Reads all records, over a new connection if the last one has failed.
    pub(super) async fn reload(&self, limits: Limits) -> Result<Loaded, StorageError> {
        let mut has_failed = false;
        let mut read = async || {
            for _ in 0..MAX_READINGS {
                match self.read(limits).await {
                    Ok(Some(loaded)) => return Ok(loaded),
                    Ok(None) => {}
                    // A connection may have been closed while nobody used it.
                    Err(error) if error.fault == Fault::Unreachable && !has_failed => {
                        has_failed = true;
                        *lock(&self.commands) = None;
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(StorageError::new(Fault::Failed, "other gateways change the records all the time"))
        };
        let loaded = read().await;
        if loaded.is_err() {
            *lock(&self.commands) = None;
        }
        self.failure.send_replace(loaded.as_ref().err().cloned());
        loaded
    }

    /// Reads all records once; `None` if they changed while definitions of another proxy were taken over.
    async fn read(&self, limits: Limits) -> Result<Option<Loaded>, StorageError> {
        let mut connection = self.connection().await.map_err(|error| self.server.explain(&error))?;
        let explain = |error| self.server.explain(&error);
        // Definitions of another proxy are looked for at the start and after a loss: the keyspace may be large.
        let (version, is_first) = {
            let position = lock(&self.position);
            (position.version, position.is_first())
        };
        let scans = is_first || self.failure.borrow().is_some();
        let known = lock(&self.skipped).clone();
        let found = if scans { names(&mut connection).await.map_err(explain)? } else { known };
        let read = Read::all(&mut connection, version, &found).await.map_err(explain)?;
        if read.format > FORMAT {
            let details =
                format!("form {} of its records, and this version knows {FORMAT}; use the newer one", read.format);
            return Err(StorageError::new(Fault::Newer, details));
        }
        let master = self.master(&mut connection, &read).await?;
        let loss = lock(&self.position).follow(&read.history);
        let adopted = adopt(read, loss.is_some(), limits);
        lock(&self.skipped).clone_from(&adopted.skipped);
        if !adopted.ops.is_empty() {
            info!(registrations = adopted.count, "taking over definitions that another proxy has written or deleted");
            match self.apply(&adopted.ops, adopted.records.snapshot().revision().get()).await {
                Ok(()) => {}
                Err(PersistError::Conflict) => return Ok(None),
                Err(PersistError::Failed(error)) => return Err(error),
            }
        }
        // Definitions of another proxy are not among the changes known here.
        let loss = if adopted.count > 0 { loss.map(|_| Loss::Diverged) } else { loss };
        Ok(Some(Loaded { records: adopted.records, master, loss }))
    }

    /// Notes that what the store had lost is stored again.
    pub(super) fn made_good(&self) {
        lock(&self.position).loss = None;
    }

    /// Returns the master secret: this process's own if the store has lost it, the store's otherwise.
    async fn master(
        &self,
        connection: &mut MultiplexedConnection,
        read: &Read,
    ) -> Result<[u8; MASTER_LEN], StorageError> {
        let known = *lock(&self.master);
        let master = match (&read.master, known) {
            (Some(stored), _) => adoption::master(stored)?,
            (None, known) => {
                let own =
                    known.map_or_else(draw_master, Ok).map_err(|error| StorageError::new(Fault::Failed, error))?;
                let text = hex(&own);
                let mut set = cmd("HSETNX");
                set.arg(META).arg("master").arg(&text);
                set.query_async::<()>(connection).await.map_err(|error| storage_error(&error))?;
                let stored: String = connection.hget(META, "master").await.map_err(|error| storage_error(&error))?;
                adoption::master(&stored)?
            }
        };
        *lock(&self.master) = Some(master);
        Ok(master)
    }

    /// Runs the script of a change. It is sent a second time if the connection broke, which is safe because of its id.
    async fn apply(&self, ops: &[Op], revision: u64) -> Result<(), PersistError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| self.failed(StorageError::new(Fault::Failed, error)))?;
        let id = hex(&id);
        let mut last = None;
        for _ in 0..2 {
            let version = lock(&self.position).version;
            match self.run(ops, &id, version, revision).await {
                Ok((1, version)) => {
                    let mut position = lock(&self.position);
                    position.version = version;
                    position.know(version, &id);
                    return Ok(());
                }
                Ok(_) => return Err(PersistError::Conflict),
                Err(error) if error.is_io_error() => {
                    *lock(&self.commands) = None;
                    last = Some(error);
                }
                Err(error) => return Err(PersistError::Failed(self.lost(&error))),
            }
        }
        Err(PersistError::Failed(last.map_or_else(closed, |error| self.lost(&error))))
    }

    async fn run(&self, ops: &[Op], id: &str, version: u64, revision: u64) -> Result<(u8, u64), RedisError> {
        let mut connection = self.connection().await?;
        let mut call = CHANGE.prepare_invoke();
        call.key(META).key(CHANGES).key(MARKS).key(LEASES).key(LOCKS).key(TOKENS);
        call.arg(version).arg(id).arg(revision).arg(FORMAT);
        for key in changes::keys(ops) {
            call.key(key);
        }
        for arg in changes::args(ops) {
            call.arg(arg);
        }
        call.invoke_async(&mut connection).await
    }

    /// Waits for an entry in the stream of changes that is not of this process's own change.
    async fn wait_for_entry(&self) -> Result<(), RedisError> {
        let open = lock(&self.waiting).take();
        let mut connection = match open {
            Some(open) => open,
            None => self.server.connect_to_wait(WATCH_BLOCK).await?,
        };
        loop {
            let entry = lock(&self.position).entry.clone();
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(1_000).arg("BLOCK").arg(WATCH_BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(CHANGES).arg(&entry);
            let found: Option<Vec<(String, Entries)>> = read.query_async(&mut connection).await?;
            let mut position = lock(&self.position);
            for (entry, fields) in found.into_iter().flatten().flat_map(|(_, entries)| entries) {
                if let Some((version, change)) = change_of(&fields) {
                    position.see(version, change);
                }
                position.entry = entry;
            }
            if position.seen != position.version {
                *lock(&self.waiting) = Some(connection);
                return Ok(());
            }
        }
    }

    /// Returns the connection for commands, or opens one.
    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let open = lock(&self.commands).clone();
        if let Some(open) = open {
            return Ok(open);
        }
        let new = self.server.connect().await?;
        *lock(&self.commands) = Some(new.clone());
        Ok(new)
    }

    /// Notes a failure, so that [`Self::changed`] reports it.
    fn lost(&self, error: &RedisError) -> StorageError {
        let error = self.server.explain(error);
        *lock(&self.commands) = None;
        self.failure.send_replace(Some(error.clone()));
        error
    }

    /// Notes a failure of this process.
    fn failed(&self, error: StorageError) -> PersistError {
        self.failure.send_replace(Some(error.clone()));
        PersistError::Failed(error)
    }
}

impl Position {
    /// Moves on to the state that was read. Returns what the store has lost since the state before.
    fn follow(&mut self, read: &History) -> Option<Loss> {
        let is_first = self.is_first();
        let loss = match self.known.get(&read.version) {
            _ if is_first => None,
            Some(change) if Some(change) == read.last.as_ref() => (read.version < self.version).then_some(Loss::Newest),
            Some(_) => Some(Loss::Diverged),
            None if read.version < self.version => Some(Loss::Diverged),
            // Newer: what led to our version must be among its changes, as far as these are kept.
            None => {
                let theirs = read.changes.get(&self.version);
                let is_other = theirs.is_some_and(|theirs| self.known.get(&self.version) != Some(theirs));
                is_other.then_some(Loss::Diverged)
            }
        };
        self.loss = self.loss.max(loss);
        if loss == Some(Loss::Diverged) {
            self.known.clear();
        }
        (self.version, self.seen, self.entry) = (read.version, read.version, read.entry.clone());
        if let Some(change) = &read.last {
            self.know(read.version, change);
        }
        self.loss
    }

    /// Notes an entry of the stream. One of another history than the known one is no version of this one.
    fn see(&mut self, version: u64, change: &str) {
        let is_other = self.known.get(&version).is_some_and(|known| known != change);
        self.seen = if is_other { u64::MAX } else { version };
        if !is_other {
            self.know(version, change);
        }
    }

    /// True before the first reading.
    fn is_first(&self) -> bool {
        self.entry.is_empty()
    }

    fn know(&mut self, version: u64, change: &str) {
        self.known.insert(version, change.to_owned());
        if self.known.len() > MAX_KNOWN {
            self.known.pop_first();
        }
    }
}

#[cfg(test)]
mod tests;

fn closed() -> StorageError {
    StorageError::new(Fault::Failed, "closed")
}
