//! File whose root is one server.

use crate::config::entry::{Entry, name_of};
use crate::config::format::{Dialect, MCP_SERVERS, is_server_like};
use crate::document::Span;

pub(super) const DIALECT: Dialect = Dialect {
    id: "single",
    programs: "one server, as web pages show it",
    roots: &[],
    evidence: |file| is_server_like(file.root).then(|| "its root, which is a server".to_owned()),
    servers: |file, entries| {
        let name = if file.stem.is_empty() { name_of(file.root) } else { file.stem.to_owned() };
        let span = file.root.entries.first().map_or_else(Span::default, |(_, span, _)| *span);
        entries.list.push(Entry::new(name, span, file.root).within("transport"));
    },
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};
    use crate::config::import;

    #[test]
    fn the_name_is_that_of_the_file() {
        let text = r#"{"command": "uvx", "args": ["demo-single"], "type": "stdio"}"#;
        check("single", text, "stem stdio uvx demo-single");
        check_remarks(text, &[]);
        assert_eq!(import(text, "single").servers[0].name, "single");
    }

    #[test]
    fn without_a_file_the_name_is_that_of_the_host_or_program() {
        let name = |text: &str| import(text, "").servers[0].name.clone();
        assert_eq!(name(r#"{"url": "https://mcp.example.org/mcp"}"#), "example");
        assert_eq!(name("command: /opt/bin/demo\n"), "demo");
        assert_eq!(name("transport: {type: sse, url: 'https://a.test'}\n"), "server");
    }
}
