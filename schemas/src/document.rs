//! Configuration and workflow files as trees in which every key and value has its position: YAML, JSON and TOML.
//!
//! Knows the syntax, not the meaning. Mistakes in the syntax are values: what can still be read is read.

mod build;
pub mod dotenv;
mod malformed;
mod node;
mod read;
mod scalar;
pub mod yaml;

pub use crate::document::malformed::{Malformed, MalformedKind};
pub use crate::document::node::{Map, Node, Number, Position, Span, Text, Value};
pub use crate::document::read::Misfit;
