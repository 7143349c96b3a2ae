//! Units of systemd, read by `systemd-analyze`.

use std::fs;
use std::path::Path;

use harness::binary;
use harness::process::{Ended, run};
use tempfile::TempDir;
use tokio::process::Command;

use super::{document, folder, program, seconds, text};

/// Largest exposure that is accepted, in tenths: `systemd-analyze security` calls up to 1.9 "OK".
const MOST_EXPOSURE: &str = "--threshold=19";

/// Copies the units to a folder of the test; the service starts the program that the tests were built with.
fn units() -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let (command, _home) = binary("mcp-proxy").into_command();
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let service = text("systemd/mcp-proxy.service").replace("/usr/local/bin/mcp-proxy", &program);
    fs::write(home.path().join("mcp-proxy.service"), service).expect("a file");
    fs::copy(folder("systemd/mcp-proxy.socket"), home.path().join("mcp-proxy.socket")).expect("a file");
    home
}

async fn analyze(analyzer: &Path, units: &TempDir, arguments: &[&str]) -> Ended {
    let mut command = Command::new(analyzer);
    command.args(arguments).current_dir(units.path()).env("SYSTEMD_LOG_LEVEL", "warning");
    run(command).await
}

#[tokio::test]
async fn the_units_are_valid_and_confined() {
    let Some(analyzer) = program("systemd-analyze") else { return };
    let units = units();
    let verify = ["verify", "./mcp-proxy.service", "./mcp-proxy.socket"];
    // It also reads units of this machine, whose mistakes are not ours.
    let ended = analyze(&analyzer, &units, &verify).await;
    assert!(!ended.err.contains("mcp-proxy"), "{}", ended.err);
    let security = ["security", "--offline=true", "--no-pager", MOST_EXPOSURE, "./mcp-proxy.service"];
    let ended = analyze(&analyzer, &units, &security).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    // The checker finds mistakes.
    let service = units.path().join("mcp-proxy.service");
    let broken = fs::read_to_string(&service).expect("a file").replace("KillMode=mixed", "KillMode=mxied");
    fs::write(&service, broken).expect("a file");
    let ended = analyze(&analyzer, &units, &verify).await;
    assert!(ended.err.contains("mcp-proxy.service") && ended.err.contains("mxied"), "{}", ended.err);
}

#[tokio::test]
async fn a_stop_has_more_time_than_the_gateway_takes() {
    let config = document("systemd/mcp-proxy.yaml").await;
    let grace = seconds(&config["drain-delay"]) + seconds(&config["shutdown-timeout"]);
    let service = text("systemd/mcp-proxy.service");
    let stop = service.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.parse::<u64>().ok());
    assert!(stop.expect("a time") >= grace + 15);
}
