//! Converts a modern upstream's responses for legacy clients.

use serde_json::value::RawValue;

use crate::error::{Error, Kind};
use crate::protocol::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, MISSING_CAPABILITY, Message, Object, RESOURCE_NOT_FOUND,
    UNSUPPORTED_VERSION, error_response, odd_schema, unstamped,
};

/// Converts the response to this legacy request. Parts that mean the same in both eras stay unchanged.
pub(super) fn legacy_answer(request: &Message, answer: Message) -> Result<Message, Error> {
    let bytes = match answer.error_code() {
        Some(HEADER_MISMATCH | UNSUPPORTED_VERSION) => {
            return Err(Error::new(Kind::InvalidResponse).because(format!("it answered {}", answer.body())));
        }
        Some(MISSING_CAPABILITY) => Some(error_response(request.id(), INTERNAL_ERROR, &missing(&answer), "")),
        Some(INVALID_PARAMS) if request.method() == "resources/read" => not_found(&answer),
        Some(_) => None,
        None => unstamped(&answer),
    };
    let answer = match bytes {
        Some(bytes) => Message::parse(bytes).map_err(|error| Error::new(Kind::InvalidResponse).because(error))?,
        None => answer,
    };
    Ok(match request.method() {
        "tools/call" => without_odd_content(&answer).unwrap_or(answer),
        "tools/list" => without_odd_schemas(&answer).unwrap_or(answer),
        _ => answer,
    })
}

/// Lists the capabilities that the client lacks.
fn missing(answer: &Message) -> String {
    let required = || {
        let data = Object::read(answer.body()).ok()?.get("data")?;
        let required = Object::read(Object::read(data).ok()?.get("requiredCapabilities")?).ok()?;
        Some(required.members().map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(", "))
    };
    let required = required().unwrap_or_default();
    format!("The server needs a capability that the client did not declare: {required}")
}

/// Restores the legacy error code for "resource not found".
fn not_found(answer: &Message) -> Option<bytes::Bytes> {
    let error = Object::read(answer.body()).ok()?;
    Object::read(error.get("data")?).ok()?.get("uri")?;
    Some(answer.with(&[(error.get("code")?, &RESOURCE_NOT_FOUND.to_string())]))
}

/// Removes structured content that is not an object, as the legacy era requires. `content` holds the same as text.
fn without_odd_content(answer: &Message) -> Option<Message> {
    memchr::memmem::find(answer.body().as_bytes(), b"structuredContent")?;
    let result = Object::read(answer.body()).ok()?;
    let is_object = result.get("structuredContent")?.starts_with('{');
    let cut = (!is_object).then(|| result.cut(answer.body(), "structuredContent")).flatten()?;
    Message::parse(answer.with(&[(cut, "")])).ok()
}

/// Removes output schemas that do not describe an object, for the same reason.
fn without_odd_schemas(answer: &Message) -> Option<Message> {
    memchr::memmem::find(answer.body().as_bytes(), b"outputSchema")?;
    let tools = Object::read(answer.body()).ok()?.get("tools")?;
    let tools: Vec<&RawValue> = serde_json::from_str(tools).ok()?;
    let odd = |tool: &&RawValue| odd_schema(within(answer.body(), tool.get())?);
    let cuts: Vec<(&str, &str)> = tools.iter().filter_map(odd).map(|cut| (cut, "")).collect();
    if cuts.is_empty() { None } else { Message::parse(answer.with(&cuts)).ok() }
}

/// Returns the slice with the lifetime of the text that contains it.
fn within<'a>(text: &'a str, slice: &str) -> Option<&'a str> {
    let start = (slice.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    text.get(start..start + slice.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, answer: &str, expected: &str) {
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        let request = Message::parse(request.into()).expect("a request");
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#);
        let answer = legacy_answer(&request, Message::parse(answer.into()).expect("a response"));
        assert_eq!(answer.expect("an answer").body(), expected);
    }

    #[test]
    fn results_lose_what_legacy_clients_refuse() {
        check("tools/call", r#""result":{"resultType":"complete","content":[]}"#, r#"{"content":[]}"#);
        check(
            "tools/call",
            r#""result":{"content":[],"structuredContent":[1],"resultType":"complete"}"#,
            r#"{"content":[]}"#,
        );
        check("tools/call", r#""result":{"structuredContent":{"a":1}}"#, r#"{"structuredContent":{"a":1}}"#);
        check(
            "tools/list",
            r#""result":{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}}]}"#,
            r#"{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object"}}]}"#,
        );
    }

    #[test]
    fn errors_have_the_words_of_their_era() {
        check(
            "resources/read",
            r#""error":{"code":-32602,"message":"no","data":{"uri":"a:b"}}"#,
            r#"{"code":-32002,"message":"no","data":{"uri":"a:b"}}"#,
        );
        check("tools/call", r#""error":{"code":-32602,"message":"no"}"#, r#"{"code":-32602,"message":"no"}"#);
        check(
            "tools/call",
            r#""error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{"sampling":{}}}}"#,
            r#"{"code":-32603,"message":"The server needs a capability that the client did not declare: sampling"}"#,
        );
    }
}
