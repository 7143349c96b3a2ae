//! Every name of every setting, checked by its effect that a caller can observe.

use futures_util::future::join_all;
use harness::binary::Binary;
use harness::fake::Via;
use harness::process::Signal;
use harness::raw::{raw, session, tool_call};
use harness::{Admin, DEADLINE, binary, free_port};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{SOON, patient};

/// Spelling of a setting: flags, and variables as `NAME=value`.
type Way<'a> = (&'a [&'a str], &'a [&'a str]);

fn told((flags, variables): Way<'_>) -> Binary {
    let settings = variables.iter().map(|pair| pair.split_once('=').expect("NAME=value"));
    settings.fold(binary("mcp-proxy").args(flags), |binary, (name, value)| binary.env(name, value))
}

#[tokio::test]
async fn host_is_said_in_three_ways() {
    let ways: [Way<'_>; 3] = [
        (&["--port", "0", "--host", "127.0.0.2"], &[]),
        (&["--port", "0", "--mcp-host", "127.0.0.2"], &[]),
        (&["--port", "0"], &["MCP_PROXY_HOST=127.0.0.2"]),
    ];
    join_all(ways.map(async |way| {
        let gateway = told(way).serve().await;
        assert!(gateway.url.starts_with("http://127.0.0.2:"), "{way:?}: {}", gateway.url);
        assert_eq!(gateway.admin.get("/healthz").await.status, 200, "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn port_is_said_in_three_ways_and_a_flag_wins() {
    let ports: [String; 4] = std::array::from_fn(|_| free_port().to_string());
    let [one, two, three, four] = ports.each_ref().map(String::as_str);
    let variable = |port: &str| format!("MCP_PROXY_PORT={port}");
    let (third, other) = (variable(three), variable(one));
    let ways: [(Way<'_>, &str); 5] = [
        ((&["--port", one], &[]), one),
        ((&["--mcp-port", two], &[]), two),
        ((&[], &[&third]), three),
        ((&["--port", four], &[&other]), four),
        ((&["serve", "--port", two], &[]), two),
    ];
    for (way, port) in ways {
        let gateway = told(way).serve().await;
        assert_eq!(gateway.url, format!("http://127.0.0.1:{port}"), "{way:?}");
        assert_eq!(gateway.admin.get("/healthz").await.status, 200, "{way:?}");
    }
}

#[tokio::test]
async fn base_url_is_said_in_three_ways_and_shows_in_the_endpoint_event() {
    let ways: [Way<'_>; 3] = [
        (&["--base-url", "https://gateway.example/base/"], &[]),
        (&["--mcp-base-url", "https://gateway.example/base/"], &[]),
        (&[], &["MCP_PROXY_BASE_URL=https://gateway.example/base/"]),
    ];
    join_all(ways.map(async |way| {
        let port = free_port().to_string();
        let gateway = told(way).args(["--port", &port]).serve().await;
        assert_eq!(gateway.url, "https://gateway.example/base", "{way:?}");
        let address = format!("http://127.0.0.1:{port}");
        Admin::new(&address).register(&nowhere()).await;
        let mut stream = raw("GET", &format!("{address}/nowhere/sse")).send().await;
        let endpoint = stream.event().await.unwrap_or_default().data;
        assert!(endpoint.starts_with("https://gateway.example/base/nowhere/message?sessionId="), "{way:?}: {endpoint}");
    }))
    .await;
}

#[tokio::test]
async fn without_a_base_url_the_endpoint_event_has_a_path_alone() {
    let gateway = told((&["--port", "0"], &[])).serve().await;
    gateway.admin.register(&nowhere()).await;
    for prefix in ["", "/mcp-proxy"] {
        let mut stream = raw("GET", &format!("{}{prefix}/nowhere/sse", gateway.url)).send().await;
        let endpoint = stream.event().await.unwrap_or_default().data;
        assert!(endpoint.starts_with(&format!("{prefix}/nowhere/message?sessionId=")), "{endpoint}");
    }
}

#[tokio::test]
async fn admin_tokens_are_said_in_six_ways() {
    let ways: [Way<'_>; 6] = [
        (&["--admin-tokens", "one,two"], &[]),
        (&["--mcp-admin-tokens", " one , two ,"], &[]),
        (&["--admin-tokens", "one", "--admin-tokens", "two"], &[]),
        (&[], &["MCP_PROXY_ADMIN_TOKENS=one,two"]),
        (&[], &["MCP_PROXY_ADMIN_TOKEN=one,two"]),
        (&[], &["MCP_PROXY_ADMIN_TOKEN=one", "MCP_PROXY_ADMIN_TOKENS=two"]),
    ];
    join_all(ways.map(async |way| {
        let gateway = told(way).args(["--port", "0"]).serve().await;
        let status = async |admin: &Admin| admin.get("/admin/mcps").await.status;
        let (one, two) = (gateway.admin.with_token("one"), gateway.admin.with_token("two"));
        let statuses = [status(&gateway.admin).await, status(&one).await, status(&two).await];
        assert_eq!(statuses, [401, 200, 200], "{way:?}");
        assert_eq!(status(&gateway.admin.with_token("one,two")).await, 401, "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_flag_with_tokens_wins_over_their_variables() {
    let gateway = told((&["--port", "0", "--admin-tokens", "one"], &["MCP_PROXY_ADMIN_TOKENS=two"])).serve().await;
    assert_eq!(gateway.admin.with_token("one").get("/admin/mcps").await.status, 200);
    assert_eq!(gateway.admin.with_token("two").get("/admin/mcps").await.status, 401);
}

#[tokio::test]
async fn global_tokens_are_said_in_five_ways() {
    let ways: [Way<'_>; 5] = [
        (&["--global-auth-tokens", "one,two"], &[]),
        (&["--mcp-global-auth-tokens", "one", "--mcp-global-auth-tokens", "two"], &[]),
        (&[], &["MCP_PROXY_GLOBAL_AUTH_TOKENS=one,two"]),
        (&[], &["MCP_PROXY_GLOBAL_AUTH_TOKEN=one,two"]),
        (&[], &["MCP_PROXY_GLOBAL_AUTH_TOKEN=one", "MCP_PROXY_GLOBAL_AUTH_TOKENS=two"]),
    ];
    join_all(ways.map(async |way| {
        let gateway = told(way).args(["--port", "0"]).serve().await;
        gateway.admin.register(&nowhere()).await;
        // An authorized caller gets 400, because there is no such session.
        let status = async |admin: &Admin| admin.delete("/nowhere/stream").await.status;
        let (one, two) = (gateway.admin.with_token("one"), gateway.admin.with_token("two"));
        let statuses = [status(&gateway.admin).await, status(&one).await, status(&two).await];
        assert_eq!(statuses, [401, 400, 400], "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn allowed_addresses_and_trusted_proxies_are_said_in_three_ways_each() {
    let ways: [Way<'_>; 3] = [
        (&["--admin-allow-ips", "10.0.0.0/8", "--trusted-proxies", "127.0.0.1"], &[]),
        (&["--mcp-admin-allow-ips", "10.0.0.0/8", "--mcp-trusted-proxies", "127.0.0.0/8"], &[]),
        (&[], &["MCP_PROXY_ADMIN_ALLOW_IPS=192.0.2.1,10.0.0.0/8", "MCP_PROXY_TRUSTED_PROXIES=127.0.0.1"]),
    ];
    join_all(ways.map(async |way| {
        let gateway = told(way).args(["--port", "0"]).serve().await;
        let status = async |caller: &str| {
            let request = gateway.admin.request(reqwest::Method::GET, "/admin/mcps").header("x-forwarded-for", caller);
            harness::send(request).await.status
        };
        assert_eq!(gateway.admin.get("/admin/mcps").await.status, 403, "{way:?}");
        assert_eq!([status("10.1.2.3").await, status("11.1.2.3").await], [200, 403], "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn debug_logging_is_said_in_seven_ways() {
    let ways: [Way<'_>; 7] = [
        (&["--log-level", "debug"], &[]),
        (&["--log-level", "DEBUG"], &[]),
        (&["--debug"], &[]),
        (&[], &["MCP_PROXY_LOG_LEVEL=debug"]),
        (&[], &["MCP_PROXY_DEBUG=1"]),
        (&[], &["MCP_PROXY_DEBUG=true"]),
        (&[], &["COMPOZY_DEBUG=true"]),
    ];
    join_all(ways.map(async |way| {
        let gateway = told(way).args(["--port", "0"]).serve().await;
        let mut stream = TcpStream::connect(gateway.url.trim_start_matches("http://")).await.expect("a connection");
        stream.write_all(b"no HTTP at all\r\n\r\n").await.expect("a write");
        gateway.process.says("DEBUG").await;
    }))
    .await;
}

#[tokio::test]
async fn info_is_logged_unless_a_higher_level_is_said() {
    let ways: [(Way<'_>, bool); 6] = [
        ((&[], &[]), true),
        ((&["--log-level", "info"], &["MCP_PROXY_LOG_LEVEL=error"]), true),
        ((&["--log-level", "warn"], &[]), false),
        ((&["--log-level", "error"], &[]), false),
        ((&["--log-level", "error"], &["MCP_PROXY_DEBUG=1"]), false),
        ((&[], &["MCP_PROXY_LOG_LEVEL=WARN"]), false),
    ];
    join_all(ways.map(async |(way, expected)| {
        let mut gateway = told(way).args(["--port", "0"]).serve().await;
        gateway.process.signal(Signal::TERM);
        let log = gateway.process.ended(DEADLINE).await.err;
        assert_eq!(log.contains("listening"), expected, "{way:?}: {log}");
        assert!(expected || log.is_empty(), "{way:?}: {log}");
    }))
    .await;
}

#[tokio::test]
async fn json_logging_is_said_in_three_ways_and_announces_in_json() {
    let ways: [Way<'_>; 3] =
        [(&["--log-json"], &[]), (&["--log-format", "json"], &[]), (&[], &["MCP_PROXY_LOG_FORMAT=json"])];
    join_all(ways.map(async |way| {
        let mut gateway = told(way).args(["--port", "0"]).serve().await;
        gateway.process.signal(Signal::TERM);
        let ended = gateway.process.ended(DEADLINE).await;
        let port = gateway.url.rsplit(':').next().expect("a port");
        let line = json!({
            "message": "Starting MCP proxy server", "host": "127.0.0.1", "port": port, "base_url": gateway.url,
        });
        assert_eq!(ended.out, format!("{line}\n"), "{way:?}");
        let log: Result<Vec<Value>, _> = ended.err.lines().map(serde_json::from_str).collect();
        let log = log.unwrap_or_else(|error| panic!("{way:?}: {error} in {}", ended.err));
        let first = log.first().expect("a line");
        assert_eq!((&first["level"], &first["message"]), (&json!("INFO"), &json!("listening")), "{way:?}: {first}");
    }))
    .await;
}

#[tokio::test]
async fn log_lines_name_their_source_when_asked_to() {
    let gateway = told((&["--port", "0", "--log-source"], &[])).serve().await;
    gateway.process.says("src/commands/serve.rs:").await;
}

#[tokio::test]
async fn shutdown_timeout_is_said_in_two_ways_and_bounds_the_wait_for_calls() {
    let ways: [Way<'_>; 2] = [(&["--shutdown-timeout", "200ms"], &[]), (&[], &["MCP_PROXY_SHUTDOWN_TIMEOUT=200ms"])];
    join_all(ways.map(async |way| {
        let mut gateway = told(way).args(["--port", "0"]).serve().await;
        let (upstream, _never) = patient(Via::Stdio).await;
        gateway.admin.connect(&upstream.definition()).await;
        let mut session = session(&gateway.url, "patient").open().await;
        session.begin(tool_call("1", "wait", "{}"));
        upstream.nth("tools/call", 0).await;
        gateway.process.signal(Signal::TERM);
        assert_eq!(gateway.process.ended(SOON).await.code, Some(0), "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_one_clear_line_and_exit_code_1() {
    let ways: [Way<'_>; 13] = [
        (&["--admin-tokens", ""], &[]),
        (&["--global-auth-tokens", ","], &[]),
        (&[], &["MCP_PROXY_ADMIN_TOKENS=${ADMIN_TOKENS}"]),
        (&["--base-url", "gateway"], &[]),
        (&["--shutdown-timeout", "soon"], &[]),
        (&["--admin-allow-ips", "everyone"], &[]),
        (&[], &["MCP_PROXY_TRUSTED_PROXIES=everyone"]),
        (&[], &["MCP_PROXY_PORT=70000"]),
        (&[], &["MCP_PROXY_BASE_URL=ftp://x"]),
        (&[], &["MCP_PROXY_SHUTDOWN_TIMEOUT=soon"]),
        (&[], &["MCP_PROXY_LOG_LEVEL=loud"]),
        (&[], &["MCP_PROXY_LOG_FORMAT=xml"]),
        (&["--admin-tokens", "CHANGE_ME_ADMIN_TOKEN"], &["MCP_PROXY_DISABLE_DEFAULT_TOKEN=true"]),
    ];
    let lines = join_all(ways.map(async |way| {
        let ended = told(way).run().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{way:?}: {}", ended.err);
        ended.err
    }));
    insta::assert_snapshot!(lines.await.concat());
}

#[tokio::test]
async fn config_show_tells_every_value_and_its_origin() {
    let flags = ["--concurrent-starts", "4", "--mcp-port", "7000", "--global-auth-tokens", "s3cret-flag", "--debug"];
    let variables = [
        "MCP_PROXY_ADMIN_TOKENS=s3cret-one",
        "MCP_PROXY_ADMIN_TOKEN=s3cret-two",
        "MCP_PROXY_PORT=1",
        "SERVER_TOOLNAME_SEPERATOR=--",
        "MCP_PROXY_MAX_BODY_BYTES=1048576",
        "HTTPS_PROXY=http://u:s3cret-proxy@proxy.example:3128",
        "NO_PROXY=*.example,10.0.0.0/8",
    ];
    let shown = async |form: &'static [&'static str]| {
        let ended = told((&["config", "show"], &variables)).args(flags).args(form).run().await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        assert!(!ended.out.contains("s3cret"), "{}", ended.out);
        ended.out
    };
    insta::assert_snapshot!("config_show", shown(&[]).await);
    let json: Value = serde_json::from_str(&shown(&["--output", "json"]).await).expect("JSON");
    let named = |name: &str| json["settings"].as_array().expect("a list").iter().find(|one| one["name"] == name);
    let expected = [
        json!({ "name": "port", "value": "7000", "origin": { "kind": "flag", "flag": "--port" }, "live": false }),
        json!({
            "name": "admin-tokens", "value": "[redacted],[redacted]",
            "origin": { "kind": "environment", "variables": ["MCP_PROXY_ADMIN_TOKENS", "MCP_PROXY_ADMIN_TOKEN"] },
            "live": true,
        }),
        json!({ "name": "base-url", "value": null, "origin": { "kind": "default" }, "live": false }),
    ];
    assert_eq!(json["version"], 1);
    for setting in expected {
        assert_eq!(named(setting["name"].as_str().expect("a name")), Some(&setting));
    }
}

#[tokio::test]
async fn config_show_refuses_what_serve_refuses() {
    let ended = told((&["config", "show", "--call-timeout", "soon"], &[])).run().await;
    let expected = "mcp-proxy: invalid --call-timeout: `soon` is not a duration above zero, such as `5m`\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(1), "", expected));
    for host in ["0.0.0.0", "::"] {
        let ended = told((&["config", "show", "--host", host], &[])).run().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{host}");
        assert!(ended.err.contains("--admin-tokens"), "{}", ended.err);
    }
    let open = told((&["config", "show", "--host", "0.0.0.0", "--allow-insecure-admin"], &[])).run().await;
    assert_eq!(open.code, Some(0), "{}", open.err);
}

/// Returns a definition of an upstream that never connects.
fn nowhere() -> Value {
    json!({ "name": "nowhere", "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" })
}
