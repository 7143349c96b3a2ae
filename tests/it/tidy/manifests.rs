//! Manifests of the packages: lints and dependencies.

use std::io;

use super::{every_file, problem};

#[test]
fn every_package_inherits_the_lints() -> io::Result<()> {
    every_file(inherits_lints)
}

#[test]
fn proxy_server_and_proxy_client_do_not_depend_on_each_other() -> io::Result<()> {
    every_file(depends_on_no_sibling)
}

fn inherits_lints(path: &str, text: &str) -> Vec<String> {
    let settings = if path.ends_with("Cargo.toml") { settings(text) } else { Vec::new() };
    let is_package = settings.contains(&("[package]", "[package]"));
    problem(is_package && !settings.contains(&("[lints]", "workspace = true")), "wants `[lints] workspace = true`")
}

fn depends_on_no_sibling(path: &str, text: &str) -> Vec<String> {
    let is_either = ["proxy-server/Cargo.toml", "proxy-client/Cargo.toml"].contains(&path);
    let sibling = if path.starts_with("proxy-server") { "proxy-client" } else { "proxy-server" };
    let depends = |(header, line): &(&str, &str)| header.contains("dependencies") && line.contains(sibling);
    problem(is_either && settings(text).iter().any(depends), &format!("depends on `{sibling}`"))
}

/// Returns each line of a manifest with the header of its section.
fn settings(text: &str) -> Vec<(&str, &str)> {
    let mut header = "";
    let beside_header = |line| {
        header = if str::starts_with(line, '[') { line } else { header };
        (header, line)
    };
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).map(beside_header).collect()
}

#[test]
fn finds_what_a_manifest_must_not_say() {
    let package = "[package]\nname = \"a\"\n[lints]\nworkspace = ";
    assert!(inherits_lints("a/Cargo.toml", &format!("{package}true")).is_empty());
    assert_eq!(inherits_lints("a/Cargo.toml", &format!("{package}false")), ["wants `[lints] workspace = true`"]);
    let (server, client) = ("proxy-server/Cargo.toml", "proxy-client/Cargo.toml");
    assert_eq!(depends_on_no_sibling(server, "[dev-dependencies.proxy-client]"), ["depends on `proxy-client`"]);
    assert_eq!(depends_on_no_sibling(client, "[dependencies]\nproxy-server.workspace = true").len(), 1);
    assert!(depends_on_no_sibling(client, "[package]\ndescription = \"of the proxy-server\"").is_empty());
}
