//! A real Prometheus server and its checker of metrics, from the packages that `tests/run` installs.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::admin::http;
use crate::fixture::installed;
use crate::port::free_port;
use crate::process::{Ended, Process, run};
use crate::wait::{DEADLINE, within};

/// A server that reads the metrics of one gateway every half second.
pub struct Prometheus {
    url: String,
    _folder: TempDir,
    _process: Process,
}

fn program(name: &str) -> Command {
    let mut command = Command::new(installed("debian/metrics").join("usr/bin").join(name));
    command.env_clear().env("LANG", "C").kill_on_drop(true);
    command
}

/// Has `promtool` check a text in the format of Prometheus. Returns what it finds; nothing if all is well.
///
/// # Panics
///
/// If the program cannot be run.
pub async fn lint(text: &str) -> String {
    let mut command = program("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).await.expect("a text");
    drop(stdin);
    let output = within(DEADLINE, "promtool", child.wait_with_output()).await.expect("an end");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `promtool` in a folder to its end.
pub async fn promtool(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program("promtool");
    command.args(arguments).current_dir(folder);
    run(command).await
}

impl Prometheus {
    /// Starts a server that reads `/metrics` of the gateway at this URL with a bearer token.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub async fn scraping(gateway: &str, token: &str) -> Self {
        let target = gateway.trim_start_matches("http://");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 400ms }}\n\
             scrape_configs:\n  - job_name: gateway\n    authorization: {{ credentials: {token} }}\n    \
             static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        Self::configured(&config).await
    }

    /// Starts a server with this configuration, in which paths are absolute.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub async fn configured(config: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config).expect("a file");
        let mut command = program("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(command);
        process.says("Server is ready to receive web requests").await;
        Self { url: format!("http://127.0.0.1:{port}"), _folder: folder, _process: process }
    }

    /// Returns the value of an expression with one result; `None` without any.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn value(&self, expression: &str) -> Option<f64> {
        self.values(expression).await.first().copied()
    }

    /// Returns the values of all results of an expression.
    ///
    /// # Panics
    ///
    /// If the server does not answer, or finds a mistake in the expression.
    pub async fn values(&self, expression: &str) -> Vec<f64> {
        let results = self.get("query", &[("query", expression)]).await["result"].take();
        let value = |result: &Value| result["value"][1].as_str()?.parse().ok();
        results.as_array().into_iter().flatten().filter_map(value).collect()
    }

    /// Returns the state of every rule, as `/api/v1/rules` has it.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn rules(&self) -> Vec<Value> {
        let groups = self.get("rules", &[]).await["groups"].take();
        let rules = |group: &Value| group["rules"].as_array().cloned().unwrap_or_default();
        groups.as_array().into_iter().flatten().flat_map(rules).collect()
    }

    /// Asks the server's API and returns `data` of its answer.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters);
        let text = http().get(url.expect("a URL")).send().await.expect("an answer").text().await.expect("a text");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["status"], "success", "{parameters:?}: {text}");
        answer["data"].take()
    }
}
