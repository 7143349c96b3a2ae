//! Answers of the upstream, independent of the transport.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The members of a client's message that the upstream reads.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hello<'a> {
    #[serde(borrow, rename = "protocolVersion")]
    version: &'a RawValue,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

/// Returns the response to a request; `None` for a notification or an invalid request.
pub(super) fn answer(message: &Message<'_>, tools: &str) -> Option<String> {
    let id = message.id?;
    let params = message.params.map_or("{}", RawValue::get);
    let result = match &*message.method {
        "server/discover" => Cow::Borrowed(DISCOVERY),
        "initialize" => Cow::Owned(initialize(serde_json::from_str::<Hello<'_>>(params).ok()?.version)),
        "tools/list" => Cow::Borrowed(tools),
        "tools/call" => Cow::Owned(echo(serde_json::from_str::<Call<'_>>(params).ok()?.arguments.text)),
        _ => Cow::Borrowed("{}"),
    };
    let mut response = String::with_capacity(result.len() + 64);
    write!(response, r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).ok()?;
    Some(response)
}

/// Result of `server/discover`, the modern counterpart of the handshake.
const DISCOVERY: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench","version":"1"}}}"#;

fn initialize(version: &RawValue) -> String {
    format!(
        r#"{{"protocolVersion":{version},"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bench","version":"1"}}}}"#
    )
}

fn echo(text: &RawValue) -> String {
    format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":{text}}}]}}"#)
}

/// Returns the result of `tools/list`: `echo`, and others with texts of realistic length.
pub(super) fn tools(count: usize) -> String {
    let mut list = String::from(r#"{"tools":["#);
    list += r#"{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}"#;
    for number in 1..count {
        list += ",";
        list += &TOOL.replace("NUMBER", &number.to_string());
    }
    list += "]}";
    list
}

const TOOL: &str = r#"{"name":"search_issues_NUMBER","title":"Search issues NUMBER","description":"Searches the issues of a repository by text, state and label, and gives the newest first. Use it before you open an issue, to see whether there is one.","inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"Words that the issue contains"},"state":{"type":"string","enum":["open","closed","all"],"default":"open"},"labels":{"type":"array","items":{"type":"string"}},"limit":{"type":"integer","minimum":1,"maximum":100}},"required":["query"]},"annotations":{"readOnlyHint":true}}"#;
