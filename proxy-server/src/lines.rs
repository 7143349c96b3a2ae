//! Lines with one message each: reads them from a stream, and writes them to one.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Larger buffers are dropped after use, so that one long line does not occupy memory for as long as the stream lasts.
pub(crate) const MOST_REUSED: usize = 256 * 1024;
/// Maximum size of one write, in bytes.
const WRITE_PIECE: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

/// Reader of non-empty lines, without their line ends.
pub(crate) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    limit: usize,
    /// True while the rest of a line over the limit is being skipped.
    is_cut: bool,
}

/// A line exceeds the limit. Reported as soon as that is known; its bytes are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The next part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A complete, non-empty line without its line end.
    Line(Bytes),
    /// The next bytes of a line over the limit. Each byte is reported once, so that none has to be stored.
    Over { bytes: Bytes, is_first: bool, is_last: bool },
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, buffer: BytesMut::with_capacity(CHUNK), limit, is_cut: false }
    }

    /// Sends every line to a channel, until the stream ends or nobody receives.
    pub(crate) async fn forward(mut self, lines: mpsc::Sender<Result<Bytes, TooLong>>) {
        while let Some(line) = self.next().await {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    }

    /// Returns the next line; `None` at the end of the stream or after a read error.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, TooLong>> {
        loop {
            match self.next_part().await? {
                Part::Line(line) => return Some(Ok(line)),
                Part::Over { is_first: true, .. } => return Some(Err(TooLong)),
                Part::Over { is_first: false, .. } => {}
            }
        }
    }

    /// Returns the next line, or the next part of a line over the limit.
    pub(crate) async fn next_part(&mut self) -> Option<Part> {
        let mut searched = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.buffer.get(searched..).unwrap_or_default()) {
                let line = self.split_to(searched + end + 1);
                let line = line.slice(..line.len() - 1);
                searched = 0;
                match std::mem::take(&mut self.is_cut) {
                    true => return Some(Part::Over { bytes: line, is_first: false, is_last: true }),
                    false if line.len() > self.limit => {
                        return Some(Part::Over { bytes: line, is_first: true, is_last: true });
                    }
                    false if line.trim_ascii().is_empty() => continue,
                    false => return Some(Part::Line(line)),
                }
            }
            if self.buffer.len() > if self.is_cut { 0 } else { self.limit } {
                let is_first = !std::mem::replace(&mut self.is_cut, true);
                return Some(Part::Over { bytes: self.split_to(self.buffer.len()), is_first, is_last: false });
            }
            searched = self.buffer.len();
            self.buffer.reserve(CHUNK);
            match self.input.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn split_to(&mut self, length: usize) -> Bytes {
        let front = self.buffer.split_to(length).freeze();
        if length > MOST_REUSED {
            self.buffer = BytesMut::from(&*self.buffer);
        }
        front
    }
}

/// Writes lines until the queue closes. Fails if the output is closed, or accepts no piece of a line within `patience`.
pub(crate) async fn write_lines(
    mut lines: mpsc::Receiver<Bytes>,
    mut output: impl AsyncWrite + Unpin,
    patience: Duration,
) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        let mut text = BytesMut::from(&*one_line(line));
        text.extend_from_slice(b"\n");
        // In pieces, so that the timeout measures progress.
        for piece in text.chunks(WRITE_PIECE) {
            let written = async {
                output.write_all(piece).await?;
                output.flush().await
            };
            timeout(patience, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        }
    }
    Ok(())
}

/// Replaces raw line breaks by blanks for line-based framings. In JSON they can only be white space.
pub(crate) fn one_line(message: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &message).is_none() {
        return message;
    }
    let mut line = BytesMut::with_capacity(message.len());
    put_one_line(&mut line, &message);
    line.freeze()
}

/// Appends a message, or a piece of one, with its line breaks replaced.
pub(crate) fn put_one_line(line: &mut BytesMut, mut piece: &[u8]) {
    while let Some(end) = memchr::memchr2(b'\n', b'\r', piece) {
        let (before, after) = piece.split_at(end);
        line.extend_from_slice(before);
        line.extend_from_slice(b" ");
        piece = after.get(1..).unwrap_or_default();
    }
    line.extend_from_slice(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, limit: usize, expected: &[Result<&str, TooLong>]) {
        let mut lines = Lines::new(text.as_bytes(), limit);
        for one in expected {
            let line = lines.next().await.expect("one more line");
            assert_eq!(line.as_deref(), one.as_ref().map(|it| it.as_bytes()), "{text:?}");
        }
        assert_eq!(lines.next().await, None, "{text:?}");
    }

    #[tokio::test]
    async fn lines_are_what_is_ended_and_holds_something() {
        check("a\n\n \t\r\nb\r\nc", 10, &[Ok("a"), Ok("b\r")]).await;
        check("", 10, &[]).await;
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_told_once_and_those_after_it_are_read() {
        check("12345\n123456\n1\n", 5, &[Ok("12345"), Err(TooLong), Ok("1")]).await;
        let long = "x".repeat(5 * CHUNK);
        check(&format!("{long}\n1\n{long}"), CHUNK, &[Err(TooLong), Ok("1"), Err(TooLong)]).await;
    }

    #[tokio::test]
    async fn a_long_line_does_not_keep_its_buffer() {
        for limit in [2 * MOST_REUSED, 20 * MOST_REUSED] {
            let text = format!("{}\n1\n2\n", "x".repeat(10 * MOST_REUSED));
            let mut lines = Lines::new(text.as_bytes(), limit);
            lines.next().await.expect("the long line").ok();
            for short in ["1", "2"] {
                assert_eq!(lines.next().await, Some(Ok(short.into())));
            }
            assert_eq!(lines.next().await, None);
            assert!(lines.buffer.capacity() <= MOST_REUSED, "{limit}: {}", lines.buffer.capacity());
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_told_before_it_ends() {
        let (mut sender, receiver) = tokio::io::duplex(64);
        let mut lines = Lines::new(receiver, 5);
        AsyncWriteExt::write_all(&mut sender, b"1234567").await.expect("room");
        assert_eq!(lines.next().await, Some(Err(TooLong)));
        AsyncWriteExt::write_all(&mut sender, b"8\n9\n").await.expect("room");
        assert_eq!(lines.next().await, Some(Ok(Bytes::from_static(b"9"))));
    }
}
