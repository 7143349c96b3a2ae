//! Docker's MCP Gateway: catalogue with `registry`.

use crate::config::dialect::image;
use crate::config::fields::{Rules, Unit, UrlAlone};
use crate::config::format::{Dialect, MCP_SERVERS, Reading, is_map_of_maps};
use crate::config::pattern::Notation;
use crate::config::server::Kind;

const ROOT: &str = "registry";

pub(super) const DIALECT: Dialect = Dialect {
    id: "docker-catalog",
    programs: "Docker's MCP Gateway",
    roots: &[ROOT],
    evidence: |file| file.map(&[ROOT]).filter(|map| is_map_of_maps(map)).map(|_| format!("`{ROOT}`")),
    servers: |file, entries| {
        entries.named(file.map(&[ROOT]));
        entries.within("remote");
    },
    rules: RULES,
    finish,
    ..MCP_SERVERS
};

/// Rules of both files of this program.
pub(super) const RULES: Rules = Rules {
    transport: &["transport_type"],
    ..Rules::new(UrlAlone::Auto, Unit::Guessed, Notation::BRACES.with(Notation::MUSTACHE))
};

/// Reads an entry of the catalogue.
pub(super) fn finish(reading: &mut Reading<'_, '_>) {
    // `tools` only describes.
    reading.used.add(&["type", "tools"]);
    let entry = reading.entry;
    if entry.literal("type") == Some("poci") {
        reading.server.kind = Kind::Unsupported("it is a container for each call, which exists only there".to_owned());
    } else if let Some(image) = entry.literal("image") {
        reading.server.kind = image::unsupported(entry, image, "command");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::dialect::shown::{check, check_remarks};
    use crate::config::import;

    #[test]
    fn a_catalogue() {
        let text = r#"
name: demo
registry:
  duck: {type: server, title: Duck, description: d, image: "mcp/duck:1", command: [--stdio], env: [{name: A, value: "{{duck.a}}"}], secrets: [{name: duck.key, env: DUCK_KEY}], allowHosts: ["d.example.org:443"]}
  moby: {type: remote, description: m, remote: {url: "https://moby.example.org/mcp", transport_type: http, headers: {A: b}}}
"#;
        check(
            "docker-catalog",
            text,
            "duck unsupported (it is the image `mcp/duck:1`; give the gateway a command, such as \
             `docker run -i --rm -e A -e DUCK_KEY mcp/duck:1 --stdio`); \
             moby http https://moby.example.org/mcp [A: b]",
        );
        check_remarks(text, &[]);
    }

    #[test]
    fn old_addresses_and_secrets_in_headers() {
        let text = "registry:\n  a: {sseEndpoint: 'https://a.test/sse'}\n  \
            b: {type: remote, remote: {url: 'https://b.test/mcp', headers: {K: 'Bearer ${B_KEY}'}}, \
            secrets: [{name: b.key, env: B_KEY}]}\n  c: {type: poci, image: x}\n";
        check(
            "docker-catalog",
            text,
            "a sse https://a.test/sse; b auto https://b.test/mcp [K: Bearer ${B_KEY}]; \
             c unsupported (it is a container for each call, which exists only there)",
        );
        check_remarks(
            text,
            &["3: `b.secrets` has no effect: the values are in the program's store of secrets; \
               set environment variables of these names"],
        );
    }

    #[test]
    fn a_list_of_names_is_refused() {
        let remarks = import("registry:\n  a: {ref: ''}\n  b: {ref: ''}\n", "registry").remarks;
        assert!(remarks[0].message.starts_with("this is a list of names"), "{remarks:?}");
    }
}
