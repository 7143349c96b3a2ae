//! Graph of imports between the files of one package, and its circles.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{File, PACKAGES, code, is_test, nothing_wrong, sources, without_tests};

#[test]
fn no_files_of_a_package_import_each_other_in_a_circle() -> io::Result<()> {
    let sources = sources()?;
    let problems: Vec<String> = PACKAGES.iter().flat_map(|package| in_circles(package, &sources)).collect();
    nothing_wrong(&problems);
    Ok(())
}

/// Files of a package: each with its module path (`a::b`, empty for the crate root) and its code.
struct Package {
    files: BTreeMap<String, String>,
    /// Re-exports: (module, name) to the path that it stands for.
    exports: BTreeMap<(String, String), String>,
}

impl Package {
    /// Reads the library files below `folder` (such as `proxy-server/src/`). Leaves out comments and tests.
    fn read(folder: &str, sources: &[File]) -> Self {
        let inside = |(path, text): &File| {
            let name = path.strip_prefix(folder)?.strip_suffix(".rs").filter(|_| !is_test(path))?;
            let module = if name == "lib" { String::new() } else { name.replace('/', "::") };
            Some((module, code(without_tests(text))))
        };
        let mut package = Self { files: sources.iter().filter_map(inside).collect(), exports: BTreeMap::new() };
        for (module, text) in &package.files {
            for (is_public, path) in uses(text) {
                let Some((path, name)) = absolute(module, &path).filter(|_| is_public) else { continue };
                package.exports.insert((module.clone(), name), path);
            }
        }
        package
    }

    /// Returns the files that each file imports, directly or through a re-export.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut graph = BTreeMap::new();
        for (module, text) in &self.files {
            let used = uses(text).into_iter().filter(|(is_public, _)| !is_public).map(|(_, path)| path);
            let inline = inline(text).map(|rest| format!("crate::{}", path_at(rest)));
            let paths = used.chain(inline).filter_map(|path| Some(absolute(module, &path)?.0));
            let own = children(text).into_iter().flat_map(|child| calls(text, &child));
            let paths = paths.chain(own.filter_map(|path| Some(absolute(module, &format!("self::{path}"))?.0)));
            let files = paths.filter_map(|path| self.file_of(&path, 0)).filter(|file| file != module);
            graph.insert(module.as_str(), files.collect());
        }
        graph
    }

    /// Returns the file that defines the item at a path.
    fn file_of(&self, path: &str, depth: usize) -> Option<&str> {
        let parts: Vec<&str> = path.split("::").collect();
        for end in (1..=parts.len()).rev() {
            let module = parts[..end].join("::");
            let Some((module, _)) = self.files.get_key_value(&module) else { continue };
            let named = parts.get(end).and_then(|name| self.exports.get(&(module.clone(), (*name).to_owned())));
            return match named {
                Some(path) if depth < 8 => self.file_of(path, depth + 1),
                _ => Some(module),
            };
        }
        None
    }
}

fn in_circles(package: &str, sources: &[File]) -> Vec<String> {
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

/// Returns the groups of files that import each other in circles, the largest first.
fn circles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reach(file, imports))).collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reached {
        let mutual = others.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)));
        let group: BTreeSet<&str> = mutual.copied().chain([*file]).collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn reach<'a>(file: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if found.insert(*next) {
                open.push(next);
            }
        }
    }
    found
}

/// Returns the paths of all `use` items, and whether each is a re-export.
fn uses(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim_start();
        if !(line.is_empty() || line.starts_with("pub")) {
            continue;
        }
        let item = text[at + 4..].split(';').next().unwrap_or_default();
        let item: String = item.split_whitespace().collect::<Vec<_>>().join(" ");
        found.extend(expanded(&item).into_iter().map(|path| (line.starts_with("pub"), path)));
    }
    found
}

