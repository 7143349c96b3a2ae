//! Wraps the YAML libraries, which no other module names: parses text into trees, and writes trees as text.
//!
//! Mistakes that leave the rest readable (a duplicate key, an undefined alias) are collected; after a fatal one,
//! parsing resumes with the next document.

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError};
use serde_saphyr::SerializeError;

use crate::document::build::{Builder, Place};
use crate::document::malformed::MalformedKind;
use crate::document::malformed::{Malformed, unquoted_template};
use crate::document::node::{Map, Node, Position, Span, Value};
use crate::document::scalar;

/// Contents of a file.
///
/// ```
/// let read = schemas::document::yaml::parse("a: 1\n---\nb: [\n");
/// assert_eq!((read.documents.len(), read.is_whole, read.malformed.len()), (1, false, 1));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Read {
    /// Documents that could be parsed.
    pub documents: Vec<Node>,
    /// True if `documents` is all that the file contains.
    pub is_whole: bool,
    /// True if the first document is empty; then the engine reads none of `documents`.
    pub begins_empty: bool,
    /// Mistakes in the file.
    pub malformed: Vec<Malformed>,
}

/// Deepest nesting, and most documents below: far above what authors write, far below what exhausts a machine.
const MAX_NESTING: usize = 64;
const MAX_DOCUMENTS: usize = 256;
/// Prefix of YAML's core tags.
const CORE: &str = "tag:yaml.org,2002:";

/// Parses every document of a file.
///
/// ```
/// let read = schemas::document::yaml::parse("a: 1\n");
/// assert!(read.is_whole && read.documents[0].get("a").is_some());
/// ```
pub fn parse(text: &str) -> Read {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_NESTING,
        block_nesting_limit: MAX_NESTING,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::new(text);
    builder.malformed.extend(other_version(text));
    let mut read = Read { is_whole: true, ..Read::default() };
    let mut count = 0;
    while let Some(next) = parser.next_event() {
        let broken = match next {
            Ok((Event::DocumentEnd, _)) => {
                let document = builder.document();
                read.begins_empty |= count == 0 && document.as_ref().is_none_or(|it| matches!(it.value, Value::Null));
                count += 1;
                read.documents.extend(document);
                None
            }
            Ok((event, span)) => take(&mut builder, event, &converted(span)).err(),
            Err(error) => Some(explain(text, &error, builder.open_bracket())),
        };
        let Some(malformed) = broken else { continue };
        // An earlier report at this position may be of the same mistake.
        builder.malformed.retain(|it| it.span.start != malformed.span.start);
        read.malformed.push(malformed);
        read.is_whole = false;
        builder.abandon();
        if !parser.proceed_next_document().unwrap_or(false) || read.documents.len() >= MAX_DOCUMENTS {
            break;
        }
    }
    read.malformed.append(&mut builder.malformed);
    read
}

/// Reports a `%YAML` directive with a version that the engine's parser rejects.
fn other_version(text: &str) -> Option<Malformed> {
    let is_head = |line: &str| line.trim().is_empty() || line.starts_with(['#', '%']);
    let lines = text.lines().zip(1_u32..).take_while(|(line, _)| is_head(line));
    let (line, number) = lines.into_iter().find(|(line, _)| line.starts_with("%YAML"))?;
    if line.split_whitespace().nth(1) == Some("1.1") {
        return None;
    }
    let start = Position { line: number, column: 1 };
    let message = "the engine's YAML reader takes version 1.1 only, and refuses the file".to_owned();
    let hint = Some("leave the line out".to_owned());
    Some(Malformed {
        kind: MalformedKind::Engine,
        span: Span { start, end: start.behind(line.trim_end()) },
        message,
        hint,
    })
}

