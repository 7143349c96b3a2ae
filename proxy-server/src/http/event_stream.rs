//! Parser for `text/event-stream` (HTML Living Standard, 9.2) with a size limit per event.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::http::write::decimal;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Number of bytes that are kept from the beginning, and from the end, of an event over the limit.
const EXCERPT: usize = 512;

/// Reassembles events from chunks. An event with a single `data` line, the usual form in MCP, is not copied.
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// Number of bytes at the front of the buffer without a line end.
    searched: usize,
    skip_line_feed: bool,
    at_start: bool,
    limit: usize,
    event: Event,
    has_data: bool,
    /// The data of an event with several lines.
    joined: BytesMut,
    /// The `id` field of the unfinished event; an empty one resets the last id.
    id: Option<Box<str>>,
    last_id: Option<Box<str>>,
    /// Excerpts of the unfinished event, once it is over the limit.
    excess: Option<Excess>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The event type; empty for `message`.
    pub(crate) name: String,
    pub(crate) data: Bytes,
    pub(crate) retry: Option<Duration>,
}

/// An event exceeded the limit and was skipped; the following events can be read.
#[derive(Debug, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
pub(crate) struct TooLarge {
    limit: usize,
    excerpts: Box<[Vec<u8>; 2]>,
}

impl TooLarge {
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the beginning and the end of the skipped event.
    pub(crate) fn excerpts(&self) -> [&[u8]; 2] {
        self.excerpts.each_ref().map(Vec::as_slice)
    }
}

