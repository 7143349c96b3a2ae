//! Compares ten real servers with themselves behind the gateway, by `tests/servers/run`: lists and answers in both eras
//! at both endpoints, processes started and left behind.

use std::env;
use std::time::Duration;

use harness::{Process, root};
use tokio::process::Command;

/// Timeout for five servers, each of which is started four times.
const COMPARING: Duration = Duration::from_secs(240);

async fn compare(servers: [&str; 5]) {
    let fixtures = root().join("target/fixtures");
    let installed = ["npm/node_modules/.bin", "python/servers/bin", "python/clients/bin", "bin"];
    let installed =
        env::join_paths(installed.map(|folder| fixtures.join(folder))).expect("no colon in a folder's name");
    let homes = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(root().join("tests/servers/run"));
    command.args(servers).env("INSTALLED", installed).env("SERVERS", homes.path()).env("ROUNDS", "1");
    command.env("MCP_PROXY", harness::built("mcp-proxy"));
    let ended = Process::start(command).ended(COMPARING).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("\n5 of 5 as directly"), "{}", ended.out);
}

#[tokio::test]
async fn official_servers_work_through_the_gateway_as_they_do_directly() {
    compare(["everything", "filesystem", "memory", "time", "git"]).await;
}

#[tokio::test]
async fn servers_of_other_makers_and_older_sdks_work_through_the_gateway_as_they_do_directly() {
    compare(["seqthink", "hello", "searxng", "perplexity", "sqlite"]).await;
}
