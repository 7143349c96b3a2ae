//! Gateways that are upstreams of each other: their lists converge, with each tool once.

use harness::fake::{Fake, Via, fake};
use harness::raw::session_with_all;
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};

/// Ring of gateways: each has its own server, and the next gateway, as upstreams.
struct Ring {
    gateways: Vec<InProcess>,
    _servers: Vec<Fake>,
}

impl Ring {
    async fn of(count: usize, era: &str) -> Self {
        let (mut gateways, mut servers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let server = fake(&format!("s{number}")).echo("echo").start(Via::Events).await;
            let gateway = gateway().start().await;
            gateway.admin.connect(&server.definition()).await;
            gateways.push(gateway);
            servers.push(server);
        }
        for (number, gateway) in gateways.iter().enumerate() {
            let next = (number + 1) % count;
            let url = format!("{}/mcp", gateways[next].url);
            let next = json!({ "name": format!("g{next}"), "transport": "streamable-http", "url": url, "era": era });
            gateway.admin.connect(&next).await;
        }
        Self { gateways, _servers: servers }
    }

    /// Returns the names of a gateway's tools at its `/mcp`.
    async fn tools(&self, number: usize) -> Vec<String> {
        let mut client = session_with_all(&self.gateways[number].url).open().await;
        let answer = client.request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["result"].get("mcp-proxy/via"), None, "a client is not told");
        let tools = answer["result"]["tools"].as_array().expect("tools");
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Makes every gateway refresh the lists of the next one.
    async fn refresh(&self) {
        for (number, gateway) in self.gateways.iter().enumerate() {
            let next = (number + 1) % self.gateways.len();
            let refreshed = gateway.admin.post(&format!("/admin/mcps/g{next}/refresh"), "").await;
            assert_eq!(refreshed.status, 200, "{}", refreshed.text);
        }
    }
}

#[tokio::test]
async fn two_that_have_each_other_list_each_tool_once() {
    for era in ["legacy", "modern"] {
        let ring = Ring::of(2, era).await;
        let expected = [["s0__echo", "g1__s1__echo"], ["s1__echo", "g0__s0__echo"]];
        for (number, expected) in expected.iter().enumerate() {
            eventually("each other's tools", || async { (ring.tools(number).await == *expected).then_some(()) }).await;
        }
        for _ in 0..5 {
            ring.refresh().await;
        }
        for (number, expected) in expected.iter().enumerate() {
            assert_eq!(ring.tools(number).await, *expected, "{era}");
        }
        let mut client = session_with_all(&ring.gateways[0].url).open().await;
        assert!(client.call("1", "g1__s1__echo", "{}").await.contains("structuredContent"), "{era}");
    }
}

#[tokio::test]
async fn three_in_a_ring_list_each_tool_once() {
    let ring = Ring::of(3, "auto").await;
    let expected = ["s0__echo", "g1__s1__echo", "g1__g2__s2__echo"];
    eventually("every tool", || async {
        ring.refresh().await;
        (ring.tools(0).await == expected).then_some(())
    })
    .await;
    for _ in 0..5 {
        ring.refresh().await;
    }
    assert_eq!(ring.tools(0).await, expected);
    assert_eq!(ring.tools(1).await.len(), 3);
    assert_eq!(ring.tools(2).await.len(), 3);
}
