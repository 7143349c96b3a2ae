//! A YAML document as a tree in which every key and value knows its position.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it is written; for a YAML alias, where the alias is.
    pub(crate) position: Position,
    /// What is written.
    pub(crate) value: Value,
}

/// What a YAML value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are texts.
    Bool(bool),
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

/// A text, and where in the file each of its `{{` stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    /// The text.
    pub(crate) text: String,
    /// The position of each `{{`, in order.
    pub(crate) templates: Vec<Position>,
}

/// A mapping in the order it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    /// Keys, where they stand, and values.
    pub(crate) entries: Vec<(String, Position, Node)>,
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

    /// The position of a key.
    pub(crate) fn key_position(&self, key: &str) -> Option<Position> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, position, _)| *position)
    }

    /// Sets a value in its place, or at the end.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(old) => *old = value,
            None => self.entries.push((key.to_owned(), value.position, value)),
        }
    }
}

impl Node {
    /// A text that no file holds.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = Text { text: text.into(), templates: Vec::new() };
        Self { position: Position::default(), value: Value::Text(text) }
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

    /// Where each `{{` stands; nowhere when this is no text.
    pub(crate) fn templates(&self) -> &[Position] {
        if let Value::Text(text) = &self.value { &text.templates } else { &[] }
    }

    /// Whether two values say the same, wherever they stand and in whatever order their keys are.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
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
            Value::Bool(flag) => Some(if *flag { "true" } else { "false" }),
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
            Value::Bool(flag) => serializer.serialize_bool(*flag),
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
