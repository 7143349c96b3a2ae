use super::*;
use crate::catalog::{Mode, test_view};

fn answer(mode: Mode, method: &str, body: &str) -> String {
    let view = test_view(mode, &["a", "b"]);
    let message = Message::parse(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#))).expect("an answer");
    let edits = answer_edits(&view, "b", method, &message);
    let edits: Vec<(&str, &str)> = edits.iter().map(|(old, new)| (*old, new.as_str())).collect();
    let text = String::from_utf8_lossy(&message.with(&edits)).into_owned();
    text.strip_prefix(r#"{"jsonrpc":"2.0","id":1,"#)
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or_default()
        .to_owned()
}

/// Checks the rewriting of a body in which `URI` is the URI of a resource and `TASK` the id of a task.
fn check(method: &str, body: &str) {
    let own = body.replace("URI", "x:r").replace("TASK", "7");
    let exposed = body.replace("URI", "mcp-proxy://b/x:r").replace("TASK", "b:7");
    assert_eq!(answer(Mode::Always, method, &own), exposed);
}

#[test]
fn uris_are_rewritten_wherever_a_client_could_come_back_with_them() {
    check(
        "tools/call",
        r#""result":{"content":[{"type":"text","text":"x:r \"uri\""},{"type":"resource_link","uri":"URI","x":1.10},{"type":"resource","resource":{"uri":"URI","text":""}}]}"#,
    );
    check(
        "prompts/get",
        r#""result":{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"URI"}}}]}"#,
    );
    check("prompts/get", r#""result":{"messages":[{"content":[{"type":"resource_link","uri":"URI"}]}]}"#);
    check("resources/read", r#""result":{"contents":[{"uri":"URI","text":"x:r"}, {"uri":"URI","blob":""}]}"#);
    check("resources/read", r#""error":{"code":-32002,"message":"x:r","data":{"uri":"URI"}}"#);
    check(
        "tools/call",
        r#""result":{"content":[],"task":{"taskId":"TASK"},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"TASK"}}}"#,
    );
    check("tasks/get", r#""result":{"taskId":"TASK","status":"working"}"#);
    check(
        "skills/get",
        r#""result":{"skill":{"uri":"URI","frontmatter":{"uri":"x:r"},"resources":[{"uri":"URI","digest":"x:r"}],"x":1.10},"ttlMs":1}"#,
    );
    check("skills/get", r#""result":{"skill":{"uri":"URI","resources":"dynamic"}}"#);
    check("resources/directory/read", r#""result":{"resources":[{"uri":"URI","name":"x:r"}],"nextCursor":"x:r"}"#);
}

#[test]
fn what_only_looks_like_a_resource_stays() {
    check("tools/call", r#""result":{"content":[{"type":"text","uri":"x:r"}],"structuredContent":{"uri":"x:r"}}"#);
    check("completion/complete", r#""result":{"completion":{"values":["x:r"],"uri":"x:r"}}"#);
}

#[test]
fn uris_stay_where_names_never_change_or_nobody_else_has_them() {
    let body = r#""result":{"contents":[{"uri":"x:r"}]}"#;
    assert_eq!(answer(Mode::Never, "resources/read", body), body);
    let unlisted = r#""result":{"contents":[{"uri":"other:r"}]}"#;
    assert_eq!(
        answer(Mode::OnConflict, "resources/read", unlisted),
        unlisted.replace("other:", "mcp-proxy://b/other:")
    );
}

#[test]
fn what_names_no_resource_is_not_looked_into() {
    let view = test_view(Mode::Always, &["a"]);
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"\"uri\":"}]}}"#;
    let message = Message::parse(Bytes::from(text)).expect("an answer");
    assert!(answer_edits(&view, "a", "tools/call", &message).is_empty());
}

fn check_notification(text: &str, expected: Option<&str>) {
    let view = test_view(Mode::Always, &["a"]);
    let read = notification(&view, "a", Bytes::copy_from_slice(text.as_bytes()));
    assert_eq!(read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).as_deref(), expected);
}

#[test]
fn notifications_name_resources_and_tasks_as_the_lists_do() {
    let told = |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
    check_notification(
        &told("notifications/resources/updated", r#"{"uri":"x:r"}"#),
        Some(&told("notifications/resources/updated", r#"{"uri":"mcp-proxy://a/x:r"}"#)),
    );
    check_notification(
        &told("notifications/tasks/status", r#"{"taskId":"7","status":"working"}"#),
        Some(&told("notifications/tasks/status", r#"{"taskId":"a:7","status":"working"}"#)),
    );
    for list in ["tools", "prompts", "resources"] {
        check_notification(&told(&format!("notifications/{list}/list_changed"), "{}"), None);
    }
    let log = told("notifications/message", r#"{"level":"info","data":"x/list_changed\" and x/updated\""}"#);
    check_notification(&log, Some(&log));
}

#[test]
fn what_a_task_came_to_is_read_like_any_result() {
    let result = r#""result":{"content":[{"type":"resource_link","uri":"URI"}]}"#;
    check("tasks/get", &format!(r#""result":{{"taskId":"TASK","status":"completed",{result}}}"#));
    check_notification(
        &format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{{"taskId":"7",{result}}}}}"#)
            .replace("URI", "x:r"),
        Some(
            &format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{{"taskId":"a:7",{result}}}}}"#)
                .replace("URI", "mcp-proxy://a/x:r"),
        ),
    );
}

#[test]
fn a_state_leads_back_to_the_upstream_that_gave_it() {
    let check = |result: &str, expected: Option<&str>| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let message = Message::parse(Bytes::from(text)).expect("an answer");
        assert_eq!(state_edit("u 1", &message).map(|(_, new)| new).as_deref(), expected, "{result}");
    };
    check(r#"{"resultType":"input_required","requestState":"a:\"b"}"#, Some(r#""u%201:a:\"b""#));
    check(r#"{"resultType":"complete","requestState":"a"}"#, None);
    check(r#"{"resultType":"input_required","inputRequests":{"requestState":"a"}}"#, None);
}
