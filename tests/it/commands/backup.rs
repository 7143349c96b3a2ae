//! `dump --secrets` and `sync --restore`: all registrations of a gateway are dumped, removed and restored.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::{Admin, InProcess, binary, gateway};
use serde_json::{Value, json};

use super::Tool;

const TOKEN: &str = "an-admin-token";
/// Secret values in forms that a file could mangle.
const SECRETS: [&str; 8] = [
    "plain-secret-0",
    "{{ .env.HOME }} and {{ `x` }}",
    "-----BEGIN KEY-----\nab\tcd\n\n  indented\n-----END KEY-----\n",
    "'\"\\ # : , [ ] { } & * ! | > % @ `",
    "no",
    "0x1F",
    " spaces around ",
    "größe €\u{1}\u{7f}\u{feff}",
];

fn secret(number: usize) -> String {
    SECRETS[number % SECRETS.len()].to_owned()
}

/// Returns one of fifty registrations, all different.
fn definition(number: usize) -> Value {
    // A word that begins with a dash is a flag of its own, not the value of the flag before it.
    let argument = secret(number).trim_start_matches('-').to_owned();
    let mut definition = match number % 3 {
        0 => json!({ "transport": "stdio", "command": "cat", "args": ["-u", "--token", argument, "a b", ""],
            "env": { "TOKEN": secret(number), "EMPTY": "" }, "cwd": "/tmp" }),
        1 => json!({ "transport": "sse", "url": "http://127.0.0.1:9/sse?key=s3cret-key#x",
            "headers": { "Authorization": format!("Bearer {}", secret(0)), "X-Number": "010" } }),
        _ => json!({ "transport": "streamable-http", "url": "http://user:s3cret-pw@127.0.0.1:9/mcp",
            "headers": { "X-Key": secret(6).trim() }, "proxy": "http://u:s3cret-proxy@127.0.0.1:3128" }),
    };
    definition["name"] = json!(format!("server-{number:02}"));
    definition["timeout"] = json!(format!("{}ms", 1_500 + number));
    definition["tags"] = match number % 5 {
        0 => json!({}),
        1 => json!({ "team": "true" }),
        other => json!({ "owner": format!("owner-{other}"), "source": format!("w.yaml:{number}"), "commit": "010" }),
    };
    if number.is_multiple_of(4) {
        definition["authTokens"] = json!([format!("token-{number}-aaaa"), secret(3)]);
        definition["toolFilter"] = json!({ "mode": "block", "list": ["x"] });
    }
    if number.is_multiple_of(7) {
        definition["autoReconnect"] = json!(true);
        definition["description"] = json!("two\nlines: yes");
        definition["callTimeout"] = json!("90s");
        definition["maxInFlight"] = json!(3);
        definition["tags"]["prevent_destroy"] = json!("true");
    }
    definition
}

async fn guarded() -> (InProcess, Admin) {
    let gateway = gateway().flags(["--admin-tokens", TOKEN]).start().await;
    let admin = gateway.admin.with_token(TOKEN);
    (gateway, admin)
}

/// Returns every definition with its secrets, without the times that the gateway sets itself.
async fn definitions(admin: &Admin) -> Vec<String> {
    let listed = admin.get("/admin/mcps?secrets=true").await.json();
    assert_eq!(listed["secrets"], true, "{listed}");
    let definitions = listed["mcps"].as_array().expect("a list").iter().map(|it| {
        let mut definition = it["definition"].clone();
        let members = definition.as_object_mut().expect("an object");
        assert!(members.remove("createdAt").is_some() && members.remove("updatedAt").is_some());
        definition.to_string()
    });
    definitions.collect()
}

async fn empty(admin: &Admin) {
    for entry in admin.get("/admin/mcps").await.json()["mcps"].as_array().expect("a list") {
        let name = entry["definition"]["name"].as_str().expect("a name");
        assert_eq!(admin.delete(&format!("/admin/mcps/{name}")).await.status, 204);
    }
    assert_eq!(admin.get("/admin/mcps").await.json()["count"], 0);
}

async fn run(gateway: &InProcess, args: &[&str]) -> harness::process::Ended {
    let tool = binary("register-service").env("MCP_PROXY_URL", &gateway.url).env("MCP_PROXY_ADMIN_TOKEN", TOKEN);
    tool.args(args).run().await
}

