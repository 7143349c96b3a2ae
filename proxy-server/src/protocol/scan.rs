//! Validating JSON scanner (RFC 8259) that builds no values: a value is returned as its text.
//!
//! One pass over the message, byte by byte only where it has structure. String contents, the bulk of a message, are
//! scanned in blocks.

use std::borrow::Cow;

/// Maximum nesting depth.
pub(super) const MAX_DEPTH: u32 = 128;
/// Bytes of a string that are compared together: a word in one integer, a block in SIMD instructions that the compiler
/// generates.
const WORD: usize = 8;
const BLOCK: usize = 64;
/// Number of words that are scanned before a string counts as long.
const SHORT: usize = 4;

/// The reason why a text is not valid JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not what JSON has here, at byte {0}")]
    Syntax(usize),
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("a member occurs twice")]
    Twice,
    #[error("too many members")]
    TooMany,
}

/// A position in a text, up to which it has been scanned.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// One bit per open container, set for objects; the innermost is the lowest bit.
    objects: u128,
}

impl<'a> Scanner<'a> {
    /// Starts at the first value of a text.
    pub(super) fn new(text: &'a str) -> Self {
        let mut scanner = Self { text, at: 0, depth: 0, objects: 0 };
        scanner.pass_space();
        scanner
    }

    /// Returns the next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Checks that only white space follows.
    pub(super) fn end(mut self) -> Result<(), Malformed> {
        self.pass_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.wrong()) }
    }

    /// Scans an object. Calls `take` with the name of each member; `take` scans the value.
    pub(super) fn object(
        &mut self,
        mut take: impl FnMut(Cow<'a, str>, &mut Self) -> Result<(), Malformed>,
    ) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.peek() != Some(b'{') {
            return Err(self.wrong());
        }
        let mut is_over = self.open(true)?;
        while !is_over {
            let (name, is_plain) = self.name()?;
            let name = if is_plain { Cow::Borrowed(inside(name)) } else { text(name).ok_or(self.wrong())? };
            take(name, self)?;
            is_over = self.next_or_close()?;
        }
        Ok(self.since(start))
    }

    /// Scans the elements of an array.
    pub(super) fn array(&mut self, mut take: impl FnMut(&'a str) -> Result<(), Malformed>) -> Result<(), Malformed> {
        if self.peek() != Some(b'[') {
            return Err(self.wrong());
        }
        let mut is_over = self.open(false)?;
        while !is_over {
            take(self.value()?)?;
            is_over = self.next_or_close()?;
        }
        Ok(())
    }

    /// Scans a value of any type. Returns its text.
    pub(super) fn value(&mut self) -> Result<&'a str, Malformed> {
        let (start, around) = (self.at, self.depth);
        loop {
            let mut has_ended = match self.peek() {
                Some(b'"') => self.string().map(|_| true)?,
                Some(b'{') => self.open(true)?,
                Some(b'[') => self.open(false)?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(_) | None => return Err(self.wrong()),
            };
            while has_ended && self.depth > around {
                has_ended = self.next_or_close()?;
            }
            if has_ended {
                return Ok(self.since(start));
            }
            if self.is_in_object() {
                self.name()?;
            }
        }
    }

    /// Opens a container. Returns true if it is empty, and closed again.
    fn open(&mut self, is_object: bool) -> Result<bool, Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed::Depth);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        self.at += 1;
        self.pass_space();
        Ok(self.close())
    }

    /// Advances past a value inside a container. Returns true if it was the last one.
    fn next_or_close(&mut self) -> Result<bool, Malformed> {
        self.pass_space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.pass_space();
            return Ok(false);
        }
        if self.close() { Ok(true) } else { Err(self.wrong()) }
    }

    fn close(&mut self) -> bool {
        let closing = if self.is_in_object() { b'}' } else { b']' };
        let closes = self.peek() == Some(closing);
        if closes {
            self.at += 1;
            self.depth -= 1;
            self.objects >>= 1;
        }
        closes
    }

    fn is_in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// Scans a member's name up to its value. The flag is true if the name has no escapes.
    fn name(&mut self) -> Result<(&'a str, bool), Malformed> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.wrong());
        }
        let is_plain = self.string()?;
        let name = self.since(start);
        self.pass_space();
        if self.peek() != Some(b':') {
            return Err(self.wrong());
        }
        self.at += 1;
        self.pass_space();
        Ok((name, is_plain))
    }

    /// Scans a string. Returns true if it has no escapes.
    fn string(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        let mut is_plain = true;
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) | None => return Err(self.wrong()),
            }
            is_plain = false;
        }
        self.at += 1;
        Ok(is_plain)
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            Some(_) | None => return Err(self.wrong()),
        };
        for _ in 0..digits {
            self.at += 1;
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.wrong());
            }
        }
        self.at += 1;
        Ok(())
    }

    fn number(&mut self) -> Result<bool, Malformed> {
        self.pass(b"-");
        if !self.pass(b"0") {
            self.digits()?;
        }
        if self.pass(b".") {
            self.digits()?;
        }
        if self.pass(b"eE") {
            self.pass(b"+-");
            self.digits()?;
        }
        Ok(true)
    }

    /// Scans at least one digit.
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.wrong()) }
    }

    fn word(&mut self, word: &str) -> Result<bool, Malformed> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.wrong());
        }
        self.at += word.len();
        Ok(true)
    }

    /// Skips one of these bytes if it is next. Returns true if it was.
    fn pass(&mut self, any: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| any.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn pass_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn wrong(&self) -> Malformed {
        Malformed::Syntax(self.at)
    }
}

