//! MCP messages: an envelope parsed once, with all other members kept as the bytes that arrived.
//!
//! Only this module parses messages; it knows neither transports nor sessions.

mod client_meta;
mod code;
mod conversion;
mod envelope;
mod header_value;
mod invalid;
mod keys;
mod message;
mod meta;
mod method;
mod object;
mod offer;
mod request_meta;
mod scan;
mod skills;
mod splice;
mod version;

pub(crate) use self::client_meta::{ClientMeta, odd_schema, unstamped};
pub(crate) use self::code::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY,
    PARSE_ERROR, RESOURCE_NOT_FOUND, UNSUPPORTED_VERSION, URL_ELICITATION_REQUIRED,
};
pub(crate) use self::conversion::{
    completed, discovery, listening_ended, own_discovery, own_legacy_list, own_list, server_info, subscribed,
};
pub(crate) use self::header_value::{decode as decode_header, encode as encode_header};
pub(crate) use self::invalid::Invalid;
pub(crate) use self::keys::{CLIENT_KEY, SERVER_KEY, SUBSCRIPTION_KEY};
pub(crate) use self::message::{
    Kind, Message, anonymous_error, error_response, request, result_pieces, result_response,
};
pub(crate) use self::meta::{ended_subscription, progress_token, requested_id, server_of, subscription_id};
pub(crate) use self::method::method_label;
pub(crate) use self::object::Object;
pub(crate) use self::offer::Offer;
pub(crate) use self::request_meta::{
    INITIALIZED, RequestMeta, TASKS_EXTENSION, asks_for_logs, can_answer, can_answer_anything, declares_tasks, hello,
    names_a_version, plain, without,
};
pub(crate) use self::scan::text;
pub(crate) use self::skills::{SKILLS_EXTENSION, Skills, is_about_skills, skill_root, skill_uris};
pub(crate) use self::splice::{quote, splice};
pub(crate) use self::version::{Era, LATEST_LEGACY, LATEST_MODERN, is_known, negotiate, versions};
