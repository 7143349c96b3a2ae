//! An MCP gateway: any number of MCP servers behind one HTTP interface.
//!
//! `ARCHITECTURE.md` beside this package tells the inside: entry points, flow, invariants. From the outside there is
//! [`Gateway`], for programs that carry one with them, and [`run`], which the `mcp-proxy` binary calls.

mod admin;
mod call;
mod catalog;
mod cli;
mod commands;
mod config;
mod control;
mod discovery;
mod downstream;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod gateway;
mod http;
mod keys;
mod lines;
mod live;
mod pieces;
mod policy;
mod protocol;
mod registry;
mod route;
mod sync;
mod tasks;
mod telemetry;
mod tenant;
mod text;
mod upstream;

pub use crate::cli::Cli;
pub use crate::commands::run;
pub use crate::config::{Config, InvalidConfig, InvalidFlags};
pub use crate::gateway::{Address, Gateway, StartError};
pub use crate::upstream::warden;
