//! Seeded mistakes in configuration files: each is reported at its line and column.

use std::fs;
use std::path::Path;

use harness::binary;
use harness::process::Ended;

const YAML: &str = "\
port: 7000
host: 127.0.0.1
call-timeout: 30s
max-sessions: 100
max-body-bytes: 1MiB
allowed-hosts: [a.example, b.example]
naming-mode: always
server-cards: \"on\"
allow-insecure-admin: false
trusted-proxies:
  - 10.0.0.0/8
servers:
  time:
    command: uvx
    args: [mcp-server-time]
    env:
      TZ: UTC
    callTimeout: 20s
    toolFilter:
      mode: allow
      list: [now]
  docs:
    url: https://docs.example.com/mcp
    headers:
      Authorization: Bearer abc
    timeout: 5s
    maxInFlight: 4
";

const JSON: &str = r#"{
  "port": 7000,
  "host": "127.0.0.1",
  "call-timeout": "30s",
  "max-sessions": 100,
  "naming-mode": "always",
  "allow-insecure-admin": false,
  "servers": {
    "time": {
      "command": "uvx",
      "args": ["mcp-server-time"],
      "callTimeout": "20s",
      "maxInFlight": 4
    },
    "docs": {
      "url": "https://docs.example.com/mcp",
      "timeout": "5s"
    }
  }
}
"#;

const TOML: &str = r#"port = 7000
host = "127.0.0.1"
call-timeout = "30s"
max-sessions = 100
naming-mode = "always"
allow-insecure-admin = false

[servers.time]
command = "uvx"
args = ["mcp-server-time"]
callTimeout = "20s"
maxInFlight = 4

[servers.docs]
url = "https://docs.example.com/mcp"
timeout = "5s"
"#;

/// A text with a mistake, and the position at which it must be reported.
struct Mistake {
    what: String,
    text: String,
    line: usize,
    column: usize,
}

/// Returns every mistake that can be made at each key of a text.
fn mistakes(text: &str, syntax: &str) -> Vec<Mistake> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((key_at, key, value_at)) = key_of(line, syntax) else { continue };
        let mut add = |what: String, changed: Vec<String>, line: usize, column: usize| {
            let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            all.splice(index..=index, changed);
            found.push(Mistake { what, text: all.join("\n") + "\n", line, column });
        };
        let number = index + 1;
        let is_of_a_map = ["TZ", "Authorization", "time", "docs"].contains(&key);
        if !is_of_a_map {
            let misspelt = format!("{}{}x{}", &line[..key_at], &key[..1], &line[key_at + 1..]);
            add(format!("misspelt {key}"), vec![misspelt], number, key_at + 1 - usize::from(syntax == "json"));
        }
        if !is_of_a_map {
            let indent = &line[..line.len() - line.trim_start().len()];
            let unknown = match syntax {
                "json" => format!("{indent}\"nonsense\": 1,"),
                "toml" => format!("{indent}nonsense = 1"),
                _ => format!("{indent}nonsense: 1"),
            };
            add(format!("unknown key before {key}"), vec![unknown, (*line).to_owned()], number, indent.len() + 1);
        }
        let Some(value_at) = value_at else { continue };
        let (before, value) = line.split_at(value_at);
        let comma = if value.ends_with(',') { "," } else { "" };
        let is_inline = value.ends_with(['[', '{']);
        if is_inline {
            continue;
        }
        add(
            format!("{key} twice"),
            vec![twice(line, syntax), (*line).to_owned()],
            number + 1,
            key_at + 1 - usize::from(syntax == "json"),
        );
        let unset = format!("{before}\"${{NOT_SET}}\"{comma}");
        add(format!("{key} of a variable that is not set"), vec![unset], number, value_at + 1);
        let nested = if syntax == "toml" { "{ a = 1 }" } else { "{\"a\": [1]}" };
        if !["env", "headers", "toolFilter"].contains(&key) {
            add(format!("{key} of a mapping"), vec![format!("{before}{nested}{comma}")], number, value_at + 1);
        }
    }
    found
}

/// Returns a line as the first of two of the same key.
fn twice(line: &str, syntax: &str) -> String {
    let line = line.to_owned();
    if syntax == "json" && !line.ends_with(',') { line + "," } else { line }
}

/// Finds the key of a line, and its value if it is on the same line.
fn key_of<'l>(line: &'l str, syntax: &str) -> Option<(usize, &'l str, Option<usize>)> {
    let indent = line.len() - line.trim_start().len();
    let rest = &line[indent..];
    let (quote, between) = match syntax {
        "json" => (1, "\": "),
        "toml" => (0, " = "),
        _ => (0, ":"),
    };
    if rest.starts_with(['[', '-', '}', '{', ']']) {
        return None;
    }
    let (key, value) = rest.get(quote..)?.split_once(between)?;
    let value_at = indent + quote + key.len() + between.len();
    let blanks = value.len() - value.trim_start().len();
    Some((indent + quote, key, (!value.trim().is_empty()).then_some(value_at + blanks)))
}

async fn check(path: &Path) -> Ended {
    binary("mcp-proxy").args(["config", "check"]).args([path]).run().await
}

#[tokio::test]
async fn two_hundred_seeded_mistakes_are_each_reported_at_their_line_and_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut count, mut wrong) = (0, Vec::new());
    for (syntax, text) in [("yaml", YAML), ("json", JSON), ("toml", TOML)] {
        let path = folder.path().join(format!("mcp-proxy.{syntax}"));
        fs::write(&path, text).expect("a file");
        let clean = check(&path).await;
        assert_eq!(clean.code, Some(0), "{syntax}: {}", clean.err);
        for Mistake { what, text, line, column } in mistakes(text, syntax) {
            count += 1;
            fs::write(&path, text).expect("a file");
            let told = check(&path).await;
            let expected = format!("{}:{line}:{column}: error: ", path.display());
            if told.code != Some(1) || !told.err.starts_with(&expected) {
                wrong.push(format!("{syntax}, {what}: expected {line}:{column}, was told {}", told.err));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 200, "{count}");
}

#[tokio::test]
async fn values_that_no_setting_takes_are_reported_at_their_position() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mcp-proxy.yaml");
    for (text, expected) in [
        ("port: 70000\n", "1:7: error: `port`: `70000` is not"),
        ("\n\ncall-timeout: soon\n", "3:15: error: `call-timeout`: `soon` is not"),
        ("allow-insecure-admin: maybe\n", "1:23: error: `allow-insecure-admin`: it is not true or false"),
        ("naming-mode: [always, never]\n", "1:14: error: `naming-mode`: it takes one value, not a list"),
        ("trusted-proxies: [10.0.0.0/8, ten]\n", "1:18: error: `trusted-proxies`: `ten` is not"),
        ("admin-tokens-file: gone\n", "1:20: error: `admin-tokens-file`: cannot read"),
        ("include: gone\n", "1:10: error: cannot read"),
        ("port: 1\nport: 2\n", "2:1: error: key `port` is there twice"),
        ("a: [\n", "1:4: error: `[` is not closed"),
        ("port: \"1\n", "1:7: error: a quote is not closed"),
        ("- a\n", "1:1: error: the file is a list, not a mapping"),
        ("nonsense: 1\n", "1:1: error: unknown key `nonsense`"),
    ] {
        fs::write(&path, text).expect("a file");
        let told = check(&path).await;
        let expected = format!("{}:{expected}", path.display());
        assert!(told.code == Some(1) && told.err.contains(&expected), "expected {expected}\n{}", told.err);
    }
}
