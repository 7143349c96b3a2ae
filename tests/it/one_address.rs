//! All servers at one address: the tools of seven real servers of both eras at `/mcp` and `/sse`, for every kind of
//! client, beside a hung server and a dead one.

mod world;

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use harness::peer::{Link, Peer, Revision};
use harness::raw::session;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::world::{LIVING, World};
use crate::clients::Official;

/// Maximum time for a list, regardless of the state of the servers.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Number of list requests; their median counts, because the machine has other work.
const TIMES: usize = 21;

#[tokio::test]
async fn everything_is_at_one_address() -> Result<()> {
    let world = World::start().await;
    let expected = tools_one_by_one(&world).await?;
    for (revision, link) in ways(&world) {
        let mut peer = Peer::connect(revision, link).await?;
        shows_the_tools_of_the_living(&mut peer, &expected).await?;
        lists_at_once(&mut peer).await?;
        takes_the_other_spelling(&mut peer).await?;
        reads_resources_by_the_uris_it_lists(&mut peer).await?;
    }
    join_all(Official::ALL.map(|official| has_all_of_it(official, &world, &expected))).await;
    Ok(())
}

/// Returns the endpoints of the one address, each with a revision that uses it.
fn ways(world: &World) -> Vec<(Revision, Link)> {
    let [oldest, ..] = Revision::ALL;
    let links = [Link::Sse(world.url("sse")), Link::Stream(world.url("mcp")), Link::Stream(world.url("mcp"))];
    [oldest, Revision::LAST_LEGACY, Revision::MODERN].into_iter().zip(links).collect()
}

/// Lists the tools of each server at its own endpoint, under the names that they must have at the one address.
async fn tools_one_by_one(world: &World) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for server in LIVING {
        // Like the gateway itself, this client cannot answer server requests; some servers offer more tools to clients
        // that can.
        let mut session = session(&world.gateway.url, server).open().await;
        let answer = session.request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
        let mut tools = serde_json::from_str::<Value>(&answer)?["result"]["tools"].take();
        let tools = tools.as_array_mut().map(std::mem::take).unwrap_or_default();
        assert!(!tools.is_empty(), "{server} has no tools: {answer}");
        all.extend(tools.into_iter().map(|mut tool| {
            tool["name"] = json!(format!("{server}__{}", tool["name"].as_str().unwrap_or_default()));
            tool
        }));
    }
    Ok(all)
}

/// Checks that each tool has everything that its server lists about it.
async fn shows_the_tools_of_the_living(peer: &mut Peer, expected: &[Value]) -> Result<()> {
    let tools = peer.list("tools/list", "tools").await?;
    assert_eq!(names(&tools), names(expected), "{}", peer.revision);
    for tool in expected {
        assert!(tools.contains(tool), "{}: {tool} is not as in {tools:?}", peer.revision);
    }
    Ok(())
}

async fn lists_at_once(peer: &mut Peer) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let started = Instant::now();
        peer.request("tools/list", json!({})).await?;
        took.push(started.elapsed());
    }
    took.sort();
    assert!(took[TIMES / 2] < AT_ONCE, "{}: a list takes {took:?}", peer.revision);
    Ok(())
}

/// Checks that calls also accept the spelling `upstream:tool`.
async fn takes_the_other_spelling(peer: &mut Peer) -> Result<()> {
    let result = peer.call("fastmcp:greet", json!({ "name": "Grace" })).await?;
    assert_eq!(result["content"][0]["text"], "Hello, Grace!", "{}: {result}", peer.revision);
    Ok(())
}

async fn reads_resources_by_the_uris_it_lists(peer: &mut Peer) -> Result<()> {
    let resources = peer.list("resources/list", "resources").await?;
    let motto = resources.iter().find(|resource| resource["uri"].as_str().is_some_and(|uri| uri.contains("motto")));
    let uri = &motto.unwrap_or_else(|| panic!("no motto among {resources:?}"))["uri"];
    let result = peer.request("resources/read", json!({ "uri": uri })).await?;
    let content = &result["contents"][0];
    assert_eq!((&content["uri"], &content["text"]), (uri, &json!("One address for everything")), "{}", peer.revision);
    Ok(())
}

/// Checks that an official client lists every tool and calls one of each server. The last of them sends a request to
/// the client.
async fn has_all_of_it(official: Official, world: &World, expected: &[Value]) {
    let mut calls: Vec<Value> =
        world.calls().iter().map(|(tool, arguments, _)| json!({ "tool": tool, "arguments": arguments })).collect();
    calls.push(json!({ "tool": "asks__test_elicitation", "arguments": { "message": "Who are you?" } }));
    let is_modern = Official::MODERN.contains(&official);
    let report = official
        .converse(&json!({
            "url": world.url("mcp"),
            "mode": if is_modern { "modern" } else { "legacy" },
            "capabilities": ["elicitation"],
            "elicitation_answer": { "username": "ada", "email": "ada@example.com" },
            "calls": calls,
        }))
        .await;
    let protocol = if is_modern { Revision::MODERN } else { Revision::LAST_LEGACY };
    assert_eq!(report["protocol"], protocol.text(), "{official:?}");
    let mut listed: Vec<&str> = report["tools"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    listed.sort_unstable();
    // The server adds it to the session of a client that can be asked, once that has called one of its tools; clients of
    // the modern era that are alike share the session.
    listed.retain(|tool| *tool != "everything__trigger-elicitation-request");
    assert_eq!(listed, names(expected), "{official:?}");
    let text = |at: usize| report["calls"][at]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    for (at, (tool, _, answer)) in world.calls().iter().enumerate() {
        assert!(text(at).contains(answer), "{official:?}: {tool}: {}", report["calls"][at]);
    }
    assert!(text(calls.len() - 1).contains("ada@example.com"), "{official:?}: {}", report["calls"]);
}

/// Returns the names, sorted.
fn names(tools: &[Value]) -> Vec<&str> {
    let mut names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    names.sort_unstable();
    names
}