/// Formats any value as YAML; the empty string if it has no form there.
///
/// ```
/// assert_eq!(schemas::document::yaml::text(&serde_json::json!({ "a": ["b"] })), "a:\n- b\n");
/// ```
pub fn text(value: &serde_json::Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// Formats a tree as YAML. Comments and styles are lost; numbers and booleans keep their spelling.
///
/// ```
/// let read = schemas::document::yaml::parse("a: 1.10 # why\n");
/// assert_eq!(schemas::document::yaml::write(&read.documents[0]), "a: 1.10\n");
/// ```
pub fn write(document: &Node) -> String {
    written(document).unwrap_or_else(|error| format!("# {error}\n"))
}

fn written(document: &Node) -> Result<String, SerializeError> {
    let mut mark = "number".to_owned();
    while holds(document, &mark) {
        mark.push('x');
    }
    // The library would normalize numbers, so each is written as a marker first and replaced afterwards.
    let mut literals = Vec::new();
    let text = serde_saphyr::to_string(&marked(document, &mark, &mut literals))?;
    let mut parts = text.split(mark.as_str());
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (index, rest) = part.split_once('n').unwrap_or_default();
        let literal = index.parse().ok().and_then(|index: usize| literals.get(index));
        out += literal.map_or("", String::as_str);
        out += rest;
    }
    Ok(out)
}

/// True if a string or key of a tree contains the marker.
fn holds(node: &Node, mark: &str) -> bool {
    match &node.value {
        Value::Text(text) => text.text.contains(mark),
        Value::List(items) => items.iter().any(|item| holds(item, mark)),
        Value::Map(map) => map.entries.iter().any(|(key, _, value)| key.contains(mark) || holds(value, mark)),
        Value::Null | Value::Bool(..) | Value::Number(..) => false,
    }
}

/// Replaces each number and boolean of a tree by a marker.
fn marked(node: &Node, mark: &str, literals: &mut Vec<String>) -> Node {
    let value = match &node.value {
        Value::Bool(_, literal) => return word(literal, mark, literals),
        Value::Number(_, literal) => return word(literal, mark, literals),
        Value::List(items) => Value::List(items.iter().map(|item| marked(item, mark, literals)).collect()),
        Value::Map(map) => {
            let entries = map.entries.iter().map(|(key, span, it)| (key.clone(), *span, marked(it, mark, literals)));
            Value::Map(Map { entries: entries.collect(), removed: Vec::new() })
        }
        other => other.clone(),
    };
    Node { span: node.span, value }
}

fn word(literal: &str, mark: &str, literals: &mut Vec<String>) -> Node {
    literals.push(literal.to_owned());
    Node::text(format!("{mark}{}n", literals.len() - 1))
}

fn take(builder: &mut Builder<'_>, event: Event<'_>, place: &Place) -> Result<(), Malformed> {
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            if style == ScalarStyle::DoubleQuoted {
                builder.check_escapes(place);
            }
            let is_plain = style == ScalarStyle::Plain;
            let is_core = tag.as_ref().is_none_or(|tag| tag.suffix_in_namespace(CORE).is_some());
            builder.check_start(place, is_plain && (text.starts_with('?') || (!is_core && text.is_empty())));
            let text = match style {
                ScalarStyle::Literal | ScalarStyle::Folded => builder.without_last_break(text, place),
                _ => text,
            };
            if tag.as_ref().is_some_and(|tag| tag.suffix_in_namespace(CORE).as_deref() == Some("binary")) {
                return builder.binary(&text, anchor, place);
            }
            let is_text = !is_core || tag.as_ref().is_some_and(|tag| tag.core_suffix() == Some("str"));
            let resolved = (is_plain && !is_text).then(|| scalar::resolve(&text));
            if let Some(name) = tag.as_ref().and_then(|tag| tag.core_suffix())
                && !scalar::fits(&text, name)
            {
                let message = format!("this is not what its tag `!!{name}` says, and the engine refuses the file");
                builder.malformed.push(Malformed { kind: MalformedKind::Engine, span: place.0, message, hint: None });
            }
            builder.scalar(resolved.flatten(), text.into_owned(), anchor, place)
        }
        Event::SequenceStart(_, anchor, _) => builder.open(Value::List(Vec::new()), anchor, place),
        Event::MappingStart(_, anchor, _) => builder.open(Value::Map(Default::default()), anchor, place),
        Event::SequenceEnd | Event::MappingEnd => builder.close(place),
        Event::Alias(anchor) => {
            builder.check_start(place, false);
            builder.alias(anchor, place)
        }
        Event::Anchor(_, name) => {
            builder.anchor(name.into_owned(), place);
            Ok(())
        }
        Event::UnresolvedAlias(name) => builder.dangling(&name, place),
        _ => Ok(()),
    }
}

