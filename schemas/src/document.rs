//! Configuration and workflow files as trees in which every key and value has its position: YAML, JSON and TOML.
//!
//! Knows the syntax, not the meaning. Mistakes in the syntax are values: what can still be read is read.

mod build;
pub mod dotenv;
#[cfg(feature = "config")]
mod json;
#[cfg(feature = "config")]
mod lines;
mod malformed;
mod node;
mod read;
mod scalar;
#[cfg(feature = "config")]
mod syntax;
#[cfg(feature = "config")]
mod toml;
pub mod yaml;

pub use crate::document::malformed::{Malformed, MalformedKind};
pub use crate::document::node::{Map, Node, Number, Position, Span, Text, Value};
pub use crate::document::read::Misfit;
#[cfg(feature = "config")]
pub use crate::document::syntax::{Document, Syntax};
