//! Goose: `config.yaml` with `extensions`.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS, Reading};
use crate::config::pattern::{Notation, Pattern};
use crate::document::Node;

const ROOT: &str = "extensions";
const TYPES: [&str; 7] = ["stdio", "streamable_http", "sse", "builtin", "platform", "frontend", "inline_python"];

/// Variables that change which program runs; Goose removes them.
const REMOVED: [&str; 31] = [
    "APPINIT_DLLS",
    "CLASSPATH",
    "COMSPEC",
    "DYLD_FRAMEWORK_PATH",
    "DYLD_INSERT_LIBRARIES",
    "DYLD_LIBRARY_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GO111MODULE",
    "GOROOT",
    "HOMEDRIVE",
    "HOMEPATH",
    "LD_ASSUME_KERNEL",
    "LD_AUDIT",
    "LD_BIND_NOW",
    "LD_DEBUG",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LOCALAPPDATA",
    "NODE_OPTIONS",
    "PATH",
    "PATHEXT",
    "PYTHONHOME",
    "PYTHONPATH",
    "RUBYOPT",
    "SESSIONNAME",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "WINDIR",
];

pub(super) const DIALECT: Dialect = Dialect {
    id: "goose",
    programs: "Goose",
    roots: &[ROOT],
    evidence: |file| {
        let is_known = |node: &Node| node.get("type").and_then(Node::literal).is_some_and(|it| TYPES.contains(&it));
        let is_own = |node: &Node| ["cmd", "uri", "bundled"].iter().any(|key| node.get(key).is_some());
        let mut entries = file.map(&[ROOT])?.entries.iter();
        entries.any(|(.., node)| is_known(node) && is_own(node)).then(|| format!("`{ROOT}`"))
    },
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules { transport: &["type"], ..Rules::new(UrlAlone::Http, Unit::Seconds, Notation::NONE) },
    finish,
    ..MCP_SERVERS
};

fn finish(reading: &mut Reading<'_, '_>) {
    let entry = reading.entry;
    // An empty list means all.
    reading.server.allow = reading.texts("available_tools").filter(|names| !names.is_empty());
    let is_removed = |name: &String| REMOVED.iter().any(|removed| removed.eq_ignore_ascii_case(name));
    let removed: Vec<String> = reading.server.env.keys().filter(|name| is_removed(name)).cloned().collect();
    if !removed.is_empty() {
        reading.server.env.retain(|name, _| !is_removed(name));
        let message = format!("`{}.envs`: {} removed, as by its program", entry.name, quoted(&removed));
        reading.warn("envs", message);
    }
    let Some(names) = reading.texts("env_keys").filter(|names| !names.is_empty()) else { return };
    reading.used.add(&["env_keys"]);
    for name in &names {
        reading.server.env.entry(name.clone()).or_insert_with(|| Pattern::secret(name));
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn config_yaml() {
        let text = r#"
GOOSE_MODEL: demo
extensions:
  developer: {type: builtin, name: developer, enabled: true, bundled: true, timeout: 300}
  fetch: {type: stdio, name: fetch, description: "", cmd: uvx, args: [demo-fetch], envs: {A: "1"}, env_keys: [FETCH_KEY], timeout: 300, enabled: true, available_tools: [get]}
  rem: {type: streamable_http, name: rem, description: null, uri: "https://rem.example.org/mcp", headers: {X: y}, enabled: true, timeout: 60}
  off: {type: stdio, name: off, description: "", cmd: off-mcp, args: [], enabled: false}
"#;
        check(
            "goose",
            text,
            "developer unsupported (transport `builtin` exists only in that program); \
             fetch stdio uvx demo-fetch [A=1, FETCH_KEY=${FETCH_KEY}] call 300s allow get; \
             rem http https://rem.example.org/mcp [X: y] call 60s; off stdio off-mcp disabled",
        );
        check_remarks(
            text,
            &["5: the program has values in its store of secrets: `FETCH_KEY` (set in the environment: `FETCH_KEY`)"],
        );
    }

    #[test]
    fn no_tools_are_all_tools_and_dangerous_variables_are_removed() {
        let text = "extensions:\n  key: {type: stdio, name: Shown, cmd: a, available_tools: [], \
            envs: {Path: /x, LD_PRELOAD: y, B: '2'}, env_keys: [B]}\n";
        check("goose", text, "key stdio a [B=2]");
        check_remarks(
            text,
            &[
                "2: `key.name` has no effect: it has no meaning for a gateway",
                "2: `key.envs`: `Path`, `LD_PRELOAD` removed, as by its program",
            ],
        );
    }
}
