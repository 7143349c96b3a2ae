//! Determines which request a line over the limit answers, without storing the line.
//!
//! The members of a message may come in any order, so the whole line is scanned: strings and nesting are skipped, and
//! of the outermost object only member names and the value of `id` are kept.

/// Maximum length of stored names and ids; longer ones cannot match.
const MOST_KEPT: usize = 64;

/// State of the scan; [`LongLine::push`] takes the line in parts.
#[derive(Debug, Default)]
pub(super) struct LongLine {
    depth: usize,
    /// Set while a string is open; tells whether its next byte is escaped.
    string: Option<Escape>,
    /// Role of the current string or value in the outermost object.
    place: Position,
    name: Vec<u8>,
    id: Vec<u8>,
    ids: usize,
    is_response: bool,
    is_call: bool,
    is_broken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Open,
    Escaped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Position {
    #[default]
    Before,
    Name,
    Colon,
    Value,
    Id,
}

/// The kind of message in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// The response to the request with this raw id.
    Answer(&'a str),
    /// A request with this raw id.
    Request(&'a str),
    /// A notification, or not a message.
    Nothing,
}

impl LongLine {
    /// Scans the next part.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            bytes = match self.string {
                Some(escape) => self.in_string(escape, bytes),
                None => {
                    self.outside(*first);
                    rest
                }
            };
        }
    }

    /// Returns the kind of message as soon as it is certain; members that follow cannot change it.
    pub(super) fn carried(&self) -> Carried<'_> {
        let is_whole = self.ids == 1 && self.place != Position::Id && !self.is_broken;
        let id = std::str::from_utf8(&self.id).map(str::trim).unwrap_or_default();
        match (is_whole && !id.is_empty(), self.is_response, self.is_call) {
            (true, true, false) => Carried::Answer(id),
            (true, false, true) => Carried::Request(id),
            (_, _, _) => Carried::Nothing,
        }
    }

    /// Scans bytes of a string up to its end or an escape.
    fn in_string<'a>(&mut self, escape: Escape, bytes: &'a [u8]) -> &'a [u8] {
        let (length, next) = match escape {
            Escape::Escaped => (1, Some(Escape::Open)),
            Escape::Open => match memchr::memchr2(b'"', b'\\', bytes) {
                None => (bytes.len(), Some(Escape::Open)),
                Some(at) if bytes.get(at) == Some(&b'"') => (at + 1, None),
                Some(at) => (at + 1, Some(Escape::Escaped)),
            },
        };
        let (taken, rest) = bytes.split_at(length.min(bytes.len()));
        self.keep(taken);
        self.string = next;
        if next.is_none() && self.depth == 1 && self.place == Position::Name {
            self.place = Position::Colon;
        }
        rest
    }

    fn outside(&mut self, byte: u8) {
        match (byte, self.depth) {
            (b'"', _) => {
                self.string = Some(Escape::Open);
                self.is_broken |= self.depth == 0;
                if self.place == Position::Id {
                    self.keep(b"\"");
                }
            }
            (b'{' | b'[', _) => {
                self.is_broken |= self.depth == 0 && (byte == b'[' || self.place != Position::Before);
                self.depth += 1;
                if self.depth == 1 {
                    (self.place, self.name) = (Position::Name, Vec::new());
                }
            }
            (b'}' | b']', 0) => self.is_broken = true,
            (b'}' | b']', _) => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Position::Value;
                }
            }
            (b',', 1) => (self.place, self.name) = (Position::Name, Vec::new()),
            (b':', 1) if self.place == Position::Colon => self.place = self.value(),
            (_, 1) if self.place == Position::Id => self.keep(&[byte]),
            (b' ' | b'\t' | b'\r', _) => {}
            (_, 0) => self.is_broken = true,
            (_, _) => {}
        }
    }

    /// Determines the role of the value that begins.
    fn value(&mut self) -> Position {
        match self.name.as_slice() {
            b"id\"" => {
                self.ids += 1;
                self.id.clear();
                return Position::Id;
            }
            b"result\"" | b"error\"" => self.is_response = true,
            b"method\"" => self.is_call = true,
            _ => {}
        }
        Position::Value
    }

    fn keep(&mut self, bytes: &[u8]) {
        let kept = match self.place {
            Position::Name if self.depth == 1 => &mut self.name,
            Position::Id if self.depth == 1 => &mut self.id,
            Position::Before | Position::Name | Position::Colon | Position::Value | Position::Id => return,
        };
        let room = MOST_KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        // A text that is too long is truncated and marked, so that it matches no name and no id.
        if bytes.len() > room {
            kept.push(b'~');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a line in one part, and byte by byte.
    fn check(line: &str, expected: &Carried<'_>) {
        let (mut whole, mut pieces) = (LongLine::default(), LongLine::default());
        whole.push(line.as_bytes());
        line.as_bytes().chunks(1).for_each(|byte| pieces.push(byte));
        assert_eq!((&whole.carried(), &pieces.carried()), (expected, expected), "{line}");
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        check(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1,{"id":8}]}}"#, &Carried::Answer("7"));
        check(r#"{"result":{"id":8,"text":"{\"id\":9}, \\"},"jsonrpc":"2.0","id":7}"#, &Carried::Answer("7"));
        check(r#" { "error" : { "code" : 1 } , "id" : 7 , "x" : [ ] } "#, &Carried::Answer("7"));
        check(r#"{"result":["]","}"],"id":7}"#, &Carried::Answer("7"));
        check(r#"{"id":"a\"b","result":1}"#, &Carried::Answer(r#""a\"b""#));
    }

    #[test]
    fn an_answer_is_known_before_its_end() {
        check(r#"{"jsonrpc":"2.0","id":7,"result":{"text":"xxxxxx"#, &Carried::Answer("7"));
        check(r#"{"result":{},"id":7"#, &Carried::Nothing);
        check(r#"{"id":7,"jsonrpc":"2.0""#, &Carried::Nothing);
    }

    #[test]
    fn requests_and_notifications_are_told_apart() {
        check(r#"{"id":7,"method":"sampling/createMessage","params":{"id":1}}"#, &Carried::Request("7"));
        check(r#"{"method":"notifications/message","params":{"id":1,"result":2}}"#, &Carried::Nothing);
    }

    #[test]
    fn what_is_no_message_or_says_two_things_carries_nothing() {
        for line in [
            r#"[{"id":7,"result":1}]"#,
            r#""id":7,"result":1"#,
            r#"log {"id":7,"result":1}"#,
            r#"{}{"id":7,"result":1}"#,
            r#"{"id":7,"id":8,"result":1}"#,
            r#"{"id":7,"method":"x","result":1}"#,
            r#"{"x":{"id":7,"result":1}}"#,
            "",
            "xxxxxxxx",
            "}}}}",
        ] {
            check(line, &Carried::Nothing);
        }
        let long = format!(r#"{{"id":{},"result":1}}"#, "7".repeat(100));
        assert_ne!(format!("{:?}", Carried::Answer("7")), format!("{:?}", carried(&long)));
    }

    fn carried(line: &str) -> String {
        let mut long = LongLine::default();
        long.push(line.as_bytes());
        format!("{:?}", long.carried())
    }
}
