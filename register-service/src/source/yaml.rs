//! The YAML library, named nowhere else: text in, trees out, and back.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy};
use serde_saphyr::{Error, Location, Options, SerializeError, Spanned};

use crate::diagnostic::Code;
use crate::source::node::{Map, Node, Number, Position, Text, Value};

/// Why a text is not YAML that is read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// What kind of mistake it is.
    pub(crate) code: Code,
    /// Where reading stopped.
    pub(crate) position: Position,
    /// What was found there.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

/// Reads every document of a file. After a duplicate key the rest is read as well, with the first value of the key.
pub(crate) fn parse(text: &str) -> (Vec<Node>, Option<Malformed>) {
    match documents(text, DuplicateKeyPolicy::Error) {
        Ok(documents) => (documents, None),
        Err(error) => {
            let malformed = explain(text, &error);
            let rest = match malformed.code {
                Code::DuplicateKey => documents(text, DuplicateKeyPolicy::FirstWins).unwrap_or_default(),
                _ => Vec::new(),
            };
            (rest, Some(malformed))
        }
    }
}

/// Any value as YAML.
pub(crate) fn text(value: &serde_json::Value) -> Result<String, SerializeError> {
    serde_saphyr::to_string(value)
}

/// Writes a tree as YAML. Comments and styles are lost.
pub(crate) fn write(document: &Node) -> Result<String, SerializeError> {
    serde_saphyr::to_string(document)
}

fn documents(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Node>, Error> {
    let trees: Vec<Spanned<Tree>> = serde_saphyr::from_str_multiple_with_options(text, options(duplicate_keys))?;
    Ok(trees.into_iter().map(|tree| tree.into_node(text)).collect())
}

/// Far above what an author writes, far below what exhausts a machine.
fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = 10_000;
    alias_limits.max_replay_stack_depth = 16;
    serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: duplicate_keys,
        alias_limits: alias_limits,
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 50_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 64,
            max_documents: 256,
            max_merge_keys: 1_000,
        },
    }
}

fn explain(text: &str, error: &Error) -> Malformed {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let position = position(&location);
    let told = error.to_string();
    let suffix = format!(" at line {}, column {}", position.line, position.column);
    let message = told.strip_suffix(&suffix).unwrap_or(&told).to_owned();
    let (code, message) = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            (Code::DuplicateKey, format!("key `{key}` is there twice"))
        }
        Error::DuplicateMappingKey { key: None, .. } => (Code::DuplicateKey, "a key is there twice".to_owned()),
        _ => (Code::Syntax, message),
    };
    let bare_template = line(text, position.line).contains(": {{") || line(text, position.line).contains("- {{");
    let hint = (code == Code::Syntax && bare_template)
        .then_some("put quotes around a value that begins with `{{`: to YAML an open brace begins a mapping");
    Malformed { code, position, message, hint }
}

fn line(text: &str, number: u32) -> &str {
    text.lines().nth(number.saturating_sub(1) as usize).unwrap_or_default()
}

/// What the library sees, before the literals and template positions are looked up in the text.
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

trait IntoNode {
    fn into_node(self, text: &str) -> Node;
}

impl IntoNode for Spanned<Tree> {
    fn into_node(self, text: &str) -> Node {
        let value = match self.value {
            Tree::Null => Value::Null,
            Tree::Bool(flag) => Value::Bool(flag),
            Tree::Number(number) => Value::Number(number, literal(text, &self.defined, number)),
            Tree::Text(read) => Value::Text(Text { templates: templates(text, &self.defined, &read), text: read }),
            Tree::List(items) => Value::List(items.into_iter().map(|item| item.into_node(text)).collect()),
            Tree::Map(entries) => {
                let entry = |(key, value): (Spanned<String>, Self)| {
                    (key.value, position(&key.referenced), value.into_node(text))
                };
                Value::Map(Map { entries: entries.into_iter().map(entry).collect(), removed: Vec::new() })
            }
        };
        Node { position: position(&self.referenced), value }
    }
}

fn position(location: &Location) -> Position {
    let limit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Position { line: limit(location.line()), column: limit(location.column()) }
}

/// The part of the text that a scalar takes, quotes and all.
fn span(text: &str, location: &Location) -> Option<Range<usize>> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    text.get(start..end).map(|_| start..end)
}

fn literal(text: &str, location: &Location, number: Number) -> String {
    let written = span(text, location).and_then(|span| text.get(span)).filter(|it| !it.starts_with(['"', '\'']));
    match (written, number) {
        (Some(written), _) => written.trim().to_owned(),
        (None, Number::Negative(number)) => number.to_string(),
        (None, Number::Natural(number)) => number.to_string(),
        (None, Number::Float(number)) => number.to_string(),
    }
}

/// Where each `{{` of a text stands in the file. The n-th in the text is the n-th in its source, unless one is spelt
/// with escapes; then all stand where the text begins.
fn templates(text: &str, location: &Location, read: &str) -> Vec<Position> {
    let wanted = read.matches("{{").count();
    let start = position(location);
    let source = span(text, location).and_then(|span| text.get(span)).unwrap_or_default();
    if wanted == 0 || source.matches("{{").count() != wanted {
        return vec![start; wanted];
    }
    let place = |(offset, _): (usize, &str)| {
        let before = source.get(..offset).unwrap_or_default();
        let characters = |part: &str| u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
        match before.rsplit_once('\n') {
            None => Position { column: start.column + characters(before), ..start },
            Some((lines, last)) => {
                let line = start.line + 1 + u32::try_from(lines.matches('\n').count()).unwrap_or(u32::MAX);
                Position { line, column: 1 + characters(last) }
            }
        }
    };
    source.match_indices("{{").map(place).collect()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(u64::try_from(number).map_or(Number::Negative(number), Number::Natural)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::Natural(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Tree, E> {
        Err(E::custom("binary values are not read here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Tree::Map(entries))
    }
}
