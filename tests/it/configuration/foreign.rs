//! Configuration files of other programs: recognised, imported and migrated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::binary;
use harness::fake::{Via, fake};
use harness::wait::eventually;
use harness::{Admin, Client, gateway};
use serde_json::{Value, json};

use super::serve;

/// Returns the files of the formats that are known, each with a name that begins with its format.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/configurations");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|it| it.expect("a file").path()).collect();
    files.sort();
    files
}

/// Returns the names of the variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    text.split("${").skip(1).filter_map(|part| Some(part.split_once('}')?.0.split(":-").next()?.to_owned())).collect()
}

#[tokio::test]
async fn every_known_file_is_migrated_to_a_clean_one_and_migrating_twice_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp-proxy.yaml");
    let migrate = async |path: &Path| binary("mcp-proxy").args(["config", "migrate"]).args([path]).run().await;
    let files = examples();
    assert!(files.len() >= 35, "{}", files.len());
    for file in files {
        let migrated = migrate(&file).await;
        assert_eq!(migrated.code, Some(0), "{}: {}", file.display(), migrated.err);
        fs::write(&path, &migrated.out).expect("a file");
        let mut check = binary("mcp-proxy").args(["config", "check"]).args([&path]);
        for variable in variables(&migrated.out) {
            check = check.env(&variable, "https://value.example.org/");
        }
        let checked = check.run().await;
        assert_eq!(checked.code, Some(0), "{}: {}\n{}", file.display(), checked.err, migrated.out);
        assert_eq!(checked.err, "", "{}", file.display());
        let again = migrate(&path).await;
        assert_eq!((again.out, again.err), (migrated.out, String::new()), "{}", file.display());
    }
}

#[tokio::test]
async fn a_gateway_serves_the_file_of_another_program_with_the_values_of_its_variables() {
    let upstream = fake("notes").echo("say").start(Via::Json).await;
    let url = upstream.definition()["url"].as_str().expect("a URL").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp.json");
    let text = json!({
        "inputs": [{ "id": "the-key", "type": "promptString" }],
        "servers": {
            "notes": { "type": "http", "url": url, "headers": { "x-key": "${input:the-key}", "x-user": "${env:WHO}" } },
            "gone": { "type": "http", "url": "http://127.0.0.1:1/${env:NOT_SET}" },
        }
    });
    fs::write(&path, text.to_string()).expect("a file");
    let gateway = binary("mcp-proxy").args(["--port=0", "--config"]).args([&path]).args(["--input", "the-key=k3y"]);
    let gateway = gateway.env("WHO", "ann").serve().await;
    gateway.admin.connected("notes").await;
    let sent = upstream.nth("initialize", 0).await;
    assert!(sent.headers["x-key"] == "k3y" && sent.headers["x-user"] == "ann", "{:?}", sent.headers);
    let status = gateway.admin.get("/admin/status").await.json();
    assert_eq!(status["server_health"].as_object().map(|it| it.len()), Some(1));
    let refused = status["configuration"]["refused"][0].as_str().unwrap_or_default();
    assert!(refused.contains("mcp.json:1:") && refused.contains("`NOT_SET` is not set"), "{status}");
}

#[tokio::test]
async fn radiums_file_sets_the_port_and_its_upstreams() {
    let upstream = fake("primary").echo("say").start(Via::Json).await;
    let url = upstream.definition()["url"].as_str().expect("a URL").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp-proxy.toml");
    let text = format!(
        "[mcp.proxy]\nenable = true\nport = 3000\nmax_connections = 50\nconflict_strategy = \"reject\"\n\
         [[mcp.proxy.upstreams]]\nname = \"primary\"\ntransport = \"http\"\nurl = \"{url}\"\npriority = 2\ntools = [\"say\"]\n"
    );
    fs::write(&path, text).expect("a file");
    let shown = binary("mcp-proxy").args(["config", "show", "--config"]).args([&path]).run().await.out;
    for (name, value) in [("port", "3000"), ("max-connections", "50"), ("conflict-strategy", "reject")] {
        let line = shown.lines().find(|line| line.starts_with(name)).expect("the setting");
        assert!(line.contains(value) && line.contains("mcp-proxy.toml:"), "{line}");
    }
    let gateway = serve(&path, &[]).await;
    gateway.admin.connected("primary").await;
    let definition = gateway.admin.get("/admin/mcps/primary").await.json()["definition"].clone();
    assert_eq!((&definition["priority"], &definition["toolFilter"]["list"]), (&json!(2), &json!(["say"])));
}

