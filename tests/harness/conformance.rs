//! The official conformance suite, run against the server at a URL.

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fixture::{fixture, fixture_path, installed, root};
use crate::process::Process;

const SUITE: &str = "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js";
/// Time limit of a run. It takes about 10 s, but with a gateway that hangs, each scenario runs into its own limit.
const DEADLINE: Duration = Duration::from_secs(300);
/// Time limit of one scenario.
const PATIENCE: Duration = Duration::from_secs(15);
/// Limits concurrent runs, which mostly wait.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Result of a run.
#[derive(Debug)]
pub struct Report {
    /// Number of scored scenarios that passed.
    pub passed: usize,
    /// Scored scenarios that failed.
    pub failed: Vec<String>,
    /// Scenarios without a score, each with true if it passed.
    pub unscored: Vec<(String, bool)>,
    /// Failures and warnings of the suite, one line each.
    pub remarks: Vec<String>,
    /// Duration of the run.
    pub took: Duration,
}

/// Runs the server scenarios that a revision such as `2026-07-28` requires, over that revision's protocol.
///
/// # Panics
///
/// If the suite prints no summary in time.
pub async fn conformance(url: &str, requirements: &str) -> Report {
    let _place = PLACES.acquire().await.expect("nobody closes it");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(fixture("node"));
    command.arg(installed(SUITE)).args(["server", "--url", url, "--requirements", requirements]);
    command.args(["--timeout", &PATIENCE.as_millis().to_string()]);
    command.arg("--output-dir").arg(folder.path()).env_clear().current_dir(folder.path());
    let started = Instant::now();
    let ended = Process::start(command).ended(DEADLINE).await;
    let took = started.elapsed();
    let summary = ended.out.split_once("=== SUMMARY ===");
    let (_, summary) = summary.unwrap_or_else(|| panic!("the suite gave no summary: {}{}", ended.out, ended.err));
    Report { took, remarks: remarks(&folder), ..tally(summary) }
}

impl Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scored = self.passed + self.failed.len();
        writeln!(to, "{}/{scored} in {:.1} s; failed: {:?}", self.passed, self.took.as_secs_f32(), self.failed)?;
        let (passed, failed): (Vec<_>, Vec<_>) = self.unscored.iter().partition(|(_, passed)| *passed);
        let names =
            |scenarios: Vec<&(String, bool)>| scenarios.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        writeln!(to, "unscored, passed: {:?}; failed: {:?}", names(passed), names(failed))?;
        self.remarks.iter().try_for_each(|remark| writeln!(to, "  {remark}"))
    }
}

/// Parses `✓ NAME: ...` of each scenario and, below `Not scored`, `  ✓ NAME (REASON)` of those without a score.
fn tally(summary: &str) -> Report {
    let (all, unscored) = summary.split_once("\nNot scored").unwrap_or((summary, ""));
    let read = |line: &str, end: char| {
        let (mark, rest) = line.trim_start().split_once(' ')?;
        let passed = [("✓", true), ("✗", false)].into_iter().find(|(known, _)| *known == mark)?.1;
        Some((rest.split([end]).next()?.trim().to_owned(), passed))
    };
    let unscored: Vec<(String, bool)> = unscored.lines().filter_map(|line| read(line, '(')).collect();
    let scored = all.lines().filter_map(|line| read(line, ':'));
    let scored = scored.filter(|(name, _)| unscored.iter().all(|(other, _)| other != name));
    let (passed, failed): (Vec<_>, Vec<_>) = scored.partition(|(_, passed)| *passed);
    let failed = failed.into_iter().map(|(name, _)| name).collect();
    Report { passed: passed.len(), failed, unscored, remarks: Vec::new(), took: Duration::ZERO }
}

/// Reads the suite's report of each scenario from `server-SCENARIO-TIME/checks.json`.
fn remarks(folder: &TempDir) -> Vec<String> {
    let scenarios = fs::read_dir(folder.path()).expect("a folder that was just made").flatten();
    let mut remarks: Vec<String> = scenarios.flat_map(|scenario| remarks_on(&scenario.path())).collect();
    remarks.sort();
    remarks
}

fn remarks_on(scenario: &Path) -> Vec<String> {
    let name = scenario.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches("server-").split("-20").next().unwrap_or_default();
    let checks = fs::read(scenario.join("checks.json")).unwrap_or_default();
    let checks: Value = serde_json::from_slice(&checks).unwrap_or_default();
    let checks = checks.as_array().into_iter().flatten();
    let wrong = checks.filter(|check| ["FAILURE", "WARNING"].contains(&check["status"].as_str().unwrap_or_default()));
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
    wrong.map(|check| format!("{name}: {}: {}", text(&check["id"]), text(&check["errorMessage"]))).collect()
}

/// Runs a client scenario on the wire of a revision, with the gateway at this URL between the scenario's server and an
/// official client at this endpoint of the gateway (`tests/fixtures/clients/conformance_client.mjs`).
///
/// # Panics
///
/// When a check fails, or the client does.
pub async fn client_scenario(scenario: &str, revision: &str, gateway: &str, endpoint: &str) {
    let _place = PLACES.acquire().await.expect("nobody closes it");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = root().join("tests/fixtures/clients/conformance_client.mjs");
    let client = format!("{} {} {gateway} {endpoint}", fixture("node").display(), script.display());
    let mut command = Command::new(fixture("node"));
    command.arg(installed(SUITE)).args(["client", "--scenario", scenario, "--spec-version", revision]);
    command.args(["--command", &client, "--output-dir"]).arg(folder.path()).current_dir(folder.path());
    command.env_clear().env("PATH", fixture_path());
    let ended = Process::start(command).ended(DEADLINE).await;
    let (remarks, passed) = (remarks(&folder), passed(&folder));
    let told = format!("{scenario} at {endpoint}: {} {}", ended.out, ended.err);
    assert!(ended.code == Some(0) && remarks.is_empty() && passed > 0, "{passed} passed, {remarks:?}; {told}");
}

/// Counts the checks that passed.
fn passed(folder: &TempDir) -> usize {
    let scenarios = fs::read_dir(folder.path()).expect("a folder that was just made").flatten();
    let checks = scenarios.map(|scenario| fs::read(scenario.path().join("checks.json")).unwrap_or_default());
    let checks = checks.filter_map(|checks| serde_json::from_slice::<Vec<Value>>(&checks).ok());
    checks.flatten().filter(|check| check["status"] == "SUCCESS").count()
}
