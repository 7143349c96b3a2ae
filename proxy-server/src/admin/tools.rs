//! `/admin/tools`: lists the tools of all upstreams, and calls them.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::admin::{Tool, ToolCall, ToolCallAnswer, ToolList};
use schemas::{Problem, ServerName, near};
use serde_json::value::{RawValue, to_raw_value};

use crate::admin::body::{object, read};
use crate::admin::problem::problem;
use crate::admin::state::{Admin, Shared};
use crate::call::call_tool;
use crate::catalog::{Item, Name};
use crate::error::{Chain, Error, Kind};
use crate::policy::AdminPrincipal;
use crate::protocol::{self, Message, Object};
use crate::upstream::Upstream;

/// `GET /admin/tools`: answers from memory and skips upstreams that are not connected. Each tool has the upstream's own
/// name. Its name at the aggregated endpoint is added if it differs from the rule or, with `?all=true`, for every tool,
/// including filtered ones.
pub(super) async fn list(State(admin): Shared, request: Request) -> Response {
    let all = request.uri().query().unwrap_or_default().split('&').any(|part| part == "all=true");
    let (offered, view) = admin.catalog.tools().await;
    let names: HashMap<(&str, &str), &Name> =
        view.names().iter().map(|name| ((name.upstream.as_str(), &*name.name), name)).collect();
    let tools = offered.iter().flat_map(|(upstream, items)| {
        let live = admin.upstreams.get(upstream.as_str());
        let shown = move |tool: Tool| Tool {
            description: live.as_ref().map_or_else(String::new, |live| live.without_secrets(&tool.description)),
            ..tool
        };
        let named = |item: &Item| tool(upstream, item, names.get(&(upstream.as_str(), &*item.key)).copied());
        items.iter().map(named).map(shown)
    });
    let tools = tools.filter(|tool| all || !tool.hidden).map(|tool| if all { tool } else { in_short(tool) });
    let tools: Vec<Tool> = tools.collect();
    let count = tools.len();
    Json(ToolList { tools, count }).into_response()
}

fn tool(upstream: &ServerName, item: &Item, name: Option<&Name>) -> Tool {
    let object = Object::read(&item.raw).ok();
    let description = object.as_ref().and_then(|tool| tool.text("description").map(Cow::into_owned));
    Tool {
        name: item.key.to_string(),
        description: description.unwrap_or_default(),
        input_schema: object.as_ref().and_then(|tool| tool.get("inputSchema")).and_then(own),
        mcp_name: upstream.to_string(),
        exposed_name: name.and_then(|name| name.exposed.as_deref().map(str::to_owned)),
        hidden: name.is_some_and(|name| name.hidden),
        reason: name.and_then(|name| name.reason.clone()),
    }
}

/// Removes the exposed name if it follows from the naming mode alone.
fn in_short(tool: Tool) -> Tool {
    let exposed_name = tool.exposed_name.filter(|_| tool.reason.is_some());
    Tool { exposed_name, ..tool }
}

/// `POST /admin/tools/call`. Never answers 5xx for a call that may have been executed, because Go clients retry those
/// up to three times.
pub(super) async fn call(
    State(admin): Shared,
    Extension(principal): Extension<AdminPrincipal>,
    request: Request,
) -> Response {
    let body = match read(&admin, request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let call: ToolCall = match object(&body) {
        Ok(call) => call,
        Err(error) => return bad_request(format!("invalid JSON payload: {error}")),
    };
    if call.mcp_name.is_empty() || call.tool_name.is_empty() {
        return bad_request("mcpName and toolName are required".to_owned());
    }
    let Some(upstream) = admin.upstreams.get(&call.mcp_name) else {
        let all = admin.upstreams.all();
        let near = near(&call.mcp_name, all.keys().map(ServerName::as_str));
        let details = format!("no MCP named {}{}", call.mcp_name, did_you_mean(&near));
        return problem(StatusCode::NOT_FOUND, Problem::new("MCP not found or not connected").details(details));
    };
    let called =
        call_tool(&admin.calls.access_log, (&principal, &upstream), &call.tool_name, call.arguments.as_deref());
    match called.await {
        Ok(answer) => {
            let mut outcome = outcome(&answer);
            if let Some(error) = &mut outcome.error {
                *error += &unlisted(&admin, &upstream, &call.tool_name).await;
            }
            Json(outcome).into_response()
        }
        Err(error) => failure(&error, &upstream),
    }
}

fn bad_request(error: String) -> Response {
    problem(StatusCode::BAD_REQUEST, Problem::new(error))
}

/// Builds the hint for an error of a tool that the upstream does not list. The gateway passes such calls on, because
/// some servers have unlisted tools. The hint names no filtered tool.
async fn unlisted(admin: &Admin, upstream: &Upstream, tool: &str) -> String {
    let (offered, _) = admin.catalog.tools().await;
    let definition = upstream.definition();
    let Some((_, items)) = offered.iter().find(|(name, _)| *name == definition.name) else { return String::new() };
    if items.iter().any(|item| *item.key == *tool) {
        return String::new();
    }
    let passes = |name: &&str| definition.tool_filter.as_ref().is_none_or(|filter| filter.passes(name));
    let near = near(tool, items.iter().map(|item| &*item.key).filter(passes));
    format!("; `{tool}` is not among the tools that `{}` lists{}", definition.name, did_you_mean(&near))
}

fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean `{}`?", near.join("`, `")) }
}

