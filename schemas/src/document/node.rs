//! A document as a tree in which every key and value has its position.

use std::ops::Range;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Line and column, both counted from 1.
///
/// ```
/// use schemas::document::Position;
///
/// let start = Position { line: 1, column: 3 };
/// assert_eq!(start.behind("a\nbc"), Position { line: 2, column: 3 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Position {
    /// Returns the end of a text that begins at this position.
    ///
    /// ```
    /// use schemas::document::Position;
    ///
    /// assert_eq!(Position { line: 1, column: 1 }.behind("ab").column, 3);
    /// ```
    pub fn behind(self, text: &str) -> Self {
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

/// Range from the first character to behind the last.
///
/// ```
/// use schemas::document::yaml;
///
/// let read = yaml::parse("a: bcd\n");
/// let value = read.documents[0].get("a").ok_or("no value")?;
/// assert_eq!((value.span.start.column, value.span.end.column), (4, 7));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Position of the first character.
    pub start: Position,
    /// Position behind the last character.
    pub end: Position,
}

/// Value with its position.
///
/// ```
/// use schemas::document::yaml;
///
/// let read = yaml::parse("mcps:\n  - {id: time, port: 08}\n");
/// let entry = &read.documents[0].get("mcps").ok_or("no list")?.items()[0];
/// assert_eq!((entry.span.start.line, entry.get("port").and_then(|it| it.literal())), (2, Some("08")));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Node {
    /// Position in the file; for a YAML alias, that of the alias, while the nodes inside have their own positions.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// Value.
///
/// ```
/// use schemas::document::{Value, yaml};
///
/// let read = yaml::parse("[~, true, 1, a]");
/// let texts = read.documents[0].items().iter().filter(|it| matches!(it.value, Value::Text(_)));
/// assert_eq!(texts.count(), 1);
/// ```
#[derive(Debug, Clone)]
pub enum Value {
    /// Empty, or `null`.
    Null,
    /// `true` or `false`, with its spelling; `yes`, `on` and the like are strings.
    Bool(bool, &'static str),
    /// Number, with its literal for use as a string.
    Number(Number, String),
    /// String.
    Text(Text),
    /// List.
    List(Vec<Node>),
    /// Mapping.
    Map(Map),
}

/// Number.
///
/// ```
/// use schemas::document::{Node, Number, Value, yaml};
///
/// let read = yaml::parse("[1, -1, 1.5]");
/// let numbers = read.documents[0].items().iter().filter_map(|it| match it.value {
///     Value::Number(number, _) => Some(number),
///     _ => None,
/// });
/// assert!(numbers.eq([Number::Natural(1), Number::Negative(-1), Number::Float(1.5)]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Integer below zero.
    Negative(i64),
    /// Integer from zero on.
    Natural(u64),
    /// Any other number.
    Float(f64),
}

/// String with its source range, from which parts of it can be located.
///
/// ```
/// use schemas::document::yaml;
///
/// let text = "a: 'b {{ .env.C }}'";
/// let read = yaml::parse(text);
/// let value = read.documents[0].get("a").and_then(|it| it.as_text()).ok_or("no text")?;
/// assert_eq!(value.locate(text, 2..4).map(|part| part.start.column), Some(7));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// Decoded content.
    pub text: String,
    /// Range of its bytes in the file, including quotes.
    pub source: Range<usize>,
    /// Position of its first byte.
    pub origin: Position,
}

impl Text {
    /// Returns the position of a part, given the file's text: the n-th occurrence in the string is the n-th in its
    /// source. `None` if the counts differ, because an occurrence is written with escapes or across a line break.
    ///
    /// ```
    /// use schemas::document::yaml;
    ///
    /// let text = "a: bcd";
    /// let read = yaml::parse(text);
    /// let value = read.documents[0].get("a").and_then(|it| it.as_text()).ok_or("no text")?;
    /// assert_eq!(value.locate(text, 1..2).map(|part| part.start.column), Some(5));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn locate(&self, file: &str, part: Range<usize>) -> Option<Span> {
        let (source, wanted) = (file.get(self.source.clone())?, self.text.get(part.clone())?);
        // Most strings are written as they are, so that offsets are equal.
        if source == self.text {
            let start = self.origin.behind(source.get(..part.start)?);
            return Some(Span { start, end: start.behind(wanted) });
        }
        let before = self.text.match_indices(wanted).take_while(|(at, _)| *at < part.start).count();
        if self.text.matches(wanted).count() != source.matches(wanted).count() {
            return None;
        }
        let (offset, _) = source.match_indices(wanted).nth(before)?;
        let start = self.origin.behind(source.get(..offset)?);
        Some(Span { start, end: start.behind(wanted) })
    }
}

