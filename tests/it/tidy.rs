//! Rules that the source tree checks about itself: layout, layers, file sizes, forbidden words.
//!
//! Each rule is a function from a file's path and text to the problems in it. One test applies it to every file that
//! git would commit, another to a broken sample, so that no rule can stop being checked unnoticed.

mod imports;
mod public_items;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

use self::imports::{Package, circles};
use self::public_items::unused_public_items;
use self::sizes::{functions, percentile, without_tests};

/// Entries of the top folder, besides hidden files of tools.
const TOP_LEVEL: &str = "Cargo.lock Cargo.toml LICENSE README.md examples findings proxy-client proxy-server \
                         register-service schemas tests workflows";

/// Modules of the gateway from the top down. A module imports only from rows below its own. The first row, which
/// assembles the process, counts as one module.
const ROWS: [&str; 12] = [
    "main lib cli commands gateway fuzz",
    "config",
    "downstream admin ui",
    "control",
    "call",
    "policy",
    "route",
    "catalog",
    "upstream",
    "registry protocol http",
    "error keys live telemetry tasks pieces lines",
    "sync",
];

const FORBIDDEN: [&str; 6] = ["todo!", "unimplemented!", "#[ignore", "#[allow(", "#![allow(", "super::super::"];
const MAX_LINES: usize = 500;
/// Sizes of the gateway: lines of all but one in a hundred functions, of nine in ten files, and of `downstream` as a
/// whole, without tests.
const MAX_FUNCTION: usize = 45;
const MAX_USUAL_FILE: usize = 320;
const MAX_DOWNSTREAM: usize = 3_500;

const PACKAGES: [&str; 4] = ["schemas", "proxy-server", "proxy-client", "register-service"];
/// Packages that others link. Every `pub` item there is reachable, because `unreachable_pub` is on.
const LIBRARIES: [&str; 3] = ["schemas", "proxy-client", "register-service"];
/// Words that follow `pub` at the start of an item that is not a field, a module or an import.
const ITEMS: &str = "struct enum union trait fn async const static type unsafe";
/// Words with which at most one doc comment in `FEWEST_DOCS` may open, because the subject has to be guessed.
const UNCLEAR: [&str; 6] = ["What", "Who", "Whether", "How", "Where", "Which"];
const FEWEST_DOCS: usize = 20;
/// Info strings of code fences that are compiled, and so count as examples.
const COMPILED: [&str; 4] = ["", "no_run", "should_panic", "compile_fail"];

#[test]
fn the_top_level_holds_exactly_the_map() -> io::Result<()> {
    nothing_wrong(&top_level(&paths()?));
    Ok(())
}

#[test]
fn every_package_inherits_the_lints() -> io::Result<()> {
    every_file(inherits_lints)
}

#[test]
fn gateway_modules_import_only_from_rows_below() -> io::Result<()> {
    every_file(keeps_to_its_row)
}

#[test]
fn no_file_is_over_500_lines() -> io::Result<()> {
    every_file(is_short)
}

#[test]
fn no_files_of_a_package_import_each_other_in_a_circle() -> io::Result<()> {
    let sources = sources()?;
    let problems: Vec<String> = PACKAGES.iter().flat_map(|package| in_circles(package, &sources)).collect();
    nothing_wrong(&problems);
    Ok(())
}

#[test]
fn functions_files_and_the_edges_of_the_gateway_are_small() -> io::Result<()> {
    nothing_wrong(&oversized(&sources()?));
    Ok(())
}

#[test]
fn every_public_item_is_used_by_another_package() -> io::Result<()> {
    let sources = sources()?;
    let is_own = |package: &str, path: &str| {
        path.starts_with(&format!("{package}/src/"))
            && if package == "proxy-server" { !path.ends_with("/main.rs") } else { is_of_library(path, &sources) }
    };
    let problems: Vec<String> = PACKAGES
        .iter()
        .flat_map(|package| {
            let (own, others) = sources.iter().partition(|(path, _)| is_own(package, path));
            unused_public_items(own, others)
        })
        .collect();
    nothing_wrong(&problems);
    Ok(())
}

#[test]
fn no_file_is_called_mod_rs() -> io::Result<()> {
    every_file(has_a_name_of_its_own)
}

#[test]
fn nothing_is_unfinished_ignored_or_allowed() -> io::Result<()> {
    every_file(is_without_forbidden_words)
}