fn failure(error: &Error, upstream: &Upstream) -> Response {
    let details = upstream.masked(&Chain(error).to_string());
    match error.kind() {
        Kind::UnknownTool => problem(StatusCode::NOT_FOUND, Problem::new("Tool not found").details(details)),
        kind if kind.had_no_effect() => {
            let problem = Problem::new("Tool execution failed").details(details).code(kind.word());
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        _ => Json(failed(details)).into_response(),
    }
}

fn failed(error: String) -> ToolCallAnswer {
    let mut answer = ToolCallAnswer::default();
    answer.error = Some(error);
    answer
}

/// Converts the upstream's response to Compozy's short form, with the whole result beside it.
fn outcome(message: &Message) -> ToolCallAnswer {
    let Ok(body) = Object::read(message.body()) else { return failed("the answer is not an object".to_owned()) };
    if message.kind() == protocol::Kind::Error {
        let text = body.text("message").map_or_else(|| message.body().to_owned(), |text| text.into_owned());
        return failed(text);
    }
    let is_error = body.get("isError").map(|flag| flag == "true");
    let content = body.get("content").and_then(own);
    let items: Vec<&RawValue> = body.get("content").and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let mut answer = ToolCallAnswer::default();
    answer.structured_content = body.get("structuredContent").and_then(own);
    answer.content = content;
    answer.is_error = is_error;
    if is_error == Some(true) {
        let text = items.first().and_then(|item| Object::read(item.get()).ok()?.text("text").map(String::from));
        answer.error = Some(text.unwrap_or_else(|| "the tool reported an error".to_owned()));
    } else {
        answer.result = short(items.first().copied());
    }
    answer
}

/// Converts the first content item to the engine's form.
fn short(item: Option<&RawValue>) -> Option<Box<RawValue>> {
    let Some(item) = item else {
        return to_raw_value(&serde_json::json!({ "error": "No content in tool result" })).ok();
    };
    let members = Object::read(item.get()).ok()?;
    let member = |name| members.get(name).unwrap_or("null");
    let text = match members.text("type").as_deref() {
        Some("text") => format!(r#"{{"type":"text","text":{}}}"#, member("text")),
        Some("image") => {
            format!(r#"{{"type":"image","data":{},"mimeType":{}}}"#, member("data"), member("mimeType"))
        }
        Some(_) | None => format!(r#"{{"type":"unknown","data":{}}}"#, item.get()),
    };
    RawValue::from_string(text).ok()
}

fn own(raw: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(raw.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn check(result: &str, expected: &str) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,{result}}}"#);
        let message = Message::parse(Bytes::from(message)).expect("a response");
        assert_eq!(serde_json::to_string(&outcome(&message)).expect("JSON"), expected);
    }

    #[test]
    fn gives_the_first_item_in_short_and_everything_beside_it() {
        check(
            r#""result":{"content":[{"type":"text","text":"hi","x":1.10},{"type":"text","text":"2"}]}"#,
            r#"{"result":{"type":"text","text":"hi"},"content":[{"type":"text","text":"hi","x":1.10},{"type":"text","text":"2"}]}"#,
        );
        check(
            r#""result":{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}],"structuredContent":{"a":1}}"#,
            r#"{"result":{"type":"image","data":"AA==","mimeType":"image/png"},"content":[{"type":"image","data":"AA==","mimeType":"image/png"}],"structuredContent":{"a":1}}"#,
        );
        check(
            r#""result":{"content":[{"type":"resource_link","uri":"x"}]}"#,
            r#"{"result":{"type":"unknown","data":{"type":"resource_link","uri":"x"}},"content":[{"type":"resource_link","uri":"x"}]}"#,
        );
        check(r#""result":{"content":[]}"#, r#"{"result":{"error":"No content in tool result"},"content":[]}"#);
    }

    #[test]
    fn failures_are_told_in_error() {
        check(
            r#""result":{"content":[{"type":"text","text":"no"}],"isError":true}"#,
            r#"{"result":null,"error":"no","content":[{"type":"text","text":"no"}],"isError":true}"#,
        );
        check(r#""error":{"code":-32602,"message":"bad"}"#, r#"{"result":null,"error":"bad"}"#);
    }
}
