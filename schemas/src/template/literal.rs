//! Parses literals of templates: numbers, letters and strings in Go's syntax.

use std::str::Chars;

/// Number literal, with the values that Go allows for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// Value for an integer parameter.
    pub(super) integer: Option<i64>,
    /// Value for a fraction parameter.
    pub(super) fraction: Option<f64>,
    /// True if it is a fraction where the parameter accepts any type.
    pub(super) is_fraction: bool,
}

/// Reason why a literal is invalid, or is not supported here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoLiteral {
    Malformed,
    Overflow,
    Unsupported(&'static str),
}

/// Parses a number, such as `42`, `010`, `0x1F`, `1_000` or `1.5e3`.
pub(super) fn number(text: &str) -> Result<Number, NoLiteral> {
    if text.ends_with('i') && !text.starts_with("0x") {
        return Err(NoLiteral::Unsupported("complex numbers are not computed with here"));
    }
    let looks_fractional = text.contains(['.', 'e', 'E', 'p', 'P']);
    let body = text.trim_start_matches(['+', '-']);
    let is_hex = body.starts_with("0x") || body.starts_with("0X");
    if let Some(integer) = integer(text) {
        // The `e` of a hexadecimal number is a digit.
        let is_fraction = looks_fractional && !is_hex;
        return Ok(Number { integer: Some(integer), fraction: Some(integer as f64), is_fraction });
    }
    if is_hex && looks_fractional {
        return Err(NoLiteral::Unsupported("hexadecimal fractions are not computed with here"));
    }
    if unsigned(text).is_some() {
        return Ok(Number { integer: None, fraction: unsigned(text).map(|it| it as f64), is_fraction: false });
    }
    let value = fraction(text).ok_or(NoLiteral::Malformed)?;
    if !value.is_finite() {
        return Err(NoLiteral::Malformed);
    }
    if !looks_fractional {
        return Err(NoLiteral::Overflow);
    }
    let whole = value as i64;
    let is_whole = whole as f64 == value && value.abs() < 9.2e18;
    Ok(Number { integer: is_whole.then_some(whole), fraction: Some(value), is_fraction: true })
}

/// `strconv.ParseFloat` of a decimal number; `_` is allowed between digits.
pub(super) fn fraction(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let is_misplaced = |at: usize| !is_digit(at.checked_sub(1)) || !is_digit(Some(at + 1));
    let is_good = text.match_indices('_').all(|(at, _)| !is_misplaced(at));
    is_good.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// `strconv.ParseInt` with base 0: a prefix selects the base; `_` is allowed between digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (is_negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = i128::from(unsigned(body)?);
    i64::try_from(if is_negative { -value } else { value }).ok()
}

fn unsigned(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    // An underscore must be between digits, or between the prefix and a digit.
    let has_prefix = base != 10;
    let is_misplaced = digits.ends_with('_') || digits.contains("__") || (digits.starts_with('_') && !has_prefix);
    let plain = digits.replace('_', "");
    if is_misplaced || plain.is_empty() || !plain.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    u64::from_str_radix(&plain, base).ok()
}

/// Returns the value of a letter literal, given with its quotes.
pub(super) fn letter(literal: &str) -> Option<char> {
    let inner = literal.strip_prefix('\'')?;
    let mut letters = inner.chars();
    let mut out = Vec::new();
    let first = letters.next()?;
    let value = match first {
        '\\' => match escape(&mut letters, '\'', &mut out)? {
            Some(letter) => letter,
            None => char::from(*out.first()?),
        },
        '\'' | '\n' => return None,
        letter => letter,
    };
    (letters.as_str() == "'").then_some(value)
}

/// Returns the value of a string literal, given with its quotes.
pub(super) fn text(literal: &str) -> Option<Vec<u8>> {
    if let Some(raw) = literal.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', "").into_bytes());
    }
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = Vec::new();
    let mut letters = inner.chars();
    let mut buffer = [0; 4];
    while let Some(letter) = letters.next() {
        let value = match letter {
            '\\' => escape(&mut letters, '"', &mut out)?,
            '"' | '\n' => return None,
            letter => Some(letter),
        };
        if let Some(value) = value {
            out.extend_from_slice(value.encode_utf8(&mut buffer).as_bytes());
        }
    }
    Some(out)
}

/// Decodes the escape behind a backslash: returns a letter, or pushes a byte to `out` and returns `None`.
fn escape(letters: &mut Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<Option<char>> {
    let kind = letters.next()?;
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' => 92,
        _ if kind == quote => return Some(Some(quote)),
        'u' => return Some(Some(char::from_u32(digits(letters, 4, 16, 0)?)?)),
        'U' => return Some(Some(char::from_u32(digits(letters, 8, 16, 0)?)?)),
        'x' => digits(letters, 2, 16, 0)?,
        '0'..='7' => digits(letters, 2, 8, kind.to_digit(8)?)?,
        _ => return None,
    };
    out.push(u8::try_from(byte).ok()?);
    Some(None)
}

fn digits(letters: &mut Chars<'_>, count: usize, base: u32, first: u32) -> Option<u32> {
    (0..count).try_fold(first, |value, _| value.checked_mul(base)?.checked_add(letters.next()?.to_digit(base)?))
}
