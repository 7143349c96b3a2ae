//! JSON-RPC error codes that the gateway itself sends or reads (2025-11-25, basic, "Responses").

/// The body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON, but not a valid message.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// Parameters that do not fit the method.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// Any other error that is not the caller's fault.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// The method does not exist, or the receiver does not offer it.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// The resource does not exist (up to 2025-11-25; later revisions use [`INVALID_PARAMS`]).
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
/// A header contradicts the body (2026-07-28, transports).
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The request needs a capability that its client did not declare (2026-07-28, basic).
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
/// The protocol revision is not supported (2026-07-28, basic).
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
/// The client must open URLs before the request can be carried out (2025-11-25 only).
pub(crate) const URL_ELICITATION_REQUIRED: i32 = -32042;