/// Mapping in the order of the file.
///
/// ```
/// use schemas::document::yaml;
///
/// let read = yaml::parse("b: 1\na: 2\n");
/// let map = read.documents[0].as_map().ok_or("no mapping")?;
/// assert!(map.entries.iter().map(|(key, ..)| key.as_str()).eq(["b", "a"]));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Keys, their positions, and values.
    pub entries: Vec<(String, Span, Node)>,
    /// Keys whose values did not fit and were removed.
    pub removed: Vec<String>,
}

impl Map {
    /// The value of a key.
    ///
    /// ```
    /// use schemas::document::{Map, Node};
    ///
    /// let mut map = Map::default();
    /// map.set("a", Node::text("b"));
    /// assert_eq!(map.get("a").and_then(Node::literal), Some("b"));
    /// ```
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(.., value)| value)
    }

    /// The value of a key, mutable.
    ///
    /// ```
    /// use schemas::document::{Map, Node};
    ///
    /// let mut map = Map::default();
    /// map.set("a", Node::text("b"));
    /// assert!(map.get_mut("a").is_some() && map.get_mut("b").is_none());
    /// ```
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|(name, ..)| name == key).map(|(.., value)| value)
    }

    /// Position of a key.
    ///
    /// ```
    /// use schemas::document::yaml;
    ///
    /// let read = yaml::parse("a: 1\nb: 2\n");
    /// let map = read.documents[0].as_map().ok_or("no mapping")?;
    /// assert_eq!(map.key_span("b").map(|span| span.start.line), Some(2));
    /// # Ok::<(), &str>(())
    /// ```
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, span, _)| *span)
    }

    /// Replaces the value of a key, or appends the key.
    ///
    /// ```
    /// use schemas::document::{Map, Node};
    ///
    /// let mut map = Map::default();
    /// map.set("a", Node::text("b"));
    /// map.set("a", Node::text("c"));
    /// assert_eq!(map.entries.len(), 1);
    /// ```
    pub fn set(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => self.entries.push((key.to_owned(), value.span, value)),
        }
    }
}

impl Node {
    /// Builds a string that is not in a file.
    ///
    /// ```
    /// assert_eq!(schemas::document::Node::text("a").literal(), Some("a"));
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        let text = Text { text: text.into(), ..Text::default() };
        Self { span: Span::default(), value: Value::Text(text) }
    }

    /// Returns the mapping, if the value is one.
    ///
    /// ```
    /// assert!(schemas::document::yaml::parse("{a: 1}").documents[0].as_map().is_some());
    /// ```
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// Returns the mapping, mutable, if the value is one.
    ///
    /// ```
    /// assert!(schemas::document::yaml::parse("[a]").documents[0].as_map_mut().is_none());
    /// ```
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// Returns the items; empty if the value is not a list.
    ///
    /// ```
    /// assert_eq!(schemas::document::yaml::parse("[a, b]").documents[0].items().len(), 2);
    /// ```
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value of a key; `None` if this is not a mapping.
    ///
    /// ```
    /// let read = schemas::document::yaml::parse("{a: {b: 1}}");
    /// assert!(read.documents[0].get("a").and_then(|it| it.get("b")).is_some());
    /// ```
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// Returns the string, if the value is one.
    ///
    /// ```
    /// assert!(schemas::document::yaml::parse("12").documents[0].as_text().is_none());
    /// ```
    pub fn as_text(&self) -> Option<&Text> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// True if the value is a string with a template.
    ///
    /// ```
    /// assert!(schemas::document::Node::text("{{ .env.A }}").is_template());
    /// ```
    pub fn is_template(&self) -> bool {
        self.as_text().is_some_and(|text| text.text.contains("{{"))
    }

    /// Returns the span to point at for the value; if it has several lines, its part on the first one.
    ///
    /// ```
    /// let read = schemas::document::yaml::parse("a: 1\nb: 2\n");
    /// let head = read.documents[0].head();
    /// assert_eq!((head.end.line, head.end.column), (1, 5));
    /// ```
    pub fn head(&self) -> Span {
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

    /// True if two values are equal apart from their positions and the order of their keys.
    ///
    /// ```
    /// let read = schemas::document::yaml::parse("[{a: 1, b: 2}, {b: 2, a: 1}]");
    /// let [one, other] = read.documents[0].items() else { return };
    /// assert!(one.says_the_same(other));
    /// ```
    pub fn says_the_same(&self, other: &Self) -> bool {
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

    /// Returns a scalar as a string, spelled as in the file; `None` for null, lists and mappings.
    ///
    /// ```
    /// let read = schemas::document::yaml::parse("1.10");
    /// assert_eq!(read.documents[0].literal(), Some("1.10"));
    /// ```
    pub fn literal(&self) -> Option<&str> {
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
