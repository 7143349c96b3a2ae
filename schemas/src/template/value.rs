//! Values of template expressions, as Go's `reflect` sees them: a kind, a type name, emptiness, equality.
//!
//! Strings are bytes, as in Go: `trunc` may cut a letter in half. Lists are immutable; a dict is shared and changed in
//! place by `set`, `unset` and `merge`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::template::time::Time;
use crate::template::version::Version;

/// String: bytes that need not be UTF-8.
pub(super) type Text = Rc<[u8]>;
/// The entries of a dict, in the order in which Go ranges over them.
pub(super) type Entries = BTreeMap<Text, Value>;

/// Deepest nesting of lists and dicts.
pub(super) const MAX_DEPTH: usize = 32;

/// Value of an expression.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Go's untyped `nil`, and a value that prints as `<no value>`.
    Nil,
    /// Data of the whole template, `.` at its top.
    Root,
    /// Unset variable, where that is tolerated: its name and span.
    Unset(Rc<(String, Range<usize>)>),
    Bool(bool),
    Int(i64, Integer),
    Float(f64),
    Text(Text),
    List(Rc<List>),
    Map(Rc<Map>),
    Version(Rc<Version>),
    Time(Rc<Time>),
}

/// The Go type of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    Int,
    Int64,
    Uint8,
    Uint64,
}

/// The Go type of a list's items or a dict's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Any,
    Text,
    Int,
    /// Lists of lists of any values.
    Lists,
    /// The template's variables: strings; asking for a missing one is an error.
    Environment,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    pub(super) of: Of,
    /// True for Go's nil slice, which prints like an empty one, but is `null` in JSON.
    pub(super) is_nil: bool,
    /// True if Go returns the items in another order each time.
    pub(super) is_unordered: bool,
}

#[derive(Debug)]
pub(super) struct Map {
    pub(super) entries: RefCell<Entries>,
    pub(super) of: Of,
}

impl Value {
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(super) fn int(number: i64) -> Self {
        Self::Int(number, Integer::Int)
    }

    pub(super) fn int64(number: i64) -> Self {
        Self::Int(number, Integer::Int64)
    }

    /// Builds a byte that `index` found in a text.
    pub(super) fn byte(byte: u8) -> Self {
        Self::Int(i64::from(byte), Integer::Uint8)
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::list_of(items, Of::Any)
    }

    pub(super) fn list_of(items: Vec<Self>, of: Of) -> Self {
        Self::List(Rc::new(List { items, of, is_nil: false, is_unordered: false }))
    }

    pub(super) fn texts<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list_of(items.into_iter().map(Self::text).collect(), Of::Text)
    }

    /// Builds a list that is nil if it is empty.
    pub(super) fn list_or_nil(items: Vec<Self>) -> Self {
        let is_nil = items.is_empty();
        Self::List(Rc::new(List { items, of: Of::Any, is_nil, is_unordered: false }))
    }

    pub(super) fn map(entries: Entries) -> Self {
        Self::map_of(entries, Of::Any)
    }

    pub(super) fn map_of(entries: Entries, of: Of) -> Self {
        Self::Map(Rc::new(Map { entries: RefCell::new(entries), of }))
    }

    /// True if Go's `if` treats the value as true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::Unset(_) => false,
            Self::Bool(flag) => *flag,
            Self::Int(number, _) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.borrow().is_empty(),
            Self::Root | Self::Version(_) | Self::Time(_) => true,
        }
    }

    /// Returns the type name that `%T` prints.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::Unset(_) => "<nil>",
            Self::Root => "map[string]interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_, Integer::Int) => "int",
            Self::Int(_, Integer::Int64) => "int64",
            Self::Int(_, Integer::Uint8) => "uint8",
            Self::Int(_, Integer::Uint64) => "uint64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) => match list.of {
                Of::Any => "[]interface {}",
                Of::Text | Of::Environment => "[]string",
                Of::Int => "[]int",
                Of::Lists => "[][]interface {}",
            },
            Self::Map(map) => match map.of {
                Of::Text | Of::Environment => "map[string]string",
                Of::Any | Of::Int | Of::Lists => "map[string]interface {}",
            },
            Self::Version(_) => "*semver.Version",
            Self::Time(_) => "time.Time",
        }
    }

    /// Returns the name of the value's `reflect.Kind`.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::Unset(_) => "invalid",
            Self::List(_) => "slice",
            Self::Map(_) | Self::Root => "map",
            Self::Version(_) => "ptr",
            Self::Time(_) => "struct",
            other => other.type_name(),
        }
    }

    /// Returns the number of nested levels of lists and dicts, counting no further than a little above [`MAX_DEPTH`].
    pub(super) fn depth(&self) -> usize {
        fn below(value: &Value, left: usize) -> usize {
            let deepest = |items: &mut dyn Iterator<Item = &Value>| {
                items.map(|item| below(item, left.saturating_sub(1))).max().unwrap_or_default() + 1
            };
            match value {
                _ if left == 0 => 0,
                Value::List(list) => deepest(&mut list.items.iter()),
                Value::Map(map) => deepest(&mut map.entries.borrow().values()),
                _ => 0,
            }
        }
        below(self, MAX_DEPTH + 2)
    }

    /// True if the value is this dict or contains it.
    pub(super) fn holds(&self, wanted: &Rc<Map>) -> bool {
        match self {
            Self::List(list) => list.items.iter().any(|item| item.holds(wanted)),
            Self::Map(map) if Rc::ptr_eq(map, wanted) => true,
            Self::Map(map) => map.entries.borrow().values().any(|item| item.holds(wanted)),
            _ => false,
        }
    }

    /// `reflect.DeepEqual`: same type, same content.
    pub(super) fn deep_equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Int(one, width), Self::Int(other, other_width)) => (one, width) == (other, other_width),
            (Self::Float(one), Self::Float(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => {
                let is_alike = one.of == other.of && one.is_nil == other.is_nil;
                let mut pairs = one.items.iter().zip(&other.items);
                is_alike && one.items.len() == other.items.len() && pairs.all(|(one, other)| one.deep_equals(other))
            }
            (Self::Map(_), Self::Map(_)) if self.type_name() != other.type_name() => false,
            (Self::Map(one), Self::Map(other)) => {
                if Rc::ptr_eq(one, other) {
                    return true;
                }
                let (one, other) = (one.entries.borrow(), other.entries.borrow());
                let mut pairs = one.iter().zip(other.iter());
                one.len() == other.len() && pairs.all(|(one, other)| one.0 == other.0 && one.1.deep_equals(other.1))
            }
            (Self::Version(one), Self::Version(other)) => one == other,
            (Self::Time(one), Self::Time(other)) => one == other,
            _ => false,
        }
    }
}
