//! Resolves plain scalars as the engine's YAML parser, go-yaml 3, does: to null, a boolean, a number or a string.
//!
//! `yes` and `on` are strings, `010` and `0o10` are 8, `0x10` is 16, `1_000` is 1000. Where a string is expected, every
//! scalar is taken as written.

use crate::document::node::{Number, Value};

/// Resolves a plain scalar; `None` for a string.
pub(super) fn resolve(text: &str) -> Option<Value> {
    const SPELLINGS: [(&str, bool); 6] =
        [("true", true), ("false", false), ("True", true), ("False", false), ("TRUE", true), ("FALSE", false)];
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Some(Value::Null);
    }
    if let Some((spelling, flag)) = SPELLINGS.iter().find(|(spelling, _)| *spelling == text) {
        return Some(Value::Bool(*flag, spelling));
    }
    number(text).map(|number| Value::Number(number, text.to_owned()))
}

/// True if a scalar has the type of its YAML core tag.
pub(super) fn fits(text: &str, tag: &str) -> bool {
    match (tag, resolve(text)) {
        ("int", value) => matches!(value, Some(Value::Number(Number::Natural(_) | Number::Negative(_), _))),
        ("float", value) => matches!(value, Some(Value::Number(..))),
        ("bool", value) => matches!(value, Some(Value::Bool(..))),
        _ => true,
    }
}

fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && !b"+-.".contains(&first) {
        return None;
    }
    match text {
        "-.inf" | "-.Inf" | "-.INF" => return Some(Number::Float(f64::NEG_INFINITY)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Number::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Number::Float(f64::NAN)),
        _ => {}
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

/// Parses an integer; a prefix selects the base, and a leading zero means octal.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match is_negative {
        true => i64::try_from(-i128::from(value)).ok().map(Number::Negative),
        false => Some(Number::Natural(value)),
    }
}

/// Parses `1.5`, `.5`, `1.`, `1e3`; rejects the other forms that the standard library accepts.
fn float(text: &str) -> Option<Number> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if is_plain && has_digit { text.parse().ok().map(Number::Float) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match resolve(text) {
            None => "text".to_owned(),
            Some(Value::Number(number, _)) => format!("{number:?}"),
            Some(value) => format!("{value:?}"),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn knows_the_core_schema() {
        for text in ["yes", "on", "n", "1.2.3", "-", "-_", ".", "0x", "0xg", "e3", "12:30", "2025-03-26", "nan"] {
            check(text, "text");
        }
        check("~", "Null");
        check("True", "Bool(true, \"True\")");
        check("7", "Natural(7)");
        check("+7", "Natural(7)");
        check("010", "Natural(8)");
        check("08", "Float(8.0)");
        check("1_000", "Natural(1000)");
        check("-0b11", "Negative(-3)");
        check("-7", "Negative(-7)");
        check("0o17", "Natural(15)");
        check("0x1F", "Natural(31)");
        check("1.10", "Float(1.1)");
        check("1e3", "Float(1000.0)");
        check("-.inf", "Float(-inf)");
        check("99999999999999999999", "Float(1e20)");
    }
}