#[tokio::test]
async fn fifty_registrations_are_dumped_with_secrets_taken_away_and_put_back_as_they_were() {
    let (gateway, admin) = guarded().await;
    for number in 0..50 {
        let answer = admin.post("/admin/mcps", &definition(number)).await;
        assert_eq!(answer.status, 201, "{number}: {}", answer.text);
    }
    let before = definitions(&admin).await;
    assert_eq!(before.len(), 50);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.yaml");
    let path = file.to_str().expect("a path");
    let dumped = run(&gateway, &["dump", "--secrets", "--out", path]).await;
    assert_eq!((dumped.code, dumped.out.as_str()), (Some(0), ""), "{}", dumped.err);
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).expect("a file").contains("[redacted]"));

    empty(&admin).await;
    let restored = run(&gateway, &["sync", path, "--restore"]).await;
    assert_eq!(restored.code, Some(0), "{}{}", restored.out, restored.err);
    assert!(restored.out.contains("created 50,"), "{}", restored.out);
    assert!(!format!("{}{}", restored.out, restored.err).contains("s3cret"), "{}", restored.err);
    assert_eq!(definitions(&admin).await, before);
    let again = run(&gateway, &["sync", path, "--restore"]).await;
    assert!(again.out.ends_with("created 0, updated 0, unchanged 50\n"), "{}{}", again.out, again.err);
}

#[tokio::test]
async fn secrets_are_shown_to_who_has_an_admin_token_and_to_nobody_where_there_is_none() {
    let (gateway, admin) = guarded().await;
    assert_eq!(admin.post("/admin/mcps", &definition(0)).await.status, 201);
    for path in ["/admin/mcps", "/admin/mcps/server-00"] {
        let shown = admin.get(&format!("{path}?secrets=true")).await;
        assert_eq!((shown.status, shown.text.contains(SECRETS[0])), (200, true), "{path}: {}", shown.text);
        assert_eq!(shown.header("cache-control"), "no-store");
        for query in ["", "?secrets=false", "?secret=true"] {
            let text = admin.get(&format!("{path}{query}")).await.text;
            assert!(!text.contains(SECRETS[0]), "{path}{query}: {text}");
        }
        assert_eq!(admin.get(&format!("{path}?secrets=yes")).await.status, 400);
        assert_eq!(gateway.admin.get(&format!("{path}?secrets=true")).await.status, 401);
    }
    for flags in [&[][..], &["--allow-insecure-admin"]] {
        let open = harness::gateway().flags(flags.iter().copied()).start().await;
        let answer = open.admin.with_token("x").get("/admin/mcps?secrets=true").await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert!(answer.text.contains("--admin-tokens"), "{}", answer.text);
        let tool = Tool { url: &open.url };
        let ended = tool.run(&["dump", "--secrets"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(7), ""), "{}", ended.err);
        assert!(ended.err.contains("--admin-tokens"), "{}", ended.err);
    }
}

#[tokio::test]
async fn who_read_secrets_is_in_the_log() {
    let gateway =
        binary("mcp-proxy").args(["--admin-tokens", "other-token,an-admin-token", "--log-level", "warn"]).serve().await;
    let admin = gateway.admin.with_token(TOKEN);
    assert_eq!(admin.get("/admin/mcps?secrets=true").await.status, 200);
    assert_eq!(gateway.admin.get("/admin/mcps?secrets=true").await.status, 401);
    gateway.process.says("secrets of definitions shown").await;
    let log = gateway.process.err();
    let line = log.lines().find(|line| line.contains("secrets of definitions shown")).expect("a line");
    for fact in ["WARN", "peer=127.0.0.1", "admin_token=1", "path=\"/admin/mcps\""] {
        assert!(line.contains(fact), "{fact}: {line}");
    }
    assert!(!log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn sync_passes_over_what_it_cannot_restore_and_says_which_and_what_to_do() {
    let (gateway, admin) = guarded().await;
    for number in [0, 1] {
        assert_eq!(admin.post("/admin/mcps", &definition(number)).await.status, 201);
    }
    assert_eq!(
        admin.post("/admin/mcps", &json!({ "name": "open", "transport": "stdio", "command": "cat" })).await.status,
        201
    );
    let redacted = run(&gateway, &["dump"]).await.out;
    assert!(redacted.contains("[redacted]") && !redacted.contains(SECRETS[0]), "{redacted}");
    let folder = super::folder(&redacted);
    empty(&admin).await;
    let planned = run(&gateway, &["plan", super::path(&folder)]).await;
    assert_eq!(planned.code, Some(4), "{}", planned.err);
    assert!(planned.err.contains("it is passed over"), "{}", planned.err);
    let restored = run(&gateway, &["sync", super::path(&folder)]).await;
    assert_eq!(restored.code, Some(8), "{}{}", restored.out, restored.err);
    assert!(restored.out.contains("created open") && restored.out.contains("refused server-00"), "{}", restored.out);
    for words in [
        "`server-00` is not registered",
        "env.TOKEN",
        "headers.Authorization",
        "hint: give the secrets",
        "dump --secrets",
    ] {
        assert!(restored.err.contains(words), "{words}: {}", restored.err);
    }
    assert_eq!(admin.get("/admin/mcps").await.json()["count"], 1);
    let again = run(&gateway, &["sync", super::path(&folder)]).await;
    assert_eq!(again.code, Some(4), "{}", again.err);
}
