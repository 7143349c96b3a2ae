//! The gateway behind real reverse proxies, with the configurations of `examples/deploy/reverse-proxy`.

mod restart;
mod strangers;

use std::time::Duration;

use futures_util::future::join_all;
use harness::fake::{Call, Fake, Via, fake};
use harness::proxy::{Proxy, Setup, Software};
use harness::raw::{Raw, Reply, raw};
use harness::wait::{Gate, within};
use harness::{InProcess, gateway};
use serde_json::{Value, json};

/// Timeout for everything that is not slow by itself.
const SOON: Duration = Duration::from_secs(20);
const VERSION: &str = "2026-07-28";

/// Gateway behind a proxy, and an upstream behind the gateway.
struct House {
    software: Software,
    proxy: Proxy,
    gateway: InProcess,
    upstream: Fake,
    done: Gate,
    session: String,
}

async fn house(software: Software) -> House {
    let done = Gate::default();
    let wait = done.clone();
    let slow = move |call: Call| {
        let wait = wait.clone();
        async move {
            call.progress(r#""progress":1"#);
            wait.opened().await;
            call.reply(r#"{"content":[],"structuredContent":{"slow":true}}"#);
        }
    };
    let measure = |call: Call| async move {
        let length = call.envelope.param("arguments").len();
        call.reply(&format!(r#"{{"content":[],"structuredContent":{{"length":{length}}}}}"#));
    };
    let never = |call: Call| async move {
        call.progress(r#""progress":1"#);
        call.never().await;
    };
    let script = fake("up").tool("slow", slow).tool("measure", measure).tool("never", never);
    let upstream = script.start(Via::Events).await;
    let flags = ["--base-url", "https://gw.example/gw", "--trusted-proxies", "127.0.0.1", "--admin-tokens", "t0ken"];
    let gateway = gateway().flags(flags).start().await;
    gateway.admin.with_token("t0ken").connect(&upstream.definition()).await;
    let port = gateway.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = software.start(Setup::Example, "127.0.0.1", port).await;
    let mut house = House { software, proxy, gateway, upstream, done, session: String::new() };
    let mut reply = house.post("initialize", &hello()).send().await;
    reply.header("mcp-session-id").clone_into(&mut house.session);
    let text = reply.text().await;
    assert!(
        reply.status == 200 && text.contains("\"result\""),
        "{software:?}: {} {text}\n{}",
        reply.status,
        house.proxy.err()
    );
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    let ready = house.request("POST", "/up/mcp").header("content-type", "application/json").body(ready);
    assert_eq!(ready.header("mcp-session-id", &house.session).send().await.status, 202, "{software:?}");
    house
}

fn hello() -> Value {
    json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } })
}

impl House {
    fn request(&self, method: &str, path: &str) -> Raw {
        let request = raw(method, &format!("{}/gw{path}", self.proxy.url)).header("host", "gw.example");
        request.header("accept", "application/json, text/event-stream")
    }

    fn post(&self, method: &str, params: &Value) -> Raw {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.request("POST", "/up/mcp").header("content-type", "application/json").body(body.to_string());
        if self.session.is_empty() { request } else { request.header("mcp-session-id", &self.session) }
    }

    fn call(&self, tool: &str, arguments: &Value) -> Raw {
        self.post("tools/call", &json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": 1 } }))
    }

    async fn event(&self, reply: &mut Reply, wanted: &str) -> (String, String) {
        let what = format!("{wanted} through {:?}", self.software);
        let event = async {
            loop {
                let event = reply.event().await.unwrap_or_else(|| panic!("no {what}\n{}", self.proxy.err()));
                if event.data.contains(wanted) {
                    return (event.id, event.data);
                }
            }
        };
        within(SOON, &what, event).await
    }
}

#[tokio::test]
async fn streams_are_live_and_taken_up_again_behind_every_proxy() {
    join_all(Software::ALL.map(async |software| {
        let house = house(software).await;
        // GET stream of the session.
        let mut own = house.request("GET", "/up/mcp").header("mcp-session-id", &house.session).send().await;
        assert_eq!(own.status, 200, "{software:?}");
        house.upstream.nth("GET", 1).await;
        // Progress arrives before the answer; the stream is dropped before the answer.
        let mut call = house.call("slow", &json!({})).send().await;
        let (id, _) = house.event(&mut call, "notifications/progress").await;
        drop(call);
        let again = house.request("GET", "/up/mcp").header("mcp-session-id", &house.session);
        let mut again = again.header("last-event-id", &id).send().await;
        house.done.open();
        house.event(&mut again, r#""slow":true"#).await;
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        house.upstream.peers().iter().for_each(|peer| peer.send(notice));
        house.event(&mut own, "list_changed").await;
        // A client of HTTP+SSE is given an address that leads back through the proxy.
        let mut older = house.request("GET", "/up/sse").send().await;
        house.event(&mut older, "https://gw.example/gw/up/message?sessionId=").await;
    }))
    .await;
}

#[tokio::test]
async fn large_requests_pass_every_proxy() {
    join_all(Software::ALL.map(async |software| {
        let house = house(software).await;
        let long = house.call("measure", &json!({})).header("x-long", &"y".repeat(12 << 10)).send().await;
        assert_eq!(long.status, 200, "{software:?}: a head of 12 KiB");
        let text = "z".repeat(15 << 20);
        let mut large = house.call("measure", &json!({ "text": text })).send().await;
        assert_eq!(large.status, 200, "{software:?}: a body of 15 MiB\n{}", house.proxy.err());
        let expected = format!(r#""length":{}"#, text.len() + r#"{"text":""}"#.len());
        let answer = within(SOON, "an answer", large.text()).await;
        assert!(answer.contains(&expected), "{software:?}: {answer}");
        assert_eq!(house.gateway.admin.get("/healthz").await.status, 200);
    }))
    .await;
}

/// Longest time from a client's disconnect to the cancellation upstream, at the default interval of comments.
const CANCELLED: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_client_that_leaves_cancels_its_call_within_6_s_behind_every_proxy() {
    join_all(Software::ALL.map(async |software| {
        let house = house(software).await;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": 1,
        });
        let params = json!({ "name": "never", "_meta": meta });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = house.request("POST", "/up/mcp").header("content-type", "application/json");
        let request = request.header("mcp-protocol-version", VERSION).header("mcp-method", "tools/call");
        let mut reply = request.header("mcp-name", "never").body(body.to_string()).send().await;
        assert_eq!(reply.status, 200, "{software:?}");
        house.event(&mut reply, "notifications/progress").await;
        drop(reply);
        let what = format!("a cancellation behind {software:?}");
        within(CANCELLED, &what, house.upstream.nth("notifications/cancelled", 0)).await;
    }))
    .await;
}

#[tokio::test]
async fn a_client_of_the_older_transport_that_leaves_cancels_its_call_within_6_s_behind_every_proxy() {
    join_all(Software::ALL.map(async |software| {
        let house = house(software).await;
        let mut stream = house.request("GET", "/up/sse").send().await;
        let (_, endpoint) = house.event(&mut stream, "sessionId=").await;
        let path = endpoint.strip_prefix("https://gw.example/gw").expect("an address behind the proxy").to_owned();
        let post = async |message: Value| {
            let request = house.request("POST", &path).header("content-type", "application/json");
            assert_eq!(request.body(message.to_string()).send().await.status, 202, "{software:?}: {message}");
        };
        post(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello() })).await;
        house.event(&mut stream, "serverInfo").await;
        post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        let params = json!({ "name": "never", "arguments": {}, "_meta": { "progressToken": 1 } });
        post(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params })).await;
        house.event(&mut stream, "notifications/progress").await;
        drop(stream);
        let what = format!("a cancellation behind {software:?}");
        within(CANCELLED, &what, house.upstream.nth("notifications/cancelled", 0)).await;
    }))
    .await;
}
