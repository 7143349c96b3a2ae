//! The file of one gateway: where it is, who may open it, and what happens when it fails.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use harness::binary;
use harness::process::{Process, Signal};
use harness::wait::{DEADLINE, eventually};
use harness::{Admin, free_port};
use serde_json::json;
use tokio::process::Command;

use super::{definition, embedded, registrations, serve};

#[tokio::test]
async fn registrations_are_kept_in_the_users_state_folder_by_default() {
    let (home, port) = (tempfile::tempdir().expect("a folder"), free_port().to_string());
    let start = async || binary("mcp-proxy").args(["--port", &port]).env("HOME", home.path()).serve().await;
    let mut gateway = start().await;
    gateway.admin.register(&definition("kept")).await;
    assert_eq!(
        gateway.admin.get("/healthz").await.json()["storage"],
        json!({ "type": "embedded", "status": "connected" })
    );
    let folder = home.path().join(".local/state/mcp-proxy").join(&port);
    let mode = |path: &Path| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("registry.redb"))), (0o700, 0o600), "definitions hold secrets");
    gateway.process.signal(Signal::INT);
    gateway.process.ended(DEADLINE).await;
    let gateway = start().await;
    assert_eq!(registrations(&gateway).await.len(), 1);
}

#[tokio::test]
async fn without_a_folder_that_can_be_written_the_gateway_says_what_is_lost() {
    for home in ["/dev/null", "relative"] {
        let gateway = binary("mcp-proxy").args(["--port", &free_port().to_string()]).env("HOME", home).serve().await;
        gateway.process.says("registrations are kept in memory only and are lost at exit").await;
        let expected = json!({ "type": "memory", "status": "connected" });
        assert_eq!(gateway.admin.get("/readyz").await.json()["storage"], expected);
    }
}

#[tokio::test]
async fn a_folder_that_was_asked_for_is_not_replaced_by_memory() {
    for flags in [["--data-dir", "/dev/null/state"], ["--storage", "embedded"]] {
        let refused = binary("mcp-proxy").args(["--port=0"]).args(flags).env("HOME", "/dev/null").run().await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("/dev/null/") && refused.err.contains("--data-dir"), "{}", refused.err);
    }
}

#[tokio::test]
async fn a_second_gateway_waits_for_the_file_and_then_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = embedded(folder.path());
    let mut first = serve(&[&flags[0], &flags[1]]).await;
    first.admin.register(&definition("kept")).await;
    let second = binary("mcp-proxy").args(["--port=0"]).args(&flags).start();
    second.process.says("waiting for another process to close the storage").await;
    first.process.signal(Signal::TERM);
    first.process.ended(DEADLINE).await;
    second.process.says("listening").await;
    let mut third = binary("mcp-proxy").args(["--port=0"]).args(&flags).start();
    let ended = third.process.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(1));
    for word in ["registry.redb", "in use by another process", "--data-dir"] {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("registry.redb");
    std::fs::write(&file, "no registry at all, but the only copy of something else").expect("a file");
    let refused = binary("mcp-proxy").args(["--port=0"]).args(embedded(folder.path())).run().await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("registry.redb") && refused.err.contains("damaged"), "{}", refused.err);
    assert!(std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with("something else")));
}

/// Runs the gateway with a folder on a file system of its own, of a size that can be changed.
struct SmallDisk {
    process: Process,
    admin: Admin,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Starts the gateway; `None` if this user may mount nothing.
    async fn start(size: &str) -> Option<Self> {
        let mut trial = Command::new("unshare");
        trial.args(["--mount", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        if !trial.status().await.is_ok_and(|status| status.success()) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (command, _home) = binary("mcp-proxy").args(["--port=0"]).args(embedded(folder.path())).into_command();
        let command = command.into_std();
        let script = r#"mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@""#;
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--mount", "sh", "-c", script, size]).arg(folder.path());
        wrapped.arg(command.get_program()).args(command.get_args());
        let process = Process::start(wrapped);
        let line = process.first_line().await;
        let (_, url) = line.split_once(" listening on ").expect("a URL");
        Some(Self { admin: Admin::new(url), process, folder })
    }

    async fn resize(&self, size: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process.pid().to_string(), "--mount", "mount", "-o"]);
        command.arg(format!("remount,size={size}")).arg(self.folder.path());
        assert!(command.status().await.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_nothing_else_until_there_is_room() {
    let Some(disk) = SmallDisk::start("2m").await else { return };
    let large = |number: usize| {
        let mut definition = definition(&format!("n{number}"));
        definition["description"] = "x".repeat(100_000).into();
        definition
    };
    let (mut stored, mut refused) = (0, disk.admin.post("/admin/mcps", large(0)).await);
    while refused.status == 201 {
        stored += 1;
        refused = disk.admin.post("/admin/mcps", large(stored)).await;
    }
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{}", refused.text);
    assert_eq!(refused.json()["code"], "storage_unavailable");
    assert!(refused.text.contains("the storage is full"), "{}", refused.text);
    disk.process.says("storage lost").await;
    let ready = disk.admin.get("/readyz").await;
    let lost = json!({ "type": "embedded", "status": "lost", "error": "the storage is full" });
    assert_eq!((ready.status, &ready.json()["storage"]), (200, &lost));
    assert_eq!(disk.admin.get("/admin/mcps").await.json()["count"], stored);
    for (status, text) in [
        (disk.admin.delete("/admin/mcps/n0").await.status, "a deletion"),
        (disk.admin.put("/admin/leases/w", json!({ "ttl": "1m", "mcps": ["n0"] })).await.status, "a lease"),
        (disk.admin.put("/admin/locks/o", json!({ "ttl": "1m", "holder": "h" })).await.status, "a lock"),
        (disk.admin.put("/admin/mcps/n0", large(0)).await.status, "an update"),
    ] {
        assert_eq!(status, 503, "{text}");
    }
    disk.resize("16m").await;
    eventually("the storage is found again", || async {
        (disk.admin.get("/healthz").await.json()["storage"]["status"] == "connected").then_some(())
    })
    .await;
    assert_eq!(disk.admin.post("/admin/mcps", large(stored)).await.status, 201);
    assert_eq!(disk.admin.get("/admin/mcps").await.json()["count"], stored + 1);
}
