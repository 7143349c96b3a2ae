//! Deserializes typed documents from the tree with serde.
//!
//! Deserializing is as lenient as the engine's own decoder: a number is accepted as a string, and an empty value as a
//! list or mapping. Values that do not fit are removed from the tree and reported, and deserializing continues, so that
//! one pass finds all of them.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_path_to_error::Segment;

use crate::document::node::{Node, Number, Span, Value};

/// Most misfits reported per document: enough to show that the file is of another kind altogether.
const MAX_MISFITS: usize = 50;

/// Value that did not fit its expected type.
///
/// ```
/// let mut document = schemas::document::yaml::parse("a: 1\nb: [c]\n").documents.remove(0);
/// let (read, misfits) = document.read::<std::collections::BTreeMap<String, u8>>();
/// assert_eq!(read, Some([("a".to_owned(), 1)].into()));
/// assert_eq!((misfits[0].span.start.line, &*misfits[0].message), (2, "`b`: invalid type: sequence, expected u8"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misfit {
    /// Position of the value.
    pub span: Span,
    /// Path of the value, and the expected type.
    pub message: String,
}

impl Node {
    /// Deserializes a document. Removes values that do not fit from the tree, and reports them.
    ///
    /// Returns no document if even an emptied tree does not fit, or if there are too many misfits.
    ///
    /// ```
    /// let mut document = schemas::document::yaml::parse("[1, 2]").documents.remove(0);
    /// assert_eq!(document.read::<Vec<String>>().0, Some(vec!["1".to_owned(), "2".to_owned()]));
    /// ```
    pub fn read<T: DeserializeOwned>(&mut self) -> (Option<T>, Vec<Misfit>) {
        let mut misfits = Vec::new();
        // First try without tracking the path, which costs an allocation for every key.
        if let Ok(document) = T::deserialize(Reader(self)) {
            return (Some(document), misfits);
        }
        while misfits.len() < MAX_MISFITS {
            let error = match serde_path_to_error::deserialize(Reader(self)) {
                Ok(document) => return (Some(document), misfits),
                Err(error) => error,
            };
            let path = error.path().clone();
            let message = match path.iter().len() {
                0 => error.into_inner().to_string(),
                _ => format!("`{path}`: {}", error.into_inner()),
            }
            .replace("unit value", "null");
            let steps: Vec<&Segment> = path.iter().collect();
            let Some(span) = self.remove(&steps) else {
                misfits.push(Misfit { span: self.head(), message });
                break;
            };
            misfits.push(Misfit { span, message });
        }
        (None, misfits)
    }

    /// Removes the node at a path and returns its position. The path may be deeper than the tree.
    fn remove(&mut self, path: &[&Segment]) -> Option<Span> {
        let (step, rest) = path.split_first()?;
        match (&mut self.value, step) {
            (Value::List(items), Segment::Seq { index }) => {
                let found = items.get_mut(*index)?.remove(rest);
                found.or_else(|| Some(items.remove(*index).head()))
            }
            (Value::Map(map), Segment::Map { key }) => {
                let index = map.entries.iter().position(|(name, ..)| name == key)?;
                if let Some(found) = map.entries.get_mut(index).and_then(|(.., value)| value.remove(rest)) {
                    return Some(found);
                }
                map.removed.push(key.clone());
                Some(map.entries.remove(index).2.head())
            }
            _ => None,
        }
    }
}

/// Reason why a value does not fit, without its position, which the tree has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl serde::de::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Deserializer of a node.
#[derive(Debug, Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'de> IntoDeserializer<'de, Unfit> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag, _) => visitor.visit_bool(*flag),
            Value::Number(Number::Negative(number), _) => visitor.visit_i64(*number),
            Value::Number(Number::Natural(number), _) => visitor.visit_u64(*number),
            Value::Number(Number::Float(number), _) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(&text.text),
            Value::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Reader))),
            Value::Map(map) => {
                let entries = map.entries.iter().map(|(key, _, value)| (key.as_str(), Reader(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0.literal() {
            Some(literal) => visitor.visit_borrowed_str(literal),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        if matches!(self.0.value, Value::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0.value {
            Value::Null => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Reader<'_>>())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0.value {
            Value::Null => visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, Reader<'_>)>())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0.value {
            // As in the engine, a fraction is truncated where an integer is expected.
            Value::Number(Number::Float(number), _) if number.abs() < 9e15 => visitor.visit_i64(number as i64),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        struct enum identifier ignored_any
    }
}
