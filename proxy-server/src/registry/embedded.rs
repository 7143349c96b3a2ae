//! Records in one file of this process (redb): every change is one transaction, which is on disk when it returns.
//!
//! The file is locked against a second process. After a failed write, redb refuses every other one until the file is
//! opened anew, so the handle is dropped then, and the registry reopens the file later.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use schemas::ServerName;
use schemas::admin::Revision;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::keys::{MASTER_LEN, draw_master};
use crate::registry::delta::Delta;
use crate::registry::failure::{Fault, StorageError};
use crate::registry::record::{self, Marks};
use crate::registry::records::{Limits, Loaded, Records, Stored, first_revision};
use crate::registry::registration::Registration;
use crate::sync::lock;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const REGISTRATIONS: TableDefinition<'_, &str, &str> = TableDefinition::new("registrations");
const LEASES: TableDefinition<'_, &str, &str> = TableDefinition::new("leases");
const LOCKS: TableDefinition<'_, &str, &str> = TableDefinition::new("locks");
const TOKENS: TableDefinition<'_, &str, &str> = TableDefinition::new("tokens");

/// Version of the form of the records. A file with a higher one is refused.
const FORMAT: u64 = 1;
/// Name of the file in the data folder.
const FILE: &str = "registry.redb";
const CACHE_BYTES: usize = 16 << 20;
/// Size above which a file is compacted at start.
const COMPACT_ABOVE: u64 = 16 << 20;
/// Time for a predecessor to close the file, and the interval at which the file is tried.
const PREDECESSOR: Duration = Duration::from_secs(15);
const TRY_INTERVAL: Duration = Duration::from_millis(100);

/// A file with the records of one process.
pub(super) struct Embedded {
    path: PathBuf,
    /// `None` from a failure until the file is reopened.
    database: Mutex<Option<Arc<Database>>>,
    failure: watch::Sender<Option<StorageError>>,
}

/// The stored form of a registration.
#[derive(Serialize, Deserialize)]
struct StoredRegistration<'a> {
    #[serde(borrow)]
    definition: &'a RawValue,
    marks: Marks,
}

impl Embedded {
    /// Opens the file in a folder, which is created if it is missing. Waits for a predecessor that is about to close it.
    pub(super) async fn open(folder: &Path, limits: Limits) -> Result<(Self, Loaded), StorageError> {
        let path = folder.join(FILE);
        let deadline = Instant::now() + PREDECESSOR;
        let mut has_waited = false;
        let (database, loaded) = loop {
            match blocking(path.clone(), move |path| open(path, limits)).await {
                Err(error) if error.fault == Fault::InUse && Instant::now() < deadline => {
                    if !has_waited {
                        info!(file = %path.display(), "waiting for another process to close the storage");
                    }
                    has_waited = true;
                    sleep(TRY_INTERVAL).await;
                }
                outcome => break outcome?,
            }
        };
        let (database, failure) = (Mutex::new(Some(Arc::new(database))), watch::Sender::new(None));
        Ok((Self { path, database, failure }, loaded))
    }

    /// True if there is a file in the folder.
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Writes a change in one transaction.
    pub(super) async fn persist(&self, delta: Delta) -> Result<(), StorageError> {
        let database = lock(&self.database).clone();
        let Some(database) = database else {
            return Err(self.failure.borrow().clone().unwrap_or_else(|| StorageError::new(Fault::Failed, "closed")));
        };
        let written = blocking(database, move |database| write(&database, &delta).map_err(Failed::described)).await;
        if let Err(error) = &written {
            *lock(&self.database) = None;
            self.failure.send_replace(Some(error.clone()));
        }
        written
    }

    /// Closes the file, so that another process can open it.
    pub(super) fn close(&self) {
        *lock(&self.database) = None;
    }

    /// Waits for a failure.
    pub(super) async fn lost(&self) -> StorageError {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
        failed.unwrap_or_else(|| StorageError::new(Fault::Failed, "closed"))
    }

    /// Opens the file anew after a failure, and checks that it can be written.
    pub(super) async fn reopen(&self, limits: Limits) -> Result<Loaded, StorageError> {
        *lock(&self.database) = None;
        let (database, loaded) = blocking(self.path.clone(), move |path| open(path, limits)).await?;
        *lock(&self.database) = Some(Arc::new(database));
        self.failure.send_replace(None);
        Ok(loaded)
    }
}

