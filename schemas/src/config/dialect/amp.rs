//! Amp: `settings.json` with the key `amp.mcpServers`, written with its dot.

use crate::config::fields::{APPROVAL, Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;
use crate::config::remark::Remark;

const ROOT: &str = "amp.mcpServers";
const PERMISSIONS: &str = "amp.mcpPermissions";

pub(super) const DIALECT: Dialect = Dialect {
    id: "amp",
    programs: "Amp",
    roots: &[ROOT],
    evidence: |file| file.at(&[ROOT]).map(|_| format!("`{ROOT}`")),
    servers: |file, entries| entries.named(file.map(&[ROOT])),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::BRACES),
    whole: |file, imported| {
        let span = file.root.key_span(PERMISSIONS);
        imported.remarks.extend(span.map(|span| Remark::lost(span, PERMISSIONS, APPROVAL)));
    },
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn settings_with_a_dotted_key() {
        let text = r#"{"amp.notifications.enabled": true, // dotted key, not nested
            "amp.mcpServers": {"sg": {"url": "https://sg.example.org/.api/mcp", "headers": {"Authorization": "token x"}},
                               "loc": {"command": "loc", "args": []}}}"#;
        check("amp", text, "sg auto https://sg.example.org/.api/mcp [Authorization: token x]; loc stdio loc");
        check_remarks(text, &[]);
    }

    #[test]
    fn permissions_and_a_second_root_are_told() {
        let text = r#"{"amp.mcpPermissions": [{"matches": {}, "action": "allow"}],
            "amp.mcpServers": {"a": {"command": "${BIN}", "includeTools": ["x"]}},
            "mcpServers": {"b": {"command": "b"}}}"#;
        check("amp", text, "a stdio ${BIN} allow x");
        check_remarks(
            text,
            &[
                "1: `amp.mcpPermissions` has no effect: it concerns questions to the program's user, \
                 which a gateway does not ask",
                "3: `mcpServers` is ignored: what counts in this file is below `amp.mcpServers`",
            ],
        );
    }
}
