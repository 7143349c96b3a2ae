//! The file of the audit log, and the file beside it with the end of the chain.
//!
//! Several processes may append to one file, such as two gateways during an upgrade: each batch is written under a lock, and
//! what others have written is taken over first. A file that was renamed (rotated) is followed by a new one, whose first
//! record follows the last one of the former.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::chain::{Digest, Head, Verifier};
use super::entry::{Actor, Entry, EventType};

/// Attempts to get the lock, and the delay between two of them.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_DELAY: Duration = Duration::from_millis(100);
/// Maximum length of a line in bytes; no record is longer.
pub(crate) const LONGEST_LINE: u64 = 1 << 20;

/// The audit log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} `{}`", path.display())]
pub(crate) struct AuditError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The end of the chain, as it is stored in `FILE.head`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StoredHead {
    pub(crate) head: Head,
    /// Length of the log file after the last record, in bytes.
    length: u64,
}

/// An audit log that is open for writing.
pub(super) struct AuditFile {
    path: PathBuf,
    log: File,
    head: File,
}

impl AuditError {
    pub(super) fn new(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self { what, path: path.to_owned(), source }
    }

    /// Returns the error with its cause.
    pub(super) fn words(&self) -> String {
        format!("{self}: {}", self.source)
    }
}

/// Returns the path of the file with the end of the chain.
pub(crate) fn head_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".head");
    path.with_file_name(name)
}

impl StoredHead {
    /// Reads the file with the end of the chain; `None` if it is empty.
    pub(crate) fn parse(text: &[u8]) -> serde_json::Result<Option<Self>> {
        let text = text.trim_ascii();
        if text.is_empty() { Ok(None) } else { serde_json::from_slice(text).map(Some) }
    }
}

