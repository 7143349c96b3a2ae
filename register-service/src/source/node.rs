//! A YAML document as a tree in which every key and value knows its position.

use std::ops::Range;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Position {
    /// Where a text ends that begins here.
    pub(crate) fn behind(self, text: &str) -> Self {
        let characters = |part: &str| u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
        match text.rsplit_once('\n') {
            None => Self { column: self.column.saturating_add(characters(text)), ..self },
            Some((lines, last)) => {
                let breaks = u32::try_from(lines.matches('\n').count() + 1).unwrap_or(u32::MAX);
                Self { line: self.line.saturating_add(breaks), column: characters(last).saturating_add(1) }
            }
        }
    }
}

/// From the first character to behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Span {
    /// Where it begins.
    pub start: Position,
    /// Behind its end.
    pub end: Position,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it is written; for a YAML alias, where the alias is. What is inside of that is where it is written.
    pub(crate) span: Span,
    /// What is written.
    pub(crate) value: Value,
}

/// What a YAML value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`, and how it is spelt; `yes`, `on` and the like are texts.
    Bool(bool, &'static str),
    /// A number, and its literal for where a text is wanted.
    Number(Number, String),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Below zero.
    Negative(i64),
    /// Zero or above.
    Natural(u64),
    /// Anything else.
    Float(f64),
}

/// A text, and where it is written, from which the place of any part of it follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    /// The text.
    pub(crate) text: String,
    /// Its bytes in the file, quotes and all.
    pub(crate) source: Range<usize>,
    /// Where they begin.
    pub(crate) origin: Position,
}

impl Text {
    /// Where a part of the text stands, given the file's text: the n-th that reads so is the n-th in its source, unless
    /// one is spelt with escapes or over a line break. Then nothing is known.
    pub(crate) fn locate(&self, file: &str, part: Range<usize>) -> Option<Span> {
        let (source, wanted) = (file.get(self.source.clone())?, self.text.get(part.clone())?);
        let before = self.text.match_indices(wanted).take_while(|(at, _)| *at < part.start).count();
        if self.text.matches(wanted).count() != source.matches(wanted).count() {
            return None;
        }
        let (offset, _) = source.match_indices(wanted).nth(before)?;
        let start = self.origin.behind(source.get(..offset)?);
        Some(Span { start, end: start.behind(wanted) })
    }
}

/// A mapping in the order it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    /// Keys, where they stand, and values.
    pub(crate) entries: Vec<(String, Span, Node)>,
    /// Keys whose values did not fit and were removed.
    pub(crate) removed: Vec<String>,
}

impl Map {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(.., value)| value)
    }

    /// The value of a key, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|(name, ..)| name == key).map(|(.., value)| value)
    }

    /// Where a key stands.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, span, _)| *span)
    }

    /// Sets a value in its place, or at the end.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => self.entries.push((key.to_owned(), value.span, value)),
        }
    }
}

impl Node {
    /// A text that no file holds.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = Text { text: text.into(), ..Text::default() };
        Self { span: Span::default(), value: Value::Text(text) }
    }

    /// The mapping, if it is one.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The mapping to be changed, if it is one.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The elements; none when it is no list.
    pub(crate) fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value of a key; nothing when this is no mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&Text> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Whether it is a text with a template in it.
    pub(crate) fn is_template(&self) -> bool {
        self.as_text().is_some_and(|text| text.text.contains("{{"))
    }

    /// Where to point for the whole of it: of what takes several lines, the part on the first.
    pub(crate) fn head(&self) -> Span {
        if self.span.start.line == self.span.end.line {
            return self.span;
        }
        match &self.value {
            Value::Map(map) => {
                let first = map.entries.iter().find(|(_, key, _)| key.start == self.span.start);
                let ends = first.map(|(_, key, value)| [value.span.end, key.end]).unwrap_or_default();
                let end = ends.into_iter().find(|end| end.line == self.span.start.line);
                Span { end: end.unwrap_or(self.span.start), ..self.span }
            }
            Value::List(items) => items.first().map_or(self.span, Node::head),
            _ => self.span,
        }
    }

    /// Whether two values say the same, wherever they stand and in whatever order their keys are.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one, _), Value::Bool(other, _)) => one == other,
            (Value::Number(_, one), Value::Number(_, other)) => one == other,
            (Value::Text(one), Value::Text(other)) => one.text == other.text,
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Map(one), Value::Map(other)) => {
                let same = |key: &str, value: &Self| other.get(key).is_some_and(|it| it.says_the_same(value));
                one.entries.len() == other.entries.len() && one.entries.iter().all(|(key, _, value)| same(key, value))
            }
            _ => false,
        }
    }

    /// What is written, where a text is wanted and a scalar stands.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.value {
            Value::Bool(_, literal) => Some(literal),
            Value::Number(_, literal) => Some(literal),
            Value::Text(text) => Some(&text.text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag, _) => serializer.serialize_bool(*flag),
            Value::Number(Number::Negative(number), _) => serializer.serialize_i64(*number),
            Value::Number(Number::Natural(number), _) => serializer.serialize_u64(*number),
            Value::Number(Number::Float(number), _) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(&text.text),
            Value::List(items) => items.serialize(serializer),
            Value::Map(map) => {
                let mut entries = serializer.serialize_map(Some(map.entries.len()))?;
                for (key, _, value) in &map.entries {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
        }
    }
}
