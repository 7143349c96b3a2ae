//! Words that code must not contain, everywhere or outside of one file.

use std::collections::BTreeMap;
use std::io;

use super::{File, code, every_file, nothing_wrong, sources};

const MACROS: [&str; 2] = ["todo", "unimplemented"];
const ATTRIBUTES: [&str; 2] = ["ignore", "allow"];
/// Crates that read YAML, as manifests name them.
const YAML_CRATES: [&str; 2] = ["serde-saphyr", "granit-parser"];

#[test]
fn nothing_is_unfinished_ignored_or_allowed() -> io::Result<()> {
    every_file(is_without_forbidden_words)
}

#[test]
fn only_one_module_names_the_yaml_crates() -> io::Result<()> {
    every_file(leaves_yaml_to_its_module)
}

#[test]
fn the_environment_is_read_in_one_file_per_package() -> io::Result<()> {
    nothing_wrong(&too_many_readers(&sources()?));
    Ok(())
}

#[test]
fn every_route_of_the_gateway_declares_its_audience() -> io::Result<()> {
    every_file(builds_no_router)
}

fn is_without_forbidden_words(path: &str, text: &str) -> Vec<String> {
    let code = if path.ends_with(".rs") { code(text) } else { String::new() };
    let macros = MACROS.iter().map(|name| format!("{name}!"));
    let attributes = ATTRIBUTES.iter().flat_map(|name| [format!("#[{name}"), format!("#![{name}")]);
    let forbidden = macros.chain(attributes).chain(["super::".repeat(2)]);
    forbidden.filter(|word| code.contains(word)).map(|word| format!("holds `{word}`")).collect()
}

fn leaves_yaml_to_its_module(path: &str, text: &str) -> Vec<String> {
    let elsewhere = path.ends_with(".rs") && path != "schemas/src/document/yaml.rs";
    let code = code(text);
    let named = YAML_CRATES.iter().map(|name| name.replace('-', "_")).filter(|name| elsewhere && code.contains(name));
    named.map(|name| format!("names `{name}`")).collect()
}

fn builds_no_router(path: &str, text: &str) -> Vec<String> {
    let elsewhere = path.starts_with("proxy-server/src/") && path != "proxy-server/src/http/server/routes.rs";
    let builds = elsewhere && path.ends_with(".rs") && code(text).contains("Router::new");
    builds.then(|| "builds a router without `Routes`, which declare their audience".to_owned()).into_iter().collect()
}

fn too_many_readers(sources: &[File]) -> Vec<String> {
    // The warden hands the variables of its program on; it reads no setting.
    let is_meant = |path: &str| path.ends_with(".rs") && path.contains("/src/") && !path.ends_with("/stdio/warden.rs");
    let reads = |path: &str, text| is_meant(path) && code(text).contains("env::var");
    let mut by_package = BTreeMap::<&str, Vec<&str>>::new();
    for (path, _) in sources.iter().filter(|(path, text)| reads(path, text)) {
        by_package.entry(path.split('/').next().unwrap_or_default()).or_default().push(path);
    }
    let wrong = |(package, files): &(&str, Vec<&str>)| match *package {
        "schemas" => true,
        "proxy-server" => files.as_slice() != ["proxy-server/src/config/env.rs"],
        _ => files.len() > 1,
    };
    by_package.into_iter().filter(wrong).map(|(_, files)| files.join(", ") + ": read the environment").collect()
}

#[test]
fn finds_forbidden_words() {
    let [unfinished, _] = MACROS.map(|name| format!("{name}!"));
    let [ignored, allowed] = ATTRIBUTES.map(|name| format!("#[{name}"));
    let found = is_without_forbidden_words("a.rs", &format!("{allowed}(dead_code)]\nfn f() {{ {unfinished}() }}"));
    assert_eq!(found, [format!("holds `{unfinished}`"), format!("holds `{allowed}`")]);
    assert_eq!(is_without_forbidden_words("a.rs", &format!("{ignored}]\nuse super::{}A;", "super::")).len(), 2);
    assert!(is_without_forbidden_words("a.rs", &format!("// No {unfinished} here.")).is_empty());
}

#[test]
fn finds_the_yaml_crate() {
    let yaml = "serde-saphyr".replace('-', "_");
    let text = format!("use {yaml}::X;");
    assert_eq!(leaves_yaml_to_its_module("a/src/b.rs", &text), [format!("names `{yaml}`")]);
    assert!(leaves_yaml_to_its_module("schemas/src/document/yaml.rs", &text).is_empty());
}

#[test]
fn finds_a_router_without_audiences() {
    assert_eq!(builds_no_router("proxy-server/src/console.rs", "axum::Router::new()").len(), 1);
    assert!(builds_no_router("proxy-server/src/http/server/routes.rs", "Router::new()").is_empty());
}

#[test]
fn finds_a_second_reader_of_the_environment() {
    let reader = |path: &str| (path.to_owned(), "std::env::vars()".to_owned());
    let wrong = |paths: &str| too_many_readers(&paths.split(' ').map(reader).collect::<Vec<_>>());
    assert!(wrong("proxy-server/src/config/env.rs proxy-client/src/builder.rs").is_empty());
    assert_eq!(wrong("proxy-server/src/ui.rs"), ["proxy-server/src/ui.rs: read the environment"]);
    assert_eq!(wrong("a/src/b.rs a/src/c.rs"), ["a/src/b.rs, a/src/c.rs: read the environment"]);
}
