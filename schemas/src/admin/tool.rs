//! The tools of upstreams, and calls to them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admin::null_is_empty;

/// `GET /admin/tools`.
///
/// ```
/// use schemas::admin::ToolList;
///
/// let answer = r#"{"tools":[{"name":"now","mcpName":"time"},{"name":"add","mcpName":"calculator"}],"count":2}"#;
/// let list: ToolList = serde_json::from_str(answer)?;
/// let references = list.tools.iter().map(|tool| format!("$mcp({}#{})", tool.mcp_name, tool.name));
/// assert!(references.eq(["$mcp(time#now)", "$mcp(calculator#add)"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolList {
    /// Tools of every connected upstream, in registration order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub tools: Vec<Tool>,
    /// How many there are. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
}

/// One tool, by the name its upstream gives it.
///
/// ```
/// use schemas::admin::Tool;
/// use serde_json::value::RawValue;
///
/// let answer = r#"{"name":"now","mcpName":"time","inputSchema":{"type": "object"},"hidden":true}"#;
/// let tool: Tool = serde_json::from_str(answer)?;
/// assert!(tool.hidden);
/// assert_eq!(tool.input_schema.as_deref().map(RawValue::get), Some(r#"{"type": "object"}"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The upstream's own name for it.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, exactly as the upstream wrote it.
    #[serde(default)]
    pub input_schema: Option<Box<RawValue>>,
    /// The upstream that offers it.
    pub mcp_name: String,
    /// What clients of the aggregated endpoint call it, where that was asked for or is out of the ordinary. Absent from
    /// other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_name: Option<String>,
    /// Whether the definition's filter hides it from every client. Absent from other proxies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Why it is hidden, left out of the aggregated endpoint, or called otherwise there than is usual. Absent from other
    /// proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /admin/tools/call`.
///
/// ```
/// use schemas::admin::ToolCall;
/// use serde_json::json;
/// use serde_json::value::to_raw_value;
///
/// let arguments = Some(to_raw_value(&json!({ "timezone": "UTC" }))?);
/// let call = ToolCall { mcp_name: "time".to_owned(), tool_name: "now".to_owned(), arguments };
/// let body = r#"{"mcpName":"time","toolName":"now","arguments":{"timezone":"UTC"}}"#;
/// assert_eq!(serde_json::to_string(&call)?, body);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolCall {
    /// The upstream.
    pub mcp_name: String,
    /// The tool, by the upstream's own name.
    pub tool_name: String,
    /// Its arguments, forwarded as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
}

/// What a tool call gave. `result` is the short form that Compozy's engine reads; the members below it are the whole.
///
/// ```
/// use schemas::admin::ToolCallAnswer;
/// use serde_json::value::RawValue;
///
/// let body = r#"{"result":{"type":"text","text":"12:00"},"structuredContent":{"hour":12}}"#;
/// let answer: ToolCallAnswer = serde_json::from_str(body)?;
/// assert_eq!(answer.error, None);
/// assert_eq!(answer.structured_content.as_deref().map(RawValue::get), Some(r#"{"hour":12}"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolCallAnswer {
    /// The first content item in Compozy's form; `null` when the call failed.
    #[serde(default)]
    pub result: Option<Box<RawValue>>,
    /// Why the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every content item, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
    /// The structured result, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Box<RawValue>>,
    /// Whether the tool itself reported a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}