#[test]
fn proxy_server_and_proxy_client_do_not_depend_on_each_other() -> io::Result<()> {
    every_file(depends_on_no_sibling)
}

#[test]
fn only_the_source_module_names_the_yaml_crate() -> io::Result<()> {
    every_file(leaves_yaml_to_source)
}

#[test]
fn the_environment_is_read_in_one_file_per_package() -> io::Result<()> {
    nothing_wrong(&too_many_readers(&sources()?));
    Ok(())
}

#[test]
fn every_public_item_of_a_library_has_an_example() -> io::Result<()> {
    nothing_wrong(&without_example(&sources()?));
    Ok(())
}

#[test]
fn doc_comments_open_with_their_subject() -> io::Result<()> {
    nothing_wrong(&unclear_docs(&sources()?));
    Ok(())
}

fn top_level(paths: &[String]) -> Vec<String> {
    let wanted: BTreeSet<&str> = TOP_LEVEL.split_whitespace().collect();
    let entries = paths.iter().filter_map(|path| path.split('/').next());
    let found: BTreeSet<&str> = entries.filter(|name| !name.starts_with('.')).collect();
    let missing = wanted.difference(&found).map(|name| format!("{name}: missing"));
    missing.chain(found.difference(&wanted).map(|name| format!("{name}: not on the map"))).collect()
}

fn inherits_lints(path: &str, text: &str) -> Vec<String> {
    let settings = if path.ends_with("Cargo.toml") { settings(text) } else { Vec::new() };
    let is_package = settings.contains(&("[package]", "[package]"));
    problem(is_package && !settings.contains(&("[lints]", "workspace = true")), "wants `[lints] workspace = true`")
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

fn is_short(path: &str, text: &str) -> Vec<String> {
    let is_test = path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
    let lines: Vec<&str> = text.lines().collect();
    let is_module = |line: &str| line.contains("mod ") && line.ends_with('{');
    let opens_tests = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", next] if is_module(next));
    let length = lines.windows(2).position(opens_tests).unwrap_or(lines.len());
    problem(path.ends_with(".rs") && !is_test && length > MAX_LINES, &format!("has {length} lines without its tests"))
}

fn in_circles(package: &str, sources: &[(String, String)]) -> Vec<String> {
    let package = Package::read(&format!("{package}/src/"), sources);
    let imports = package.imports();
    let told = |group: BTreeSet<&str>| {
        let files = group.iter().map(|file| {
            let others: Vec<&str> = imports[file].intersection(&group).copied().collect();
            format!("\n    {file} imports {}", others.join(", "))
        });
        format!("{} files import each other in a circle:{}", group.len(), files.collect::<String>())
    };
    circles(&imports).into_iter().map(told).collect()
}

fn oversized(sources: &[(String, String)]) -> Vec<String> {
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/");
    let gateway: Vec<(&str, &str)> = sources
        .iter()
        .filter(|(path, _)| path.starts_with("proxy-server/src/") && path.ends_with(".rs") && !is_test(path))
        .map(|(path, text)| (path.as_str(), without_tests(text)))
        .collect();
    let all: Vec<_> =
        gateway.iter().flat_map(|(path, text)| functions(text).into_iter().map(move |it| (it, path))).collect();
    let function = percentile(all.iter().map(|(it, _)| it.lines).collect(), 99);
    let file = percentile(gateway.iter().map(|(_, text)| text.lines().count()).collect(), 90);
    let is_edge = |path: &str| path.starts_with("proxy-server/src/downstream");
    let edges: usize = gateway.iter().filter(|(path, _)| is_edge(path)).map(|(_, text)| text.lines().count()).sum();
    let mut problems = Vec::new();
    if function > MAX_FUNCTION {
        let long = all.iter().filter(|(it, _)| it.lines > MAX_FUNCTION);
        problems.extend(long.map(|(it, path)| format!("{path}: `{}` has {} lines", it.name, it.lines)));
    }
    problems.extend((file > MAX_USUAL_FILE).then(|| format!("one in ten files has {file} lines or more")));
    problems.extend((edges > MAX_DOWNSTREAM).then(|| format!("proxy-server/src/downstream has {edges} lines")));
    problems
}

fn has_a_name_of_its_own(path: &str, _: &str) -> Vec<String> {
    problem(path.ends_with("/mod.rs"), "is named by its folder: `x/mod.rs` should be `x.rs`")
}

fn is_without_forbidden_words(path: &str, text: &str) -> Vec<String> {
    let code = if path.ends_with(".rs") { code(text) } else { String::new() };
    FORBIDDEN.iter().filter(|word| code.contains(**word)).map(|word| format!("holds `{word}`")).collect()
}

fn depends_on_no_sibling(path: &str, text: &str) -> Vec<String> {
    let is_either = ["proxy-server/Cargo.toml", "proxy-client/Cargo.toml"].contains(&path);
    let sibling = if path.starts_with("proxy-server") { "proxy-client" } else { "proxy-server" };
    let depends = |(header, line): &(&str, &str)| header.contains("dependencies") && line.contains(sibling);
    problem(is_either && settings(text).iter().any(depends), &format!("depends on `{sibling}`"))
}

fn leaves_yaml_to_source(path: &str, text: &str) -> Vec<String> {
    let elsewhere = path.ends_with(".rs") && path != "register-service/src/source/yaml.rs";
    let code = code(text);
    let named = ["serde_saphyr", "granit_parser"].into_iter().filter(|name| elsewhere && code.contains(name));
    named.map(|name| format!("names `{name}`")).collect()
}

fn too_many_readers(sources: &[(String, String)]) -> Vec<String> {
    let reads = |path: &str, text| path.ends_with(".rs") && path.contains("/src/") && code(text).contains("env::var");
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

fn without_example(sources: &[(String, String)]) -> Vec<String> {
    let of_libraries = sources.iter().filter(|(path, _)| is_of_library(path, sources));
    let bare = |(path, text): &(String, String)| -> Vec<String> {
        let items = bare_items(text).into_iter();
        items.map(|(line, item)| format!("{path}:{line}: `{item}` has no example")).collect()
    };
    of_libraries.flat_map(bare).collect()
}

/// Finds doc comments that open with "The same", and all that open with an unclear word if they are too many.
fn unclear_docs(sources: &[(String, String)]) -> Vec<String> {
    let (mut problems, mut unclear, mut count) = (Vec::new(), Vec::new(), 0);
    for (path, text) in sources.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let mut before = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let doc = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
            if let Some(mark) = doc.filter(|_| doc != before) {
                count += 1;
                let opening = line.strip_prefix(mark).unwrap_or_default().trim_start();
                let opens = |words: &&str| opening.strip_prefix(*words).is_some_and(|rest| rest.starts_with(' '));
                let place = format!("{path}:{}: opens with its object: {opening}", number + 1);
                if opens(&"The same") {
                    problems.push(place);
                } else if UNCLEAR.iter().any(opens) {
                    unclear.push(place);
                }
            }
            before = doc;
        }
    }
    if unclear.len() * FEWEST_DOCS > count {
        problems.append(&mut unclear);
    }
    problems
}

