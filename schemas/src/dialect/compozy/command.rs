//! The `command` member: the program alone, or a list of the program and its arguments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `command` member: a program, or a program and its arguments in one list.
///
/// ```
/// use schemas::dialect::compozy::Command;
///
/// let read = serde_json::from_str::<Command>;
/// assert_eq!(read(r#""npx""#)?, Command::Program("npx".to_owned()));
/// assert_eq!(read(r#"["npx","-y"]"#)?, Command::Line(vec!["npx".to_owned(), "-y".to_owned()]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Command {
    /// The program alone.
    Program(String),
    /// The program, then the arguments that precede `args`.
    Line(Vec<String>),
}

impl Command {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Program(program) => program.is_empty(),
            Self::Line(words) => words.is_empty(),
        }
    }

    pub(super) fn split(self) -> (String, Vec<String>) {
        match self {
            Self::Program(program) => (program, Vec::new()),
            Self::Line(words) => {
                let mut words = words.into_iter();
                (words.next().unwrap_or_default(), words.collect())
            }
        }
    }
}

impl Default for Command {
    fn default() -> Self {
        Self::Program(String::new())
    }
}

impl Serialize for Command {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Program(program) => program.serialize(serializer),
            Self::Line(words) => words.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Command;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a program, or a list of a program and its arguments")
            }

            fn visit_str<E: serde::de::Error>(self, program: &str) -> Result<Command, E> {
                Ok(Command::Program(program.to_owned()))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Command, E> {
                Ok(Command::default())
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut words: A) -> Result<Command, A::Error> {
                let mut line = Vec::new();
                while let Some(word) = words.next_element()? {
                    line.push(word);
                }
                Ok(Command::Line(line))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
