//! Reads `text/event-stream` (HTML Living Standard, 9.2) from chunks of bytes, within a limit.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

/// Reassembles events from chunks. One event of one `data` line, as MCP servers send them, is not copied.
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    searched: usize,
    skip_line_feed: bool,
    at_start: bool,
    limit: usize,
    event: Event,
    has_data: bool,
    /// The data of an event from its second line on.
    joined: BytesMut,
    last_id: Option<Box<str>>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The event's type; empty for `message`.
    pub(crate) name: String,
    pub(crate) data: Bytes,
    pub(crate) retry: Option<Duration>,
}

/// An event was larger than the limit.
#[derive(Debug, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub(crate) struct TooLarge(usize);

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            skip_line_feed: false,
            at_start: true,
            limit,
            event: Event::default(),
            has_data: false,
            joined: BytesMut::new(),
            last_id: None,
        }
    }

    /// Begins with a new stream: what the last one left unfinished is gone, the last id stays.
    pub(crate) fn restart(&mut self) {
        let last_id = self.last_id.take();
        *self = Self { last_id, ..Self::new(self.limit) };
    }

    /// The id of the newest event that had one, for `Last-Event-ID`.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Takes a chunk, without a copy where it lies behind the one before.
    pub(crate) fn push(&mut self, chunk: BytesMut) -> Result<(), TooLarge> {
        if self.buffer.len() + self.event.data.len() + self.joined.len() + chunk.len() > self.limit {
            return Err(TooLarge(self.limit));
        }
        self.buffer.unsplit(chunk);
        if self.at_start && self.buffer.len() >= 3 {
            self.at_start = false;
            if self.buffer.starts_with(b"\xef\xbb\xbf") {
                drop(self.buffer.split_to(3));
                self.searched = 0;
            }
        }
        Ok(())
    }

    /// The next whole event; one with an empty `data` line counts, because it may carry an id or a retry time.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(&line);
            } else if std::mem::take(&mut self.has_data) || self.event.retry.is_some() {
                if !self.joined.is_empty() {
                    self.event.data = self.joined.split().freeze();
                }
                return Some(std::mem::take(&mut self.event));
            } else {
                self.event = Event::default();
            }
        }
        None
    }

    fn next_line(&mut self) -> Option<Bytes> {
        if let Some(first) = self.buffer.first().copied()
            && std::mem::take(&mut self.skip_line_feed)
            && first == b'\n'
        {
            drop(self.buffer.split_to(1));
        }
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = memchr::memchr2(b'\n', b'\r', unsearched).map(|end| self.searched + end) else {
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        let mut line = self.buffer.split_to(end + 1);
        self.skip_line_feed = line.last() == Some(&b'\r');
        line.truncate(end);
        Some(line.freeze())
    }

    fn field(&mut self, line: &Bytes) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let blank = line.get(colon + 1) == Some(&b' ');
                (line.slice(..colon), line.slice(colon + 1 + usize::from(blank)..))
            }
            None => (line.clone(), Bytes::new()),
        };
        match name.as_ref() {
            b"data" if !self.has_data => {
                self.event.data = value;
                self.has_data = true;
            }
            b"data" => {
                if self.joined.is_empty() {
                    self.joined.put_slice(&std::mem::take(&mut self.event.data));
                }
                self.joined.put_u8(b'\n');
                self.joined.put_slice(&value);
            }
            b"event" => self.event.name = String::from_utf8_lossy(&value).into_owned(),
            b"id" if !value.contains(&0) => {
                self.last_id = std::str::from_utf8(&value).ok().filter(|id| !id.is_empty()).map(Into::into);
            }
            b"retry" => {
                let milliseconds = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                self.event.retry = milliseconds.map(Duration::from_millis);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(stream: &str, size: usize) -> Vec<(String, String)> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for chunk in stream.as_bytes().chunks(size.max(1)) {
            decoder.push(chunk.into()).expect("within the limit");
            while let Some(event) = decoder.next_event() {
                events.push((event.name, String::from_utf8_lossy(&event.data).into_owned()));
            }
        }
        events
    }

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> = expected.iter().map(|(n, d)| ((*n).into(), (*d).into())).collect();
        for size in 1..=stream.len().max(1) {
            assert_eq!(read(stream, size), expected, "{stream:?} in chunks of {size}");
        }
    }

    #[test]
    fn reads_events_whatever_the_line_ends_and_chunks() {
        check("event: endpoint\ndata: /message?x=1\n\n", &[("endpoint", "/message?x=1")]);
        check("data:{}\r\n\r\ndata: 2\r\rdata: 3\n\n", &[("", "{}"), ("", "2"), ("", "3")]);
        check("data: a\ndata: b\ndata\n\n", &[("", "a\nb\n")]);
        check(": keep-alive\n\ndata: x\n\n: more\n", &[("", "x")]);
        check("\u{feff}data: x\n\n", &[("", "x")]);
        check("event: e\n\ndata: x\n\n", &[("", "x")]);
        check("data\r\n\n ", &[("", "")]);
        check("data: unfinished\n", &[]);
    }

    #[test]
    fn keeps_id_and_retry() {
        let mut decoder = Decoder::new(100);
        decoder.push(BytesMut::from("id: 7-1\nretry: 1500\ndata:\n\n")).expect("within the limit");
        let event = decoder.next_event().expect("an event");
        assert_eq!((event.retry, event.data.len()), (Some(Duration::from_millis(1500)), 0));
        assert_eq!(decoder.last_id(), Some("7-1"));
    }

    #[test]
    fn refuses_an_event_over_the_limit() {
        let mut decoder = Decoder::new(10);
        assert!(decoder.push(BytesMut::from("data: 12345")).is_err());
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(stream in r"(data|event|id|x)?[: a\r\n]{0,40}", size in 1_usize..9) {
            prop_assert_eq!(read(&stream, size), read(&stream, usize::MAX));
        }
    }
}
