//! Names that several servers have: the server that gets the plain name, the server that answers, and the operator's
//! view.

use super::*;

const NUMBER: &str = r#"{"name":"t","inputSchema":{"type":"object","properties":{"n":{"type":"number"}}}}"#;

/// Returns a fake upstream whose tool `t` answers with the name of the upstream.
fn named(name: &'static str) -> Script {
    fake(name).tool("t", move |call: Call| async move { call.reply(&format!(r#"{{"by":"{name}"}}"#)) })
}

async fn by(client: &mut Session, tool: &str) -> String {
    let answer: Value = serde_json::from_str(&client.call("1", tool, "{}").await).expect("JSON");
    answer["result"]["by"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn on_conflict_the_later_ones_are_qualified_and_the_operator_sees_why() {
    let first = named("first").start(Via::Json).await;
    let second =
        fake("second").listed(NUMBER).on("tools/call t", |call| async move { call.reply(r#"{"by":"second"}"#) });
    let second = second.start(Via::Json).await;
    for spelling in ["on_conflict", "OnConflict"] {
        let gateway = serve(&["--naming-mode", spelling, "--naming-separator", "."], &[&first, &second]).await;
        let mut client = session_with_all(&gateway.url).open().await;
        lists(&mut client, "tools/list", &["t", "second.t"]).await;
        assert_eq!((by(&mut client, "t").await, by(&mut client, "second.t").await), ("first".into(), "second".into()));
        assert_eq!(by(&mut client, "second:t").await, "second");
        let tools = gateway.admin.get("/admin/tools").await.json()["tools"].clone();
        assert_eq!((&tools[0]["exposedName"], &tools[0]["reason"]), (&Value::Null, &Value::Null));
        let why = json!("an earlier upstream has one of the same name");
        assert_eq!(
            (&tools[1]["name"], &tools[1]["exposedName"], &tools[1]["reason"]),
            (&json!("t"), &json!("second.t"), &why)
        );
    }
}

#[tokio::test]
async fn a_rejected_copy_is_reported_and_still_reached_by_its_servers_name() {
    let first = named("first").start(Via::Json).await;
    let second =
        fake("second").listed(NUMBER).on("tools/call t", |call| async move { call.reply(r#"{"by":"second"}"#) });
    let second = second.start(Via::Json).await;
    let flags = ["--naming-mode", "on_conflict", "--conflict-strategy", "Reject"];
    let gateway = serve(&flags, &[&first, &second]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["t"]).await;
    assert_eq!((by(&mut client, "t").await, by(&mut client, "second:t").await), ("first".into(), "second".into()));
    let rejected = eventually("both are reported", || async {
        gateway.admin.get("/admin/tools").await.json()["tools"].get(1).cloned()
    })
    .await;
    assert_eq!(rejected["reason"], "`first` has `t`, and the conflict strategy lets only one have it");
}

#[tokio::test]
async fn the_preferred_server_has_the_name() {
    let first = named("first").start(Via::Json).await;
    let second =
        fake("second").listed(NUMBER).on("tools/call t", |call| async move { call.reply(r#"{"by":"second"}"#) });
    let second = second.start(Via::Json).await;
    let gateway = gateway().flags(["--naming-mode", "on_conflict", "--conflict-strategy", "priority_override"]);
    let gateway = gateway.start().await;
    let mut backup = first.definition();
    backup["priority"] = json!(2);
    gateway.admin.connect(&backup).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["t"]).await;
    assert_eq!(by(&mut client, "t").await, "first");
    gateway.admin.connect(&second.definition()).await;
    eventually("the preferred one is there", || async {
        (gateway.admin.get("/admin/tools").await.json()["count"] == 2).then_some(())
    })
    .await;
    assert_eq!(by(&mut client, "t").await, "second");
    assert_eq!(gateway.admin.delete("/admin/mcps/second").await.status, 204);
    eventually("the name passes on", || async {
        (gateway.admin.get("/admin/tools").await.json()["count"] == 1).then_some(())
    })
    .await;
    assert_eq!(by(&mut client, "t").await, "first");
}

#[tokio::test]
async fn equal_tools_take_turns_and_stand_in_for_each_other() {
    let (one, other) = (named("one").start(Via::Sse).await, named("other").start(Via::Sse).await);
    let flags = ["--naming-mode", "on_conflict", "--conflict-strategy", "reject"];
    let gateway = serve(&flags, &[&one, &other]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    lists(&mut client, "tools/list", &["t"]).await;
    eventually("both are listed", || async {
        (gateway.admin.get("/admin/tools").await.json()["count"] == 2).then_some(())
    })
    .await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(by(&mut client, "t").await);
    }
    assert_eq!(answers.iter().filter(|by| *by == "one").count(), 5, "{answers:?}");
    one.down().await;
    for _ in 0..4 {
        assert_eq!(by(&mut client, "t").await, "other");
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again_elsewhere() {
    let broken = |name| fake(name).tool("t", |call: Call| async move { call.hang_up() });
    let (one, other) = (broken("one").start(Via::Events).await, broken("other").start(Via::Events).await);
    let gateway = serve(&["--naming-mode", "on_conflict", "--conflict-strategy", "reject"], &[&one, &other]).await;
    let mut client = session_with_all(&gateway.url).open().await;
    eventually("both are listed", || async {
        (gateway.admin.get("/admin/tools").await.json()["count"] == 2).then_some(())
    })
    .await;
    let answer = client.call("1", "t", "{}").await;
    assert!(answer.contains("may have been executed"), "{answer}");
    assert_eq!(one.count("tools/call") + other.count("tools/call"), 1);
}

#[tokio::test]
async fn names_that_clients_cannot_take_are_shortened_and_hidden_ones_are_as_good_as_none() {
    let long = "x".repeat(80);
    let upstream = fake("g").echo("get user").echo(&long).echo("seen").echo("hidden").start(Via::Json).await;
    let gateway = gateway().start().await;
    let mut definition = upstream.definition();
    definition["toolFilter"] = json!({ "mode": "block", "list": ["hidden"] });
    gateway.admin.connect(&definition).await;
    let mut client = session_with_all(&gateway.url).open().await;
    let names = eventually("three tools", || async {
        let tools = gateway.admin.get("/admin/tools?all=true").await.json()["tools"].clone();
        (tools.as_array().is_some_and(|tools| tools.len() == 4)).then_some(tools)
    })
    .await;
    let listed = listed(&mut client, "tools/list").await;
    for (at, name) in ["get user", &long, "seen"].into_iter().enumerate() {
        assert_eq!((&names[at]["name"], &names[at]["exposedName"]), (&json!(name), &json!(listed[at])));
        assert!(
            listed[at].len() <= 64
                && listed[at].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        );
        assert_eq!(client.call("1", &listed[at], r#"{"x":1.10}"#).await, echoed("1", r#"{"x":1.10}"#));
    }
    assert_eq!((&names[3]["hidden"], &names[3]["exposedName"]), (&json!(true), &Value::Null));
    assert_eq!(names[2]["exposedName"], "g__seen");
    assert!(names[0]["reason"].as_str().is_some_and(|reason| reason.starts_with("the name is too long")), "{names}");
    let hidden = client.call("1", "g__hidden", "{}").await;
    assert_eq!(hidden, client.call("1", "g__missing", "{}").await);
    assert_eq!(hidden, client.call("1", "g:hidden", "{}").await);
    assert!(upstream.received().iter().all(|it| it.value()["params"]["name"] != "hidden"));
}