fn converted(span: granit_parser::Span) -> Place {
    let bytes = |marker: &Marker| marker.byte_offset().unwrap_or_default();
    let (start, end) = (bytes(&span.start), bytes(&span.end));
    (Span { start: position(&span.start), end: position(&span.end) }, start..end.max(start))
}

fn position(marker: &Marker) -> Position {
    let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: limit(marker.line()).max(1), column: limit(marker.col()).saturating_add(1) }
}

/// Explains an error in our words if the library's describe its own states. Points at the origin of the error rather
/// than at the position where the parser noticed it.
fn explain(text: &str, error: &ScanError, bracket: Option<Position>) -> Malformed {
    let at = position(error.marker());
    let before = text.get(..error.marker().byte_offset().unwrap_or_default()).unwrap_or_default();
    let line_of = |at: Position| text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
    if let Some(span) = bare_template(line_of(at), at) {
        return unquoted_template(span);
    }
    let start = Position { line: 1, column: 1 };
    let (at, kind) = match error.kind() {
        ErrorKind::TabInPlainScalar => {
            let found = text.get(before.len()..).and_then(|rest| rest.find('\t')).unwrap_or_default();
            (start.behind(text.get(..before.len() + found).unwrap_or_default()), &ErrorKind::TabInIndentation)
        }
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            let quote = start.behind(before.get(..open_quote(before)).unwrap_or_default());
            (quote, &ErrorKind::UnclosedQuotedScalar)
        }
        kind => (at, kind),
    };
    let line = line_of(at);
    if let Some(open) = bracket.filter(|open| open.line < at.line) {
        let span = Span { start: open, end: Position { column: open.column + 1, ..open } };
        let message = "this bracket is not closed".to_owned();
        return Malformed { kind: MalformedKind::Syntax, span, message, hint: None };
    }
    let (message, hint) = match kind {
        ErrorKind::TabInIndentation | ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => {
            ("a tab cannot indent".to_owned(), Some("indent with spaces"))
        }
        ErrorKind::UnclosedQuotedScalar => ("a quote is not closed".to_owned(), None),
        ErrorKind::UnclosedFlowCollection { open } => (format!("`{open}` is not closed"), None),
        ErrorKind::MappingValueNotAllowed => (
            "a `:` with a space behind it cannot stand there".to_owned(),
            Some("put quotes around a text with `: ` in it, and check how the line is indented"),
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a `:` is missing behind a key".to_owned(), Some("write `key: value`, and a space behind the `:`"))
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry => (
            "this does not go on with what is above it".to_owned(),
            Some("keys of one mapping, and items of one list, begin in the same column"),
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("a text cannot begin with `{character}`"), Some("put quotes around it"))
        }
        kind => (kind.to_string(), None),
    };
    Malformed { kind: MalformedKind::Syntax, span: token(line, at), message, hint: hint.map(str::to_owned) }
}

/// Returns the offset of the unclosed quote. A quote in the middle of a word neither opens nor closes a string.
fn open_quote(text: &str) -> usize {
    let opens = |(at, _): &(usize, &str)| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| c.is_whitespace() || "[{,:".contains(c))
    };
    text.rmatch_indices(['"', '\'']).find(opens).map_or(text.len(), |(at, _)| at)
}

/// Returns the span of the word at a position.
fn token(line: &str, at: Position) -> Span {
    let rest = || line.chars().skip(at.column.saturating_sub(1) as usize);
    let length = match rest().next() {
        Some('\t') => rest().take_while(|it| *it == '\t').count(),
        _ => rest().take_while(|it| !it.is_whitespace()).count(),
    };
    let length = u32::try_from(length.max(1)).unwrap_or(1);
    Span { start: at, end: Position { column: at.column.saturating_add(length), ..at } }
}

/// Returns the span of a value that begins with `{{`, if the line with the error has one. YAML parses it as two
/// mappings.
fn bare_template(line: &str, at: Position) -> Option<Span> {
    let found = [": {{", "- {{"].iter().find_map(|start| line.find(start))?;
    let (before, value) = line.split_at(found + 2);
    let columns = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let start = Position { column: columns(before).saturating_add(1), ..at };
    Some(Span { start, end: Position { column: start.column.saturating_add(columns(value.trim_end())), ..at } })
}
