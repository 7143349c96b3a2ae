//! Writer that fails if the client accepts no data, so that a body that hyper writes is not held in memory for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::tasks::{Wait, wait_until};

/// Writer that fails with `TimedOut` once nothing could be written for `patience`. Has no timer while writes succeed.
pub(super) struct WriteTimeout<W> {
    writer: W,
    patience: Duration,
    /// Deadline of the pending write; `None` if no write is pending.
    until: Option<Wait>,
}

impl<W> WriteTimeout<W> {
    pub(super) fn new(writer: W, patience: Duration) -> Self {
        Self { writer, patience, until: None }
    }

    /// Returns the writer's result, or `TimedOut` if it has been pending for too long.
    fn judge<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.until = None;
            return polled;
        }
        let patience = self.patience;
        let until = self.until.get_or_insert_with(|| wait_until(Instant::now() + patience));
        Pin::new(until).poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for WriteTimeout<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_read(context, buffer)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.writer).poll_write(context, text);
        self.judge(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.writer).poll_write_vectored(context, pieces);
        self.judge(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.writer).poll_flush(context);
        self.judge(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.writer).poll_shutdown(context);
        self.judge(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (writer, _reader) = tokio::io::duplex(10);
        let began = Instant::now();
        let written = WriteTimeout::new(writer, PATIENCE).write_all(&[b'x'; 11]).await;
        assert_eq!(written.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_not() {
        let (writer, mut reader) = tokio::io::duplex(10);
        let mut writer = WriteTimeout::new(writer, PATIENCE);
        let reading = async {
            let mut byte = [0];
            for _ in 0..90 {
                sleep(PATIENCE - Duration::from_secs(1)).await;
                reader.read_exact(&mut byte).await.expect("a byte");
            }
        };
        let (written, ()) = tokio::join!(writer.write_all(&[b'x'; 100]), reading);
        written.expect("everything is taken in the end");
    }
}
