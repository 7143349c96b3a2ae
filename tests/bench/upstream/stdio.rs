//! The upstream on stdio: one thread that answers all available lines with one write.

use std::io::{self, Read, Write};

use anyhow::Result;

use super::answer::{Message, answer, tools};

/// Serves until the input ends.
pub(crate) fn serve() -> Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let tools = tools(1);
    let (mut unread, mut chunk, mut replies) = (Vec::new(), vec![0; 256 * 1024], Vec::new());
    loop {
        let count = input.read(&mut chunk)?;
        let read = chunk.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok(());
        }
        let whole = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| unread.len() + end + 1);
        unread.extend_from_slice(read);
        for line in unread.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
        {
            if let Some(reply) = answer(&serde_json::from_slice::<Message<'_>>(line)?, &tools) {
                replies.extend_from_slice(reply.as_bytes());
                replies.push(b'\n');
            }
        }
        unread.drain(..whole);
        output.write_all(&replies)?;
        output.flush()?;
        replies.clear();
    }
}
