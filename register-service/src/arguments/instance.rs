//! Instance, as JSON Schema calls the value that is checked: JSON from a program, or a YAML node from a file.

use schemas::document::{self, Node, Span};
use serde_json::{Number, Value};

use crate::arguments::compare::kind;

/// Argument, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instance<'a> {
    /// Value in a call.
    Json(&'a Value),
    /// Node in a file.
    Yaml(&'a Node),
    /// Name of a member, and its position in a file.
    Name(&'a str, Span),
}

impl<'a> Instance<'a> {
    /// True if the value is unknown before a template is rendered.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Yaml(node) => node.is_template(),
            Self::Json(_) | Self::Name(..) => false,
        }
    }

    /// Returns the type, as JSON Schema names it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Json(value) => kind(value),
            Self::Name(..) => "string",
            Self::Yaml(node) => match &node.value {
                document::Value::Null => "null",
                document::Value::Bool(..) => "boolean",
                // Infinity and NaN, which JSON cannot represent, are numbers too.
                document::Value::Number(number, _) => {
                    number_of(*number).map_or("number", |it| kind(&Value::Number(it)))
                }
                document::Value::Text(_) => "string",
                document::Value::List(_) => "array",
                document::Value::Map(_) => "object",
            },
        }
    }

    pub(super) fn number(self) -> Option<Number> {
        match self {
            Self::Json(Value::Number(number)) => Some(number.clone()),
            Self::Yaml(Node { value: document::Value::Number(number, _), .. }) => number_of(*number),
            Self::Json(_) | Self::Yaml(_) | Self::Name(..) => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Json(value) => value.as_str(),
            Self::Yaml(node) => node.as_text().map(|text| text.text.as_str()),
            Self::Name(name, _) => Some(name),
        }
    }

    /// Returns the items of a list.
    pub(super) fn items(self) -> Option<Vec<Self>> {
        match self {
            Self::Json(Value::Array(items)) => Some(items.iter().map(Self::Json).collect()),
            Self::Yaml(Node { value: document::Value::List(items), .. }) => {
                Some(items.iter().map(Self::Yaml).collect())
            }
            Self::Json(_) | Self::Yaml(_) | Self::Name(..) => None,
        }
    }

    /// Returns the members of an object: the name, the name as a value to check, and the value.
    pub(super) fn members(self) -> Option<Vec<(&'a str, Self, Self)>> {
        match self {
            Self::Json(Value::Object(members)) => {
                let all = members.iter();
                Some(all.map(|(name, it)| (&**name, Self::Name(name, Span::default()), Self::Json(it))).collect())
            }
            Self::Yaml(Node { value: document::Value::Map(map), .. }) => {
                let all = map.entries.iter();
                Some(all.map(|(name, at, it)| (&**name, Self::Name(name, *at), Self::Yaml(it))).collect())
            }
            Self::Json(_) | Self::Yaml(_) | Self::Name(..) => None,
        }
    }

    /// True if an object has this member, even if its value was removed because of a wrong type.
    pub(super) fn has(self, name: &str) -> bool {
        match self {
            Self::Json(value) => value.get(name).is_some(),
            Self::Yaml(node) => {
                node.as_map().is_some_and(|map| map.get(name).is_some() || map.removed.iter().any(|it| it == name))
            }
            Self::Name(..) => false,
        }
    }

    /// Converts the value to JSON; `None` if a part of it is unknown.
    pub(super) fn closed(self) -> Option<Value> {
        match self {
            Self::Json(value) => Some(value.clone()),
            Self::Yaml(node) if is_open_inside(node) => None,
            Self::Yaml(node) => serde_json::to_value(node).ok(),
            Self::Name(name, _) => Some(Value::String(name.to_owned())),
        }
    }
}

fn is_open_inside(node: &Node) -> bool {
    let mut values = node.as_map().into_iter().flat_map(|map| &map.entries).map(|(.., value)| value);
    node.is_template() || node.items().iter().any(is_open_inside) || values.any(is_open_inside)
}

fn number_of(number: document::Number) -> Option<Number> {
    match number {
        document::Number::Negative(number) => Some(number.into()),
        document::Number::Natural(number) => Some(number.into()),
        document::Number::Float(number) => Number::from_f64(number),
    }
}