#[tokio::test]
async fn a_folder_of_the_node_proxy_is_served_with_its_tools_switched_and_its_keys_asked_for() {
    let upstream = fake("notes").echo("say").echo("shout").start(Via::Json).await;
    let url = upstream.definition()["url"].as_str().expect("a URL").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("config")).expect("a folder");
    let servers = json!({ "mcpServers": {
        "notes": { "type": "http", "url": url, "bearerToken": "t" },
        "off": { "type": "stdio", "command": "no-such-program", "active": false },
    }, "proxy": {} });
    fs::write(folder.path().join("config/mcp_server.json"), servers.to_string()).expect("a file");
    let tools = json!({ "tools": { "notes__shout": { "enabled": false } } });
    fs::write(folder.path().join("config/tool_config.json"), tools.to_string()).expect("a file");
    let (mut command, _home) = binary("mcp-proxy").into_command();
    command
        .current_dir(folder.path())
        .env("PORT", "0")
        .env("ALLOWED_KEYS", "key-1,key-2")
        .env("ENABLE_ADMIN_UI", "true");
    let process = harness::Process::start(command);
    let line = process.first_line().await;
    let url = line.split_once(" listening on ").expect("a URL").1;
    process.says("this variable has no effect variable=\"ENABLE_ADMIN_UI\"").await;
    let url = url.trim_end();
    let admin = Admin::new(url);
    admin.connected("notes").await;
    assert_eq!(upstream.nth("initialize", 0).await.headers["authorization"], "Bearer t");
    assert_eq!(admin.get("/admin/mcps/notes").await.json()["definition"]["toolFilter"]["list"], json!(["shout"]));
    let status = async |header: &str, value: &str| {
        let request = admin.request(http::Method::POST, "/mcp").header(header, value);
        let request = request.header("accept", "application/json, text/event-stream");
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } } });
        request.json(&body).send().await.expect("an answer").status().as_u16()
    };
    let asked = [
        status("x-api-key", "key-2").await,
        status("authorization", "Bearer key-1").await,
        status("x-api-key", "key-3").await,
        status("x-other", "key-1").await,
    ];
    assert_eq!(asked, [200, 200, 401, 401]);
    // Its clients may have the key in the URL; over SSE the address for messages repeats it.
    for (transport, path) in [("stream", "/mcp"), ("sse", "/sse")] {
        for client in [Client::Python, Client::TypeScript] {
            let call = json!({ "tool": "notes__say", "arguments": { "word": "hello" } });
            let plan = json!({ "url": format!("{url}{path}?key=key-2"), "transport": transport, "calls": [call] });
            let report = harness::client(client, &plan).await;
            assert!(report["calls"][0].to_string().contains("hello"), "{client:?} {transport}: {report}");
        }
    }
    let shown = admin.request(http::Method::GET, "/sse?key=key-3").send().await.expect("an answer");
    assert_eq!(shown.status().as_u16(), 401);
}

