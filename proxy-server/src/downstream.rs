//! MCP endpoints: HTTP requests and standard input in, responses out. Only this row of modules and the admin API use
//! status codes.

mod admit;
mod config;
mod edge;
mod error_response;
mod fields;
mod legacy;
mod modern;
mod origin;
mod router;
mod service;
mod sse;
mod stdio;
mod streamable_http;

pub(crate) use self::admit::shown;
pub(crate) use self::config::Config;
pub(crate) use self::edge::Edge;
pub(crate) use self::error_response::not_found;
pub(crate) use self::origin::Origins;
pub(crate) use self::router::router;
pub(crate) use self::service::Service;
pub(crate) use self::stdio::{Servers, serve as serve_stdio};
