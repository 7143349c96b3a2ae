//! Access log: a file with a line for each request of a client.
//!
//! The task that serves a request adds a line to the buffer of its lane; a thread writes the buffers several times a second,
//! so that no request waits for the disk. Lines for which there is no room are left out and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use crate::sync::lock;
use crate::tasks::PerLane;

/// Delay between a line and its writing, in which others are added.
const INTERVAL: Duration = Duration::from_millis(100);
/// Maximum length of the lines that wait in one lane, in bytes.
const ROOM: usize = 1 << 20;
/// Time that the end of the gateway waits for a file that does not take the last lines.
const PATIENCE: Duration = Duration::from_secs(2);

/// The access log of a gateway; one without a file takes no lines. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct AccessLog(Option<Arc<Handle>>);

/// Ends the writing thread when dropped.
struct Handle {
    lines: Arc<Lines>,
    writer: Thread,
}

/// Lines that wait for the writing thread.
#[derive(Default)]
struct Lines {
    buffers: PerLane<Mutex<Vec<u8>>>,
    /// True from the first line of a batch until the thread takes it.
    is_pending: AtomicBool,
    /// True while the thread writes.
    is_writing: AtomicBool,
    is_closed: AtomicBool,
    /// Number of lines that were left out.
    left_out: AtomicU64,
}

/// The writing thread's side.
struct Writer {
    path: PathBuf,
    file: File,
    lines: Arc<Lines>,
    is_failing: bool,
}

impl AccessLog {
    /// Opens the file, and starts the thread that writes to it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let lines = Arc::<Lines>::default();
        let writer = Writer { path: path.to_owned(), file: open(path)?, lines: Arc::clone(&lines), is_failing: false };
        let started = thread::Builder::new().name("access log".to_owned()).spawn(move || writer.run())?;
        Ok(Self(Some(Arc::new(Handle { lines, writer: started.thread().clone() }))))
    }

    /// True if lines are wanted.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a line.
    pub(crate) fn add(&self, line: &impl Serialize) {
        let Some(Handle { lines, writer }) = self.0.as_deref() else { return };
        let Some(buffer) = lines.buffers.own() else { return };
        let mut buffer = lock(buffer);
        let before = buffer.len();
        let is_whole = before < ROOM && serde_json::to_writer(&mut *buffer, line).is_ok();
        if is_whole {
            buffer.push(b'\n');
        } else {
            buffer.truncate(before);
            lines.left_out.fetch_add(1, Ordering::Relaxed);
        }
        drop(buffer);
        if !lines.is_pending.swap(true, Ordering::AcqRel) {
            writer.unpark();
        }
    }

    /// Returns the number of lines that were left out; `None` without a file.
    pub(crate) fn left_out(&self) -> Option<u64> {
        self.0.as_ref().map(|handle| handle.lines.left_out.load(Ordering::Relaxed))
    }

    /// Waits until the lines are written, for a while: the file may be a pipe that nobody reads.
    pub(crate) async fn flush(&self) {
        let Some(handle) = &self.0 else { return };
        let written = async {
            while handle.lines.are_waiting() {
                sleep(INTERVAL / 4).await;
            }
        };
        timeout(PATIENCE, written).await.ok();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.lines.is_closed.store(true, Ordering::Release);
        self.writer.unpark();
    }
}

impl Lines {
    fn are_waiting(&self) -> bool {
        self.is_pending.load(Ordering::Acquire) || self.is_writing.load(Ordering::Acquire)
    }
}

impl Writer {
    /// Writes lines until the log is dropped.
    fn run(mut self) {
        loop {
            // Woken by the first line after a pause, or by the end.
            thread::park();
            thread::sleep(INTERVAL);
            let is_last = self.lines.is_closed.load(Ordering::Acquire);
            self.lines.is_writing.store(true, Ordering::Release);
            if self.lines.is_pending.swap(false, Ordering::AcqRel) {
                self.write();
            }
            self.lines.is_writing.store(false, Ordering::Release);
            if is_last {
                return;
            }
        }
    }

    /// Writes the lines of all lanes. After an error they are left out, because later ones would be too.
    fn write(&mut self) {
        let lines: Vec<Vec<u8>> = self.lines.buffers.all().map(|buffer| std::mem::take(&mut *lock(buffer))).collect();
        let written =
            self.follow_rotation().and_then(|()| lines.iter().try_for_each(|lines| self.file.write_all(lines)));
        let is_failing = written.is_err();
        if let Err(error) = written {
            let count = lines.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
            self.lines.left_out.fetch_add(count, Ordering::Relaxed);
            if !self.is_failing {
                error!(access_log = %self.path.display(), %error, "access log not written; lines are left out");
            }
        } else if self.is_failing {
            info!(access_log = %self.path.display(), "access log written again");
        }
        self.is_failing = is_failing;
    }

    /// Opens a new file if the present one was renamed or removed.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        let is_current = self.path.metadata().is_ok_and(|now| (now.dev(), now.ino()) == (own.dev(), own.ino()));
        if !is_current && own.is_file() {
            self.file = open(&self.path)?;
            info!(access_log = %self.path.display(), "access log goes on in a new file");
        }
        Ok(())
    }
}

/// Opens a file, or the standard streams of this process by their paths, which may be sockets that cannot be opened.
fn open(path: &Path) -> io::Result<File> {
    let stream = match path.to_str() {
        Some("/dev/stdout") => Some(io::stdout().as_fd().try_clone_to_owned()?),
        Some("/dev/stderr") => Some(io::stderr().as_fd().try_clone_to_owned()?),
        _ => None,
    };
    if let Some(stream) = stream {
        return Ok(stream.into());
    }
    // Opening a named pipe waits for its reader.
    if path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(io::Error::other("it is a named pipe"));
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn lines_are_written_and_go_on_in_a_new_file_after_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, former) = (folder.path().join("access.jsonl"), folder.path().join("former"));
        let log = AccessLog::open(&path).expect("opened");
        log.add(&"one");
        log.flush().await;
        fs::rename(&path, &former).expect("renamed");
        log.add(&"two");
        log.flush().await;
        assert_eq!(fs::read_to_string(&former).expect("a file"), "\"one\"\n");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "\"two\"\n");
    }

    #[tokio::test]
    async fn lines_without_room_are_left_out_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AccessLog::open(&folder.path().join("access.jsonl")).expect("opened");
        let line = "x".repeat(ROOM / 2);
        let lines = &log.0.as_ref().expect("open").lines;
        // So that the thread does not write meanwhile.
        lines.is_pending.store(true, Ordering::Release);
        for _ in 0..5 {
            log.add(&line);
        }
        let kept = lines.buffers.own().map(|buffer| lock(buffer).iter().filter(|byte| **byte == b'\n').count());
        assert_eq!((kept, log.left_out()), (Some(2), Some(3)));
    }

    #[test]
    fn a_named_pipe_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).expect("a pipe");
        assert!(AccessLog::open(&pipe).is_err());
    }
}
