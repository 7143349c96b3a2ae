//! `/admin/events`: state changes as they happen.

use std::fs;

use harness::fake::{Via, fake};
use harness::process::Signal;
use harness::raw::{Reply, raw};
use harness::{DEADLINE, Served, binary};
use serde_json::{Value, json};

async fn serve(more: &[&str]) -> Served {
    binary("mcp-proxy").args(["--port=0", "--storage=memory"]).args(more).serve().await
}

async fn follow(gateway: &Served, query: &str) -> Reply {
    let stream = raw("GET", &format!("{}/admin/events{query}", gateway.url)).send().await;
    assert!(stream.is_stream());
    stream
}

/// Returns the types, subjects and details of the events up to one of this type, and the id of that.
async fn until(stream: &mut Reply, last: &str) -> (Vec<(String, String, Value)>, String) {
    let mut seen = Vec::new();
    loop {
        let event = stream.event().await.expect("an event");
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        let kind = data["type"].as_str().unwrap_or("gap").to_owned();
        assert!(event.raw.contains(&format!("event: {kind}\n")), "{}", event.raw);
        let is_last = kind == last;
        seen.push((kind, data["subject"].as_str().unwrap_or_default().to_owned(), data["details"].clone()));
        if is_last {
            return (seen, event.id);
        }
    }
}

fn kinds(seen: &[(String, String, Value)]) -> Vec<&str> {
    seen.iter().map(|(kind, ..)| kind.as_str()).collect()
}

#[tokio::test]
async fn a_server_comes_and_goes() {
    let gateway = serve(&[]).await;
    let upstream = fake("one").echo("echo").start(Via::Json).await;
    let mut stream = follow(&gateway, "").await;
    gateway.admin.connect(&upstream.definition()).await;
    let (seen, _) = until(&mut stream, "catalog.changed").await;
    let came = ["registration.created", "upstream.connecting", "upstream.connected", "catalog.changed"];
    // The upstream is started after the change is stored.
    assert_eq!(kinds(&seen), came);
    assert!(seen.iter().all(|(_, subject, _)| subject == "one"), "{seen:?}");
    assert_eq!(seen[3].2["tools"], 1);
    assert_eq!(gateway.admin.delete("/admin/mcps/one").await.status, 204);
    let (seen, _) = until(&mut stream, "upstream.ended").await;
    assert_eq!(kinds(&seen), ["registration.deleted", "upstream.ended"]);
    let refused = json!({ "name": "absent", "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" });
    gateway.admin.register(&refused).await;
    let (seen, _) = until(&mut stream, "upstream.failed").await;
    let reason = seen.last().and_then(|(.., details)| details["reason"].as_str()).unwrap_or_default();
    assert!(reason.contains("cannot connect"), "{seen:?}");
}

#[tokio::test]
async fn a_stream_is_filtered_and_resumes_after_the_last_event() {
    let gateway = serve(&[]).await;
    let token = |name: &str| json!({ "name": name });
    for name in ["a", "b"] {
        assert_eq!(gateway.admin.post("/admin/tokens", token(name)).await.status, 201);
    }
    let mut all = follow(&gateway, "?last=1000").await;
    let (seen, _) = until(&mut all, "token.issued").await;
    assert_eq!(kinds(&seen), ["gateway.started", "token.issued"]);
    let mut stream = follow(&gateway, "?last=10&type=token.revoked,token.issued&subject=b").await;
    let (seen, id) = until(&mut stream, "token.issued").await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    drop(stream);
    for name in ["a", "b"] {
        assert_eq!(gateway.admin.delete(&format!("/admin/tokens/{name}")).await.status, 204);
    }
    let url = format!("{}/admin/events?subject=b", gateway.url);
    let mut resumed = raw("GET", &url).header("last-event-id", &id).send().await;
    assert_eq!(kinds(&until(&mut resumed, "token.revoked").await.0), ["token.revoked"]);
    for wrong in ["?last=1001", "?last=x"] {
        assert_eq!(gateway.admin.get(&format!("/admin/events{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn missing_changes_are_told() {
    let gateway = serve(&[]).await;
    let mut stream = follow(&gateway, "?last=1").await;
    let (_, id) = until(&mut stream, "gateway.started").await;
    drop(stream);
    for number in 0..1_100 {
        let level = if number % 2 == 0 { "a" } else { "b" };
        let token = json!({ "name": level });
        assert_eq!(gateway.admin.post("/admin/tokens", &token).await.status, 201);
        assert_eq!(gateway.admin.delete(&format!("/admin/tokens/{level}")).await.status, 204);
    }
    let url = format!("{}/admin/events", gateway.url);
    let mut resumed = raw("GET", &url).header("last-event-id", &id).send().await;
    assert_eq!(kinds(&until(&mut resumed, "gap").await.0), ["gap"]);
    let mut of_another_process = raw("GET", &url).header("last-event-id", "1-5").send().await;
    assert_eq!(kinds(&until(&mut of_another_process, "gap").await.0), ["gap"]);
}

#[tokio::test]
async fn the_configuration_and_the_end_of_the_gateway_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mcp-proxy.yaml");
    fs::write(&file, "call-timeout: 1m\n").expect("written");
    let mut gateway = serve(&["--config", &file.display().to_string(), "--drain-delay=1s"]).await;
    let mut stream = follow(&gateway, "?type=configuration,gateway").await;
    fs::write(&file, "call-timeout: 2m\n").expect("written");
    let (seen, _) = until(&mut stream, "configuration.applied").await;
    assert_eq!(seen[0].2["settings"], json!(["call-timeout"]));
    fs::write(&file, "call-timeout: soon\n").expect("written");
    until(&mut stream, "configuration.refused").await;
    gateway.process.signal(Signal::TERM);
    until(&mut stream, "gateway.draining").await;
    assert!(stream.event().await.is_none(), "the stream ends with the gateway");
    assert_eq!(gateway.process.ended(DEADLINE).await.code, Some(0));
}

#[tokio::test]
async fn a_server_with_many_words_leaves_room_for_the_events_of_others() {
    let gateway = serve(&[]).await;
    let words = "x".repeat(400_000);
    let loud = fake("loud").on("initialize", move |call| {
        let words = words.clone();
        async move { call.fail(&format!(r#"{{"code":-1,"message":"{words}"}}"#)) }
    });
    let loud = loud.start(Via::Json).await;
    let mut definition = loud.definition();
    definition["era"] = "legacy".into();
    let mut stream = follow(&gateway, "?last=10").await;
    gateway.admin.register(&definition).await;
    let (seen, _) = until(&mut stream, "upstream.failed").await;
    assert_eq!(seen[0].0, "gateway.started", "it is kept");
    let reason = seen.last().and_then(|(.., details)| details["reason"].as_str()).unwrap_or_default();
    assert!((1_000..=4_096).contains(&reason.len()), "{}", reason.len());
}
