//! JSON-RPC messages: parsing and serialisation. Ids and results stay raw text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::listen::Filter;

/// One received message.
pub(crate) enum Incoming {
    Request(Request),
    Notification(Request),
    /// A response to one of our requests, by its id.
    Response(u64, Result<Value, Value>),
}

/// A request; a notification has an empty id.
#[derive(Default)]
pub(crate) struct Request {
    /// The raw id.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) params: Params,
}

/// The parameters of all methods.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Params {
    #[serde(rename = "_meta")]
    pub(crate) meta: Meta,
    pub(crate) name: Option<String>,
    pub(crate) uri: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) cursor: Option<String>,
    pub(crate) arguments: Option<Box<RawValue>>,
    pub(crate) argument: Argument,
    pub(crate) input_responses: Option<Map<String, Value>>,
    pub(crate) request_state: Option<String>,
    pub(crate) notifications: Option<Filter>,
    pub(crate) request_id: Option<Box<RawValue>>,
    pub(crate) level: Option<Level>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) capabilities: Option<Value>,
}

/// The protocol's own members of `_meta`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    pub(crate) version: Option<String>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    pub(crate) capabilities: Option<Value>,
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    pub(crate) log_level: Option<Level>,
    #[serde(rename = "progressToken")]
    pub(crate) progress_token: Option<Box<RawValue>>,
}

/// The argument to complete.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Argument {
    pub(crate) value: String,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// A JSON-RPC error.
pub(crate) struct Fault {
    pub(crate) code: i32,
    message: String,
    data: Option<Value>,
}

pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
pub(crate) const INVALID_PARAMS: i32 = -32602;
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// Code that many legacy servers use for a request outside of a session.
pub(crate) const NO_SESSION: i32 = -32000;
/// Legacy era only.
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
pub(crate) const HEADER_MISMATCH: i32 = -32020;
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        error
    }
}

/// Parses a message. For an invalid message, returns the error, with the message's id if it has one.
pub(crate) fn read(bytes: &[u8]) -> Result<Incoming, (Option<String>, Fault)> {
    #[derive(Deserialize)]
    struct Whole {
        id: Option<Box<RawValue>>,
        method: Option<String>,
        #[serde(default)]
        params: Params,
        result: Option<Value>,
        error: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Outline {
        id: Option<Box<RawValue>>,
    }
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err((None, Fault::new(INVALID_REQUEST, "batches are not supported")));
    }
    let whole: Whole =
        serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice::<Outline>(bytes) {
            Ok(Outline { id: Some(id) }) => (Some(id.get().to_owned()), Fault::new(INVALID_PARAMS, error.to_string())),
            Err(syntax) if !syntax.is_data() => (None, Fault::new(PARSE_ERROR, syntax.to_string())),
            _ => (None, Fault::new(INVALID_REQUEST, error.to_string())),
        })?;
    let id = whole.id.map(|id| id.get().to_owned());
    match (whole.method, id) {
        (Some(method), Some(id)) => Ok(Incoming::Request(Request { id, method, params: whole.params })),
        (Some(method), None) => Ok(Incoming::Notification(Request { id: String::new(), method, params: whole.params })),
        (None, Some(id)) => {
            let outcome = whole.result.ok_or_else(|| whole.error.unwrap_or_default());
            let number = id.parse().map_err(|_| (None, Fault::new(INVALID_REQUEST, "nothing was asked by this id")))?;
            Ok(Incoming::Response(number, outcome))
        }
        (None, None) => Err((None, Fault::new(INVALID_REQUEST, "neither a method nor an id"))),
    }
}

/// Serialises the response to a request.
pub(crate) fn response(id: &str, outcome: Result<String, Fault>) -> String {
    match outcome {
        Ok(result) => ["{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"result\":", &result, "}"].concat(),
        Err(fault) => ["{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"error\":", &fault.to_value().to_string(), "}"].concat(),
    }
}

/// Serialises the error for an invalid message, whose id may be unknown.
pub(crate) fn refusal(id: Option<&str>, fault: Fault) -> String {
    match id {
        Some(id) => response(id, Err(fault)),
        None => json!({ "jsonrpc": "2.0", "error": fault.to_value() }).to_string(),
    }
}

pub(crate) fn notification(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

/// Serialises a request to a legacy client.
pub(crate) fn question(id: u64, question: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": question["method"], "params": question["params"] }).to_string()
}
