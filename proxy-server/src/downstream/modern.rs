//! Clients of the modern era, whose every request is independent.

pub(super) mod endpoint;
pub(super) mod headers;
pub(super) mod response;
