//! Files that no program would write.

use crate::config::{Dialect, EntryForm, Imported, Kind, Level, Surroundings, import, import_document};
use crate::document::Document;

fn refused(text: &str) -> String {
    let imported = import(text, "stem");
    assert!(imported.dialect.is_none(), "{:?}", imported.dialect);
    imported.remarks.into_iter().map(|remark| remark.message).collect()
}

#[test]
fn known_files_without_servers_are_refused_with_the_reason() {
    for (text, reason) in [
        ("_format_version: '3.0'\nmcpServers: {}\n", "Kong"),
        ("apiVersion: toolhive.stacklok.dev/v1\nkind: MCPServer\n", "Kubernetes"),
        ("{\"servers\": {}, \"remote_servers\": {}}", "ToolHive"),
        ("{\"manifest_version\": \"0.3\", \"name\": \"a\"}", "MCPB"),
        ("{\"name\": \"io.example/a\", \"packages\": []}", "MCP registry"),
        ("{\"name\": \"io.example/a\", \"remotes\": [{\"url\": \"https://a.test\"}]}", "MCP registry"),
        ("registry: {a: {ref: ''}}\n", "names"),
    ] {
        assert!(refused(text).contains(reason), "{text}: {}", refused(text));
        let imported = import(text, "a");
        assert!(imported.servers.is_empty() && imported.remarks[0].level == Level::Error, "{text}");
    }
}

#[test]
fn an_unknown_file_tells_its_keys_and_the_known_ones() {
    let remarks = import("a: 1\nb: 2\n", "a").remarks;
    assert_eq!(remarks[0].message, "no server is declared; the file has the keys `a`, `b`");
    assert!(remarks[0].hint.as_deref().is_some_and(|hint| hint.contains("mcpServers")));
}

