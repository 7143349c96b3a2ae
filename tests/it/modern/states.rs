//! Access to a parked call: it is resumed only by the client that was asked, once, with an equal request.

use harness::fake::{Call, Fake, Via, fake};
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};

use super::{Client, QUESTION, client, keys, retry, state};

async fn ask(call: Call) {
    let answer = call.ask(QUESTION).await;
    call.reply(&json!({ "content": [{ "type": "text", "text": answer }] }).to_string());
}

async fn serve() -> (Fake, InProcess) {
    let upstream = fake("u").tool("ask", ask).tool("other", ask).start(Via::Events).await;
    let gateway = gateway().flags(["--global-auth-tokens", "mine,theirs"]).start().await;
    gateway.admin.connect(&upstream.definition()).await;
    (upstream, gateway)
}

fn changed(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

async fn refused(client: &Client, tool: &str, members: Value) -> String {
    let answer = client.call(tool, members).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    answer.to_string()
}

#[tokio::test]
async fn a_state_that_is_not_the_callers_own_is_refused_without_a_trace() {
    let (upstream, gateway) = serve().await;
    let mine = client(&gateway.url, "u").askable().token("mine");
    let theirs = client(&gateway.url, "u").askable().token("theirs");
    let asked = mine.call("ask", json!({ "arguments": { "n": 1 } })).await;
    let members = |state: &str| {
        let mut members = retry(&asked, &json!({ "action": "accept" }));
        members["requestState"] = json!(state);
        members["arguments"] = json!({ "n": 1 });
        members
    };
    let own = state(&asked);
    let stolen = refused(&theirs, "ask", members(&own)).await;
    let tampered = refused(&mine, "ask", members(&changed(&own))).await;
    let invented = refused(&mine, "ask", members("nonsense")).await;
    let elsewhere = refused(&mine, "other", members(&own)).await;
    let mut other_arguments = members(&own);
    other_arguments["arguments"] = json!({ "n": 2 });
    let otherwise = refused(&mine, "ask", other_arguments).await;
    let answer = mine.call("ask", members(&own)).await;
    assert_eq!(answer["result"]["resultType"], "complete", "nothing of this ended the call: {answer}");
    let replayed = refused(&mine, "ask", members(&own)).await;
    let all = [&stolen, &tampered, &invented, &elsewhere, &otherwise, &replayed];
    assert!(all.iter().all(|text| **text == stolen), "{all:#?}");
    assert_eq!(upstream.count("tools/call"), 1);
}

#[tokio::test]
async fn of_many_who_claim_one_call_one_gets_it() {
    let (_upstream, gateway) = serve().await;
    let client = client(&gateway.url, "u").askable().token("mine");
    let asked = client.call("ask", json!({})).await;
    let members = retry(&asked, &json!({ "action": "accept" }));
    let claims = futures_util::future::join_all((0..8).map(|_| client.call("ask", members.clone()))).await;
    let served = claims.iter().filter(|answer| answer["result"]["resultType"] == "complete").count();
    assert_eq!(served, 1, "{claims:?}");
}

/// Returns a fake upstream whose tool `mortal` has these annotations, and asks on each call.
fn mortal(hints: &str) -> harness::fake::Script {
    let listed = format!(r#"{{"name":"mortal","inputSchema":{{"type":"object"}},"annotations":{hints}}}"#);
    fake("u").listed(&listed).on("tools/call mortal", ask)
}

async fn lose(hints: &str) -> (Fake, InProcess, Client, Value) {
    let upstream = mortal(hints).start(Via::Stdio).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&upstream.definition()).await;
    let client = client(&gateway.url, "u").askable();
    let asked = client.call("mortal", json!({})).await;
    let call = upstream.nth("tools/call", 0).await;
    let peer = upstream.peer(call.peer).await;
    peer.hang_up();
    eventually("the process is gone", || async { (!peer.is_live()).then_some(()) }).await;
    (upstream, gateway, client, asked)
}

#[tokio::test]
async fn a_lost_call_that_may_have_had_effects_is_reported() {
    let (upstream, _gateway, client, asked) = lose("{}").await;
    let answer = client.call("mortal", retry(&asked, &json!({ "action": "accept" }))).await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert_eq!(answer["error"]["data"]["kind"], "upstream_lost", "{answer}");
    assert_eq!(upstream.count("tools/call"), 1);
}

#[tokio::test]
async fn a_lost_call_that_is_harmless_is_sent_again() {
    let (upstream, _gateway, client, asked) = lose(r#"{"readOnlyHint":true}"#).await;
    let again = client.call("mortal", retry(&asked, &json!({ "action": "accept" }))).await;
    assert_eq!(keys(&again).len(), 1, "{again}");
    let answer = client.call("mortal", retry(&again, &json!({ "action": "accept" }))).await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(upstream.count("tools/call"), 2);
}