#[derive(Default)]
struct Excess {
    beginning: Vec<u8>,
    end: Vec<u8>,
    /// True if the current line belongs to the skipped event up to its end.
    in_line: bool,
}

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
            id: None,
            last_id: None,
            excess: None,
        }
    }

    /// Starts with a new stream: drops an unfinished event and keeps the last id.
    pub(crate) fn restart(&mut self) {
        let last_id = self.last_id.take();
        *self = Self { last_id, ..Self::new(self.limit) };
    }

    /// Returns the id of the newest dispatched event that had one, for `Last-Event-ID`.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Clears the last id, because the upstream does not accept it.
    pub(crate) fn forget_id(&mut self) {
        self.last_id = None;
    }

    /// Appends a chunk; without a copy if it follows the previous one in memory.
    pub(crate) fn push(&mut self, chunk: BytesMut) {
        self.buffer.unsplit(chunk);
        if self.at_start && self.buffer.len() >= BYTE_ORDER_MARK.len() {
            self.at_start = false;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                drop(self.buffer.split_to(BYTE_ORDER_MARK.len()));
                self.searched = 0;
            }
        }
    }

    /// Returns the next complete event, also one with empty data, which may carry an id or a retry time. An event over
    /// the limit is reported at its end; its data is dropped as soon as the limit is exceeded.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        while let Some(line) = self.next_line() {
            self.at_start = false;
            if self.excess.as_ref().is_some_and(|excess| excess.in_line) {
                self.cut(&line, false);
            } else if !line.is_empty() {
                self.field(&line);
                if self.held() > self.limit {
                    self.cut(&[], false);
                }
            } else if let Some(event) = self.dispatch()? {
                return Ok(Some(event));
            }
        }
        let is_cut = self.excess.as_ref().is_some_and(|excess| excess.in_line);
        if is_cut || self.held() + self.buffer.len() > self.limit {
            let rest = std::mem::take(&mut self.buffer);
            self.searched = 0;
            self.cut(&rest, true);
        }
        if self.buffer.is_empty() {
            // Frees what the last event took; the next chunk brings memory of its own.
            self.buffer = BytesMut::new();
        }
        Ok(None)
    }

    /// Ends an event at its blank line. Its id takes effect here, even without data (HTML Living Standard, 9.2.6).
    fn dispatch(&mut self) -> Result<Option<Event>, TooLarge> {
        if let Some(id) = self.id.take() {
            self.last_id = (!id.is_empty()).then_some(id);
        }
        if self.excess.is_some() {
            self.cut(&[], false);
        }
        let event = std::mem::take(&mut self.event);
        let has_data = std::mem::take(&mut self.has_data);
        let joined = std::mem::take(&mut self.joined);
        if let Some(Excess { beginning, end, .. }) = self.excess.take() {
            return Err(TooLarge { limit: self.limit, excerpts: Box::new([beginning, end]) });
        }
        let data = if joined.is_empty() { event.data } else { joined.freeze() };
        let counts = has_data || event.retry.is_some();
        Ok(counts.then_some(Event { data, ..event }))
    }

    /// Returns the size of the unfinished event's data without the current line.
    fn held(&self) -> usize {
        self.event.data.len() + self.joined.len()
    }

    /// Drops the data of an event over the limit; `more` is the last partial line.
    fn cut(&mut self, more: &[u8], in_line: bool) {
        let (data, joined) = (std::mem::take(&mut self.event.data), std::mem::take(&mut self.joined));
        let excess = self.excess.get_or_insert_default();
        excess.in_line = in_line;
        for part in [&data, &*joined, more] {
            let room = EXCERPT.saturating_sub(excess.beginning.len());
            excess.beginning.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            excess.end.extend_from_slice(part.get(part.len().saturating_sub(EXCERPT)..).unwrap_or_default());
            excess.end.drain(..excess.end.len().saturating_sub(EXCERPT));
        }
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
                if let Ok(id) = std::str::from_utf8(&value) {
                    self.id = Some(id.into());
                }
            }
            b"retry" => {
                if let Some(milliseconds) = decimal(&value) {
                    self.event.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use memchr::memmem;

    use super::*;

    fn read(stream: &str, size: usize) -> Vec<(String, String)> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for chunk in stream.as_bytes().chunks(size.max(1)) {
            decoder.push(chunk.into());
            while let Some(event) = decoder.next_event().expect("within the limit") {
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

    /// Reads a stream in chunks of this size. Returns the data of its events. For an event over the limit, returns
    /// `!abc` if its beginning contains `abc`, and `!` otherwise.
    fn within(limit: usize, stream: &str, size: usize) -> Vec<String> {
        let mut decoder = Decoder::new(limit);
        let mut read = Vec::new();
        for chunk in stream.as_bytes().chunks(size) {
            decoder.push(chunk.into());
            loop {
                match decoder.next_event() {
                    Ok(Some(event)) => read.push(String::from_utf8_lossy(&event.data).into_owned()),
                    Ok(None) => break,
                    Err(error) => {
                        let [beginning, end] = error.excerpts();
                        assert!(beginning.len() <= 2 * EXCERPT && end.len() <= EXCERPT, "{}", beginning.len());
                        let found = memmem::find(beginning, b"abc").is_some();
                        read.push(if found { "!abc" } else { "!" }.to_owned());
                    }
                }
            }
        }
        read
    }

    #[test]
    fn keeps_id_and_retry() {
        let mut decoder = Decoder::new(100);
        decoder.push(BytesMut::from("id: 7-1\nretry: 1500\ndata:\n\n"));
        let event = decoder.next_event().expect("within the limit").expect("an event");
        assert_eq!((event.retry, event.data.len()), (Some(Duration::from_millis(1500)), 0));
        assert_eq!(decoder.last_id(), Some("7-1"));
    }

    #[test]
    fn an_id_counts_once_its_event_is_dispatched() {
        let mut decoder = Decoder::new(100);
        let mut last_id = |text: &str| {
            decoder.push(BytesMut::from(text));
            while decoder.next_event().expect("within the limit").is_some() {}
            decoder.last_id().map(str::to_owned)
        };
        assert_eq!(last_id("id: a\ndata: 1\n"), None);
        assert_eq!(last_id("\n").as_deref(), Some("a"));
        assert_eq!(last_id("id: b\n").as_deref(), Some("a"));
        assert_eq!(last_id("\r\n").as_deref(), Some("b"), "an event without data has an id, too");
        assert_eq!(last_id("id: c\0\n\n").as_deref(), Some("b"));
        assert_eq!(last_id("data: 2\n\n").as_deref(), Some("b"));
        assert_eq!(last_id("id\n\n"), None);
    }

    #[test]
    fn an_id_of_an_unfinished_event_does_not_outlive_its_stream() {
        let mut decoder = Decoder::new(100);
        decoder.push(BytesMut::from("id: a\n\nid: b\ndata: 1\n"));
        assert!(decoder.next_event().expect("within the limit").is_none());
        decoder.restart();
        decoder.push(BytesMut::from("\n\n"));
        assert!(decoder.next_event().expect("within the limit").is_none());
        assert_eq!(decoder.last_id(), Some("a"));
    }

    #[test]
    fn an_invalid_field_does_not_replace_a_valid_one() {
        let mut decoder = Decoder::new(100);
        decoder.push(BytesMut::from(b"id: a\nid: \xff\nretry: 1\nretry:\nretry: 99999999999999999999\n\n".as_slice()));
        let event = decoder.next_event().expect("within the limit").expect("an event");
        assert_eq!((decoder.last_id(), event.retry), (Some("a"), Some(Duration::from_millis(1))));
    }

    #[test]
    fn only_digits_are_a_retry_time() {
        for (text, expected) in
            [("10", Some(10)), ("0", Some(0)), ("+1", None), ("1.5", None), ("99999999999999999999", None)]
        {
            let mut decoder = Decoder::new(100);
            decoder.push(BytesMut::from(format!("retry: {text}\ndata: x\n\n").as_str()));
            let event = decoder.next_event().expect("within the limit").expect("an event");
            assert_eq!(event.retry, expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_skipped_and_those_around_it_are_read() {
        let text = format!("abcd{}\ndata: {}", "x".repeat(3 * EXCERPT), "y".repeat(3 * EXCERPT));
        let stream = format!("data: 1\n\nevent: message\nid: 5\ndata: {text}\n\ndata: 2\n\n");
        for size in [1, 7, EXCERPT, stream.len()] {
            assert_eq!(within(100, &stream, size), ["1", "!abc", "2"], "in chunks of {size}");
        }
        let several = "data: 1234\n\ndata: 12345\n\ndata: 1\ndata: 345\n\n: comment\n\ndata: 5\n\n";
        assert_eq!(within(4, several, 500), ["1234", "!", "!", "5"]);
    }

    #[test]
    fn the_limit_is_of_one_event_however_many_come_at_once() {
        assert_eq!(within(3, "data: 123\n\ndata: 456\n\n", 100), ["123", "456"]);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(stream in r"(data|event|id|x)?[: a\r\n]{0,40}", size in 1_usize..9) {
            prop_assert_eq!(read(&stream, size), read(&stream, usize::MAX));
        }
    }
}
