//! Rows of modules of the gateway, and imports between them.

use std::collections::BTreeSet;
use std::io;

use super::imports::expanded;
use super::{code, every_file, identifier};

/// Modules of the gateway from the top down. A module imports only from rows below its own. The first row, which
/// assembles the process, counts as one module.
const ROWS: [&str; 12] = [
    "main lib cli commands gateway fuzz",
    "config",
    "downstream discovery admin ui",
    "control",
    "call",
    "policy",
    "route",
    "catalog",
    "upstream",
    "registry protocol http",
    "error keys live telemetry tasks pieces lines tenant",
    "sync text",
];

#[test]
fn gateway_modules_import_only_from_rows_below() -> io::Result<()> {
    every_file(keeps_to_its_row)
}

fn keeps_to_its_row(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("proxy-server/src/") else { return Vec::new() };
    let own = identifier(inside);
    let Some(row) = row_of(own) else { return vec![format!("`{own}` is in no row")] };
    let wrong = |name: &str| match row_of(name) {
        None => Some(format!("`crate::{name}` is in no row")),
        Some(other) if other > row || (row, other) == (1, 1) => None,
        Some(other) => Some(format!("`{own}` of row {row} imports `{name}` of row {other}")),
    };
    imports(inside, &code(text)).iter().filter(|name| *name != own).filter_map(|name| wrong(name)).collect()
}

/// Returns the top-level modules that a file of the gateway imports by `crate::`, or by `super::` if that is the crate
/// root.
fn imports(inside: &str, code: &str) -> BTreeSet<String> {
    let after = |prefix: &str| -> Vec<String> { code.split(prefix).skip(1).flat_map(first_names).collect() };
    let mut names: BTreeSet<String> = after("crate::").into_iter().collect();
    if !inside.contains('/') {
        names.extend(after("super::").into_iter().filter(|name| row_of(name).is_some()));
    }
    names
}

/// Returns the names with which `a::B` or `{a::B, c::{D, E}};` begins.
fn first_names(path: &str) -> Vec<String> {
    let item = path.split(';').next().unwrap_or_default();
    let paths = if path.starts_with('{') { expanded(item) } else { vec![item.to_owned()] };
    paths.iter().map(|path| identifier(path).to_owned()).filter(|name| !name.is_empty()).collect()
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.split(' ').any(|name| name == module)).map(|at| at + 1)
}

#[test]
fn finds_an_import_from_the_same_row_or_above() {
    let call = |text| keeps_to_its_row("proxy-server/src/call.rs", text);
    assert!(call("//! [`crate::admin`]\nuse crate::{policy::{A, B}, route};\nuse super::*; // crate::ui\n").is_empty());
    assert!(call("use crate::call::Call;\npub(crate) fn f() {}").is_empty());
    let upward = ["`call` of row 5 imports `admin` of row 3"];
    assert_eq!(call("use crate::{\n  route,\n  admin::{self, X},\n};"), upward);
    assert_eq!(call("use super::admin::X;"), upward);
    assert_eq!(keeps_to_its_row("proxy-server/src/call/a.rs", "fn f(a: &crate::admin::A) {}"), upward);
    assert_eq!(call("use crate::Thing;"), ["`crate::Thing` is in no row"]);
    assert_eq!(keeps_to_its_row("proxy-server/src/extra/a.rs", ""), ["`extra` is in no row"]);
    assert_eq!(keeps_to_its_row("proxy-server/src/ui.rs", "use crate::admin;").len(), 1);
    assert!(keeps_to_its_row("proxy-server/src/main.rs", "use crate::cli::Cli;").is_empty());
}