impl AuditFile {
    /// Opens the files, and makes them if they are missing.
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let log = open_log(path)?;
        // Two names of one file have one end.
        let path = &path.canonicalize().map_err(|error| AuditError::new("cannot open the audit log", path, error))?;
        let mut file = Self { path: path.clone(), log, head: open_head(path)? };
        // Finds out at the start, and not at the first change, if the files cannot be used.
        file.append(&[])?;
        Ok(file)
    }

    /// Appends records, and returns once they are on the disk. After an error none of them counts.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), AuditError> {
        let path = self.path.clone();
        let failed = |what| {
            let path = &path;
            move |error| AuditError::new(what, path, error)
        };
        if !is_at(&self.head, &head_path(&self.path)).map_err(failed("cannot read the end of the audit log"))? {
            self.head = open_head(&self.path)?;
        }
        let lock = self.head.try_clone().map_err(failed("cannot lock the audit log"))?;
        lock_file(&lock).map_err(failed("cannot lock the audit log"))?;
        let written = self.append_locked(entries).map_err(failed("cannot write the audit log"));
        flock(&lock, FlockOperation::Unlock).ok();
        written
    }

    fn append_locked(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.follow_rotation()?;
        let mut stored = self.read_head()?;
        let mut lines = Vec::new();
        let length = self.log.metadata()?.len();
        if length != stored.length {
            lines = self.take_over(&mut stored, length)?;
        }
        for entry in entries {
            lines.extend_from_slice(&stored.head.append(entry).map_err(io::Error::other)?);
        }
        if let Err(error) = self.log.write_all(&lines).and_then(|()| self.log.sync_data()) {
            // A part of a record would be followed by others once there is room again.
            self.log.set_len(length).ok();
            return Err(error);
        }
        stored.length = length + lines.len() as u64;
        // Without its end, records would be written a second time.
        self.write_head(&stored).inspect_err(|_| drop(self.log.set_len(length)))
    }

    /// Opens a new file if the present one was renamed or removed.
    fn follow_rotation(&mut self) -> io::Result<()> {
        if !is_at(&self.log, &self.path)? {
            self.log = open_log(&self.path).map_err(|error| error.source)?;
        }
        Ok(())
    }

    /// Takes over records after the stored end, which a process wrote that has ended since. Returns the lines to write
    /// first: a record about a line that was cut short.
    fn take_over(&mut self, stored: &mut StoredHead, length: u64) -> io::Result<Vec<u8>> {
        let (is_longer, is_new) = (length > stored.length, *stored == StoredHead::default());
        if !is_longer && length > 0 {
            let path = self.path.display();
            error!(audit_log = %path, "the audit log is shorter than it was; `mcp-proxy audit verify` tells what is missing");
        }
        let mut reader = BufReader::new(&self.log);
        reader.seek(SeekFrom::Start(if is_longer { stored.length } else { 0 }))?;
        let (mut verifier, mut line, mut is_sound) = (Verifier::after(stored.head.clone()), Vec::new(), is_longer);
        while (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            // Left to `verify` if it does not fit: records go on after the last one that does.
            is_sound = is_sound && verifier.line(whole).is_ok();
            line.clear();
        }
        stored.head = verifier.head().0.clone();
        if is_new && stored.head.seq == 0 && length > 0 {
            let head = head_path(&self.path);
            let reason = format!(
                "it begins with no record of a chain that `{}` tells the end of; restore that file, or move the log away",
                head.display()
            );
            return Err(io::Error::other(reason));
        }
        if line.is_empty() && is_new && stored.head.seq > 0 {
            let path = self.path.display();
            warn!(audit_log = %path, seq = stored.head.seq, "the end of the audit log was not stored; records may be missing");
            let entry = Entry::new(EventType::Recovered, &Actor::Gateway, Timestamp::now()).with("end", "not stored");
            return stored.head.append(&entry).map_err(io::Error::other);
        }
        if line.is_empty() {
            return Ok(Vec::new());
        }
        // A record that has lost nothing but the end of its line.
        if is_sound && verifier.line(&line).is_ok() && verifier.head().1.is_none() {
            stored.head = verifier.head().0.clone();
            return Ok(b"\n".to_vec());
        }
        warn!(audit_log = %self.path.display(), "the last record of the audit log was cut short");
        let torn = Digest::of(&line).to_string();
        let entry = Entry::new(EventType::Recovered, &Actor::Gateway, Timestamp::now()).with("torn", torn);
        let mut lines = b"\n".to_vec();
        lines.extend_from_slice(&stored.head.append(&entry).map_err(io::Error::other)?);
        Ok(lines)
    }

    /// Reads the end of the chain. Without one, that of an empty chain.
    fn read_head(&mut self) -> io::Result<StoredHead> {
        let mut text = Vec::new();
        self.head.seek(SeekFrom::Start(0))?;
        (&self.head).take(1 << 10).read_to_end(&mut text)?;
        StoredHead::parse(&text).map(Option::unwrap_or_default).map_err(|_| {
            let path = head_path(&self.path);
            io::Error::other(format!("`{}` holds no end of a chain; move both files away", path.display()))
        })
    }

    fn write_head(&self, stored: &StoredHead) -> io::Result<()> {
        // Of constant length, so that one write replaces it.
        let text = format!("{:<255}\n", serde_json::to_string(stored).map_err(io::Error::other)?);
        self.head.write_all_at(text.as_bytes(), 0)
    }
}

fn open_head(path: &Path) -> Result<File, AuditError> {
    let path = head_path(path);
    let head = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    head.map_err(|error| AuditError::new("cannot open the end of the audit log", &path, error))
}

/// True if a path still leads to an open file, which may have been renamed or removed.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    Ok(path.metadata().is_ok_and(|now| (now.dev(), now.ino()) == (own.dev(), own.ino())))
}

fn open_log(path: &Path) -> Result<File, AuditError> {
    let failed = |error| AuditError::new("cannot open the audit log", path, error);
    // A pipe or terminal has no end that could be looked at, and opening one may wait for its reader.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(failed(io::Error::other("it is no ordinary file")));
    }
    let log = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    log.map_err(failed)
}

/// Locks the file against other processes, which hold the lock for one batch each.
fn lock_file(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOCK_DELAY),
            outcome => return outcome.map_err(io::Error::from),
        }
    }
    Err(io::Error::other("another process holds the lock"))
}

#[cfg(test)]
mod tests;
