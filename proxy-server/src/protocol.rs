//! The MCP messages as the gateway sees them: an envelope read once, with everything else left as the bytes that
//! arrived.
//!
//! No module below or beside this one parses a message; none here knows transports or sessions.

mod code;
mod message;
mod meta;
mod object;
mod splice;
mod version;

pub(crate) use self::code::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RESOURCE_NOT_FOUND,
    SESSION_NOT_FOUND,
};
pub(crate) use self::message::{Invalid, Kind, Message, error_response, request, result_bytes, result_response};
pub(crate) use self::meta::{progress_token, requested_id};
pub(crate) use self::object::{Object, text};
pub(crate) use self::splice::{quote, splice};
pub(crate) use self::version::{LATEST_LEGACY, is_known, negotiate};