/// Decodes a raw string value; borrowed unless it has escapes. `None` for other types.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.starts_with('"') {
        return None;
    }
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Some(inside(raw).into());
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// Returns a string without its quotes.
fn inside(quoted: &str) -> &str {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

/// Counts the bytes before the first one that needs attention: a quote, a backslash, or a control.
fn plain(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    if pass_words(&mut rest, SHORT) {
        let is_plain = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | is_special(*byte));
        let blocks = rest.chunks_exact(BLOCK).take_while(is_plain).count();
        rest = rest.get(blocks * BLOCK..).unwrap_or_default();
        pass_words(&mut rest, usize::MAX);
    }
    bytes.len() - rest.len()
}

/// Skips up to `most` words without special bytes. Returns true if the text may continue.
fn pass_words(rest: &mut &[u8], most: usize) -> bool {
    for _ in 0..most {
        let Some((word, after)) = rest.split_first_chunk() else {
            let end = rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len());
            *rest = rest.get(end..).unwrap_or_default();
            return false;
        };
        if let Some(end) = special(*word) {
            *rest = rest.get(end..).unwrap_or_default();
            return false;
        }
        *rest = after;
    }
    true
}

/// True for a quote, a backslash or a control. Flipping the second bit moves the quote next to the controls and keeps
/// the blank out, so one comparison covers both.
fn is_special(byte: u8) -> bool {
    byte ^ 2 <= b' ' || byte == b'\\'
}

/// Returns the index of the first special byte of a word. All bytes are compared at once in one integer: a byte that is
/// below the limit borrows from its highest bit.
fn special(word: [u8; WORD]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; WORD]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let below = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let found = (below(b' ' + 1, word ^ (ONES * 2)) | below(1, word ^ (ONES * u64::from(b'\\')))) & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn read(text: &str) -> Result<&str, Malformed> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.end()?;
        Ok(value)
    }

    #[test]
    fn takes_what_is_json_and_nothing_else() {
        for text in [
            "0",
            "-0.0e+1",
            "1E9",
            "true",
            "null",
            " [ ] ",
            "{}",
            r#""""#,
            r#""\u00e9\"\\\/\b\f\n\r\t""#,
            r#"{"a":[{"b":{}},[],1.5,"x"],"c":null}"#,
            "\"é\u{7f}\"",
            "[[[1],2],3]",
        ] {
            assert_eq!(read(text), Ok(text.trim()), "{text}");
        }
        for text in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "nul",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{a:1}"#,
            r#"{"a":1]"#,
            "[1}",
            "\"\n\"",
            r#""\x""#,
            r#""\u12g4""#,
            r#"""#,
            "1 1",
            "[",
            r#"{"a":"#,
            "'a'",
            "\u{feff}1",
            "NaN",
            r#"{1:2}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(128)).is_ok());
        assert_eq!(read(&nested(129)), Err(Malformed::Depth));
        let objects = format!("{}1{}", r#"{"a":["#.repeat(64), "]}".repeat(64));
        assert_eq!(read(&objects), Ok(objects.as_str()));
    }

    #[test]
    fn a_long_text_ends_where_it_ends() {
        for length in 0..200 {
            let text = "x".repeat(length);
            assert_eq!(read(&format!("\"{text}\"")).map(str::len), Ok(length + 2));
            assert!(read(&format!("\"{text}\u{1}{text}\"")).is_err());
            assert!(read(&format!("\"{text}")).is_err());
            assert!(read(&format!("\"{text}\\\"{text}\"")).is_ok());
        }
    }

    #[test]
    fn a_byte_means_the_same_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_special(byte), byte < 0x20 || byte == b'"' || byte == b'\\', "{byte}");
            for at in 0..120 {
                let mut text = [b'x'; 120];
                text[at] = byte;
                assert_eq!(plain(&text), if is_special(byte) { at } else { 120 }, "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_reader(text in r#"[\[\]{}":,\\a-eu0-9 .\-+\n]{0,24}"#) {
            let other = serde_json::from_str::<&RawValue>(&text);
            prop_assert_eq!(read(&text).ok(), other.ok().map(RawValue::get));
        }

        #[test]
        fn agrees_with_another_reader_about_nearly_json(text in r#"\{("[a-c]":("x{0,80}(\\n|\\u00e9)?"|[0-9.e\-]{1,4}|true|\[1,?\]),?){0,4}\}"#) {
            let other = serde_json::from_str::<&RawValue>(&text);
            prop_assert_eq!(read(&text).ok(), other.ok().map(RawValue::get));
        }
    }
}