#[tokio::test]
async fn an_import_shows_first_and_registers_on_request_only_what_is_new() {
    let gateway = gateway().start().await;
    let taken = json!({ "name": "taken", "transport": "stdio", "command": "sleep", "args": ["100"] });
    gateway.admin.register(&taken).await;
    let content = json!({ "mcpServers": {
        "new one": { "command": "sleep", "args": ["${HOW}"], "env": { "TOKEN": "${T}" }, "autoApprove": ["x"] },
        "taken": { "command": "sleep" },
        "off": { "command": "sleep", "disabled": true },
        "unset": { "command": "sleep", "args": ["${NOT_SET}"] },
        "gone": { "command": "no-such-program-anywhere" },
    } });
    let variables = json!({ "HOW": "100", "T": "s3cret" });
    let mut request = json!({ "content": content.to_string(), "name": "mcp.json", "variables": variables });
    let answer = gateway.admin.post("/admin/import", &request).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("s3cret"), "{}", answer.text);
    let outcomes = |answer: &Value| {
        let servers = answer["servers"].as_array().expect("servers");
        servers.iter().map(|it| format!("{} {}", it["name"], it["outcome"]).replace('"', "")).collect::<Vec<_>>()
    };
    let answer = answer.json();
    let expected = ["new-one create", "taken exists", "off disabled", "unset refused", "gone refused"];
    assert_eq!((outcomes(&answer), &answer["applied"]), (expected.map(str::to_owned).to_vec(), &json!(false)));
    assert_eq!(answer["servers"][0]["declaredAs"], "new one");
    assert!(answer["servers"][3]["reason"].as_str().is_some_and(|it| it.contains("`NOT_SET` is not set")), "{answer}");
    assert!(
        answer["remarks"][0].as_str().is_some_and(|it| it.contains("`new one.autoApprove` has no effect")),
        "{answer}"
    );
    let names = async |admin: &Admin| admin.get("/admin/mcps").await.json()["count"].clone();
    assert_eq!(names(&gateway.admin).await, 1, "nothing was registered");
    request["apply"] = json!(true);
    request["owner"] = json!("team-a");
    let applied = gateway.admin.post("/admin/import", &request).await.json();
    assert_eq!(outcomes(&applied)[0], "new-one created");
    let stored = gateway.admin.get("/admin/mcps/new-one").await.json()["definition"].clone();
    assert_eq!((&stored["tags"]["owner"], &stored["args"]), (&json!("team-a"), &json!(["100"])));
    assert_eq!(outcomes(&gateway.admin.post("/admin/import", &request).await.json())[0], "new-one exists");
    let refused = gateway.admin.post("/admin/import", json!({ "content": "{\"mcpServers\": {" })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("file:1:"), "{}", refused.text);
}

#[tokio::test]
async fn an_import_reads_neither_files_nor_the_environment_of_the_gateway() {
    let gateway = binary("mcp-proxy").args(["--port=0"]).env("GATEWAY_SECRET", "hush").serve().await;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "hush").expect("a file");
    let file = format!("${{file:{}}}", secret.display());
    for (format, word) in
        [("windsurf", "${env:GATEWAY_SECRET}"), ("claude-code", "${GATEWAY_SECRET}"), ("windsurf", file.as_str())]
    {
        let content = json!({ "mcpServers": { "a": { "command": "sleep", "args": [word] } } }).to_string();
        let answer = gateway.admin.post("/admin/import", json!({ "content": content, "format": format })).await;
        assert!(!answer.text.contains("hush"), "{}", answer.text);
        assert_eq!(answer.json()["servers"][0]["outcome"], "refused", "{word}: {}", answer.text);
    }
    let content = json!({ "servers": { "a": { "command": "sleep", "envFile": "/etc/hostname" } }, "inputs": [] });
    let answer = gateway.admin.post("/admin/import", json!({ "content": content.to_string() })).await.json();
    assert_eq!(answer["servers"][0]["outcome"], "refused");
    assert!(
        answer["servers"][0]["reason"].as_str().is_some_and(|it| it.contains("files are not read here")),
        "{answer}"
    );
}

#[tokio::test]
async fn an_imported_workflow_registers_the_servers_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mcp.json");
    let text = r#"{"mcpServers": {
        "notes": {"command": "sleep", "args": ["${SECONDS_:-100}"], "env": {"TOKEN": "${TOKEN}"}, "disabledTools": ["rm"]},
        "docs": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}}}"#;
    fs::write(&file, text).expect("a file");
    let imported = binary("register-service").args(["import"]).args([&file]).run().await;
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    let workflow = folder.path().join("workflow.yaml");
    fs::write(&workflow, &imported.out).expect("a file");
    let gateway = gateway().start().await;
    let sync =
        binary("register-service").args(["--proxy-url", &gateway.url, "sync", "--engine", "none"]).args([&workflow]);
    let synced = sync.env("TOKEN", "t0ken").run().await;
    assert_eq!(synced.code, Some(0), "{}", synced.err);
    let notes = eventually("the registration", || async {
        let stored = gateway.admin.get("/admin/mcps/notes").await;
        (stored.status == 200).then(|| stored.json()["definition"].clone())
    })
    .await;
    assert_eq!((&notes["args"], &notes["toolFilter"]["list"]), (&json!(["100"]), &json!(["rm"])));
}
