//! An answer to a server request reaches the upstream that sent the request.

use super::*;
use crate::modern::{QUESTION, keys, retry, state};

/// Returns a fake upstream that asks as legacy servers do, and answers with its own name.
fn asks(name: &'static str) -> Script {
    fake(name).tool("ask", move |call: Call| async move {
        call.ask(QUESTION).await;
        call.reply(&json!({ "content": [{ "type": "text", "text": name }] }).to_string());
    })
}

/// Returns a fake upstream that asks as modern servers do, accepts only its own state, and answers with its own name.
fn asks_by_answer(name: &'static str) -> Script {
    let own = format!("state: \"{name}\"");
    let script = modern(name).tool("ask", move |call: Call| {
        let own = own.clone();
        async move {
            match call.argument("requestState") {
                none if none.is_empty() => {
                    let question = json!({ "method": "elicitation/create",
                        "params": { "message": "who?", "requestedSchema": { "type": "object", "properties": {} } } });
                    let asked = json!({ "resultType": "input_required", "requestState": own,
                        "inputRequests": { "who": question } });
                    call.reply(&asked.to_string());
                }
                found if found == own => call.reply(
                    &json!({ "resultType": "complete",
                    "content": [{ "type": "text", "text": name }] })
                    .to_string(),
                ),
                _ => call.fail(r#"{"code":-32602,"message":"not mine"}"#),
            }
        }
    });
    script.on("subscriptions/listen", Call::never)
}

fn accepted(asked: &Value) -> Value {
    retry(asked, &json!({ "action": "accept", "content": {} }))
}

#[tokio::test]
async fn a_question_is_asked_across_a_name_that_was_changed() {
    let (one, other) = (asks("one").start(Via::Events).await, asks_by_answer("other").start(Via::Stdio).await);
    let gateway = gateway().start().await;
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&modern_definition(&other)).await;
    let client = client_of_all(&gateway.url).askable();
    tools(&client, 2).await;
    for (name, fake, calls) in [("one", &one, 1), ("other", &other, 2)] {
        let tool = format!("{name}__ask");
        let asked = client.call(&tool, json!({})).await;
        assert_eq!(keys(&asked).len(), 1, "{asked}");
        let answer = client.call(&tool, accepted(&asked)).await;
        assert_eq!(answer["result"]["content"][0]["text"], name, "{answer}");
        assert_eq!(fake.count("tools/call"), calls);
    }
}

#[tokio::test]
async fn a_state_comes_back_to_the_replica_that_gave_it() {
    for is_modern in [false, true] {
        let script = |name| if is_modern { asks_by_answer(name) } else { asks(name) };
        let (one, other) = (script("one").start(Via::Stdio).await, script("other").start(Via::Stdio).await);
        let gateway = gateway().flags(["--naming-mode", "never"]).start().await;
        for fake in [&one, &other] {
            let definition = if is_modern { modern_definition(fake) } else { fake.definition() };
            gateway.admin.connect(&definition).await;
        }
        let client = client_of_all(&gateway.url).askable();
        tools(&client, 1).await;
        let mut asked = Vec::new();
        while one.count("tools/call") == 0 || other.count("tools/call") == 0 {
            asked.push(client.call("ask", json!({})).await);
        }
        // The retry must reach the replica that asked, independent of the round-robin order.
        for asked in asked.iter().rev() {
            let (upstream, _) =
                state(asked).split_once(':').map(|(name, own)| (name.to_owned(), own.to_owned())).expect("a name");
            let answer = client.call("ask", accepted(asked)).await;
            assert_eq!(answer["result"]["content"][0]["text"], upstream.as_str(), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_state_of_somebody_else_is_refused_whoever_it_names() {
    let (one, other) = (asks("one").start(Via::Events).await, asks("other").start(Via::Events).await);
    let gateway = gateway().flags(["--global-auth-tokens", "mine,theirs"]).start().await;
    gateway.admin.connect(&one.definition()).await;
    gateway.admin.connect(&other.definition()).await;
    let (mine, theirs) =
        (client_of_all(&gateway.url).askable().token("mine"), client_of_all(&gateway.url).askable().token("theirs"));
    tools(&mine, 2).await;
    let asked = mine.call("one__ask", json!({})).await;
    let own = state(&asked);
    let with = |state: &str| {
        let mut members = accepted(&asked);
        members["requestState"] = json!(state);
        members
    };
    let mut refusals = Vec::new();
    for (client, tool, state) in [
        (&theirs, "one__ask", own.clone()),
        (&mine, "other__ask", own.clone()),
        (&mine, "one__ask", own.replace("one:", "other:")),
        (&mine, "one__ask", own.replace("one:", "nobody:")),
        (&mine, "one__ask", own.replace("one:", "")),
        (&mine, "one__ask", String::new()),
    ] {
        refusals.push(client.call(tool, with(&state)).await["error"].clone());
    }
    assert!(refusals.iter().all(|error| error["code"] == -32602 && *error == refusals[0]), "{refusals:#?}");
    let answer = mine.call("one__ask", with(&own)).await;
    assert_eq!(answer["result"]["content"][0]["text"], "one", "nothing of this ended the call: {answer}");
}
