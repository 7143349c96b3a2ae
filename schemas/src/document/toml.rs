//! Parses TOML 1.1.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::document::lines::Lines;
use crate::document::malformed::{Malformed, MalformedKind};
use crate::document::node::{Map, Node, Number, Text, Value};

/// Parses a text. Continues behind a mistake, so that all of them are found.
pub(super) fn parse(text: &str) -> (Node, Vec<Malformed>) {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let span = lines.span(&(0..text.len()));
    let root = Node { span, value: Value::Map(map(table.into_inner(), &lines)) };
    (root, errors.iter().map(|error| explain(error, &lines)).collect())
}

fn map(table: DeTable<'_>, lines: &Lines<'_>) -> Map {
    let entries = table.into_iter().map(|(key, value)| {
        let span = lines.span(&key.span());
        (key.into_inner().into_owned(), span, node(value, lines))
    });
    Map { entries: entries.collect(), removed: Vec::new() }
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let bytes = value.span();
    let span = lines.span(&bytes);
    let literal = || lines.text().get(bytes.clone()).unwrap_or_default().to_owned();
    let text = |text: String| Value::Text(Text { text, source: bytes.clone(), origin: span.start });
    let value = match value.into_inner() {
        DeValue::String(value) => text(value.into_owned()),
        DeValue::Integer(integer) => Value::Number(parsed(integer.as_str(), integer.radix()), literal()),
        DeValue::Float(float) => Value::Number(Number::Float(float.as_str().parse().unwrap_or(f64::NAN)), literal()),
        DeValue::Boolean(flag) => Value::Bool(flag, if flag { "true" } else { "false" }),
        DeValue::Datetime(time) => text(time.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(table) => Value::Map(map(table, lines)),
    };
    Node { span, value }
}

fn parsed(digits: &str, radix: u32) -> Number {
    let natural = u64::from_str_radix(digits, radix).map(Number::Natural);
    let number = natural.or_else(|_| i64::from_str_radix(digits, radix).map(Number::Negative));
    number.unwrap_or(Number::Float(f64::NAN))
}

fn explain(error: &Error, lines: &Lines<'_>) -> Malformed {
    let bytes = error.span().unwrap_or_default();
    let span = lines.span(&bytes);
    let (kind, message) = match error.message() {
        "duplicate key" => {
            let key = lines.text().get(bytes).unwrap_or_default();
            (MalformedKind::DuplicateKey, format!("key `{key}` is there twice"))
        }
        message => (MalformedKind::Syntax, message.to_owned()),
    };
    Malformed { kind, span, message, hint: None }
}
