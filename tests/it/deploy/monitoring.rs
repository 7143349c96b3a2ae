//! Rules and dashboard, read by a real Prometheus server that reads a real gateway.

use std::collections::BTreeSet;
use std::fs;

use harness::fake::{Call, Fake, Via, fake};
use harness::prometheus::{Prometheus, promtool};
use harness::raw::{Session, session, session_with_all, tool_call};
use harness::{DEADLINE, Served, binary, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{document, folder, text};

const ADMIN: &str = "root";
/// Texts that every alert has.
const TEXTS: [&str; 3] = ["summary", "description", "runbook"];

/// Returns the rules, or only the alerts.
async fn rules(only_alerts: bool) -> Vec<Value> {
    let file = document("prometheus/alerts.yaml").await;
    let groups = file["groups"].as_array().cloned().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
    rules.filter(|rule| !only_alerts || rule["alert"].is_string()).collect()
}

fn names(rules: &[Value], key: &str) -> BTreeSet<String> {
    rules.iter().filter_map(|rule| rule[key].as_str().map(str::to_owned)).collect()
}

/// Copies the files for Prometheus to a folder of the test, with its token file and without an alert manager.
fn copied() -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let token = home.path().join("token");
    fs::write(&token, "").expect("a file");
    let config = text("prometheus/prometheus.yml").replace("/etc/prometheus/mcp-proxy-token", &token.to_string_lossy());
    fs::write(home.path().join("prometheus.yml"), config).expect("a file");
    for name in ["alerts.yaml", "alerts.test.yaml"] {
        fs::copy(folder("prometheus").join(name), home.path().join(name)).expect("a file");
    }
    home
}

#[tokio::test]
async fn the_checker_of_prometheus_accepts_rules_and_configuration() {
    let home = copied();
    for arguments in [["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yaml"]] {
        let ended = promtool(home.path(), &arguments).await;
        assert!(ended.code == Some(0) && ended.out.contains("SUCCESS"), "{}{}", ended.out, ended.err);
    }
}

#[tokio::test]
async fn every_alert_is_tested_and_tells_what_to_do() {
    let alerts = rules(true).await;
    for alert in &alerts {
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}");
        assert!(TEXTS.iter().all(|key| alert["annotations"][key].is_string()), "{alert}");
    }
    let tests = document("prometheus/alerts.test.yaml").await["tests"].take();
    let mut tested = names(tests.as_array().expect("tests"), "name");
    tested.remove("texts");
    assert_eq!(tested, names(&alerts, "alert"));
    // Alerts under other names never fire under theirs, and the test of each fails.
    let home = copied();
    let broken = text("prometheus/alerts.yaml").replace("- alert: Mcp", "- alert: Other");
    fs::write(home.path().join("alerts.yaml"), broken).expect("a file");
    let ended = promtool(home.path(), &["test", "rules", "alerts.test.yaml"]).await;
    let failed = format!("{}{}", ended.out, ended.err);
    for alert in names(&alerts, "alert") {
        assert!(failed.contains(&format!("alertname=\"{alert}\"")), "the test of {alert} did not fail: {failed}");
    }
}

/// A gateway with servers that answer, fail, are busy and cannot be reached, and clients that call them.
struct Traffic {
    gateway: Served,
    one: Session,
    all: Session,
    calls: usize,
    /// Holds the logs of the gateway.
    _folder: TempDir,
    /// Has the only call that the busy server takes.
    _waiting: Session,
    _upstreams: [Fake; 2],
}

impl Traffic {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [access, audit] =
            ["access", "audit"].map(|name| format!("--{name}-log={}", folder.path().join(name).display()));
        let flags = ["--port=0", "--storage=memory", "--admin-tokens", ADMIN, &access, &audit];
        let mut gateway = binary("mcp-proxy").args(flags).serve().await;
        gateway.admin = gateway.admin.with_token(ADMIN);
        let one = fake("one").echo("echo").tool("fail", async |call: Call| call.fail(r#"{"code":-1,"message":"no"}"#));
        let one = one.start(Via::Stdio).await;
        let busy = fake("busy").tool("wait", Call::never).start(Via::Json).await;
        let mut definition = busy.definition();
        definition["maxInFlight"] = 1.into();
        gateway.admin.connect(&one.definition()).await;
        gateway.admin.connect(&definition).await;
        let absent = json!({ "name": "absent", "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp" });
        gateway.admin.register(&absent).await;
        let mut waiting = session(&gateway.url, "busy").open().await;
        waiting.begin(tool_call("0", "wait", "{}"));
        let session = session(&gateway.url, "one").open().await;
        let all = session_with_all(&gateway.url).open().await;
        Self { gateway, one: session, all, calls: 0, _folder: folder, _waiting: waiting, _upstreams: [one, busy] }
    }

    /// Calls every server once and changes the storage.
    async fn round(&mut self) {
        self.calls += 1;
        let id = self.calls.to_string();
        self.one.call(&id, "echo", "{}").await;
        self.all.call(&format!("{id}1"), "one__fail", "{}").await;
        self.all.call(&format!("{id}2"), "busy__wait", "{}").await;
        let name = format!("token-{}", self.calls % 50);
        self.gateway.admin.post("/admin/tokens", json!({ "name": name })).await;
        self.gateway.admin.delete(&format!("/admin/tokens/{name}")).await;
    }

    /// Makes rounds until every expression has a result that is a number. Returns those that have none in the end.
    async fn until_all_have_data(&mut self, prometheus: &Prometheus, mut open: Vec<String>) -> Vec<String> {
        let started = Instant::now();
        while !open.is_empty() && started.elapsed() < DEADLINE {
            self.round().await;
            let mut rest = Vec::new();
            for expression in open {
                let values = prometheus.values(&expression).await;
                if values.is_empty() || values.iter().all(|value| value.is_nan()) {
                    rest.push(expression);
                }
            }
            open = rest;
        }
        open
    }
}

/// Returns the queries of a dashboard with its variables filled in.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let mut all: Vec<String> = targets.filter_map(|target| Some(target["expr"].as_str()?.to_owned())).collect();
    let annotations = dashboard["annotations"]["list"].as_array().into_iter().flatten();
    all.extend(annotations.filter_map(|annotation| Some(annotation["expr"].as_str()?.to_owned())));
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let inner = variable["query"]["query"].as_str().and_then(|query| query.strip_prefix("label_values("));
        if let Some((selector, label)) = inner.and_then(|inner| inner.strip_suffix(')')?.rsplit_once(", ")) {
            all.push(format!("count by ({label}) ({selector})"));
        }
    }
    let filled = |text: String| {
        let variables = [("$__rate_interval", "20s"), ("$job", ".+"), ("$instance", ".+"), ("$upstream", ".+")];
        variables.iter().fold(text, |text, (name, value)| text.replace(name, value))
    };
    all.into_iter().map(filled).collect()
}

