//! Writes to a child's standard input.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::ioctl_fionread;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::lines::{MOST_REUSED, put_one_line};
use crate::pieces::Pieces;

/// Interval between checks whether a child has read its first line.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Writes to a child's input, and detects when the child has read the first line.
pub(super) struct Writer {
    pub(super) end: CancellationToken,
    pub(super) heard: CancellationToken,
    pub(super) _gone: Arc<DropGuard>,
}

impl Writer {
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Pieces>, mut input: ChildStdin) {
        let mut is_waiting = false;
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.write(&mut queue, &mut input, &mut is_waiting) => {}
        }
        // A child that has just ended may have read the line before.
        if is_waiting {
            self.note(&input);
        }
    }

    async fn write(&self, queue: &mut mpsc::Receiver<Pieces>, input: &mut ChildStdin, is_waiting: &mut bool) {
        let mut batch = Vec::new();
        let mut lines = BytesMut::new();
        loop {
            let count = tokio::select! {
                count = queue.recv_many(&mut batch, 64) => count,
                () = sleep(LOOK_INTERVAL), if *is_waiting => {
                    *is_waiting = !self.note(input);
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            for message in batch.drain(..) {
                message.iter().for_each(|piece| put_one_line(&mut lines, piece));
                lines.extend_from_slice(b"\n");
            }
            if input.write_all(&lines).await.is_err() {
                return;
            }
            *is_waiting = !self.heard.is_cancelled();
            lines.clear();
            if lines.capacity() > MOST_REUSED {
                lines = BytesMut::new();
            }
        }
    }

    /// Checks whether the pipe is empty, which means that the child has read everything. The kernel reports the fill
    /// level at either end of a pipe; if it does not, the child counts as having read.
    fn note(&self, input: &ChildStdin) -> bool {
        let is_read = ioctl_fionread(input).map_or(true, |unread| unread == 0);
        if is_read {
            self.heard.cancel();
        }
        is_read
    }
}
