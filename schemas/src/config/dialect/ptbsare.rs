//! ptbsare/mcp-proxy-server: `mcp_server.json` with `mcpServers` and `proxy`, and `tool_config.json` beside it.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, Imported, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;
use crate::config::server::{Server, Setting};
use crate::document::{Document, Map, Node, Value};

pub(super) const DIALECT: Dialect = Dialect {
    id: "ptbsare",
    programs: "ptbsare/mcp-proxy-server",
    roots: &["mcpServers", "proxy"],
    evidence: |file| {
        file.family?;
        let is_keyed = |map: &Map| map.get("type").is_some() && map.get("apiKey").and_then(Node::literal).is_some();
        let beside = || file.root_key(&["proxy"]).filter(|_| file.map(&["proxy"]).is_some());
        let own = || file.entry_key(&["active", "installDirectory", "installCommands"]);
        beside().or_else(own).or_else(|| file.has_entry(is_keyed).then(|| "`apiKey`".to_owned()))
    },
    rules: Rules { api_key: "X-Api-Key", ..Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::NONE) },
    whole,
    ..MCP_SERVERS
};

/// Port of the predecessor, whose file names none.
const DEFAULT_PORT: &str = "3663";
/// Separators of the predecessor: that of its documents, and that of its code.
const SEPARATORS: [&str; 2] = ["__", "--"];

fn whole(file: &File<'_>, imported: &mut Imported) {
    let (name, values) = ("port", vec![DEFAULT_PORT.to_owned()]);
    imported.settings.push(Setting {
        name,
        values,
        span: file.at(&["mcpServers"]).map(Node::head).unwrap_or_default(),
    });
    let Some(proxy) = file.map(&["proxy"]).filter(|map| !map.entries.is_empty()) else { return };
    let names: Vec<String> = proxy.entries.iter().map(|(key, ..)| format!("`proxy.{key}`")).collect();
    let verb = if names.len() == 1 { "has" } else { "have" };
    let message = format!("{} {verb} no effect: the gateway repeats calls by its own rules", names.join(", "));
    let span = proxy.entries.first().map(|(_, span, _)| *span).unwrap_or_default();
    imported.remarks.push(Remark::warning(span, message));
}

/// Hides the tools that a `tool_config.json` switches off, and reports what else it says. `separator` stands between the
/// names of server and tool, unless it is one of the predecessor's own.
///
/// ```
/// use schemas::config::{EntryForm, Surroundings, apply_tool_config, import};
/// use schemas::document::Document;
///
/// let mut imported = import(r#"{"mcpServers": {"fs": {"command": "x"}}, "proxy": {}}"#, "mcp_server");
/// let tools = Document::parse(r#"{"tools": {"fs__rm": {"enabled": false}}}"#);
/// assert!(apply_tool_config(&mut imported.servers, &tools, "__").is_empty());
/// assert_eq!(imported.servers[0].entry(EntryForm::Own, &Surroundings::default()).0["toolFilter"]["list"][0], "rm");
/// ```
pub fn apply_tool_config(servers: &mut [Server], document: &Document, separator: &str) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = document.malformed.iter().cloned().map(Remark::from).collect();
    let tools = document.root.get("tools").and_then(Node::as_map).map(|map| map.entries.as_slice()).unwrap_or_default();
    for (name, span, tool) in tools {
        let tool_of = |server: &Server| {
            let rest = name.strip_prefix(server.name.as_str())?;
            [separator].into_iter().chain(SEPARATORS).find_map(|it| rest.strip_prefix(it)).map(str::to_owned)
        };
        // A name may begin with that of another server.
        let found = servers.iter_mut().filter_map(|server| Some((tool_of(server)?, server)));
        let Some((tool_name, server)) = found.max_by_key(|(_, server)| server.name.len()) else {
            remarks.push(Remark::warning(*span, format!("`{name}` is a tool of no server in the file")));
            continue;
        };
        match tool.get("enabled").map(|node| &node.value) {
            Some(Value::Bool(false, _)) => server.deny.push(tool_name),
            Some(Value::Bool(true, _)) | None => {}
            Some(_) => remarks.push(Remark::error(tool.head(), format!("`enabled` of `{name}` is not true or false"))),
        }
        for key in ["exposedName", "exposedDescription", "displayName", "description"] {
            if tool.get(key).is_some() {
                let message =
                    format!("`{name}.{key}` has no effect: the gateway does not rename or describe tools yet");
                remarks.push(Remark::warning(*span, message));
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};
    use crate::config::{apply_tool_config, import};
    use crate::document::Document;

    #[test]
    fn tool_config_json() {
        let mut imported =
            import(r#"{"mcpServers": {"a": {"type": "stdio", "command": "x"}}, "proxy": {}}"#, "mcp_server");
        let text = r#"{"tools": {
            "a__one": {"enabled": true, "exposedName": "uno"},
            "a--two": {"enabled": false},
            "b__x": {"enabled": false},
            "a__three": {"enabled": "no"}}}"#;
        let told = apply_tool_config(&mut imported.servers, &Document::parse(text), "__");
        assert_eq!(imported.servers[0].deny, ["two"]);
        let told: Vec<String> = told.iter().map(|remark| remark.in_file("f")).collect();
        assert_eq!(
            told,
            [
                "f:2:13: warning: `a__one.exposedName` has no effect: the gateway does not rename or describe tools yet",
                "f:4:13: warning: `b__x` is a tool of no server in the file",
                "f:5:25: error: `enabled` of `a__three` is not true or false",
            ]
        );
    }

    #[test]
    fn mcp_server_json() {
        let text = r#"{"mcpServers": {
            "time": {"type": "stdio", "name": "Time", "active": true, "command": "uvx", "args": ["time"], "env": {"A": "$B"},
                "installDirectory": "/tools/time", "installCommands": ["git clone x"]},
            "key": {"type": "sse", "url": "http://k.test/sse", "apiKey": "k"},
            "both": {"type": "http", "url": "http://b.test/mcp", "apiKey": "k", "bearerToken": "t"},
            "off": {"type": "stdio", "command": "off", "active": "false"}},
            "proxy": {"retrySseToolCall": true, "sseToolCallMaxRetries": 2}}"#;
        check(
            "ptbsare",
            text,
            "time stdio uvx time [A=$B]; key sse http://k.test/sse [X-Api-Key: k]; \
             both http http://b.test/mcp [Authorization: Bearer t]; off stdio off disabled",
        );
        check_remarks(
            text,
            &[
                "2: `time.name` has no effect: it has no meaning for a gateway",
                "3: `time.installDirectory`, `time.installCommands` have no effect: \
                 an import runs nothing; install the server, and name its program in `command`",
                "7: `proxy.retrySseToolCall`, `proxy.sseToolCallMaxRetries` have no effect: \
                 the gateway repeats calls by its own rules",
            ],
        );
    }

    #[test]
    fn entries_show_the_format_too() {
        check("ptbsare", r#"{"mcpServers": {"a": {"command": "a", "active": false}}}"#, "a stdio a disabled");
        let text = r#"{"mcpServers": {"a": {"type": "http", "url": "http://a.test", "apiKey": "k"}}}"#;
        check("ptbsare", text, "a http http://a.test [X-Api-Key: k]");
    }
}
