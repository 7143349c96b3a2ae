//! Flags, variables and keys in the packages exist, and the configuration files can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use harness::{binary, root};
use serde_json::Value;

use super::{document, files, folder, in_test, program, run, shown, text};

/// Flags of other programs in the files, and of `mcp-proxy` outside of `serve`.
const FOREIGN_FLAGS: &str = "--appendonly --build --chmod --dir --from --from-file --home-dir --interval --json --locked --mount \
    --no-cache-dir --no-install-recommends --now --release --set --set-file --shell --start-period --strict --timeout --uid \
    --user-group --wait";
/// Variables of clients of the gateway.
const OF_CLIENTS: [&str; 1] = ["MCP_PROXY_URL"];

/// Finds all words of a text that begin with this prefix.
fn words(text: &str, prefix: &str, is_part: impl Fn(char) -> bool) -> BTreeSet<String> {
    let at_start = |at: usize| !text[..at].ends_with(|letter: char| letter.is_alphanumeric() || "_-".contains(letter));
    let starts = text.match_indices(prefix).map(|(at, _)| at).filter(|at| at_start(*at));
    let word = |at: usize| text[at..].split(|letter| !is_part(letter)).next().unwrap_or_default();
    starts.map(|at| word(at).trim_end_matches(['-', '_']).to_owned()).filter(|word| word.len() > prefix.len()).collect()
}

fn variables(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    ["MCP_PROXY_", "REDIS_"].iter().flat_map(|prefix| words(text, prefix, is_part)).collect()
}

fn flags(text: &str) -> BTreeSet<String> {
    words(text, "--", |letter| letter.is_ascii_lowercase() || letter == '-')
}

#[tokio::test]
async fn every_flag_and_variable_exists() {
    let help = binary("mcp-proxy").args(["serve", "--help"]).run().await.out;
    let (known_variables, known_flags) = (variables(&help), flags(&help));
    assert!(known_variables.len() > 50 && known_flags.len() > 50, "{help}");
    let foreign: BTreeSet<&str> = FOREIGN_FLAGS.split_whitespace().collect();
    let mut wrong = Vec::new();
    for path in files(&folder(".")) {
        let text = fs::read_to_string(&path).expect("a text");
        let is_known = |name: &String| {
            let of_file = name.strip_suffix("_FILE").is_some_and(|name| known_variables.contains(name));
            known_variables.contains(name) || of_file || OF_CLIENTS.contains(&name.as_str())
        };
        let names = variables(&text).into_iter().filter(|name| !is_known(name));
        let flags = flags(&text).into_iter();
        let flags = flags.filter(|flag| !known_flags.contains(flag) && !foreign.contains(flag.as_str()));
        wrong.extend(names.chain(flags).map(|word| format!("{}: {word}", path.display())));
    }
    assert!(wrong.is_empty(), "unknown:\n{}", wrong.join("\n"));
}

#[test]
fn finds_flags_and_variables() {
    let text = "# --max-sessions, REDIS_HOST and MCP_PROXY_PORT_FILE; ----- a--b $MCP_PROXY_ `--drain-delay`)";
    assert_eq!(variables(text).into_iter().collect::<Vec<_>>(), ["MCP_PROXY_PORT_FILE", "REDIS_HOST"]);
    assert_eq!(flags(text).into_iter().collect::<Vec<_>>(), ["--drain-delay", "--max-sessions"]);
}

/// Returns the value of a setting, as `config show` tells it.
fn value<'a>(settings: &'a Value, name: &str) -> &'a str {
    let settings = settings["settings"].as_array().into_iter().flatten();
    let found = settings.filter(|setting| setting["name"] == name).find_map(|setting| setting["value"].as_str());
    found.unwrap_or_else(|| panic!("no value of {name}"))
}

#[tokio::test]
async fn every_configuration_file_can_be_loaded() {
    let configmap = document("kubernetes/configmap.yaml").await["data"]["mcp-proxy.yaml"].take();
    let in_kubernetes = shown(configmap.as_str().expect("a file")).await;
    assert_eq!((value(&in_kubernetes, "storage"), value(&in_kubernetes, "redis-host")), ("redis", "redis"));
    assert_eq!(value(&in_kubernetes, "admin-tokens"), "[redacted]");
    let as_a_service = shown(&text("systemd/mcp-proxy.yaml")).await;
    assert_eq!(value(&as_a_service, "max-processes"), "200");
    let in_a_container = shown(&text("docker/mcp-proxy.yaml")).await;
    assert_eq!(value(&in_a_container, "drain-delay"), "2s");
    let values = document("helm/mcp-proxy/values.yaml").await;
    shown(&values["config"].to_string()).await;
}

