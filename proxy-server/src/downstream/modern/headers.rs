//! Checks that headers of modern requests agree with the body (2026-07-28, transports, "Request Metadata").
//!
//! An intermediary between a client and the gateway may have admitted a request by its headers, but the gateway carries
//! out the body.

use crate::catalog::{Mirrored, Tool};
use crate::downstream::fields::{Fields, PROTOCOL_VERSION, text};
use crate::protocol::{self, Message, Object, decode_header};

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";

/// Header that disagrees with the body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::downstream) struct Mismatch(pub(in crate::downstream) String);

/// Checks that the headers name this version, this method and the subject of the request.
pub(in crate::downstream) fn check(fields: &Fields<'_>, message: &Message, version: &str) -> Result<(), Mismatch> {
    is_same(fields, PROTOCOL_VERSION, version)?;
    is_same(fields, METHOD, message.method())?;
    let subject = match message.method() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return Ok(()),
    };
    // A body without its subject is refused later, by the code that needs it.
    match message.parameter(subject).and_then(protocol::text) {
        Some(value) => says(fields, NAME, |found| decode_header(found).is_some_and(|found| found == value)),
        None => Ok(()),
    }
}

/// Checks that the headers repeat the arguments that this tool wants repeated, and no absent ones.
pub(in crate::downstream) fn check_arguments(
    fields: &Fields<'_>,
    message: &Message,
    tool: &Tool,
) -> Result<(), Mismatch> {
    if tool.mirrored.is_empty() {
        return Ok(());
    }
    let params = Object::read(message.params()).ok();
    let arguments = params.and_then(|params| params.get("arguments"));
    tool.mirrored.iter().try_for_each(|mirrored| {
        let Mirrored { path, header } = mirrored;
        match arguments.and_then(|raw| find(raw, path)) {
            Some(raw) => says(fields, header, |found| repeats(found, raw)),
            None if fields.values(header).next().is_some() => {
                Err(Mismatch(format!("`{header}` says what the body does not")))
            }
            None => Ok(()),
        }
    })
}

fn is_same(fields: &Fields<'_>, name: &str, value: &str) -> Result<(), Mismatch> {
    says(fields, name, |found| found == value)
}

/// Checks that a header occurs once, because two readers could take different values, and that its value is right.
fn says(fields: &Fields<'_>, name: &str, is_right: impl Fn(&str) -> bool) -> Result<(), Mismatch> {
    let mut values = fields.values(name);
    let found = values.next().map(|value| text(value).unwrap_or_default().trim());
    match (found, values.next()) {
        (Some(found), None) if is_right(found) => Ok(()),
        (None, _) => Err(Mismatch(format!("`{name}` is missing"))),
        (Some(_), _) => Err(Mismatch(format!("`{name}` does not say what the body says"))),
    }
}

/// Returns the raw argument at this path; `null` counts as none.
fn find<'a>(arguments: &'a str, path: &[String]) -> Option<&'a str> {
    let found = path.iter().try_fold(arguments, |raw, name| Object::read(raw).ok()?.get(name));
    found.filter(|raw| *raw != "null")
}

fn repeats(found: &str, raw: &str) -> bool {
    let Some(found) = decode_header(found) else { return false };
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).is_ok_and(|text| text == found),
        Some(b't' | b'f') => found == raw,
        // 1, 1.0 and 1e0 are one number.
        Some(_) => match (found.parse::<i128>(), raw.parse::<i128>()) {
            (Ok(found), Ok(value)) => found == value,
            _ => matches!((found.parse::<f64>(), raw.parse::<f64>()), (Ok(found), Ok(value)) if found == value),
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use httparse::Header;

    use super::*;

    fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
        let header = |(name, value): &(&'a str, &'a str)| Header { name, value: value.as_bytes() };
        Fields::among(pairs.iter().map(header).collect::<Vec<_>>().into())
    }

    fn request(method: &str, params: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        Message::parse(Bytes::from(text)).expect("a request")
    }

    fn check_name(name: &str, sent: &[&str], expected: bool) {
        let mut sent: Vec<_> = sent.iter().map(|value| (NAME, *value)).collect();
        sent.extend([(PROTOCOL_VERSION, "v"), (METHOD, "tools/call")]);
        let message = request("tools/call", &format!(r#"{{"name":{}}}"#, serde_json::Value::from(name)));
        assert_eq!(check(&fields(&sent), &message, "v").is_ok(), expected, "{name} {sent:?}");
    }

    #[test]
    fn the_name_is_repeated() {
        check_name("a", &["a"], true);
        check_name("a", &[], false);
        check_name("a", &["b"], false);
        check_name("a", &["A"], false);
        check_name("a", &["a", "a"], false);
        check_name("a", &["=?base64?YQ==?="], true);
        check_name("a", &["=?base64?YQ?="], false);
        check_name("a", &["=?base64?Y!==?="], false);
        check_name("a", &["=?BASE64?YQ==?="], false);
        check_name("é", &["=?base64?w6k=?="], true);
        check_name("é", &["é"], false);
        check_name("=?base64?YQ==", &["=?base64?YQ=="], true);
    }

    #[test]
    fn the_version_and_the_method_are_repeated() {
        let message = request("tools/list", "{}");
        let check_with = |pairs: &[(&str, &str)]| check(&fields(pairs), &message, "v").is_ok();
        assert!(check_with(&[(PROTOCOL_VERSION, "v"), (METHOD, "tools/list")]));
        assert!(!check_with(&[(PROTOCOL_VERSION, "w"), (METHOD, "tools/list")]));
        assert!(!check_with(&[(PROTOCOL_VERSION, "v"), (METHOD, "TOOLS/LIST")]));
        assert!(!check_with(&[(PROTOCOL_VERSION, "v")]));
        assert!(!check_with(&[(METHOD, "tools/list")]));
    }

    fn check_argument(raw: &str, sent: Option<&str>, expected: bool) {
        let mirrored = vec![Mirrored { path: vec!["o".into(), "n".into()], header: "mcp-param-n".into() }];
        let tool = Tool { mirrored, ..Tool::default() };
        let message = request("tools/call", &format!(r#"{{"name":"a","arguments":{{"o":{{"n":{raw}}}}}}}"#));
        let sent: Vec<_> = sent.iter().map(|value| ("mcp-param-n", *value)).collect();
        assert_eq!(check_arguments(&fields(&sent), &message, &tool).is_ok(), expected, "{raw} {sent:?}");
    }

    #[test]
    fn arguments_are_repeated() {
        check_argument("1", Some("1"), true);
        check_argument("1", Some("1.0"), true);
        check_argument("1e2", Some("100"), true);
        check_argument("9007199254740993", Some("9007199254740992"), false);
        check_argument("1", None, false);
        check_argument("null", None, true);
        check_argument("null", Some("null"), false);
        check_argument("true", Some("true"), true);
        check_argument("true", Some("1"), false);
        check_argument(r#""Hello""#, Some("=?base64?SGVsbG8=?="), true);
        check_argument(r#""Hello""#, Some("=?base64?SGVsbG8?="), false);
        check_argument(r#""a\u0062""#, Some("ab"), true);
    }
}
