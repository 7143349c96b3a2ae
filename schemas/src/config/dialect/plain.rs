//! `mcpServers` as everybody's README has it: Claude Desktop, LM Studio, Junie, sparfenyuk/mcp-proxy, MetaMCP's import.
//!
//! Also the format of files without any evidence of another program.

use crate::config::format::{Dialect, MCP_SERVERS};

pub(super) const DIALECT: Dialect = Dialect {
    id: "plain",
    programs: "Claude Desktop, LM Studio, Junie and others",
    evidence: |file| file.family.map(|_| "`mcpServers`, without a sign of one program".to_owned()),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn plain_json() {
        let text = r#"{"mcpServers": {"fs": {"command": "npx", "args": ["-y", "@example/fs-server", "/srv/data"],
            "env": {"LOG": "1"}}}}"#;
        check("plain", text, "fs stdio npx -y @example/fs-server /srv/data [LOG=1]");
        check_remarks(text, &[]);
    }

    #[test]
    fn a_bare_map_of_servers() {
        let text = r#"{"hf": {"url": "https://hf.example.org/mcp", "headers": {"Authorization": "Bearer x"}}}"#;
        check("plain", text, "hf auto https://hf.example.org/mcp [Authorization: Bearer x]");
    }

    #[test]
    fn text_without_outer_braces() {
        check("plain", r#""hf": {"url": "https://hf.example.org/mcp"}"#, "hf auto https://hf.example.org/mcp");
        check("plain", "\"mcpServers\": {\n  \"a\": {\"url\": \"https://a.test\"},\n}", "a auto https://a.test");
    }

    #[test]
    fn mcp_json_of_junie() {
        let text = r#"{"mcpServers": {"j": {"command": "uvx", "args": ["demo-j"], "env": {"T": "v"}}}}"#;
        check("plain", text, "j stdio uvx demo-j [T=v]");
    }

    #[test]
    fn the_import_of_metamcp() {
        let text = r#"{"mcpServers": {"s": {"type": "STDIO", "command": "uvx", "args": ["demo"], "env": {"K": "${S_KEY}"}},
            "h": {"type": "STREAMABLE_HTTP", "url": "https://h.example.org/mcp", "headers": {"Authorization": "Bearer t"}},
            "x": {"type": "SSE", "url": "https://x.example.org/sse"}}}"#;
        check(
            "plain",
            text,
            "s stdio uvx demo [K=${S_KEY}]; h http https://h.example.org/mcp [Authorization: Bearer t]; \
             x sse https://x.example.org/sse",
        );
    }

    #[test]
    fn an_entry_that_cannot_be_reached_is_told() {
        let text = r#"{"mcpServers": {"fetch": {"command": "uvx", "args": ["demo-fetch"]},
            "git": {"enabled": false, "command": "git-mcp"}, "nocmd": {"args": ["x"]}}}"#;
        check(
            "plain",
            text,
            "fetch stdio uvx demo-fetch; git stdio git-mcp disabled; \
             nocmd unsupported (it has neither a command nor a URL)",
        );
    }

    #[test]
    fn variables_times_and_keys_of_another_transport() {
        let text = r#"{"mcpServers": {
            "a": {"command": "${A:-a}", "args": ["$A", "${B}"], "env": {"N": 1, "B": true, "G": null}, "timeout": 30, "headers": {"X": "y"}},
            "b": {"url": "https://b.test", "apiKey": "k", "timeout": 30000, "env": {"X": "y"}, "foo": 1, "_note": "n"},
            "c": {"command": "c", "env": ["A=b=c", "HOME", {"name": "D", "value": "e"}], "timeout": "1m"}, "d": 7,
            "e": null, "_e": "a comment"}}"#;
        check(
            "plain",
            text,
            "a stdio ${A:-a} $A ${B} [N=1, B=true] call 30s; \
             b auto https://b.test [Authorization: Bearer k] call 30s; \
             c stdio c [A=b=c, HOME=${HOME}, D=e] call 60s",
        );
        check_remarks(
            text,
            &[
                "2: `timeout` of `a` is taken as seconds, because it is below 1000",
                "2: `a.headers`, `b.env` have no effect: a server of its transport has no use for it",
                "3: `b.foo` has no effect: no known program reads it",
                "4: `d` is no server: its value is not a mapping",
                "5: `e` is left out: its value is null",
            ],
        );
    }

    #[test]
    fn names_that_are_the_same_at_the_gateway() {
        let text = r#"{"mcpServers": {"a b": {"command": "x"}, "a-b": {"command": "y"}}}"#;
        check_remarks(text, &["1: `a b` and `a-b` have the same name at the gateway, `a-b`"]);
    }
}
