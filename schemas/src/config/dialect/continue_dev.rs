//! Continue: `config.yaml`, whose `mcpServers` are a list.

use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS};
use crate::config::pattern::Notation;

pub(super) const DIALECT: Dialect = Dialect {
    id: "continue",
    programs: "Continue",
    evidence: |file| file.list(&["mcpServers"]).map(|_| "`mcpServers`, a list".to_owned()),
    servers: |file, entries| {
        entries.listed(file.at(&["mcpServers"]), "name");
        entries.within("requestOptions");
    },
    rules: Rules::new(UrlAlone::Auto, Unit::Seconds, Notation::SECRETS),
    ..MCP_SERVERS
};

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn config_yaml() {
        let text = r#"
name: Demo
version: 0.0.1
schema: v1
mcpServers:
  - {name: sql, command: npx, args: [-y, demo-sql], cwd: ./db, env: {K: "${{ secrets.SQL_KEY }}"}, connectionTimeout: 5000}
  - {name: rem, type: streamable-http, url: "https://rem.example.org/mcp", requestOptions: {headers: {A: b}}}
  - {name: try, url: "https://try.example.org/mcp", apiKey: "${{ secrets.TRY }}"}
"#;
        check(
            "continue",
            text,
            "sql stdio npx -y demo-sql [K=${SQL_KEY}] cwd ./db connect 5s; \
             rem http https://rem.example.org/mcp [A: b]; \
             try auto https://try.example.org/mcp [Authorization: Bearer ${TRY}]",
        );
        check_remarks(
            text,
            &["6: the program has values in its store of secrets: `SQL_KEY`, `TRY` \
               (set in the environment: `SQL_KEY`, `TRY`)"],
        );
    }

    #[test]
    fn options_of_requests() {
        let text = "mcpServers:\n  - {name: a, url: 'http://a.test', \
            requestOptions: {timeout: 30, verifySsl: false, proxy: 'http://p.test'}}\n  - {command: b}\n";
        check("continue", text, "a auto http://a.test call 30s; b stdio b");
        check_remarks(
            text,
            &[
                "2: `a.requestOptions.verifySsl`, `a.requestOptions.proxy` have no effect: \
                 set the proxy and the certificates of a server in its definition",
                "3: this server has no `name`; here it is called `b`",
            ],
        );
    }
}
