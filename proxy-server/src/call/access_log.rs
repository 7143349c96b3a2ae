//! Access log: a file with a line for each request of a client.
//!
//! Whoever serves a request adds a line to the buffer of its lane; a thread writes the buffers several times a second, so
//! that no request waits for the disk. Lines for which there is no room are left out and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::Serialize;
use tracing::{error, info};

use crate::sync::lock;
use crate::tasks::PerLane;

/// Delay between a line and its writing, in which others are added.
const INTERVAL: Duration = Duration::from_millis(100);
/// Maximum length of the lines that wait in one lane, in bytes.
const ROOM: usize = 1 << 20;

/// The access log of a gateway; one without a file takes no lines. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct AccessLog(Option<Arc<Shared>>);

struct Shared {
    path: PathBuf,
    buffers: PerLane<Mutex<Vec<u8>>>,
    /// True if there are lines that the thread was told about.
    is_pending: AtomicBool,
    writer: Mutex<Option<Thread>>,
    /// Number of lines that were left out.
    left_out: AtomicU64,
    /// Present while the file can be written.
    file: Mutex<File>,
}

impl AccessLog {
    /// Opens the file, and starts the thread that writes to it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            buffers: PerLane::default(),
            is_pending: AtomicBool::new(false),
            writer: Mutex::default(),
            left_out: AtomicU64::new(0),
            file: Mutex::new(open(path)?),
        });
        let weak = Arc::downgrade(&shared);
        let writer = thread::Builder::new().name("access log".to_owned()).spawn(move || write_all(&weak))?;
        *lock(&shared.writer) = Some(writer.thread().clone());
        Ok(Self(Some(shared)))
    }

    /// True if lines are wanted.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a line.
    pub(crate) fn add(&self, line: &impl Serialize) {
        let Some(shared) = &self.0 else { return };
        let Some(buffer) = shared.buffers.own() else { return };
        let mut buffer = lock(buffer);
        let before = buffer.len();
        let is_whole = before < ROOM && serde_json::to_writer(&mut *buffer, line).is_ok();
        if is_whole {
            buffer.push(b'\n');
        } else {
            buffer.truncate(before);
            shared.left_out.fetch_add(1, Ordering::Relaxed);
        }
        drop(buffer);
        if !shared.is_pending.swap(true, Ordering::AcqRel) {
            lock(&shared.writer).iter().for_each(Thread::unpark);
        }
    }

    /// Returns the number of lines that were left out; `None` without a file.
    pub(crate) fn left_out(&self) -> Option<u64> {
        self.0.as_ref().map(|shared| shared.left_out.load(Ordering::Relaxed))
    }

    /// Writes the lines that wait.
    pub(crate) fn flush(&self) {
        if let Some(shared) = &self.0 {
            shared.write();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.write();
        lock(&self.writer).iter().for_each(Thread::unpark);
    }
}

impl Shared {
    /// Writes the lines of all lanes. After an error they are left out, because later ones would be too.
    fn write(&self) {
        let lines: Vec<Vec<u8>> = self.buffers.all().map(|buffer| std::mem::take(&mut *lock(buffer))).collect();
        if lines.iter().all(Vec::is_empty) {
            return;
        }
        let mut file = lock(&self.file);
        let written =
            self.follow_rotation(&mut file).and_then(|()| lines.iter().try_for_each(|lines| file.write_all(lines)));
        if let Err(error) = written {
            let count = lines.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
            if self.left_out.fetch_add(count, Ordering::Relaxed) == 0 {
                error!(access_log = %self.path.display(), %error, "access log not written; lines are left out");
            }
        }
    }

    /// Opens a new file if the present one was renamed or removed.
    fn follow_rotation(&self, file: &mut File) -> io::Result<()> {
        let own = file.metadata()?;
        let is_current = self.path.metadata().is_ok_and(|now| (now.dev(), now.ino()) == (own.dev(), own.ino()));
        if !is_current && own.is_file() {
            *file = open(&self.path)?;
            info!(access_log = %self.path.display(), "access log goes on in a new file");
        }
        Ok(())
    }
}

/// Writes lines until the log is dropped.
fn write_all(shared: &Weak<Shared>) {
    loop {
        // Woken by the first line after a pause, or by the end.
        thread::park();
        thread::sleep(INTERVAL);
        let Some(shared) = shared.upgrade() else { return };
        if shared.is_pending.swap(false, Ordering::AcqRel) {
            shared.write();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_written_and_go_on_in_a_new_file_after_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, former) = (folder.path().join("access.jsonl"), folder.path().join("former"));
        let log = AccessLog::open(&path).expect("opened");
        log.add(&"one");
        log.flush();
        fs::rename(&path, &former).expect("renamed");
        log.add(&"two");
        drop(log);
        assert_eq!(fs::read_to_string(&former).expect("a file"), "\"one\"\n");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "\"two\"\n");
    }

    #[test]
    fn lines_without_room_are_left_out_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AccessLog::open(&folder.path().join("access.jsonl")).expect("opened");
        let line = "x".repeat(ROOM / 2);
        let shared = log.0.as_ref().expect("open");
        // So that the thread does not write meanwhile.
        shared.is_pending.store(true, Ordering::Release);
        for _ in 0..5 {
            log.add(&line);
        }
        let kept = shared.buffers.own().map(|buffer| lock(buffer).iter().filter(|byte| **byte == b'\n').count());
        assert_eq!((kept, log.left_out()), (Some(2), Some(3)));
    }
}
