//! The admin API at an address of its own.

use harness::fake::{Via, fake};
use harness::raw::{raw, session};
use harness::{Admin, Served, binary, free_port};
use serde_json::json;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn start(more: &[&str]) -> (Served, Admin) {
    let address = format!("127.0.0.1:{}", free_port());
    let flags = ["--port=0", "--storage=memory", "--admin-listen", &address];
    let gateway = binary("mcp-proxy").args(flags).args(more).serve().await;
    gateway.process.says(&format!("admin API listening address={address}")).await;
    (gateway, Admin::new(&format!("http://{address}")))
}

#[tokio::test]
async fn each_address_serves_its_own_part_and_health_checks() {
    let (gateway, admin) = start(&[]).await;
    let one = fake("one").echo("echo").start(Via::Json).await;
    admin.connect(&one.definition()).await;
    let mut client = session(&gateway.url, "one").open().await;
    assert!(client.call("2", "echo", r#"{"word":"hello"}"#).await.contains("hello"));
    for path in ["/admin/mcps", "/admin/status", "/mcp-proxy/admin/mcps"] {
        assert_eq!(gateway.admin.get(path).await.status, 404, "{path}");
    }
    let at_admin = admin.request(http::Method::GET, "/").build().expect("a request").url().to_string();
    for path in ["one/mcp", "one/stream", "mcp", "one/sse", ""] {
        let reply = raw("POST", &format!("{at_admin}{path}")).header("content-type", "application/json").body(LIST);
        assert_eq!(reply.send().await.status, 404, "{path}");
    }
    for health in [gateway.admin.get("/readyz").await, admin.get("/readyz").await] {
        assert_eq!(health.status, 200);
    }
    // No upstream leads back, to either address.
    let back = json!({ "name": "back", "transport": "streamable-http", "url": format!("{at_admin}one/mcp") });
    admin.register(&back).await;
    let status = admin.reaches("back", "error").await;
    assert!(status["lastError"].to_string().contains("the gateway's own"), "{status}");
}

#[tokio::test]
async fn only_the_address_of_the_admin_api_must_not_be_open_to_strangers() {
    let (gateway, admin) = start(&["--host=0.0.0.0"]).await;
    assert_eq!(admin.get("/admin/mcps").await.status, 200);
    assert!(gateway.url.contains("0.0.0.0"), "{}", gateway.url);
    let refused = async |flags: &[&str], words: &str| {
        let ended = binary("mcp-proxy").args(["--storage=memory"]).args(flags).run().await;
        assert_eq!(ended.code, Some(1), "{flags:?}");
        assert!(ended.err.contains(words), "{flags:?}: {}", ended.err);
    };
    refused(&["--port=0", "--admin-listen=0.0.0.0:0"], "--admin-tokens").await;
    refused(&["--port=0", "--admin-listen=nowhere"], "HOST:PORT").await;
    refused(&["--port=0", "--admin-listen=127.0.0.1"], "HOST:PORT").await;
    refused(&["--port=7001", "--admin-listen=127.0.0.1:7001"], "address of the endpoints").await;
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("an address").to_string();
    refused(&["--port=0", "--admin-listen", &taken], "cannot listen on 127.0.0.1:").await;
}