/// Returns the rest of the text behind each `crate::` outside of `use` items and visibilities.
fn inline(text: &str) -> impl Iterator<Item = &str> {
    let places = text.match_indices("crate::").filter(|(at, _)| {
        let item = text[..*at].rsplit([';', '{', '}']).next().unwrap_or_default();
        !(item.ends_with("(in ") || item.split_whitespace().any(|word| word == "use"))
    });
    places.map(|(at, word)| &text[at + word.len()..])
}

/// Returns every path of a `use` tree such as `a::{b, c::{d as e}}`.
pub(super) fn expanded(item: &str) -> Vec<String> {
    let Some((start, group)) = item.split_once('{') else { return vec![item.trim().to_owned()] };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let mut depth = 0;
    let is_between_items = |letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        depth == 0 && letter == ','
    };
    let items = group.split(is_between_items).map(str::trim).filter(|item| !item.is_empty());
    items.flat_map(|item| expanded(&format!("{}{item}", start.trim_start()))).collect()
}

/// Returns a path from the crate root without `crate::`, and the name that it has in the importing file; `None` for
/// paths outside of the crate.
fn absolute(module: &str, path: &str) -> Option<(String, String)> {
    let (path, name) = match path.split_once(" as ") {
        Some((path, name)) => (path.trim(), name.trim()),
        None => (path, path.rsplit("::").next().unwrap_or_default()),
    };
    let joined = |start: &str, rest: &str| if start.is_empty() { rest.to_owned() } else { format!("{start}::{rest}") };
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let path = match (path.strip_prefix("crate::"), path.strip_prefix("self::"), path.strip_prefix("super::")) {
        (Some(rest), _, _) => rest.to_owned(),
        (_, Some(rest), _) => joined(module, rest),
        (_, _, Some(rest)) => joined(parent, rest),
        (None, None, None) => return None,
    };
    Some((path.strip_suffix("::self").unwrap_or(&path).to_owned(), name.to_owned()))
}

/// Returns the names of the modules that a file declares.
fn children(text: &str) -> Vec<String> {
    let declared = |line: &str| {
        let line = line.trim_start();
        let name = line.split_once("mod ")?.1.strip_suffix(';')?;
        (line.starts_with("mod ") || line.starts_with("pub")).then(|| name.to_owned())
    };
    text.lines().filter_map(declared).collect()
}

/// Returns the paths `child::Name` that a file names without `use`.
fn calls(text: &str, child: &str) -> Vec<String> {
    let start = format!("{child}::");
    let is_inside_path = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
    };
    let places = text.match_indices(&start).filter(|(at, _)| !is_inside_path(*at));
    places.map(|(at, _)| path_at(&text[at..]).to_owned()).collect()
}

/// Returns the path with which a text begins.
fn path_at(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
    text[..end.unwrap_or(text.len())].trim_end_matches(':')
}

#[test]
fn finds_a_circle_through_a_re_export_and_a_module_of_its_own() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let sources = [
        file("p/src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        file("p/src/a.rs", "mod inner;\npub(crate) use self::inner::{Thing, Other as Another};\nuse crate::b::B;\n"),
        file("p/src/a/inner.rs", "use crate::c::C; // use crate::b::B;\n"),
        file("p/src/b.rs", "fn b() -> crate::a::Another { }\n#[cfg(test)]\nmod tests { use crate::c::C; }"),
        file("p/src/c.rs", "use crate::{\n    b::{self, B},\n};\n"),
        file("p/src/d.rs", "mod e;\nfn d() { e::f() }\n"),
        file("p/src/d/e.rs", "use super::D;\npub(in crate::b) fn e() {}\npub(crate) use crate::{c, b::B};\n"),
    ];
    let package = Package::read("p/src/", &sources);
    let imports = package.imports();
    assert_eq!(imports["b"], ["a::inner"].into());
    assert_eq!(imports["a"], ["b"].into());
    let found: Vec<Vec<&str>> = circles(&imports).into_iter().map(|group| group.into_iter().collect()).collect();
    assert_eq!(found, [vec!["a::inner", "b", "c"], vec!["d", "d::e"]]);
}