/// Returns the selectors of an expression: names of metrics, with their labels in braces.
fn selectors(expression: &str) -> Vec<String> {
    const FAMILIES: [&str; 6] = ["mcp_proxy_", "process_", "up{", "upstream:", "job_instance:", "ALERTS"];
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_part) {
        let from = &rest[start..];
        let name = from.find(|letter| !is_part(letter)).unwrap_or(from.len());
        let braces = from[name..].strip_prefix('{').and_then(|inside| inside.find('}')).map_or(0, |end| end + 2);
        let selector = &from[..name + braces];
        if FAMILIES.iter().any(|family| selector.starts_with(family)) {
            found.push(selector.to_owned());
        }
        rest = &from[name + braces..];
    }
    found
}

#[tokio::test]
async fn every_query_and_every_rule_finds_data_at_a_gateway_with_traffic() {
    let mut traffic = Traffic::start().await;
    let home = copied();
    let issued = traffic.gateway.admin.post("/admin/tokens", json!({ "name": "p", "rights": ["read"] })).await.json();
    fs::write(home.path().join("token"), issued["secret"].as_str().expect("a secret")).expect("a file");
    // Short intervals, and alerts that wait for a second.
    let mut quick = text("prometheus/alerts.yaml").replace("interval: 30s", "interval: 500ms");
    for wait in ["1m", "5m", "10m", "15m"] {
        quick = quick.replace(&format!("for: {wait}\n"), "for: 1s\n");
    }
    fs::write(home.path().join("alerts.yaml"), quick).expect("a file");
    let path = home.path().join("alerts.yaml");
    let config = fs::read_to_string(home.path().join("prometheus.yml")).expect("a file");
    let config = config.replace("127.0.0.1:6001", traffic.gateway.url.trim_start_matches("http://"));
    let config = config.replace("- alerts.yaml", &format!("- {}", path.display())).replace("15s", "500ms");
    let prometheus = Prometheus::configured(&config).await;
    let rules = rules(false).await;
    let expressions = rules.iter().filter_map(|rule| rule["expr"].as_str());
    let dashboard = serde_json::from_str(&text("grafana/mcp-proxy.json")).expect("JSON");
    let mut wanted = queries(&dashboard);
    assert!(wanted.len() > 50, "{wanted:?}");
    wanted.extend(expressions.flat_map(selectors));
    let without = traffic.until_all_have_data(&prometheus, wanted).await;
    assert!(without.is_empty(), "without data:\n{}", without.join("\n"));
    // Prometheus evaluates every rule without an error, and the server that cannot be reached fires its alert.
    let states = prometheus.rules().await;
    assert_eq!(states.len(), rules.len());
    let unwell = states.iter().filter(|rule| rule["health"] != "ok").collect::<Vec<_>>();
    assert!(unwell.is_empty(), "{unwell:?}");
    let fires = || async {
        let alert = r#"ALERTS{alertname="McpUpstreamNotConnected", alertstate="firing", upstream="absent"}"#;
        (prometheus.value(alert).await == Some(1.0)).then_some(())
    };
    eventually("the alert of a server that cannot be reached", fires).await;
    let expanded =
        prometheus.rules().await.into_iter().flat_map(|rule| rule["alerts"].as_array().cloned().unwrap_or_default());
    let wrong =
        expanded.filter(|alert| alert["annotations"].to_string().contains("error expanding")).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn finds_the_selectors_of_an_expression() {
    let found =
        selectors(r#"sum by (job) (rate(mcp_proxy_a_total{b="c"}[5m])) / upstream:x:y > 2 and absent(up{job="d"})"#);
    assert_eq!(found, [r#"mcp_proxy_a_total{b="c"}"#, "upstream:x:y", r#"up{job="d"}"#]);
}

#[tokio::test]
async fn the_dashboard_has_a_row_for_each_subject_and_distinct_panels() {
    let dashboard: Value = serde_json::from_str(&text("grafana/mcp-proxy.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let rows = panels.iter().filter(|panel| panel["type"] == "row").filter_map(|panel| panel["title"].as_str());
    let wanted = ["Overview", "Calls", "Upstreams", "Processes", "Catalog", "Storage", "Gateway itself"];
    assert_eq!(rows.collect::<Vec<_>>(), wanted);
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "an id for each panel");
    let uses = |panel: &&Value| panel["type"] != "row" && panel["datasource"]["uid"] != "${datasource}";
    assert!(!panels.iter().any(|panel| uses(&panel)), "every panel uses the variable of the data source");
}
