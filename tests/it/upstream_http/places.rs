//! Targets of requests: redirects, cookies, kinds of addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::gateway;
use harness::raw::session;
use harness::web::{Asked, events, status, stream, usual, web, web_at, with};
use serde_json::json;

use super::connected;

#[tokio::test]
async fn redirects_within_the_origin_are_followed_with_method_body_and_headers() {
    for (code, absolute) in [(307, true), (307, false), (308, true), (308, false)] {
        let server = web(move |asked: Asked| async move {
            if asked.path == "/mcp" {
                let host = if absolute { format!("http://{}", asked.header("host")) } else { String::new() };
                return with(status(code), "location", &format!("{host}/mcp/"));
            }
            if asked.method == "GET" { stream().1 } else { usual(&asked) }
        })
        .await;
        let gateway = gateway().start().await;
        let mut definition = server.definition("web");
        definition["headers"] = json!({ "X-Key": "k" });
        gateway.admin.connect(&definition).await;
        let mut client = session(&gateway.url, "web").open().await;
        let large = "x".repeat(100_000);
        let answer = client.call("1", "echo", &format!(r#"{{"text":"{large}"}}"#)).await;
        assert!(answer.contains(&large), "{code}");
        client.end().await;
        server.nth("DELETE", 1).await;
        let followed: Vec<Asked> = server.asked().into_iter().filter(|asked| asked.path == "/mcp/").collect();
        assert!(followed.iter().all(|asked| asked.header("x-key") == "k"), "{code}");
        let methods: BTreeSet<&str> = followed.iter().map(|asked| asked.method.as_str()).collect();
        assert_eq!(methods, BTreeSet::from(["DELETE", "GET", "POST"]), "{code}");
    }
}

#[tokio::test]
async fn other_redirects_are_named_and_not_followed() {
    for (code, location, shown) in [
        (301, "/mcp/", "/mcp/"),
        (302, "https://sso.example/login?token=t", "https://sso.example/login`"),
        (303, "/login", "/login"),
        (307, "http://other.example/mcp", "http://other.example/mcp"),
        (308, "https://127.0.0.1/mcp", "https://127.0.0.1/mcp"),
        (307, "/mcp", "/mcp"),
    ] {
        let server = web(move |_| async move { with(status(code), "location", location) }).await;
        let gateway = gateway().start().await;
        gateway.admin.register(&server.definition("web")).await;
        let status = gateway.admin.reaches("web", "error").await;
        let error = status["lastError"].to_string();
        assert!(error.contains(&code.to_string()) && error.contains(shown), "{error}");
        assert!(server.asked().iter().all(|asked| asked.path == "/mcp"));
        assert!(server.count("initialize") <= 12, "a bound");
    }
}

#[tokio::test]
async fn the_event_stream_of_the_older_transport_may_be_redirected_too() {
    let server = web(|asked: Asked| async move {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/a/sse") => with(status(307), "location", "/b/sse/"),
            ("GET", "/b/sse/") => {
                let (events, answer) = stream();
                events.send("event: endpoint\ndata: ../messages/?session=1\n\n");
                // Leaks the sender to keep the stream open.
                std::mem::forget(events);
                answer
            }
            _ => status(404),
        }
    })
    .await;
    let gateway = gateway().start().await;
    gateway.admin.register(&json!({ "name": "old", "transport": "sse", "url": server.url("/a/sse") })).await;
    assert_eq!(server.nth("initialize", 0).await.path, "/b/messages/?session=1");
}

#[tokio::test]
async fn cookies_stay_with_their_session_and_are_sent_with_all_of_its_requests() {
    let greeted = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&greeted);
    let server = web(move |asked: Asked| {
        let greeted = Arc::clone(&counter);
        async move {
            match asked.rpc().as_str() {
                "initialize" => {
                    let node = greeted.fetch_add(1, Ordering::SeqCst);
                    let answer = with(usual(&asked), "set-cookie", &format!("ALB=n{node}; Path=/; HttpOnly"));
                    with(answer, "set-cookie", "other=1; Path=/elsewhere")
                }
                "GET" => stream().1,
                _ => usual(&asked),
            }
        }
    })
    .await;
    let gateway = gateway().start().await;
    let mut definition = server.definition("web");
    definition["headers"] = json!({ "Cookie": "mine=1" });
    gateway.admin.connect(&definition).await;
    let mut client = session(&gateway.url, "web").open().await;
    assert!(client.call("1", "echo", "{}").await.contains("result"));
    client.end().await;
    server.nth("DELETE", 0).await;
    let sent = |rpc: &str| -> BTreeSet<String> {
        server.asked().iter().filter(|asked| asked.rpc() == rpc).map(|asked| asked.header("cookie")).collect()
    };
    assert_eq!(
        sent("initialize"),
        BTreeSet::from(["mine=1".to_owned()]),
        "a new session begins without others' cookies"
    );
    assert_eq!(sent("tools/call"), BTreeSet::from(["mine=1; ALB=n1".to_owned()]));
    assert_eq!(sent("tools/list"), BTreeSet::from(["mine=1; ALB=n0".to_owned()]));
    assert_eq!(sent("DELETE"), BTreeSet::from(["mine=1; ALB=n1".to_owned()]));
    assert_eq!(sent("GET").len(), 2);
}

#[tokio::test]
async fn a_cookie_that_comes_with_a_redirect_is_sent_with_the_redirected_request() {
    let server = web(|asked: Asked| async move {
        match asked.header("cookie").as_str() {
            "" => with(with(status(307), "location", "?pinned"), "set-cookie", "pin=1"),
            _ => usual(&asked),
        }
    })
    .await;
    let (_gateway, mut client) = connected(&server).await;
    assert!(client.call("1", "echo", "{}").await.contains("result"));
}

#[tokio::test]
async fn both_families_of_this_machine_are_reached_by_its_name() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let server = web_at((address, 0).into(), |asked| async move { usual(&asked) }).await;
        let gateway = gateway().start().await;
        let port = server.address.port();
        for (name, url) in [
            ("name", format!("http://localhost:{port}/mcp")),
            ("literal", format!("http://{}/mcp", server.address)),
            ("slash", format!("http://localhost:{port}/a/b/?c=d/")),
        ] {
            let mut definition = server.definition(name);
            definition["url"] = json!(url);
            gateway.admin.connect(&definition).await;
        }
        let paths: BTreeSet<String> = server.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(paths, BTreeSet::from(["/mcp".to_owned(), "/a/b/?c=d/".to_owned()]), "{address}");
    }
}

#[tokio::test]
async fn a_response_stream_of_the_older_kind_is_read_to_its_end() {
    let server = web(|asked: Asked| async move {
        if asked.rpc() == "tools/call" {
            let answer = asked.result(&json!({ "late": true }));
            return events(format!(": begin\r\rdata: {answer}\r\r"));
        }
        usual(&asked)
    })
    .await;
    let (_gateway, mut client) = connected(&server).await;
    assert!(client.call("1", "echo", "{}").await.contains("late"));
}
