//! Values that authors may write in several ways: texts and commands.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// A program with its arguments.
///
/// ```
/// use schemas::workflow::CommandLine;
///
/// let read = serde_json::from_str::<CommandLine>;
/// assert_eq!(read(r#""npx -y pkg""#)?, CommandLine::Text("npx -y pkg".to_owned()));
/// let words = vec!["python".to_owned(), "my server.py".to_owned()];
/// assert_eq!(read(r#"["python", "my server.py"]"#)?, CommandLine::Words(words));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// One text, split as by a shell.
    Text(String),
    /// A list of words: the program, then its arguments. Not in the schemas, because the engine takes a text only.
    Words(Vec<String>),
}

/// A text; authors may also write a number or a boolean (`PORT: 8080`).
///
/// ```
/// use schemas::workflow::Text;
///
/// for (written, text) in [(r#""info""#, "info"), ("8080", "8080"), ("true", "true")] {
///     assert_eq!(serde_json::from_str::<Text>(written)?.0, text);
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a boolean")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Text, E> {
                Ok(Text(flag.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command, or a list of words")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(text.to_owned()))
            }

            // Accept numbers and booleans as texts, as `Text` does.
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(flag.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<CommandLine, E> {
                Ok(CommandLine::Text(number.to_string()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, words: A) -> Result<CommandLine, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(words)).map(CommandLine::Words)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

// Both schemas list types instead of `anyOf` alternatives, which editors explain less well.

impl JsonSchema for CommandLine {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CommandLine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The engine loads no file with a list there.
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