/// Runs a blocking function of the database on a thread of its own. A panic in it is a damaged file.
async fn blocking<I: Send + 'static, T: Send + 'static>(
    input: I,
    work: impl FnOnce(I) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let ended = spawn_blocking(move || work(input)).await;
    ended.unwrap_or_else(|_| Err(StorageError::new(Fault::Damaged, "reading or writing it panicked")))
}

fn open(path: PathBuf, limits: Limits) -> Result<(Database, Loaded), StorageError> {
    let at =
        |error: StorageError| StorageError { details: format!("`{}`: {}", path.display(), error.details), ..error };
    let opened = create(&path).and_then(|mut database| {
        let master = prepare(&database).map_err(Failed::described)?;
        let records = read(&database, limits).map_err(Failed::described)?;
        let is_large = std::fs::metadata(&path).is_ok_and(|file| file.len() > COMPACT_ABOVE);
        if is_large && let Err(error) = database.compact() {
            warn!(file = %path.display(), %error, "the storage is not compacted");
            // A handle that has failed once accepts no writes.
            drop(database);
            database = create(&path)?;
        }
        Ok((database, Loaded { records, master, loss: None }))
    });
    opened.map_err(at)
}

/// Creates the folder and the file for their owner only, as definitions hold secrets; opens them if they exist.
fn create(path: &Path) -> Result<Database, StorageError> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unwritable(&error))?;
    }
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    drop(file.map_err(|error| unwritable(&error))?);
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create(path)
        .map_err(|error| fault(&redb::Error::from(error)))
}

/// Creates the tables, and checks the version of the file. Returns the master secret, which a new file gets.
fn prepare(database: &Database) -> Result<[u8; MASTER_LEN], Failed> {
    let refused = |fault, details: &str| Failed::Storage(StorageError::new(fault, details));
    let transaction = database.begin_write()?;
    let master = {
        let mut meta = transaction.open_table(META)?;
        for table in [REGISTRATIONS, LEASES, LOCKS, TOKENS] {
            transaction.open_table(table)?;
        }
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
        let get = |key| meta.get(key).map(|found| found.map(|found| found.value().to_vec()));
        let format = get("format")?;
        match format.as_deref().map(number) {
            Some(Some(format)) if format > FORMAT => {
                let details =
                    format!("form {format} of its records, and this version knows {FORMAT}; use the newer one");
                return Err(refused(Fault::Newer, &details));
            }
            Some(None) => return Err(refused(Fault::Damaged, "its version cannot be read")),
            Some(Some(_)) | None => {}
        }
        let stored = get("master")?;
        let master = match stored.map(<[u8; MASTER_LEN]>::try_from) {
            Some(Ok(master)) => master,
            Some(Err(_)) => return Err(refused(Fault::Damaged, "its master secret has another length")),
            None => draw_master().map_err(|error| Failed::Storage(StorageError::new(Fault::Failed, error)))?,
        };
        meta.insert("format", FORMAT.to_be_bytes().as_slice())?;
        meta.insert("master", master.as_slice())?;
        master
    };
    transaction.commit()?;
    Ok(master)
}

