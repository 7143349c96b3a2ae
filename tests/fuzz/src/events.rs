//! Event streams, read as the HTML Living Standard tells (9.2.6), from a whole text.

use std::time::Duration;

use proxy_server::fuzz::Event;

/// Part of a stream that a blank line ends.
#[derive(Debug, Default)]
pub struct Block {
    /// Event that the block makes, if any.
    pub event: Option<Event>,
    /// Length of its lines.
    pub bytes: usize,
    /// Length of its data.
    pub data_bytes: usize,
}

/// Reads all blocks that are complete.
pub fn blocks(text: &[u8]) -> Vec<Block> {
    let (mut blocks, mut last_id) = (Vec::new(), None);
    let mut lines = Vec::new();
    for line in lines_of(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)) {
        if line.is_empty() {
            blocks.push(block(&std::mem::take(&mut lines), &mut last_id));
        } else {
            lines.push(line);
        }
    }
    blocks
}

fn block(lines: &[&[u8]], last_id: &mut Option<String>) -> Block {
    let (mut name, mut data, mut retry) = (String::new(), Vec::<&[u8]>::new(), None);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => data.push(value),
            b"event" => name = String::from_utf8_lossy(value).into_owned(),
            b"id" if value.contains(&0) => {}
            // An id that is not UTF-8 cannot be sent back, and counts as none.
            b"id" => {
                if let Ok(id) = std::str::from_utf8(value) {
                    *last_id = Some(id.to_owned()).filter(|id| !id.is_empty());
                }
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                retry = digits.parse().ok().map(Duration::from_millis).or(retry);
            }
            _ => {}
        }
    }
    let counts = !data.is_empty() || retry.is_some();
    let data = data.join(&b'\n');
    let (bytes, data_bytes) = (lines.iter().map(|line| line.len() + 1).sum(), data.len());
    let event = counts.then(|| Event { name, data, retry, last_id: last_id.clone() });
    Block { event, bytes, data_bytes }
}

/// Returns the lines that have an end: LF, CR, or both.
fn lines_of(mut text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&text[..end]);
        let is_pair = text[end..].starts_with(b"\r\n");
        text = &text[end + if is_pair { 2 } else { 1 }..];
    }
    lines
}