#[test]
fn a_file_that_fits_two_formats_tells_both() {
    let told = |text: &str| import(text, "a").remarks.remove(0);
    let remark =
        told(r#"{"mcpServers": {"a": {"command": "a", "alwaysAllow": []}, "b": {"serverUrl": "https://b.test"}}}"#);
    let message = "read as `roo`, because of `alwaysAllow`; it could also be `windsurf`, because of `serverUrl`";
    assert_eq!((remark.level, remark.message.as_str()), (Level::Note, message));
    let remark =
        told(r#"{"mcpServers": {"a": {"transportType": "streamable-http", "url": "https://b.test"}}, "users": 1}"#);
    assert_eq!(
        remark.message,
        "read as `mcphub`, because of `users`; it could also be `tbxark`, because of `transportType`; `cline`, \
         because of `transportType`"
    );
}

#[test]
fn the_order_of_the_rules_decides() {
    let id = |text: &str| import(text, "a").dialect.map(|dialect| dialect.id);
    let own = "\"a\": {\"command\": \"x\", \"alwaysAllow\": []}";
    assert_eq!(id(&format!("{{{own}}}")), Some("roo"));
    assert_eq!(id(&format!("{{{own}, \"servers\": {{}}}}")), Some("vscode"));
    assert_eq!(id(&format!("{{{own}, \"users\": {{}}}}")), Some("roo"));
    assert_eq!(id(&format!("{{\"mcpServers\": {{{own}}}, \"users\": {{}}}}")), Some("mcphub"));
    assert_eq!(id(&format!("{{\"mcp\": {{{own}}}}}")), Some("crush"));
    assert_eq!(id("{\"mcp\": {\"proxy\": {\"type\": \"local\", \"command\": [\"x\"]}}}"), Some("opencode"));
    assert_eq!(id("{\"mcp\": {\"servers\": {}}, \"mcpServers\": {}}"), Some("plain"));
    assert_eq!(id("a: {command: x}\n"), Some("librechat"));
    assert_eq!(id("mcpServers: {}\nmcps: []\n"), Some("compozy"));
    assert_eq!(id("mcpServers: []\nmcps: []\n"), Some("continue"));
    assert_eq!(id("{\"command\": \"x\", \"env\": {\"command\": \"y\"}}"), Some("single"));
}

#[test]
fn every_part_of_a_server_gets_into_its_definition() {
    let text = r#"{"mcpProxy": {"options": {"authTokens": ["$T"], "logEnabled": true}},
        "mcpServers": {"a": {"command": "a", "options": {"toolFilter": {"mode": "block", "list": ["x"]}}}}}"#;
    let environment = [("T", "0123456789abcdef")].into_iter().collect();
    let surroundings = Surroundings { environment, ..Surroundings::default() };
    let definition = import(text, "a").servers[0].definition(&surroundings).expect("a definition");
    assert_eq!(
        serde_json::to_string(&definition).expect("JSON"),
        r#"{"name":"a","transport":"stdio","command":"a","logEnabled":true,"toolFilter":{"mode":"block","list":["x"]},"authTokens":["0123456789abcdef"]}"#
    );
    let (entry, lost) = import("mcps: [{id: a, command: x y, max_sessions: 2}]", "a").servers[0]
        .entry(EntryForm::Templates, &Surroundings::default());
    let expected = r#"{"name":"a","transport":"stdio","command":"x","args":["y"],"maxSessions":2}"#;
    assert_eq!((serde_json::to_string(&entry).expect("JSON").as_str(), lost), (expected, Vec::new()));
}

#[test]
fn every_format_can_be_asked_for() {
    let ids: Vec<&str> = Dialect::ids().collect();
    assert_eq!(ids.len(), 36, "{ids:?}");
    let document = Document::parse("{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}");
    for id in ids {
        let imported = import_document(&document, "a", Some(id));
        assert_eq!(imported.dialect.map(|dialect| dialect.id), Some(id));
    }
    let imported = import_document(&document, "a", Some("antigravity"));
    assert_eq!(imported.dialect.map(|dialect| dialect.id), Some("windsurf"));
    let imported = import_document(&document, "a", Some("curser"));
    assert_eq!(imported.remarks[0].hint.as_deref(), Some("did you mean `cursor`?"));
}

#[test]
fn names_that_are_numbers_and_deep_nesting_are_survived() {
    let imported = import("mcpServers:\n  1: {command: x}\n  ~: {command: y}\n  true: {command: z}\n", "a");
    assert!(imported.servers.iter().map(|server| server.name.as_str()).eq(["1", "", "true"]));
    for (open, close) in [("{\"mcpServers\":", "}"), ("{\"a\":", "}"), ("[", "]")] {
        for depth in [10, 100, 100_000] {
            import(&format!("{}1{}", open.repeat(depth), close.repeat(depth)), "a");
        }
    }
    let list = "[".repeat(40) + &"]".repeat(40);
    import(&format!("{{\"mcpServers\": {{\"a\": {{\"command\": {list}, \"env\": {list}, \"tools\": {list}}}}}}}"), "a");
}

#[test]
fn a_list_that_restricts_and_cannot_be_read_is_an_error() {
    let servers = |more: &str| format!("{{\"mcpServers\": {{\"a\": {{\"command\": \"a\"{more}}}}}}}");
    for (format, text) in [
        ("goose", "extensions: {a: {type: stdio, cmd: a, available_tools: x}}".to_owned()),
        ("litellm", "mcp_servers: {a: {command: a, tools: {include: {x: true}}}}".to_owned()),
        ("litellm", "mcp_servers: {a: {command: a, tools: {exclude: [[x]]}}}".to_owned()),
        ("copilot-cli", servers(", \"tools\": \"x\"")),
        ("copilot-cli", servers(", \"tools\": [{}]")),
        ("docker-profile", "version: 1\nservers: [{type: remote, endpoint: 'https://a.test', tools: x}]".to_owned()),
        ("radium", "[[mcp.proxy.upstreams]]\nname = 'a'\ntransport = 'stdio'\ncommand = 'a'\ntools = 'x'\n".to_owned()),
        ("tbxark", servers(", \"options\": {\"authTokens\": \"t\"}")),
        ("tbxark", servers(", \"options\": {\"authTokens\": [[]]}")),
        ("tbxark", servers(", \"options\": {\"toolFilter\": {\"mode\": \"block\", \"list\": \"x\"}}")),
        (
            "tbxark-v1",
            "{\"server\": {}, \"clients\": {\"a\": {\"config\": {\"command\": \"a\"}, \"authTokens\": \"t\"}}}"
                .to_owned(),
        ),
        ("vscode", "{\"servers\": {\"a\": {\"command\": \"a\", \"disabledTools\": \"x\"}}}".to_owned()),
    ] {
        let imported = import_document(&Document::parse(&text), "a", Some(format));
        let kind = imported.servers.first().map(|server| &server.kind);
        assert!(matches!(kind, Some(Kind::Unsupported(reason)) if reason.contains("list")), "{format}: {kind:?}");
    }
    for (format, text) in [
        ("gemini", "{\"mcp\": {\"allowed\": \"a\"}, \"mcpServers\": {\"a\": {\"command\": \"a\"}}}"),
        ("claude-code", "{\"disabledMcpServers\": \"a\", \"mcpServers\": {\"a\": {\"command\": \"a\"}}}"),
        (
            "toolhive-vmcp",
            "backends: [{name: a, url: 'http://a.test'}]\naggregation: {tools: [{workload: a, filter: x}]}",
        ),
        (
            "tbxark",
            "{\"mcpProxy\": {\"options\": {\"authTokens\": \"t\"}}, \"mcpServers\": {\"a\": {\"command\": \"a\"}}}",
        ),
    ] {
        let Imported { remarks, servers, .. } = import_document(&Document::parse(text), "a", Some(format));
        assert!(!servers.is_empty(), "{format}");
        assert!(servers.iter().all(|server| matches!(server.kind, Kind::Unsupported(_))), "{format}: {servers:?}");
        assert!(
            remarks.iter().any(|it| it.level == Level::Error && it.message.contains("list of texts")),
            "{remarks:?}"
        );
    }
}

#[test]
fn of_two_words_for_one_thing_the_second_is_told_or_both_count() {
    let text = r#"{"mcpServers": {"a": {"command": "a", "cwd": "/a", "working_directory": "/b",
        "disabledTools": ["x"], "excludeTools": ["y"]}}}"#;
    let imported = import(text, "a");
    let told: Vec<String> = imported.remarks.iter().map(|remark| remark.message.clone()).collect();
    assert!(told.contains(&"`a.working_directory` has no effect: `cwd` counts".to_owned()), "{told:?}");
    assert_eq!(imported.servers[0].deny, ["x", "y"]);
}

#[test]
fn a_command_decides_before_the_word_for_the_transport_where_its_program_says_so() {
    let text = r#"{"mcpServers": {"a": {"command": "x", "args": ["y"], "transportType": "sse"}}}"#;
    let imported = import_document(&Document::parse(text), "a", Some("tbxark"));
    assert_eq!((&imported.servers[0].kind, imported.remarks.len()), (&Kind::Stdio, 0), "{:?}", imported.remarks);
}
