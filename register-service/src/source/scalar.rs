//! What a plain scalar of YAML 1.2 is: nothing, a truth value, a number or a text.
//!
//! This is the core schema: `yes` and `on` are texts, `010` is ten, `0o10` and `0x10` are eight and sixteen.

use crate::source::node::{Number, Value};

/// Reads a plain scalar; nothing comes back for one that is a text.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    number(text).map(|number| Value::Number(number, text.to_owned()))
}

fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && !b"+-.".contains(&first) {
        return None;
    }
    let radix = |prefix, radix| u64::from_str_radix(text.strip_prefix(prefix)?, radix).ok().map(Number::Natural);
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let natural = text.parse().map(Number::Natural).ok();
        return natural.or_else(|| text.parse().map(Number::Negative).ok()).or_else(|| float(text));
    }
    match digits {
        ".inf" | ".Inf" | ".INF" if first == b'-' => Some(Number::Float(f64::NEG_INFINITY)),
        ".inf" | ".Inf" | ".INF" => Some(Number::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if digits == text => Some(Number::Float(f64::NAN)),
        _ => float(text),
    }
}

/// `1.5`, `.5`, `1.`, `1e3`; not what else the standard library takes.
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
        for text in ["yes", "on", "n", "1.2.3", "1_000", "-", ".", "0x", "0xg", "e3", "12:30", "2025-03-26", "nan"] {
            check(text, "text");
        }
        check("~", "Null");
        check("True", "Bool(true)");
        check("7", "Natural(7)");
        check("+7", "Natural(7)");
        check("010", "Natural(10)");
        check("-7", "Negative(-7)");
        check("0o17", "Natural(15)");
        check("0x1F", "Natural(31)");
        check("1.10", "Float(1.1)");
        check("1e3", "Float(1000.0)");
        check("-.inf", "Float(-inf)");
        check("99999999999999999999", "Float(1e20)");
    }
}
