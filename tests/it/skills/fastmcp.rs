//! FastMCP as server and as client of skills.

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::raw::session_with_all;
use harness::{Process, fixture_path, free_port, gateway, root};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{listed, request};
use crate::modern::client_of_all;

const DEADLINE: Duration = Duration::from_secs(60);

fn python(script: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(root().join("target/fixtures/python/modern/bin/python"));
    command.arg(root().join("tests/fixtures").join(script)).args(arguments);
    command.env_clear().env("PATH", fixture_path());
    Process::start(command)
}

fn write_skill(folder: &Path, name: &str) {
    let skill = folder.join(name);
    fs::create_dir_all(skill.join("references")).expect("a folder");
    let text = format!("---\nname: {name}\ndescription: About {name}\nlicense: MIT\n---\nSee references/more.md\n");
    fs::write(skill.join("SKILL.md"), text).expect("a file");
    fs::write(skill.join("references/more.md"), format!("More about {name}\n")).expect("a file");
    fs::write(skill.join("references/raw.bin"), [0, 159, 146, 150]).expect("a file");
}

/// Lists the skills that the official client finds at a URL; the client checks the digest of every file.
async fn found(url: &str) -> Value {
    let ended = python("clients/fastmcp_skills.py", &[url]).ended(DEADLINE).await;
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {} {}", ended.out, ended.err))
}

#[tokio::test]
async fn its_client_finds_the_skills_of_two_servers_and_reads_every_file_as_it_was_promised() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gateway = gateway().start().await;
    let mut servers = Vec::new();
    for (name, skill) in [("one", "alpha"), ("other", "beta")] {
        write_skill(&folder.path().join(name), skill);
        let (port, skills) = (free_port(), folder.path().join(name));
        let server = python("servers/skills_server.py", &[&port.to_string(), &skills.to_string_lossy()]);
        server.says("Uvicorn running on").await;
        servers.push(server);
        let url = format!("http://127.0.0.1:{port}/mcp");
        gateway.admin.connect(&json!({ "name": name, "transport": "streamable-http", "url": url })).await;
    }
    listed(&client_of_all(&gateway.url), 2).await;
    let skill = |prefix: &str, name: &str| {
        let uri = |file: &str| format!("{prefix}skill://{name}/{file}");
        let files = ["SKILL.md", "references/more.md", "references/raw.bin"].map(uri);
        json!({ "uri": files[0], "name": name, "files": files })
    };
    let all = json!([skill("mcp-proxy://one/", "alpha"), skill("mcp-proxy://other/", "beta")]);
    assert_eq!(found(&format!("{}/mcp", gateway.url)).await, all);
    assert_eq!(found(&format!("{}/one/mcp", gateway.url)).await, json!([skill("", "alpha")]));
    // FastMCP serves skills only in the modern era, but the gateway serves clients of both.
    let mut session = session_with_all(&gateway.url).open().await;
    let uri = "mcp-proxy://other/skill://beta/SKILL.md";
    let got = request(&mut session, "skills/get", &json!({ "uri": uri })).await;
    assert!(got.contains(r#""name":"beta""#) && got.contains(&format!(r#""uri":"{uri}""#)), "{got}");
}
