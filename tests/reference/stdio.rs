//! JSON lines over stdin and stdout. The process ends with its input.

use std::io::{self, stdin, stdout};
use std::os::fd::AsFd;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

use crate::connection::Connection;
use crate::outbox::Reader;
use crate::server::Server;
use crate::spawn;

pub(crate) async fn serve(server: &'static Server) -> io::Result<()> {
    // Read and write pipes directly: other files cost a switch to another thread per line.
    let input: Box<dyn AsyncRead + Send + Unpin> =
        match pipe::Receiver::from_owned_fd(stdin().as_fd().try_clone_to_owned()?) {
            Ok(pipe) => Box::new(pipe),
            Err(_) => Box::new(tokio::io::stdin()),
        };
    let output: Box<dyn AsyncWrite + Send + Unpin> =
        match pipe::Sender::from_owned_fd(stdout().as_fd().try_clone_to_owned()?) {
            Ok(pipe) => Box::new(pipe),
            Err(_) => Box::new(tokio::io::stdout()),
        };
    let connection = Connection::new(server);
    let writer = spawn(write(connection.out.reader(), output));
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).await? > 0 {
        if !line.trim_ascii().is_empty() {
            connection.take(&line);
        }
        line.clear();
    }
    connection.out.end();
    writer.await.map_err(io::Error::other)
}

/// Writes all available messages at once.
async fn write(mut reader: Reader, mut output: Box<dyn AsyncWrite + Send + Unpin>) {
    let mut lines = Vec::new();
    while let Some(said) = reader.next().await {
        let mut said = Some(said);
        while let Some(line) = said {
            lines.extend_from_slice(line.text.as_bytes());
            lines.push(b'\n');
            said = reader.next_now();
        }
        if output.write_all(&lines).await.is_err() || output.flush().await.is_err() {
            return;
        }
        lines.clear();
    }
}
