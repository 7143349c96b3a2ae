//! JSON-RPC error codes that the gateway itself uses (2025-11-25, basic, "Responses").

/// The body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON, but not a valid message.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// A method that this endpoint does not have.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// Parameters that do not fit the method.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// Everything else that is not the caller's fault.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// An unknown `Mcp-Session-Id`, as the official SDKs put it in the body of a 404.
pub(crate) const SESSION_NOT_FOUND: i32 = -32001;
/// A resource that does not exist (2025-11-25, resources, "Error Handling").
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