/// True if a file is part of a library: `lib.rs`, or below one of its modules; a binary has modules of its own.
fn is_of_library(path: &str, sources: &[(String, String)]) -> bool {
    let Some((package, inside)) = path.split_once("/src/") else { return false };
    let (root, module) = (format!("{package}/src/lib.rs"), format!("mod {};", identifier(inside)));
    let is_module = |line: &str| line == module || line.ends_with(&format!(" {module}"));
    let is_mounted = || sources.iter().any(|(path, text)| *path == root && code(text).lines().any(is_module));
    LIBRARIES.contains(&package) && (path == root || is_mounted())
}

/// Returns the public items without an example in their doc comments, each with its line. Items whose name comes from a
/// macro parameter are skipped: they have the comments that the macro call passes.
fn bare_items(text: &str) -> Vec<(usize, &str)> {
    let (mut bare, mut fences, mut has_example, mut is_in_trait) = (Vec::new(), 0, false, false);
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(doc) = trimmed.strip_prefix("///") {
            let fence = doc.trim_start().strip_prefix("```");
            has_example |= fences % 2 == 0 && fence.is_some_and(|kind| COMPILED.contains(&kind));
            fences += usize::from(fence.is_some());
            continue;
        }
        let item = if is_in_trait { Some(trimmed) } else { trimmed.strip_prefix("pub ") };
        let is_item = item.is_some_and(|item| ITEMS.split(' ').any(|word| word == identifier(item)));
        if is_item && !has_example && !line.contains(" $") {
            bare.push((at + 1, trimmed));
        }
        if is_item || line.is_empty() || line.ends_with(['{', '}', ';']) {
            (fences, has_example) = (0, false);
        }
        is_in_trait = line != "}" && (is_in_trait || line.starts_with("pub trait "));
    }
    bare
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
    let Some(group) = path.strip_prefix('{') else { return vec![identifier(path).to_owned()] };
    let mut depth = 0;
    let is_between_items = |letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        depth == 0 && letter == ','
    };
    let items = group.split(';').next().unwrap_or_default().split(is_between_items);
    items.map(|item| identifier(item.trim_start()).to_owned()).filter(|name| !name.is_empty()).collect()
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.split(' ').any(|name| name == module)).map(|at| at + 1)
}

