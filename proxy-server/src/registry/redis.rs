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
//! | `mcp_proxy:gateway:leases`, `mcp_proxy:gateway:locks` | hash | by holder, by owner |
//! | `mcp_proxy:gateway:changes` | stream | one entry a change, which other gateways wait for |
//!
//! A change is one script, which refuses to run if another gateway has changed anything since the records were read. It
//! carries a random id, so that it can be sent again when its response was lost: it is not applied twice.

mod adoption;
mod changes;
mod fault;
mod layout;
mod server;

use std::sync::Mutex;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncCommands, RedisError, Script, cmd};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::info;

use self::adoption::{Read, adopt};
use self::changes::{Op, ops};
use self::fault::storage_error;
use self::layout::{CHANGES, Entries, FORMAT, LEASES, LOCKS, MARKS, META, hex};
use self::server::Server;
pub(super) use self::server::Settings;
use crate::keys::{MASTER_LEN, draw_master};
use crate::registry::delta::Delta;
use crate::registry::failure::{Fault, PersistError, StorageError};
use crate::registry::records::{Limits, Loaded};
use crate::sync::lock;

/// Time for a server to become reachable at start, and the interval at which it is tried.
const START_PATIENCE: Duration = Duration::from_secs(5);
const START_INTERVAL: Duration = Duration::from_millis(250);
/// Time for which one read waits for changes. Short, so that a server that is silent is noticed within a second or two.
const WATCH_BLOCK: Duration = Duration::from_millis(500);
/// Maximum number of readings during which other gateways change the records.
const MAX_READINGS: u32 = 20;
/// A store of the records of several gateways.
pub(super) struct Redis {
    server: Server,
    /// The connection for commands; `None` before the first and after a failure.
    commands: Mutex<Option<MultiplexedConnection>>,
    position: Mutex<Position>,
    master: Mutex<Option<[u8; MASTER_LEN]>>,
    failure: watch::Sender<Option<StorageError>>,
    script: Script,
}

/// The state of the store that the records in memory are from.
#[derive(Debug, Clone, Default)]
struct Position {
    /// Number of changes so far.
    version: u64,
    /// Version in the last entry of the stream that was read.
    seen: u64,
    /// Id of the last entry of the stream of changes.
    entry: String,
}

impl Redis {
    /// Connects to the server, for which it waits a little, and reads all records.
    pub(super) async fn open(settings: &Settings, limits: Limits) -> Result<(Self, Loaded), StorageError> {
        let server = Server::new(settings)?;
        let redis = Self {
            server,
            commands: Mutex::default(),
            position: Mutex::default(),
            master: Mutex::default(),
            failure: watch::Sender::new(None),
            script: Script::new(include_str!("redis/change.lua")),
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
        let failed = |error| PersistError::Failed(StorageError::new(Fault::Failed, error));
        let ops = ops(delta).map_err(failed)?;
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
        let read = async {
            for _ in 0..MAX_READINGS {
                if let Some(loaded) = self.read(limits).await? {
                    return Ok(loaded);
                }
            }
            Err(StorageError::new(Fault::Failed, "other gateways change the records all the time"))
        };
        let loaded = read.await;
        match &loaded {
            Ok(_) => drop(self.failure.send_replace(None)),
            Err(_) => *lock(&self.commands) = None,
        }
        loaded
    }

    /// Reads all records once; `None` if they changed meanwhile.
    async fn read(&self, limits: Limits) -> Result<Option<Loaded>, StorageError> {
        let mut connection = self.connection().await.map_err(|error| self.server.explain(&error))?;
        let read = Read::all(&mut connection).await.map_err(|error| storage_error(&error))?;
        let Some(read) = read else { return Ok(None) };
        if read.format > FORMAT {
            let details =
                format!("form {} of its records, and this version knows {FORMAT}; use the newer one", read.format);
            return Err(StorageError::new(Fault::Newer, details));
        }
        let master = self.master(&mut connection, &read).await?;
        let is_behind = read.version < lock(&self.position).version;
        *lock(&self.position) = Position { version: read.version, seen: read.version, entry: read.entry.clone() };
        let adopted = adopt(read, is_behind, limits);
        if !adopted.ops.is_empty() {
            info!(registrations = adopted.count, "taking over definitions that another proxy has written or deleted");
            match self.apply(&adopted.ops, adopted.records.snapshot().revision().get()).await {
                Ok(()) => {}
                Err(PersistError::Conflict) => return Ok(None),
                Err(PersistError::Failed(error)) => return Err(error),
            }
        }
        Ok(Some(Loaded { records: adopted.records, master, is_behind }))
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
        getrandom::fill(&mut id).map_err(|error| PersistError::Failed(StorageError::new(Fault::Failed, error)))?;
        let id = hex(&id);
        let mut last = None;
        for _ in 0..2 {
            let version = lock(&self.position).version;
            match self.run(ops, &id, version, revision).await {
                Ok((1, version)) => {
                    lock(&self.position).version = version;
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
        let mut call = self.script.prepare_invoke();
        call.key(META).key(CHANGES).key(MARKS).key(LEASES).key(LOCKS);
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
        let mut connection = self.server.connect_to_wait(WATCH_BLOCK).await?;
        loop {
            let Position { entry, .. } = lock(&self.position).clone();
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(1_000).arg("BLOCK").arg(WATCH_BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(CHANGES).arg(&entry);
            let found: Option<Vec<(String, Entries)>> = read.query_async(&mut connection).await?;
            let entries = found.into_iter().flatten().flat_map(|(_, entries)| entries);
            let Some((last, fields)) = entries.last() else { continue };
            let version = fields.chunks(2).find(|pair| pair.first().is_some_and(|name| name == "version"));
            let version: Option<u64> = version.and_then(|pair| pair.get(1)?.parse().ok());
            let mut position = lock(&self.position);
            position.entry = last;
            position.seen = version.unwrap_or_default();
            if position.seen != position.version {
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
}

fn closed() -> StorageError {
    StorageError::new(Fault::Failed, "closed")
}
