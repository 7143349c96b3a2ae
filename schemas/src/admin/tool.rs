//! Tools of the upstreams and calls to them, through the admin API.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admin::null_is_empty;

/// Answer of `GET /admin/tools`.
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
    /// The tools of all connected upstreams, in registration order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub tools: Vec<Tool>,
    /// Number of tools. Absent from early proxies.
    #[serde(default)]
    pub count: usize,
}

/// One tool, under the name that its upstream gives it.
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
    /// Name of the tool at its upstream.
    pub name: String,
    /// Description of the tool.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, exactly as the upstream wrote it.
    #[serde(default)]
    pub input_schema: Option<Box<RawValue>>,
    /// Name of the upstream that offers the tool.
    pub mcp_name: String,
    /// Name of the tool on the aggregated endpoint, if the request asked for it or if the name deviates from the
    /// default. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_name: Option<String>,
    /// True if the definition's filter hides the tool from all clients. Absent from other proxies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Reason why the tool is hidden, missing on the aggregated endpoint, or under a name there that deviates from the
    /// default. Absent from other proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of `POST /admin/tools/call`.
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
    /// Name of the upstream.
    pub mcp_name: String,
    /// Name of the tool at its upstream.
    pub tool_name: String,
    /// Arguments of the tool, forwarded unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
}

/// Answer of `POST /admin/tools/call`. `result` is the short form that Compozy's engine reads; the other members are
/// the complete result.
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
    /// Reason why the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every content item, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
    /// The structured result, as the upstream sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Box<RawValue>>,
    /// True if the tool itself reported a failure (`isError` of the MCP result).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}
