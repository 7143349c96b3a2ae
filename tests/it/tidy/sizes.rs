//! Sizes of the gateway's functions and files.

use std::io;

use super::{File, identifier, is_test, nothing_wrong, sources, without_tests};

/// Lines of all but one in a hundred functions, without tests, as for the two sizes below.
const MAX_FUNCTION: usize = 45;
/// Lines of nine in ten files.
const MAX_USUAL_FILE: usize = 320;
/// Lines of `downstream` as a whole.
const MAX_DOWNSTREAM: usize = 3_500;

/// A function with its length in lines.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    lines: usize,
    name: String,
}

#[test]
fn functions_files_and_the_edges_of_the_gateway_are_small() -> io::Result<()> {
    nothing_wrong(&oversized(&sources()?));
    Ok(())
}

fn oversized(sources: &[File]) -> Vec<String> {
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

/// Returns the functions with a body in a formatted file.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| line.starts_with(&format!("{indent}}}")) || line.trim_end().ends_with(';');
        let opens = lines[at..].iter().position(|line| line.trim_end().ends_with('{') || ends(line));
        let Some(opens) = opens.map(|opens| at + opens).filter(|opens| lines[*opens].trim_end().ends_with('{')) else {
            continue;
        };
        let closing = format!("{indent}}}");
        let length = lines[opens..].iter().position(|line| **line == closing);
        let lines = opens - at + length.map_or(1, |length| length + 1);
        found.push(Function { lines, name: name.to_owned() });
    }
    found
}

fn function(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    if let Some(rest) = words.strip_prefix("pub") {
        words =
            rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').map_or("", |(_, rest)| rest)).trim_start();
    }
    for word in ["const ", "async ", "unsafe "] {
        words = words.strip_prefix(word).unwrap_or(words);
    }
    words.strip_prefix("fn ").map(identifier)
}

/// Returns the value below which this share of the values lies, in percent.
fn percentile(mut values: Vec<usize>, percent: usize) -> usize {
    values.sort_unstable();
    values.get(values.len() * percent / 100).or(values.last()).copied().unwrap_or_default()
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
fn measures_functions() {
    let text = "fn a() {\n}\n\nimpl A {\n    pub(crate) async fn b(\n        a: u8,\n    ) -> u8\n    where\n        A: B,\n    {\n        \
                a\n    }\n\n    fn c(&self) -> u8;\n\n    fn d() {}\n}\n";
    let found: Vec<(usize, String)> = functions(text).into_iter().map(|it| (it.lines, it.name)).collect();
    assert_eq!(found, [(2, "a".to_owned()), (8, "b".to_owned())]);
    assert_eq!(percentile((1..=100).collect(), 90), 91);
}
