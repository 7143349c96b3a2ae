//! Public items of a package, and their uses by others.

use std::collections::BTreeSet;
use std::io;

use super::docs::is_of_library;
use super::{File, PACKAGES, code, identifier, nothing_wrong, sources, without_tests};

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

/// Finds public items of `own` that no file of `others` names, and that no signature of another public item needs.
fn unused_public_items(own: Vec<&File>, others: Vec<&File>) -> Vec<String> {
    let mut used: BTreeSet<String> = others.iter().flat_map(|(_, text)| words(&code(text))).collect();
    for (_, text) in &own {
        // An associated type is as public as its trait.
        let associated = text.lines().filter_map(|line| line.trim_start().strip_prefix("type ")?.split_once('='));
        used.extend(associated.flat_map(|(_, named)| words(named)));
        let signatures = signatures(without_tests(text));
        used.extend(
            signatures.iter().flat_map(|(name, text)| words(text).into_iter().filter(move |word| word != name)),
        );
    }
    let unused = |(path, text): &File| -> Vec<String> {
        let items = signatures(without_tests(text)).into_iter().filter(|(name, _)| !used.contains(name));
        items.map(|(name, _)| format!("{path}: `pub {name}` is used by no other package")).collect()
    };
    own.into_iter().flat_map(unused).collect()
}

fn words(text: &str) -> BTreeSet<String> {
    let is_apart = |letter: char| !letter.is_alphanumeric() && letter != '_';
    text.split(is_apart).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Returns the name and the signature of every public item: of a function up to its body, of a type with its fields.
fn signatures(text: &str) -> Vec<(String, String)> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("pub ") {
        let item = &code[at + 4..];
        let words: Vec<&str> = item.split_whitespace().take(4).collect();
        let Some(kind) = words.iter().position(|word| ["struct", "enum", "trait", "fn", "type"].contains(word)) else {
            // A constant; fields, imports and modules are no items here.
            if words.first() == Some(&"const") {
                let name = words.get(1).map(|name| identifier(name)).unwrap_or_default();
                found.push((name.to_owned(), item[..item.find('=').unwrap_or(item.len())].to_owned()));
            }
            continue;
        };
        let name = words.get(kind + 1).map(|name| identifier(name)).unwrap_or_default();
        if name.is_empty() || !words[..kind].iter().all(|word| ["const", "async", "unsafe"].contains(word)) {
            continue;
        }
        let end = match item.find(['{', ';']).map(|at| (at, &item[at..=at])) {
            Some((_, "{")) if words[kind] != "fn" => item.find("\n}"),
            found => found.map(|(at, _)| at),
        };
        found.push((name.to_owned(), item[..end.unwrap_or(item.len())].to_owned()));
    }
    found
}

#[test]
fn finds_a_public_item_that_nobody_uses() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let own = file(
        "a/src/b.rs",
        "pub struct Used {\n    pub part: Part,\n}\npub struct Part;\npub const ONE: u8 = 1;\n\
         impl Used {\n    pub async fn idle(&self) -> Self {\n    }\n}\ntype Err = Wrong;\npub enum Wrong {\n}\n",
    );
    let others = file("c/src/d.rs", "use a::Used; // ONE, idle\n");
    let found = unused_public_items(vec![&own], vec![&others]);
    assert_eq!(found, ["ONE", "idle"].map(|name| format!("a/src/b.rs: `pub {name}` is used by no other package")));
}