/// The reason why a transaction failed.
enum Failed {
    Redb(redb::Error),
    Json(serde_json::Error),
    /// The contents of the file, or a failure that is described already.
    Storage(StorageError),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Failed {
    fn described(self) -> StorageError {
        match self {
            Self::Redb(error) => fault(&error),
            Self::Json(error) => StorageError::new(Fault::Failed, error),
            Self::Storage(error) => error,
        }
    }
}

fn write(database: &Database, delta: &Delta) -> Result<(), Failed> {
    let transaction = database.begin_write()?;
    {
        let revision = delta.revision.get().to_be_bytes();
        transaction.open_table(META)?.insert("revision", revision.as_slice())?;
        let registrations = delta.registrations.iter().map(|(name, stored)| (name.as_str(), stored.as_deref()));
        let mut table = transaction.open_table(REGISTRATIONS)?;
        for (name, stored) in registrations {
            match stored.map(write_registration).transpose().map_err(Failed::Json)? {
                Some(text) => drop(table.insert(name, text.as_str())?),
                None => drop(table.remove(name)?),
            }
        }
        let mut table = transaction.open_table(LEASES)?;
        for (holder, held) in &delta.leases {
            match held.as_ref().map(record::write_leases).transpose().map_err(Failed::Json)? {
                Some(text) => drop(table.insert(holder.as_str(), text.as_str())?),
                None => drop(table.remove(holder.as_str())?),
            }
        }
        let mut table = transaction.open_table(LOCKS)?;
        for (owner, lock) in &delta.locks {
            match lock.as_ref().map(record::write_lock).transpose().map_err(Failed::Json)? {
                Some(text) => drop(table.insert(owner.as_str(), text.as_str())?),
                None => drop(table.remove(owner.as_str())?),
            }
        }
        let mut table = transaction.open_table(TOKENS)?;
        for (name, token) in &delta.tokens {
            match token.as_deref().map(record::write_token).transpose().map_err(Failed::Json)? {
                Some(text) => drop(table.insert(name.as_str(), text.as_str())?),
                None => drop(table.remove(name.as_str())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn write_registration(registration: &Registration) -> Result<String, serde_json::Error> {
    let definition = RawValue::from_string(record::write_definition(registration)?)?;
    serde_json::to_string(&StoredRegistration { definition: &definition, marks: record::marks(registration) })
}

fn read_registration(name: &str, text: &str) -> Result<Registration, record::Unreadable> {
    let stored: StoredRegistration<'_> = serde_json::from_str(text)?;
    let definition = record::read_definition(name, stored.definition.get())?;
    Ok(record::registration(definition, &stored.marks))
}

/// Reads every record. One that cannot be read is named in the log and stays in the file.
fn read(database: &Database, limits: Limits) -> Result<Records, Failed> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let revision = meta.get("revision")?;
    let revision = revision.and_then(|bytes| bytes.value().try_into().ok().map(u64::from_be_bytes));
    let revision = revision.map_or_else(first_revision, Revision::new);
    let (registrations, unreadable) = all(&transaction, REGISTRATIONS, read_registration)?;
    let (leases, _) = all(&transaction, LEASES, |_, text| record::read_leases(text))?;
    let (locks, _) = all(&transaction, LOCKS, |_, text| record::read_lock(text))?;
    let (tokens, _) = all(&transaction, TOKENS, |_, text| record::read_token(text))?;
    let stored = Stored {
        last: revision,
        registrations: registrations.into_iter().map(|(_, registration)| registration).collect(),
        leases: record::keyed(leases),
        locks: record::keyed(locks),
        tokens: record::keyed(tokens),
        unreadable: unreadable.iter().filter_map(|name| ServerName::stored(name).ok()).collect(),
    };
    Ok(Records::restore(stored, limits))
}

/// The records of a table by key, and the keys of those that cannot be read.
type Readable<T> = (Vec<(String, T)>, Vec<String>);

/// Reads the records of a table.
fn all<T>(
    transaction: &redb::ReadTransaction,
    table: TableDefinition<'_, &'static str, &'static str>,
    read: impl Fn(&str, &str) -> Result<T, record::Unreadable>,
) -> Result<Readable<T>, Failed> {
    let opened = transaction.open_table(table)?;
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    for row in opened.iter()? {
        let (key, text) = row?;
        match read(key.value(), text.value()) {
            Ok(record) => records.push((key.value().to_owned(), record)),
            Err(error) => {
                record::skipped(&format!("{table}/{}", key.value()), &error);
                unreadable.push(key.value().to_owned());
            }
        }
    }
    Ok((records, unreadable))
}

/// Tells the kind of a failure of the database.
fn fault(error: &redb::Error) -> StorageError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StorageError::new(Fault::InUse, error),
        redb::Error::Io(error) => io_fault(error),
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } | redb::Error::UpgradeRequired(_) => {
            StorageError::new(Fault::Damaged, error)
        }
        _ => StorageError::new(Fault::Failed, error),
    }
}

/// Tells the kind of a failure to create the file: also where a part of its path is no folder, nothing can be written.
fn unwritable(error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => StorageError::new(Fault::ReadOnly, error),
        _ => io_fault(error),
    }
}

fn io_fault(error: &io::Error) -> StorageError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Fault::ReadOnly,
        io::ErrorKind::InvalidData => Fault::Damaged,
        _ => Fault::Failed,
    };
    StorageError::new(kind, error)
}

#[cfg(test)]
mod tests;
