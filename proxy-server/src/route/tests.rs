use bytes::Bytes;

use super::*;
use crate::catalog::test_view;
use crate::protocol::Message;

/// Checks a route; `a` and `b` are connected with a tool `t`, a prompt `p`, a resource `x:r`; `down` is only
/// registered.
fn check(mode: Mode, method: &str, params: &str, expected: Result<&str, Kind>) {
    let view = test_view(mode, &["a", "b"]);
    let known = |name: &str| ["a", "b", "down"].contains(&name).then(|| name.parse().expect("a name"));
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let message = Message::parse(Bytes::from(text)).expect("a message");
    let routed = route(&view, &known, &message).map(|route| {
        let candidate = route.candidates.first().expect("a candidate");
        format!("{} {}", candidate.upstream, route.request(&message, candidate).params())
    });
    assert_eq!(routed.map_err(|error| error.kind()), expected.map(str::to_owned), "{params} in {mode:?}");
}

#[test]
fn a_listed_name_is_replaced_by_the_upstreams_own_and_nothing_else() {
    check(
        Mode::Always,
        "tools/call",
        r#"{ "name":"b__t","arguments":{"x":1.10} }"#,
        Ok(r#"b { "name":"t","arguments":{"x":1.10} }"#),
    );
    check(Mode::Always, "prompts/get", r#"{"name":"a__p"}"#, Ok(r#"a {"name":"p"}"#));
    check(Mode::Never, "tools/call", r#"{"name":"\u0074"}"#, Ok(r#"a {"name":"\u0074"}"#));
}

#[test]
fn a_colon_pins_an_upstream_in_every_mode() {
    for mode in [Mode::Always, Mode::OnConflict, Mode::Never] {
        check(mode, "tools/call", r#"{"name":"b:t"}"#, Ok(r#"b {"name":"t"}"#));
        check(mode, "tools/call", r#"{"name":"zz:t"}"#, Err(Kind::UnknownUpstream));
        check(mode, "tools/call", r#"{"name":"b:unlisted"}"#, Ok(r#"b {"name":"unlisted"}"#));
        check(mode, "tools/call", r#"{"name":"down:t"}"#, Err(Kind::NotReady));
        check(mode, "tools/call", r#"{"name":"nope"}"#, Err(Kind::UnknownTool));
        check(mode, "prompts/get", r#"{"name":"nope"}"#, Err(Kind::UnknownPrompt));
    }
}

#[test]
fn an_upstream_that_is_down_is_told_from_a_tool_that_does_not_exist() {
    check(Mode::Always, "tools/call", r#"{"name":"down__t"}"#, Err(Kind::NotReady));
    check(Mode::Always, "tools/call", r#"{"name":"zz__nope"}"#, Err(Kind::UnknownTool));
    check(Mode::OnConflict, "tools/call", r#"{"name":"a__t"}"#, Ok(r#"a {"name":"t"}"#));
    check(Mode::Always, "resources/read", r#"{"uri":"mcp-proxy://down/x:r"}"#, Err(Kind::NotReady));
}

#[test]
fn resources_and_completions_are_routed_by_what_they_refer_to() {
    check(Mode::Always, "resources/read", r#"{"uri":"mcp-proxy://b/x:r"}"#, Ok(r#"b {"uri":"x:r"}"#));
    check(Mode::Always, "resources/subscribe", r#"{"uri":"mcp-proxy://b/x:r"}"#, Ok(r#"b {"uri":"x:r"}"#));
    check(Mode::Always, "resources/read", r#"{"uri":"y:r"}"#, Err(Kind::UnknownResource));
    check(
        Mode::Always,
        "completion/complete",
        r#"{"argument":{"name":"n"},"ref":{"type":"ref/prompt","name":"b__p"}}"#,
        Ok(r#"b {"argument":{"name":"n"},"ref":{"type":"ref/prompt","name":"p"}}"#),
    );
    check(
        Mode::Always,
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","uri":"mcp-proxy://b/x:{id}"}}"#,
        Ok(r#"b {"ref":{"type":"ref/resource","uri":"x:{id}"}}"#),
    );
    let wrong = Kind::InvalidParams("`params.ref` must name a prompt or a resource");
    check(Mode::Always, "completion/complete", r#"{"ref":{"type":"ref/x"}}"#, Err(wrong));
}

#[test]
fn tasks_are_routed_by_the_upstream_in_their_id() {
    check(Mode::Never, "tasks/get", r#"{"taskId":"b:7"}"#, Ok(r#"b {"taskId":"7"}"#));
    check(Mode::Never, "tasks/get", r#"{"taskId":"zz:7"}"#, Err(Kind::InvalidParams("there is no such task")));
    check(Mode::Never, "tasks/list", "{}", Err(Kind::UnknownMethod));
    check(Mode::Never, "tools/call", "{}", Err(Kind::InvalidParams("`params.name` must be a string")));
}

#[test]
fn only_what_had_no_effect_or_may_be_repeated_goes_to_the_next() {
    let candidate = |repeatable| Candidate { upstream: "a".parse().expect("a name"), name: "t".into(), repeatable };
    for kind in [Kind::NotReady, Kind::Unreachable, Kind::Busy, Kind::SessionLost] {
        assert!(may_pass_on(kind, &candidate(false)));
    }
    assert!(!may_pass_on(Kind::ConnectionLost, &candidate(false)));
    assert!(may_pass_on(Kind::ConnectionLost, &candidate(true)));
    for kind in [Kind::UnknownTool, Kind::TimedOut, Kind::Cancelled] {
        assert!(!may_pass_on(kind, &candidate(true)));
    }
}
