//! Headers of a modern request that repeat parts of its body.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// Returns the headers for a message; `tools` supplies the schemas with header annotations.
pub(super) fn of(message: &Value, tools: &[Value]) -> Vec<(String, String)> {
    let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
    let version = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str().unwrap_or_default();
    let mut headers =
        vec![("mcp-protocol-version".to_owned(), version.to_owned()), ("mcp-method".to_owned(), method.to_owned())];
    let name = match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        _ => None,
    };
    headers.extend(name.map(|name| ("mcp-name".to_owned(), fit(name))));
    let tool = tools.iter().find(|tool| method == "tools/call" && tool["name"] == params["name"]);
    let properties = tool.and_then(|tool| tool["inputSchema"]["properties"].as_object()).into_iter().flatten();
    let parameters = properties.filter_map(|(name, schema)| {
        let value = match params["arguments"].get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((format!("mcp-param-{}", schema["x-mcp-header"].as_str()?), fit(&value)))
    });
    headers.extend(parameters);
    headers
}

/// Encodes a text as a header value, in base64 if necessary.
fn fit(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    if is_plain { text.to_owned() } else { format!("=?base64?{}?=", BASE64_STANDARD.encode(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_a_header_is_encoded() {
        assert_eq!(fit("eu-west 1"), "eu-west 1");
        assert_eq!(fit("Zürich"), "=?base64?WsO8cmljaA==?=");
        assert_eq!(fit(" a"), "=?base64?IGE=?=");
        assert_eq!(fit("né\n"), "=?base64?bsOpCg==?=");
    }
}
