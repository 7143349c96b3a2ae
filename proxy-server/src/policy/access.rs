//! Which tools a caller may see and call.

use bytes::Bytes;
use schemas::ToolFilter;
use serde_json::value::RawValue;

use crate::error::{Error, Kind};
use crate::protocol::{self, Message, Object};

/// Refuses a call of a tool that the filter hides, just as if there were none.
pub(crate) fn check(filter: Option<&ToolFilter>, request: &Message) -> Result<(), Error> {
    if request.method() != "tools/call" {
        return Ok(());
    }
    let name = match request.glance() {
        Some(seen) => seen.name,
        None => named(request.params())?,
    };
    let name = name.and_then(protocol::text).ok_or(Kind::InvalidParams("`params.name` must be a string"))?;
    match filter {
        Some(filter) if !filter.passes(&name) => Err(Kind::UnknownTool.into()),
        Some(_) | None => Ok(()),
    }
}

/// The raw `name` in `params` that must be looked at closely.
fn named(params: &str) -> Result<Option<&str>, Error> {
    let params = Object::read(params).map_err(|_| Kind::InvalidParams("`params` must be an object"))?;
    if params.has_case_variant_of(&["name", "arguments"]) {
        return Err(Kind::InvalidParams("a parameter differs from a known one by case only").into());
    }
    Ok(params.get("name"))
}

/// The same list of tools without those that the filter hides; every other byte stays.
pub(crate) fn visible(filter: Option<&ToolFilter>, method: &str, answer: Message) -> Message {
    let Some(filter) = filter.filter(|_| method == "tools/list") else { return answer };
    match sift(filter, &answer).map(Message::parse) {
        Some(Ok(sifted)) => sifted,
        Some(Err(_)) | None => answer,
    }
}

fn sift(filter: &ToolFilter, answer: &Message) -> Option<Bytes> {
    let tools = Object::read(answer.body()).ok()?.get("tools")?;
    let listed: Vec<&RawValue> = serde_json::from_str(tools).ok()?;
    let passes = |tool: &&&RawValue| {
        let name = Object::read(tool.get()).ok().and_then(|tool| tool.text("name").map(|name| filter.passes(&name)));
        name.unwrap_or(false)
    };
    let kept: Vec<&str> = listed.iter().filter(passes).map(|tool| tool.get()).collect();
    (kept.len() < listed.len()).then(|| answer.with(&[(tools, &format!("[{}]", kept.join(",")))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(mode: &str) -> ToolFilter {
        serde_json::from_str(&format!(r#"{{"mode":"{mode}","list":["a"]}}"#)).expect("a filter")
    }

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message")
    }

    fn check_call(params: &str, expected: Option<Kind>) {
        let call = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#));
        assert_eq!(check(Some(&filter("block")), &call).err().map(|error| error.kind()), expected, "{params}");
    }

    #[test]
    fn a_hidden_tool_does_not_exist() {
        check_call(r#"{"name":"b"}"#, None);
        check_call(r#"{"name":"a"}"#, Some(Kind::UnknownTool));
        check_call(r#"{"name":"\u0061"}"#, Some(Kind::UnknownTool));
    }

    #[test]
    fn what_is_checked_is_what_the_upstream_will_read() {
        check_call(
            r#"{"name":"b","Name":"a"}"#,
            Some(Kind::InvalidParams("a parameter differs from a known one by case only")),
        );
        check_call(r#"{"name":"b","name":"a"}"#, Some(Kind::InvalidParams("`params` must be an object")));
        check_call(r#"{"name":1}"#, Some(Kind::InvalidParams("`params.name` must be a string")));
    }

    #[test]
    fn lists_lose_hidden_tools_and_nothing_else() {
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"x":1.10,"name":"b"}],"next":"c" }}"#;
        let shown = |mode| {
            String::from_utf8_lossy(visible(Some(&filter(mode)), "tools/list", message(list)).bytes()).into_owned()
        };
        assert_eq!(shown("block"), list.replace(r#"{"name":"a"},"#, ""));
        assert_eq!(shown("allow"), list.replace(r#",{"x":1.10,"name":"b"}"#, ""));
    }
}
