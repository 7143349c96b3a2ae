//! Skills (extension `io.modelcontextprotocol/skills`, SEP-2640): passed unchanged at a server's own endpoints, and
//! merged at the endpoint of all upstreams.

mod fastmcp;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::fake::{Call, Fake, Script, Via, fake};
use harness::raw::{Session, session_with_all};
use harness::{InProcess, eventually, gateway};
use serde_json::{Value, json};

use crate::modern::{Client, client_of_all};

const SKILLS: &str = "io.modelcontextprotocol/skills";
const DIGEST: &str = "sha256:00ff";

/// Returns the entry of a skill of this server, as a client with this URI prefix reads it.
fn entry(prefix: &str, name: &str) -> String {
    let uri = |file: &str| format!("{prefix}skill://{name}/{file}");
    let file = |file: &str| format!(r#"{{"uri":"{}","digest":"{DIGEST}","size":1.0,"x":1.10}}"#, uri(file));
    let files = [file("SKILL.md"), file("references/a.md")].join(",");
    let frontmatter = format!(r#"{{"name":"{name}","description":"d","uri":"skill://{name}/SKILL.md"}}"#);
    let main = uri("SKILL.md");
    format!(r#"{{"frontmatter":{frontmatter},"resources":[{files}],"vendor/x":1.10,"uri":"{main}"}}"#)
}

/// Returns the children of the directory of a skill.
fn children(prefix: &str, name: &str) -> String {
    let child = format!(r#"{{"uri":"{prefix}skill://{name}/references","name":"r","mimeType":"inode/directory"}}"#);
    format!(r#"{{"resultType":"complete","resources":[{child}],"nextCursor":"own","x":1.10}}"#)
}

/// Returns a fake upstream with the skills `name-0`, `name-1` and so on, up to this count.
fn shelf(name: &'static str, settings: &'static str, count: &Arc<AtomicUsize>) -> Script {
    let count = Arc::clone(count);
    let capabilities = format!(r#"{{"resources":{{"listChanged":true}},"extensions":{{"{SKILLS}":{settings}}}}}"#);
    let (hello, discovery) = (
        format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{{"name":"{name}","version":"1"}}}}"#
        ),
        format!(
            r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{capabilities},"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"{name}","version":"1"}}}}}}"#
        ),
    );
    fake(name)
        .on("initialize", move |call: Call| {
            let hello = hello.clone();
            async move { call.reply(&hello) }
        })
        .on("server/discover", move |call: Call| {
            let discovery = discovery.clone();
            async move { call.reply(&discovery) }
        })
        .on("resources/list", |call| async move { call.reply(r#"{"resources":[]}"#) })
        .on("resources/templates/list", |call| async move { call.reply(r#"{"resourceTemplates":[]}"#) })
        .on("subscriptions/listen", Call::never)
        .on("skills/list", move |call: Call| {
            let count = count.load(Ordering::SeqCst);
            async move {
                // One page for each skill.
                let at: usize = call.argument("cursor").parse().unwrap_or(0);
                let page: Vec<_> = (at..count).take(1).map(|at| entry("", &format!("{name}-{at}"))).collect();
                let next = if at + 1 < count { format!(r#","nextCursor":"{}""#, at + 1) } else { String::new() };
                call.reply(&format!(r#"{{"skills":[{}],"ttlMs":300000,"cacheScope":"public"{next}}}"#, page.join(",")));
            }
        })
        .on("skills/get", |call| async move {
            let uri = call.argument("uri");
            match uri.strip_prefix("skill://").and_then(|rest| rest.strip_suffix("/SKILL.md")) {
                Some(name) => call.reply(&format!(
                    r#"{{"resultType":"complete","skill":{},"ttlMs":7,"cacheScope":"public"}}"#,
                    entry("", name)
                )),
                None => call.fail(r#"{"code":-32602,"message":"no such skill"}"#),
            }
        })
        .on("resources/directory/read", |call| async move {
            let name = call.argument("uri").trim_start_matches("skill://").to_owned();
            call.reply(&children("", &name));
        })
        .on("resources/read", |call| async move {
            call.reply(&json!({ "contents": [{ "uri": call.argument("uri"), "text": "file" }] }).to_string());
        })
}

fn some(count: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(count))
}

/// Returns the definition of a server that is used in the modern era.
fn modern(fake: &Fake) -> Value {
    let mut definition = fake.definition();
    definition["era"] = json!("modern");
    definition
}

async fn ask(client: &Client, method: &str, params: &Value) -> Value {
    client.ask(method, params).await.pop().expect("an answer")
}

/// Returns the extension's settings that the gateway announces to a modern client.
async fn promised(client: &Client) -> Value {
    let discovery = ask(client, "server/discover", &json!({})).await;
    discovery["result"]["capabilities"]["extensions"][SKILLS].clone()
}

/// Returns the URIs of the skills, once this many are listed.
async fn listed(client: &Client, count: usize) -> Vec<String> {
    eventually("the skills are listed", || async {
        let answer = ask(client, "skills/list", &json!({})).await;
        let skills = answer["result"]["skills"].as_array().filter(|skills| skills.len() == count)?.clone();
        Some(skills.iter().map(|skill| skill["uri"].as_str().unwrap_or_default().to_owned()).collect())
    })
    .await
}

/// Starts a gateway with three servers: a modern `m` with two skills and directories, a legacy `l` with one skill, and
/// one without skills.
async fn library() -> (Fake, Fake, Fake, InProcess) {
    let m = shelf("m", r#"{"directoryRead":true}"#, &some(2)).start(Via::Stdio).await;
    let l = shelf("l", "{}", &some(1)).start(Via::Json).await;
    let plain = fake("plain").echo("t").start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&modern(&m)).await;
    gateway.admin.connect(&l.definition()).await;
    gateway.admin.connect(&plain.definition()).await;
    (m, l, plain, gateway)
}

/// Returns the response to a request of a legacy client, unchanged.
async fn request(session: &mut Session, method: &str, params: &Value) -> String {
    session.request(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()).await
}

#[tokio::test]
async fn skills_of_every_server_are_listed_and_reached_by_clients_of_either_era() {
    let (m, l, plain, gateway) = library().await;
    let client = client_of_all(&gateway.url);
    let prefix = |name: &str| format!("mcp-proxy://{name}/");
    let expected = [("m", "m-0"), ("m", "m-1"), ("l", "l-0")].map(|(server, skill)| entry(&prefix(server), skill));
    listed(&client, 3).await;
    let mut session = session_with_all(&gateway.url).open().await;
    assert!(session.handshake.contains(&format!(r#""{SKILLS}":{{"directoryRead":true}}"#)), "{}", session.handshake);
    let list = request(&mut session, "skills/list", &json!({})).await;
    let whole = format!(r#""result":{{"ttlMs":0,"cacheScope":"private","skills":[{}]}}}}"#, expected.join(","));
    assert!(list.ends_with(&whole), "{list}");
    for (server, skill) in [("m", "m-1"), ("l", "l-0"), ("m", "m-unlisted")] {
        let uri = format!("mcp-proxy://{server}/skill://{skill}/SKILL.md");
        let got = request(&mut session, "skills/get", &json!({ "uri": uri })).await;
        assert!(got.contains(&format!(r#""skill":{},"ttlMs":7"#, entry(&prefix(server), skill))), "{got}");
        let modern = ask(&client, "skills/get", &json!({ "uri": uri })).await;
        let entry: Value = serde_json::from_str(&entry(&prefix(server), skill)).expect("JSON");
        assert_eq!((&modern["result"]["skill"], &modern["result"]["resultType"]), (&entry, &json!("complete")));
        let file = uri.replace("SKILL.md", "references/a.md");
        let read = request(&mut session, "resources/read", &json!({ "uri": file })).await;
        assert!(
            read.contains(&format!(r#""uri":"{file}","#)) || read.contains(&format!(r#""uri":"{file}"}}"#)),
            "{read}"
        );
    }
    let directory = json!({ "uri": "mcp-proxy://m/skill://m-0", "cursor": "own" });
    let read = request(&mut session, "resources/directory/read", &directory).await;
    let own = children(&prefix("m"), "m-0").replace(r#""resultType":"complete","#, "");
    assert!(read.ends_with(&format!(r#""result":{own}}}"#)), "{read}");
    let read = ask(&client, "resources/directory/read", &directory).await;
    assert_eq!(read["result"]["resources"][0]["uri"], "mcp-proxy://m/skill://m-0/references", "{read}");
    let sent = m.nth("resources/directory/read", 1).await.value();
    assert_eq!((&sent["params"]["uri"], &sent["params"]["cursor"]), (&json!("skill://m-0"), &json!("own")), "{sent}");
    let about_skills = |fake: &Fake| {
        fake.received().iter().filter(|it| it.method.starts_with("skills/") || it.method.contains("directory")).count()
    };
    assert_eq!((about_skills(&plain), l.count("resources/directory/read")), (0, 0));
}

#[tokio::test]
async fn who_has_no_skills_or_no_directories_is_never_asked() {
    let (m, l, plain, gateway) = library().await;
    let client = client_of_all(&gateway.url);
    listed(&client, 3).await;
    for (method, uri) in [
        ("skills/get", "mcp-proxy://plain/skill://x/SKILL.md"),
        ("skills/get", "mcp-proxy://nobody/skill://x/SKILL.md"),
        ("resources/directory/read", "mcp-proxy://plain/skill://x"),
        ("resources/directory/read", "mcp-proxy://l/skill://l-0"),
    ] {
        let answer = ask(&client, method, &json!({ "uri": uri })).await;
        assert_eq!(answer["error"]["code"], -32602, "{method} {uri}: {answer}");
    }
    // An error of the server itself passes with the server's own message.
    let refused = ask(&client, "skills/get", &json!({ "uri": "mcp-proxy://l/skill://l-0" })).await;
    assert_eq!(refused["error"], json!({ "code": -32602, "message": "no such skill" }), "{refused}");
    assert_eq!((plain.count("skills/get"), plain.count("skills/list")), (0, 0));
    assert_eq!((plain.count("resources/directory/read"), l.count("resources/directory/read")), (0, 0));
    assert_eq!(m.count("skills/get"), 0);
}

#[tokio::test]
async fn skills_are_promised_exactly_while_the_client_may_see_a_server_that_has_them() {
    let (m, l) = (
        shelf("m", r#"{"directoryRead":true,"com.example/more":true}"#, &some(1)).start(Via::Stdio).await,
        shelf("l", "{}", &some(1)).start(Via::Json).await,
    );
    let gateway = gateway().flags(["--global-auth-tokens", "all"]).start().await;
    let (all, part) = (client_of_all(&gateway.url).token("all"), client_of_all(&gateway.url).token("part"));
    let mut without = fake("plain").echo("t").start(Via::Json).await.definition();
    without["authTokens"] = json!(["part"]);
    gateway.admin.register(&without).await;
    for client in [&all, &part] {
        assert_eq!(promised(client).await, Value::Null);
        let refused = ask(client, "skills/list", &json!({})).await;
        assert_eq!(refused["error"]["code"], -32601, "{refused}");
    }
    gateway.admin.connect(&l.definition()).await;
    listed(&all, 1).await;
    assert_eq!(promised(&all).await, json!({}));
    let refused = ask(&all, "resources/directory/read", &json!({ "uri": "mcp-proxy://l/skill://l-0" })).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    gateway.admin.connect(&modern(&m)).await;
    listed(&all, 2).await;
    assert_eq!(promised(&all).await, json!({ "directoryRead": true }));
    assert_eq!(promised(&part).await, Value::Null);
    let session = session_with_all(&gateway.url).token("part").open().await;
    assert!(!session.handshake.contains(SKILLS), "{}", session.handshake);
    for name in ["l", "m"] {
        assert_eq!(gateway.admin.delete(&format!("/admin/mcps/{name}")).await.status, 204);
    }
    assert_eq!(promised(&all).await, Value::Null);
}

#[tokio::test]
async fn a_change_is_read_at_once_and_told_as_one_of_resources() {
    let count = some(1);
    let l = shelf("l", "{}", &count).start(Via::Json).await;
    let gateway = gateway().start().await;
    gateway.admin.connect(&l.definition()).await;
    let client = client_of_all(&gateway.url);
    assert_eq!(listed(&client, 1).await, ["mcp-proxy://l/skill://l-0/SKILL.md"]);
    let mut session = session_with_all(&gateway.url).open().await;
    session.listen().await;
    for (number, notice) in [(2, "resources"), (3, "skills")] {
        session.rest();
        count.store(number, Ordering::SeqCst);
        l.peer(0).await.send(format!(r#"{{"jsonrpc":"2.0","method":"notifications/{notice}/list_changed"}}"#));
        session.next("notifications/resources/list_changed").await;
        assert_eq!(listed(&client, number).await.len(), number);
    }
}

#[tokio::test]
async fn names_that_stay_lead_to_the_server_that_has_the_skill() {
    let one = shelf("one", r#"{"directoryRead":true}"#, &some(1)).start(Via::Json).await;
    let other = shelf("other", r#"{"directoryRead":true}"#, &some(1)).start(Via::Json).await;
    for mode in ["never", "on_conflict"] {
        let gateway = gateway().flags(["--naming-mode", mode]).start().await;
        gateway.admin.connect(&one.definition()).await;
        gateway.admin.connect(&other.definition()).await;
        let client = client_of_all(&gateway.url);
        assert_eq!(listed(&client, 2).await, ["skill://one-0/SKILL.md", "skill://other-0/SKILL.md"], "{mode}");
        let before = [one.count("skills/get"), other.count("skills/get")];
        for (method, uri) in [
            ("skills/get", "skill://other-0/SKILL.md"),
            ("resources/directory/read", "skill://other-0"),
            ("resources/read", "skill://other-0/references/deep/b.md"),
        ] {
            let answer = ask(&client, method, &json!({ "uri": uri })).await;
            assert!(answer["result"].is_object(), "{mode} {uri}: {answer}");
            assert_eq!(one.count(method), before[0], "{mode} {uri}");
        }
        assert_eq!(other.count("skills/get"), before[1] + 1, "{mode}");
    }
}

#[tokio::test]
async fn at_a_servers_own_endpoint_everything_passes_as_it_is() {
    let (m, l, _plain, gateway) = library().await;
    // Waits until the gateway has read the lists itself, before requests are counted.
    listed(&client_of_all(&gateway.url), 3).await;
    for (name, fake) in [("m", &m), ("l", &l)] {
        let client = crate::modern::client(&gateway.url, name);
        let before = fake.count("skills/list");
        let page = ask(&client, "skills/list", &json!({})).await;
        assert_eq!((&page["result"]["ttlMs"], &page["result"]["cacheScope"]), (&json!(300_000), &json!("public")));
        assert_eq!(page["result"]["skills"][0]["uri"], format!("skill://{name}-0/SKILL.md"), "{page}");
        assert_eq!(fake.count("skills/list"), before + 1);
        let got = ask(&client, "skills/get", &json!({ "uri": "skill://a/SKILL.md" })).await;
        let entry: Value = serde_json::from_str(&entry("", "a")).expect("JSON");
        assert_eq!(got["result"]["skill"], entry, "{got}");
    }
}
