//! The packages in `examples/deploy`, checked by the programs that read them and against a running gateway.

mod containers;
mod monitoring;
mod settings;
mod systemd;

use std::path::{Path, PathBuf};
use std::{env, fs};

use harness::process::{Ended, run};
use harness::{binary, python, root};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Parses every document of the YAML files named by its arguments. Prints a list of documents for each file.
const PARSE: &str = "
import json, sys, yaml
files = [list(yaml.safe_load_all(open(path))) for path in sys.argv[1:]]
print(json.dumps(files, default=str))
";

/// Checks `values.yaml` of a chart against its schema.
const VALIDATE: &str = "
import json, sys, jsonschema, yaml
schema = json.load(open(sys.argv[2]))
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(yaml.safe_load(open(sys.argv[1])), schema)
";

fn folder(path: &str) -> PathBuf {
    root().join("examples/deploy").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(folder(path)).expect(path)
}

/// Lists all files below a folder, but for secrets that somebody who uses the packages has written.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let entries = entries.filter(|path| !path.ends_with("secrets"));
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn run_python(script: &str, arguments: &[PathBuf]) -> Ended {
    let mut command = Command::new(python());
    command.args(["-c", script]).args(arguments).env_clear();
    run(command).await
}

/// Returns the documents of each YAML file.
async fn documents(paths: &[PathBuf]) -> Vec<Vec<Value>> {
    let ended = run_python(PARSE, paths).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

/// Returns the only document of a YAML file.
async fn document(path: &str) -> Value {
    let mut documents = documents(&[folder(path)]).await;
    documents.remove(0).remove(0)
}

/// Returns the path of a program on `PATH`, or says that the tests that need it are skipped.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed on this machine");
    }
    found
}

/// Reads a length of time that is written in seconds.
fn seconds(text: &Value) -> u64 {
    text.as_u64().or_else(|| text.as_str()?.strip_suffix('s')?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// Runs `mcp-proxy config show` with a file of this content, whose secrets are in a folder of the test. Returns the settings.
async fn shown(config: &str) -> Value {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("mcp-proxy.yaml");
    fs::write(&file, in_test(config, &home)).expect("a file");
    let command = binary("mcp-proxy").args(["config", "show", "--output", "json", "--config"]).args([&file]);
    let ended = command.run().await;
    assert_eq!(ended.code, Some(0), "{config}\n{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

/// Replaces the folder of mounted secrets by a folder of the test, and puts a token into every file that the text names.
fn in_test(config: &str, home: &TempDir) -> String {
    let secrets = home.path().join("secrets");
    fs::create_dir_all(&secrets).expect("a folder");
    for name in ["admin-token", "client-token", "redis-password"] {
        fs::write(secrets.join(name), format!("{name}-of-the-test")).expect("a file");
    }
    config.replace("/run/secrets/mcp-proxy", &secrets.display().to_string())
}

#[tokio::test]
async fn every_file_can_be_parsed() {
    let all = files(&folder("."));
    let is_template = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "templates");
    let with = |endings: &[&str]| -> Vec<PathBuf> {
        let ends = |path: &&PathBuf| endings.iter().any(|ending| path.extension().is_some_and(|it| it == *ending));
        all.iter().filter(|path| !is_template(path)).filter(ends).cloned().collect()
    };
    let yaml = with(&["yaml", "yml"]);
    assert!(yaml.len() > 15, "{yaml:?}");
    for (path, documents) in yaml.iter().zip(documents(&yaml).await) {
        assert!(documents.iter().all(Value::is_object) && !documents.is_empty(), "{}", path.display());
    }
    for path in with(&["json"]) {
        let parsed = serde_json::from_slice::<Value>(&fs::read(&path).expect("a file"));
        assert!(parsed.is_ok_and(|value| value.is_object()), "{}", path.display());
    }
    let chart = ["helm/mcp-proxy/values.yaml", "helm/mcp-proxy/values.schema.json"].map(folder);
    assert_eq!(run_python(VALIDATE, &chart).await.err, "");
}