fn identifier(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}

/// Returns the text without its line comments.
fn code(text: &str) -> String {
    let bare = |line: &str| match line.trim_start() {
        comment if comment.starts_with("//") => String::new(),
        _ => line.split(" // ").next().unwrap_or_default().to_owned() + "\n",
    };
    text.lines().map(bare).collect()
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

fn problem(is_there: bool, words: &str) -> Vec<String> {
    is_there.then(|| words.to_owned()).into_iter().collect()
}

fn every_file(check: fn(&str, &str) -> Vec<String>) -> io::Result<()> {
    let wrong = |(path, text): &(String, String)| -> Vec<String> {
        check(path, text).iter().map(|problem| format!("{path}: {problem}")).collect()
    };
    nothing_wrong(&sources()?.iter().flat_map(wrong).collect::<Vec<_>>());
    Ok(())
}

fn nothing_wrong(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Reads every Rust file and manifest, as (path, text); without this file, which contains the forbidden words.
fn sources() -> io::Result<Vec<(String, String)>> {
    let is_wanted = |path: &str| path.ends_with(".rs") || path.ends_with("Cargo.toml");
    let wanted = paths()?.into_iter().filter(|path| is_wanted(path) && path != "tests/it/tidy.rs");
    let root = root()?;
    wanted.map(|path| fs::read_to_string(root.join(&path)).map(|text| (path, text))).collect()
}

/// Lists every file that is or could be committed, relative to the top folder.
fn paths() -> io::Result<Vec<String>> {
    let root = root()?;
    let listed = git(&["ls-files", "--cached", "--others", "--exclude-standard", "--full-name", ":/"])?;
    Ok(listed.lines().filter(|path| root.join(path).exists()).map(str::to_owned).collect())
}

fn root() -> io::Result<PathBuf> {
    Ok(PathBuf::from(git(&["rev-parse", "--show-toplevel"])?.trim_end()))
}

fn git(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("git").args(arguments).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(io::Error::other(text(&output.stderr))) }
}

#[test]
fn finds_functions_files_and_edges_that_are_too_large() {
    let function = |lines: usize| format!("fn a() {{\n{}}}\n", "    b();\n".repeat(lines - 2));
    let file = |name: &str, text: String| (format!("proxy-server/src/{name}.rs"), text);
    let small = [file("a", function(MAX_FUNCTION)), file("downstream", function(MAX_FUNCTION))];
    assert!(oversized(&small).is_empty());
    let long = function(MAX_FUNCTION + 1);
    assert_eq!(oversized(&[file("a", long)]), ["proxy-server/src/a.rs: `a` has 46 lines"]);
    assert_eq!(oversized(&[file("a", "//\n".repeat(321))]), ["one in ten files has 321 lines or more"]);
    let edges: Vec<_> = (0..20).map(|number| file(&format!("downstream/a{number}"), "//\n".repeat(176))).collect();
    assert_eq!(oversized(&edges), ["proxy-server/src/downstream has 3520 lines"]);
}

#[test]
fn finds_a_top_level_off_the_map() {
    let text = TOP_LEVEL.replace("LICENSE", "notes/a.md .ci/run");
    let paths: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    assert_eq!(top_level(&paths), ["LICENSE: missing", "notes: not on the map"]);
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

#[test]
fn finds_a_long_file_but_not_its_tests() {
    let lines = |count| "let a = 1;\n".repeat(count);
    assert_eq!(is_short("a/src/b.rs", &lines(501)), ["has 501 lines without its tests"]);
    let with_tests = lines(500) + "#[cfg(test)]\nmod tests {\n" + &lines(500);
    assert!(is_short("a/src/b.rs", &with_tests).is_empty());
    assert!(is_short("a/src/b/tests.rs", &lines(501)).is_empty());
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

#[test]
fn finds_forbidden_words_and_names() {
    assert_eq!(is_without_forbidden_words("a.rs", "#[allow(dead_code)]\nfn f() { todo!() }").len(), 2);
    assert!(is_without_forbidden_words("a.rs", "// No todo! here.").is_empty());
    assert_eq!(has_a_name_of_its_own("a/src/b/mod.rs", "").len(), 1);
    assert_eq!(leaves_yaml_to_source("a/src/b.rs", "use serde_saphyr::X;"), ["names `serde_saphyr`"]);
    assert!(leaves_yaml_to_source("register-service/src/source/yaml.rs", "use serde_saphyr::X;").is_empty());
}

#[test]
fn finds_a_second_reader_of_the_environment() {
    let reader = |path: &str| (path.to_owned(), "std::env::vars()".to_owned());
    let wrong = |paths: &str| too_many_readers(&paths.split(' ').map(reader).collect::<Vec<_>>());
    assert!(wrong("proxy-server/src/config/env.rs proxy-client/src/builder.rs").is_empty());
    assert_eq!(wrong("proxy-server/src/ui.rs"), ["proxy-server/src/ui.rs: read the environment"]);
    assert_eq!(wrong("a/src/b.rs a/src/c.rs"), ["a/src/b.rs, a/src/c.rs: read the environment"]);
}

#[test]
fn finds_a_public_item_without_an_example() {
    let bare = |text: &str| bare_items(text).into_iter().map(|(line, _)| line).collect::<Vec<usize>>();
    let example = "/// A.\n///\n/// ```\n/// let a = 1;\n/// ```\n";
    assert_eq!(bare(&format!("{example}#[derive(Debug)]\npub struct A {{\n    /// A.\n    pub a: B,\n}}\n")), [0; 0]);
    assert_eq!(bare("/// A.\npub struct A;\n\npub(crate) struct B;\npub use b::C;\npub mod d;"), [2]);
    assert_eq!(bare("impl A {\n    /// A.\n    pub async fn a() {\n    }\n\n    pub const B: u8 = 1;\n}"), [3, 6]);
    assert_eq!(bare(&format!("{example}pub fn a(\n    a: u8,\n) {{}}\npub fn b() {{}}\n")), [9]);
    for fence in ["text", "ignore"] {
        assert_eq!(bare(&(example.replacen("```", &format!("```{fence}"), 1) + "pub enum A {}")), [6], "{fence}");
    }
    let in_trait = "pub trait A {\n    /// B.\n    fn b(&self);\n}\n\nfn c() {}\n";
    assert_eq!(bare(&format!("{example}{in_trait}")), [8]);
    assert_eq!(bare("$(#[$doc])*\npub struct $name(String);"), [0; 0]);
}

#[test]
fn finds_doc_comments_that_open_with_their_object() {
    let found = |docs: &[&str]| {
        let text: String = docs.iter().map(|doc| format!("/// {doc}\n/// What else.\nfn f() {{}}\n")).collect();
        unclear_docs(&[("a.rs".to_owned(), text)]).len()
    };
    let clear = ["Returns one."; FEWEST_DOCS - 1];
    assert_eq!(found(&clear), 0);
    assert_eq!(found(&[&clear[..], &["What it is."]].concat()), 0);
    assert_eq!(found(&[&clear[..], &["What it is.", "How it is done."]].concat()), 2);
    assert_eq!(found(&[&clear[..], &["The same of two."]].concat()), 1);
}

#[test]
fn finds_the_files_of_a_library() {
    let sources =
        ["schemas/src/lib.rs", "schemas/src/a.rs", "schemas/src/b/c.rs", "schemas/src/main.rs", "schemas/src/bin/d.rs"];
    let text = "//! mod main;\npub mod a;\n#[cfg(test)]\nmod b;\npub fn f() {}\n".to_owned();
    let sources = sources.map(|path| (path.to_owned(), text.clone()));
    let found =
        ["lib.rs", "a.rs", "b/c.rs"].map(|file| format!("schemas/src/{file}:5: `pub fn f() {{}}` has no example"));
    assert_eq!(without_example(&sources), found);
    assert!(!is_of_library("proxy-server/src/lib.rs", &sources));
}
