//! Parses JSON into values. As in Go, every number is a fraction, and the last of two equal keys wins.

use crate::template::budget::Budget;
use crate::template::problem::Problem;
use crate::template::text::REPLACEMENT;
use crate::template::value::{Entries, MAX_DEPTH, Value};

/// Reason why a text is not parsed: it is not JSON, or it is JSON that is not computed with.
enum Stop {
    Malformed,
    Refused(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

type Read<T> = Result<T, Stop>;

/// Parses a JSON text; `None` if it is not JSON.
pub(super) fn read(text: &[u8], budget: &mut Budget) -> Result<Option<Value>, Problem> {
    let not_utf8 = |_| Problem::Refused("JSON that is not UTF-8 is not read here".to_owned());
    let text = std::str::from_utf8(text).map_err(not_utf8)?;
    let mut reader = Reader { text, at: 0, budget };
    let value = reader.value(0).and_then(|value| {
        reader.blanks();
        if reader.at == text.len() { Ok(value) } else { Err(Stop::Malformed) }
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Malformed) => Ok(None),
        Err(Stop::Refused(problem)) => Err(problem),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    budget: &'t mut Budget,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Skips blanks, then `wanted` if it follows. Returns true if it does.
    fn takes(&mut self, wanted: &str) -> bool {
        self.blanks();
        let is_there = self.rest().starts_with(wanted);
        self.at += if is_there { wanted.len() } else { 0 };
        is_there
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.budget.take(16)?;
        if depth > MAX_DEPTH {
            return Err(Stop::Refused(Problem::Refused("JSON is nested too deeply".to_owned())));
        }
        self.blanks();
        match self.rest().chars().next() {
            Some('{') => self.map(depth),
            Some('[') => self.list(depth),
            Some('"') => Ok(Value::text(self.string()?)),
            Some('-' | '0'..='9') => self.number(),
            _ if self.takes("true") => Ok(Value::Bool(true)),
            _ if self.takes("false") => Ok(Value::Bool(false)),
            _ if self.takes("null") => Ok(Value::Nil),
            _ => Err(Stop::Malformed),
        }
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes("]") {
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes("]") {
                return Ok(Value::list(items));
            }
            if !self.takes(",") {
                return Err(Stop::Malformed);
            }
        }
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut entries = Entries::new();
        if self.takes("}") {
            return Ok(Value::map(entries));
        }
        loop {
            self.blanks();
            if !self.rest().starts_with('"') {
                return Err(Stop::Malformed);
            }
            let key = self.string()?;
            if !self.takes(":") {
                return Err(Stop::Malformed);
            }
            let value = self.value(depth + 1)?;
            entries.insert(key.into_bytes().into(), value);
            if self.takes("}") {
                return Ok(Value::map(entries));
            }
            if !self.takes(",") {
                return Err(Stop::Malformed);
            }
        }
    }

    fn number(&mut self) -> Read<Value> {
        let rest = self.rest();
        let length = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) =
            digits.split_once(['e', 'E']).map_or((digits, None), |(one, other)| (one, Some(other)));
        let (whole, part) = mantissa.split_once('.').map_or((mantissa, None), |(one, other)| (one, Some(other)));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_exponent = |text: &str| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
        let is_number = is_digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && part.is_none_or(is_digits)
            && exponent.is_none_or(is_exponent);
        let value: f64 = text.parse().map_err(|_| Stop::Malformed)?;
        if !is_number {
            return Err(Stop::Malformed);
        }
        if value.is_infinite() {
            return Err(Stop::Refused(Problem::Refused("a number of JSON is too large".to_owned())));
        }
        self.at += length;
        Ok(Value::Float(value))
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let letter = self.rest().chars().next().ok_or(Stop::Malformed)?;
            self.at += letter.len_utf8();
            match letter {
                '"' => {
                    self.budget.take(out.len())?;
                    return Ok(out);
                }
                '\0'..='\u{1f}' => return Err(Stop::Malformed),
                '\\' => out.push(self.escape()?),
                letter => out.push(letter),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let letter = self.rest().chars().next().ok_or(Stop::Malformed)?;
        self.at += letter.len_utf8();
        Ok(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex()?;
                if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(REPLACEMENT));
                    }
                    self.at = before;
                }
                char::from_u32(high).unwrap_or(REPLACEMENT)
            }
            _ => return Err(Stop::Malformed),
        })
    }

    fn hex(&mut self) -> Read<u32> {
        let digits = self.rest().get(..4).ok_or(Stop::Malformed)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Stop::Malformed);
        }
        let value = u32::from_str_radix(digits, 16).map_err(|_| Stop::Malformed)?;
        self.at += 4;
        Ok(value)
    }
}
