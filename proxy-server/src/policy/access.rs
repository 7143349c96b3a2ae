//! Hides filtered tools from lists, and refuses calls of them.

use bytes::Bytes;
use schemas::ToolFilter;
use serde_json::value::RawValue;

use crate::error::{Error, Kind};
use crate::protocol::{self, Message, Object};

/// Prefixes of the protocol's methods. Other methods may have parameters of any name.
const METHODS: [&str; 9] = [
    "tools/",
    "prompts/",
    "resources/",
    "completion/",
    "logging/",
    "tasks/",
    "server/",
    "subscriptions/",
    "initialize",
];

/// Refuses a call of a filtered tool as if the tool did not exist, and a request with parameters that two JSON parsers
/// could read differently.
pub(crate) fn check(filter: Option<&ToolFilter>, request: &Message) -> Result<(), Error> {
    if request.has_case_variants() && METHODS.iter().any(|start| request.method().starts_with(start)) {
        return Err(Kind::InvalidParams("a parameter differs from a known one by case only").into());
    }
    if request.method() != "tools/call" {
        return Ok(());
    }
    let name = match request.prepared_params() {
        Some(seen) => seen.name,
        None => named(request.params())?,
    };
    let name = name.and_then(protocol::text).ok_or(Kind::InvalidParams("`params.name` must be a string"))?;
    match filter {
        Some(filter) if !filter.passes(&name) => Err(Kind::UnknownTool.into()),
        Some(_) | None => Ok(()),
    }
}

/// Parses `params` completely and returns the raw `name`.
fn named(params: &str) -> Result<Option<&str>, Error> {
    let params = Object::read(params).map_err(|_| Kind::InvalidParams("`params` must be an object"))?;
    Ok(params.get("name"))
}

/// Removes filtered tools from a list; every other byte stays. A list that cannot be filtered safely is an invalid
/// response: some client could find a hidden tool in it.
pub(crate) fn visible(filter: Option<&ToolFilter>, method: &str, answer: Message) -> Result<Message, Error> {
    let Some(filter) = filter.filter(|_| method == "tools/list" && answer.kind() == protocol::Kind::Result) else {
        return Ok(answer);
    };
    match sift(filter, &answer).ok_or(Kind::InvalidResponse)? {
        Some(sifted) => Ok(Message::parse(sifted).map_err(|_| Kind::InvalidResponse)?),
        None => Ok(answer),
    }
}

/// Filters the list. The outer `None` is an ambiguous or malformed list, the inner one a list without filtered tools.
fn sift(filter: &ToolFilter, answer: &Message) -> Option<Option<Bytes>> {
    let result = Object::read(answer.body()).ok().filter(|result| !result.has_case_variant_of(&["tools"]))?;
    let tools = result.get("tools")?;
    let listed: Vec<&RawValue> = serde_json::from_str(tools).ok()?;
    let mut kept = Vec::with_capacity(listed.len());
    for tool in &listed {
        let members = Object::read(tool.get()).ok().filter(|tool| !tool.has_case_variant_of(&["name"]))?;
        if filter.passes(&members.text("name")?) {
            kept.push(tool.get());
        }
    }
    Some((kept.len() < listed.len()).then(|| answer.with(&[(tools, &format!("[{}]", kept.join(",")))])))
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
        let variant = Some(Kind::InvalidParams("a parameter differs from a known one by case only"));
        for params in [
            r#"{"name":"b","_META":{}}"#,
            "{\"name\":\"b\",\"argument\u{17f}\":{}}",
            r#"{"name":"b","_meta":{"ProgressToken":1}}"#,
            "{\"name\":\"b\",\"_meta\":{\"progre\u{17f}sToken\":1,\"progressToken\":2}}",
            r#"{"name":"b","RequestState":"x"}"#,
            "{\"name\":\"b\",\"tas\u{212a}\":{}}",
        ] {
            check_call(params, variant);
        }
        check_call(r#"{"name":"b","x":1,"_meta":{"vendor/ProgressToken":1},"arguments":{"Name":"a"}}"#, None);
        check_call(r#"{"name":"b","name":"a"}"#, Some(Kind::InvalidParams("`params` must be an object")));
        check_call(r#"{"name":1}"#, Some(Kind::InvalidParams("`params.name` must be a string")));
    }

    #[test]
    fn lists_lose_hidden_tools_and_nothing_else() {
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"x":1.10,"name":"b"}],"next":"c" }}"#;
        let shown = |mode| {
            let shown = visible(Some(&filter(mode)), "tools/list", message(list)).expect("a list");
            String::from_utf8_lossy(shown.bytes()).into_owned()
        };
        assert_eq!(shown("block"), list.replace(r#"{"name":"a"},"#, ""));
        assert_eq!(shown("allow"), list.replace(r#",{"x":1.10,"name":"b"}"#, ""));
    }

    #[test]
    fn a_list_that_cannot_be_filtered_is_no_answer() {
        let check = |result: &str| {
            let answer = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
            visible(Some(&filter("block")), "tools/list", answer).map_err(|error| error.kind())
        };
        for result in [
            "{}",
            r#"{"tools":{}}"#,
            r#"{"tools":null}"#,
            r#"{"tools":[],"Tools":[{"name":"a"}]}"#,
            "{\"tools\":[],\"tool\u{17f}\":[{\"name\":\"a\"}]}",
            r#"{"tools":[{"title":"x"}]}"#,
            r#"{"tools":["a"]}"#,
            r#"{"tools":[{"name":1}]}"#,
            r#"{"tools":[{"name":"b","Name":"a"}]}"#,
            r#"{"tools":[{"name":"b","name":"a"}]}"#,
        ] {
            assert_eq!(check(result).err(), Some(Kind::InvalidResponse), "{result}");
        }
        assert!(check(r#"{"tools":[]}"#).is_ok());
        let error = message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#);
        assert!(visible(Some(&filter("block")), "tools/list", error).is_ok());
        let unfiltered = message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert!(visible(None, "tools/list", unfiltered).is_ok());
    }
}