#[tokio::test]
async fn the_variables_of_every_compose_file_are_valid_together() {
    for file in ["compose.yaml", "compose.redis.yaml", "compose.compozy.yaml"] {
        let compose = document(&format!("docker/{file}")).await;
        let home = tempfile::tempdir().expect("a folder");
        let services = compose["services"].as_object().expect("services");
        let gateways =
            services.values().filter(|service| service["image"].as_str().unwrap_or_default().starts_with("mcp-proxy"));
        let mut count = 0;
        for gateway in gateways {
            count += 1;
            let mut show = binary("mcp-proxy").args(["config", "show", "--config", "none"]);
            for (name, value) in gateway["environment"].as_object().expect("variables") {
                let value = in_test(
                    &value.as_str().unwrap_or_default().replace("/run/secrets", "/run/secrets/mcp-proxy"),
                    &home,
                );
                show = show.env(name, value);
            }
            let ended = show.run().await;
            assert_eq!(ended.code, Some(0), "{file}: {}", ended.err);
            assert!(ended.out.contains("[redacted]"), "{file}: {}", ended.out);
        }
        assert!(count > 0, "{file}");
    }
}

/// Reserved keys of the chart are keys of the gateway's schema, so that none is misspelt.
#[tokio::test]
async fn the_keys_that_the_chart_sets_itself_exist() {
    let schema = binary("mcp-proxy").args(["config", "schema"]).run().await.out;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let values: Value = serde_json::from_str(&text("helm/mcp-proxy/values.schema.json")).expect("JSON");
    let reserved = values["properties"]["config"]["properties"].as_object().expect("keys");
    assert!(reserved.len() > 10);
    for key in reserved.keys() {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[tokio::test]
async fn helm_renders_configurations_that_can_be_loaded() {
    let Some(helm) = program("helm") else { return };
    let chart = folder("helm/mcp-proxy");
    let rules = format!("prometheusRule.rules={}", folder("prometheus/alerts.yaml").display());
    let helm = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(&helm);
        let home = tempfile::tempdir().expect("a folder");
        command.env_clear().env("HOME", home.path()).args(arguments).current_dir(&chart);
        run(command).await
    };
    let linted = helm(&["lint", "--strict", "."]).await;
    assert_eq!(linted.code, Some(0), "{}{}", linted.out, linted.err);
    let alone = ["--set", "autoscaling.enabled=false,replicas=1"];
    let variants: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        (
            "redis",
            vec![
                "--set-file",
                &rules,
                "--set",
                "prometheusRule.enabled=true,serviceMonitor.enabled=true,ingress.enabled=true",
            ],
        ),
        ("embedded", alone.to_vec()),
        ("memory", alone.to_vec()),
    ]);
    for (kind, more) in variants {
        let storage = format!("storage.kind={kind}");
        let arguments = [&["template", "gw", ".", "--set", &storage][..], &more].concat();
        let rendered = helm(&arguments).await;
        assert_eq!(rendered.code, Some(0), "{}", rendered.err);
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("all.yaml");
        fs::write(&file, rendered.out).expect("a file");
        let documents = super::documents(&[file]).await.remove(0);
        let map = documents.iter().find(|document| document["kind"] == "ConfigMap").expect("a ConfigMap");
        let settings = shown(map["data"]["mcp-proxy.yaml"].as_str().expect("a file")).await;
        assert_eq!(value(&settings, "storage"), kind);
    }
    assert_ne!(
        helm(&["template", "gw", ".", "--set", "storage.kind=memory"]).await.code,
        Some(0),
        "two replicas in memory"
    );
    assert_ne!(
        helm(&["template", "gw", ".", "--set", "config.host=x"]).await.code,
        Some(0),
        "a key that the chart sets"
    );
}

#[test]
fn the_packages_are_on_the_map() {
    let map = fs::read_to_string(root().join("README.md")).expect("a text");
    assert!(map.contains("examples/deploy/README.md"));
    let readme = text("README.md");
    for entry in
        fs::read_dir(folder(".")).expect("a folder").filter_map(Result::ok).filter(|entry| entry.path().is_dir())
    {
        let name = format!("{}/", entry.file_name().to_string_lossy());
        assert!(readme.contains(&name), "{name} is not in examples/deploy/README.md");
    }
}
