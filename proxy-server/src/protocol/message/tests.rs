use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::protocol::progress_token;

fn parse(text: &str) -> Result<Message, Invalid> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn refused(text: &str, why: &str) {
    assert_eq!(parse(text).expect_err(text).to_string(), why, "{text}");
}

#[test]
fn tells_the_four_kinds_apart() {
    let kind = |text| parse(text).expect(text).kind();
    assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Kind::Request);
    assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), Kind::Notification);
    assert_eq!(kind(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#), Kind::Result);
    assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#), Kind::Error);
    assert_eq!(kind(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#), Kind::Error);
}

#[test]
fn refuses_what_two_readers_could_read_differently() {
    refused(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, "the body is not valid JSON");
    refused(r#"{"jsonrpc":"2.0","id":1,"method":"x","Method":"y"}"#, "a member differs from a known one by case only");
    refused(r#"{"jsonrpc":"2.0","id":1,"meth\u006fd":"x","method":"y"}"#, "the body is not valid JSON");
    refused(r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#, "expected a request, a notification or a response");
}

#[test]
fn refuses_what_is_no_message() {
    refused("", "the body is not valid JSON");
    refused(" [1]", "a batch is not accepted");
    refused(r#"{"jsonrpc":"2.0","id":1,"method":"x"} x"#, "the body is not valid JSON");
    refused(r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "`jsonrpc` must be \"2.0\"");
    refused(r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "`id` must be a string or a number");
    refused(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "`id` must be a string or a number");
    refused(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "`method` must be a string");
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    refused(&deep, "the message is nested deeper than 128 levels");
    let brackets_in_text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":["\"{}"]}}"#, "[".repeat(200));
    assert!(parse(&brackets_in_text).is_ok());
}

#[test]
fn reads_a_method_written_with_escapes() {
    assert_eq!(parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call"}"#).expect("a request").method(), "tools/call");
}

#[test]
fn replaces_only_what_it_is_told_to() {
    let text = r#"{ "params":{"z":1,"a":123456789012345678901234567890,"_meta":{"v/x":[1 ],"progressToken":"p"}}, "x-extra":{"k" : null},
        "method":"tools/call","id": 17 ,"jsonrpc":"2.0"}"#;
    let message = parse(text).expect("a request");
    let token = progress_token(&message).expect("a token");
    let sent = message.with_id("4", &[(token, "99")]);
    assert_eq!(sent, text.replace(": 17 ", ": 4 ").replace(r#""p""#, "99"));
}

#[test]
fn an_error_that_names_no_request_can_be_given_to_one() {
    for (text, expected) in [
        (
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":""},"id":null}"#,
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":""},"id":7}"#,
        ),
        (
            r#" {"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
            r#" {"id":7,"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
        ),
    ] {
        let message = parse(text).expect(text);
        assert_eq!((message.id(), message.with_id("7", &[])), ("", expected.into()));
    }
}

#[test]
fn an_error_without_an_id_names_null() {
    assert_eq!(
        error_response("", -32700, "not \"JSON\"", ""),
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not \"JSON\""}}"#
    );
}

proptest! {
    #[test]
    fn never_panics_and_never_changes_what_it_accepts(text in r#"[\[\]{}":,\\a-e0-9 ]{0,60}"#) {
        if let Ok(message) = parse(&text) {
            prop_assert_eq!(message.with(&[]), text);
        }
    }
}

#[test]
fn a_message_with_replacements_is_what_reading_it_again_would_give() {
    for text in [
        r#"{"jsonrpc":"2.0","params":{"name":"ab","x":1.10},"method":"tools/call","id":"i"}"#,
        r#"{"id":7,"method":"tools/call","params":{"name":"ab"},"jsonrpc":"2.0"}"#,
    ] {
        for name in ["\"c\"", "\"longer than before\"", "\"ab\""] {
            let message = Message::parse(Bytes::from(text)).expect("a message");
            let old = Object::read(message.params()).expect("an object").get("name").expect("a name");
            let replaced = message.replaced(&[(old, name)]);
            let again = Message::parse(replaced.bytes().clone()).expect("a message");
            let parts = |message: &Message| {
                [message.id(), message.method(), message.params(), message.body()].map(str::to_owned)
            };
            assert_eq!(parts(&replaced), parts(&again));
            assert_eq!(replaced.bytes(), &Bytes::from(text.replace("\"ab\"", name)));
        }
    }
}

#[test]
fn what_metadata_says_is_found_wherever_a_replacement_has_moved_it() {
    let text =
        r#"{"jsonrpc":"2.0","id":1,"params":{"name":"a","_meta":{"x":"b","progressToken":7},"y":"c"},"method":"m"}"#;
    let message = Message::parse(Bytes::from_static(text.as_bytes())).expect(text);
    assert_eq!(progress_token(&message), Some("7"));
    for (old, new, token) in [
        (r#""a""#, r#""longer""#, "7"),
        (r#""b""#, r#""longer""#, "7"),
        (r#""c""#, r#""longer""#, "7"),
        ("7", r#""longer""#, r#""longer""#),
        (r#"{"x":"b","progressToken":7}"#, r#"{"progressToken":8,"z":[]}"#, "8"),
    ] {
        let at = text.find(old).expect(old);
        let slice = std::str::from_utf8(&message.bytes()[at..at + old.len()]).expect("a text");
        let replaced = message.replaced(&[(slice, new)]);
        assert_eq!(progress_token(&replaced), Some(token), "{old} -> {new}");
        let read = Message::parse(replaced.bytes().clone()).expect(new);
        assert_eq!(progress_token(&read), Some(token), "{old} -> {new}");
    }
}

#[test]
fn a_compact_message_does_not_keep_the_buffer_it_arrived_in() {
    let mut buffer = BytesMut::from(&br#"{"jsonrpc":"2.0","id":1,"result":{"a":1}} and more"#[..]);
    let message = Message::parse(buffer.split_to(41).freeze()).expect("a message").compact();
    assert_eq!((message.id(), message.body()), ("1", r#"{"a":1}"#));
    assert!(buffer.try_reclaim(41), "no slice of the buffer is left");
}
