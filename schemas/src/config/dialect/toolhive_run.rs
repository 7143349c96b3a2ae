//! ToolHive: `RunConfig` of one workload, a container or a remote server.

use crate::config::dialect::image;
use crate::config::entry::{Entry, name_of};
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, File, MCP_SERVERS, Reading};
use crate::config::pattern::Notation;
use crate::document::Node;

pub(super) const DIALECT: Dialect = Dialect {
    id: "toolhive-run",
    programs: "ToolHive",
    roots: &[],
    evidence: |file| {
        let has = |key: &str| file.at(&[key]).is_some();
        (has("schema_version") && (has("image") || has("remote_url"))).then(|| "`schema_version`".to_owned())
    },
    servers: |file, entries| entries.list.push(workload(file)),
    rules: Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::NONE),
    finish,
    ..MCP_SERVERS
};

fn workload<'f>(file: &File<'f>) -> Entry<'f> {
    let written = file.at(&["name"]);
    let name = written.and_then(Node::literal).map_or_else(|| name_of(file.root), str::to_owned);
    let span = written.map_or_else(Default::default, |name| name.span);
    Entry::new(name, span, file.root).within("header_forward")
}

fn finish(reading: &mut Reading<'_, '_>) {
    reading.used.add(&["schema_version", "image"]);
    if let Some(image) = reading.entry.literal("image").filter(|image| !image.is_empty()) {
        reading.server.kind = image::unsupported(reading.entry, image, "cmd_args");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};

    #[test]
    fn a_remote_server() {
        let text = r#"{"schema_version": "v0.1.0", "name": "w", "image": "", "remote_url": "https://w.example.org/mcp",
            "transport": "streamable-http", "host": "127.0.0.1", "port": 8080, "tools_filter": ["get"],
            "header_forward": {"add_plaintext_headers": {"A": "b"}}, "permission_profile": null}"#;
        check("toolhive-run", text, "w http https://w.example.org/mcp [A: b] allow get");
        check_remarks(text, &["2: `w.host`, `w.port` have no effect: it has no meaning for a gateway"]);
    }

    #[test]
    fn a_container_is_left_out_with_the_command_that_runs_it() {
        check(
            "toolhive-run",
            "schema_version: v0.1.0\nname: d\nimage: ghcr.io/x/d:1\ntransport: stdio\ncmd_args: [--x]\n\
             env_vars: {A: b}\nsecrets: ['key,target=KEY']\nvolumes: ['/a:/b']\n",
            "d unsupported (it is the image `ghcr.io/x/d:1`; give the gateway a command, such as \
             `docker run -i --rm -e A -e KEY -v /a:/b ghcr.io/x/d:1 --x`)",
        );
        check(
            "toolhive-run",
            "schema_version: v0.1.0\nimage: uvx://demo@1\ntransport: stdio\n",
            "demo unsupported (it is the image `uvx://demo@1`; give the gateway a command, such as `uvx demo@1`)",
        );
    }
}
