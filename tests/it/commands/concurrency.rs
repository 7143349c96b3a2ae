//! Concurrent runs against one gateway.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use harness::{binary, gateway};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{Tool, folder, owners, path};

const OWNERS: usize = 20;
const EACH: usize = 50;

fn declared(owner: usize, generation: usize) -> String {
    // A server that does not exist costs the gateway only a refused connection; the declared ones change with each
    // generation.
    let entry = |id: usize| {
        format!(
            "  - {{id: o{owner}-n{id}, url: \"http://127.0.0.1:9/{generation}\", transport: streamable-http, use_proxy: true}}\n"
        )
    };
    let entries: String = (generation * 5..generation * 5 + EACH).map(entry).collect();
    format!("mcps:\n{entries}")
}

#[tokio::test]
async fn twenty_owners_end_in_the_union_of_what_they_last_declared_though_some_runs_are_killed() {
    let gateway = gateway().flags(["--max-servers", "2000"]).start().await;
    let folders: Vec<TempDir> = (0..OWNERS).map(|owner| folder(&declared(owner, 0))).collect();
    for generation in 0..3 {
        for (owner, folder) in folders.iter().enumerate() {
            fs::write(folder.path().join("w.yaml"), declared(owner, generation)).expect("a file");
        }
        let syncs = folders.iter().enumerate().map(|(owner, folder)| {
            let url = gateway.url.clone();
            async move {
                let name = format!("owner-{owner}");
                let args = ["sync", path(folder), "--owner", &name, "--prune", "owned", "--lock-timeout", "2m"];
                // In each generation, a third of the owners have a first run that is killed partway.
                if (owner + generation) % 3 == 0 {
                    let tool = binary("register-service").env("MCP_PROXY_URL", &url).args(args);
                    let mut started = tool.start();
                    sleep(Duration::from_millis(20 * (owner as u64 % 7))).await;
                    started.process.signal(harness::process::Signal::KILL);
                    timeout(harness::DEADLINE, started.process.ended(harness::DEADLINE)).await.expect("its end");
                }
                Tool { url: &url }.exits(0, &args).await;
            }
        });
        join_all(syncs).await;
        let expected: BTreeSet<(String, String)> = (0..OWNERS)
            .flat_map(|owner| {
                let ids = generation * 5..generation * 5 + EACH;
                ids.map(move |id| (format!("o{owner}-n{id}"), format!("owner-{owner}")))
            })
            .collect();
        let found: BTreeSet<(String, String)> = owners(&gateway.admin).await.into_iter().collect();
        assert_eq!(found, expected, "generation {generation}");
    }
}

#[tokio::test]
async fn one_owner_syncs_one_run_at_a_time() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let folder = folder(super::WORKFLOW);
    let lock = r#"{"holder": "a long run", "ttl": "5m"}"#;
    let taken = gateway.admin.put("/admin/locks/team", lock).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let ended = tool.run(&["sync", path(&folder), "--owner", "team", "--lock-timeout", "1s"]).await;
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("`a long run` holds the lock of owner `team`"), "{}", ended.err);
    assert!(owners(&gateway.admin).await.is_empty());
    tool.exits(0, &["sync", path(&folder), "--owner", "other"]).await;
}
