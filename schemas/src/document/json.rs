//! Parses JSON with comments and trailing commas, as editors write it.

use std::collections::HashMap;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use crate::document::lines::Lines;
use crate::document::malformed::{Malformed, MalformedKind};
use crate::document::node::{Map, Node, Number, Text, Value};

/// Parses a text; the first mistake in the syntax ends it.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Malformed>) {
    let lines = Lines::new(text);
    let collected = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let options = ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    match parse_to_ast(text, &collected, &options) {
        Ok(parsed) => {
            let mut malformed = Vec::new();
            let root = parsed.value.map(|value| node(value, &lines, &mut malformed));
            (root, malformed)
        }
        Err(error) => (None, vec![explain(&error, &lines)]),
    }
}

fn node(value: ast::Value<'_>, lines: &Lines<'_>, malformed: &mut Vec<Malformed>) -> Node {
    let range = value.range();
    let bytes = range.start..range.end;
    let span = lines.span(&bytes);
    let value = match value {
        ast::Value::StringLit(text) => {
            Value::Text(Text { text: text.value.into_owned(), source: bytes, origin: span.start })
        }
        ast::Value::NumberLit(number) => Value::Number(parsed(number.value), number.value.to_owned()),
        ast::Value::BooleanLit(flag) => Value::Bool(flag.value, if flag.value { "true" } else { "false" }),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => {
            Value::List(array.elements.into_iter().map(|item| node(item, lines, malformed)).collect())
        }
        ast::Value::Object(object) => Value::Map(map(object, lines, malformed)),
    };
    Node { span, value }
}

fn map(object: ast::Object<'_>, lines: &Lines<'_>, malformed: &mut Vec<Malformed>) -> Map {
    let mut map = Map::default();
    let mut first_lines = HashMap::with_capacity(object.properties.len());
    for property in object.properties {
        let range = property.name.range();
        let span = lines.span(&(range.start..range.end));
        let key = property.name.into_string();
        if let Some(line) = first_lines.get(&key) {
            malformed.push(Malformed {
                kind: MalformedKind::DuplicateKey,
                span,
                message: format!("key `{key}` is there twice"),
                hint: Some(format!("the first is in line {line}")),
            });
            continue;
        }
        first_lines.insert(key.clone(), span.start.line);
        map.entries.push((key, span, node(property.value, lines, malformed)));
    }
    map
}

fn parsed(literal: &str) -> Number {
    let natural = literal.parse().map(Number::Natural);
    let number = natural.or_else(|_| literal.parse().map(Number::Negative));
    number.unwrap_or_else(|_| Number::Float(literal.parse().unwrap_or(f64::NAN)))
}

fn explain(error: &ParseError, lines: &Lines<'_>) -> Malformed {
    let range = error.range();
    let (message, hint) = match error.kind() {
        ParseErrorKind::ExpectedComma => ("a comma is missing in front of this".to_owned(), None),
        ParseErrorKind::UnterminatedObject => ("this brace is not closed".to_owned(), None),
        ParseErrorKind::UnterminatedArray => ("this bracket is not closed".to_owned(), None),
        ParseErrorKind::UnterminatedCommentBlock => ("this comment is not closed".to_owned(), Some("write `*/`")),
        ParseErrorKind::SingleQuotedStringsNotAllowed => {
            ("a text is in double quotes, not in single ones".to_owned(), Some("write `\"`"))
        }
        ParseErrorKind::ExpectedStringObjectProperty | ParseErrorKind::UnexpectedTokenInObject => {
            ("a key is a text in double quotes".to_owned(), None)
        }
        ParseErrorKind::UnexpectedWord | ParseErrorKind::UnexpectedToken => (
            "this is no value in JSON".to_owned(),
            Some("put a text in double quotes; the other words are true, false, null"),
        ),
        ParseErrorKind::NestingDepthExceeded => ("the file is nested too deeply".to_owned(), None),
        kind => (lower_first(&kind.to_string()), None),
    };
    // An error of the parser may cover all that follows: point at its first line.
    let end = lines.text().get(range.start..range.end).and_then(|part| part.find('\n'));
    let end = end.map_or(range.end, |length| range.start + length).max(range.start);
    let span = lines.span(&(range.start..end));
    Malformed { kind: MalformedKind::Syntax, span, message, hint: hint.map(str::to_owned) }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
