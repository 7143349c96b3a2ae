//! Sizes of functions and files.

/// A function with its length in lines.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function {
    pub(super) lines: usize,
    pub(super) name: String,
}

/// Returns the text before the tests of a file.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Returns the functions with a body in a formatted file.
pub(super) fn functions(text: &str) -> Vec<Function> {
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
    let name = words.strip_prefix("fn ")?;
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

/// Returns the value below which this share of the values lies, in percent.
pub(super) fn percentile(mut values: Vec<usize>, percent: usize) -> usize {
    values.sort_unstable();
    values.get(values.len() * percent / 100).or(values.last()).copied().unwrap_or_default()
}

#[test]
fn measures_functions() {
    let text = "fn a() {\n}\n\nimpl A {\n    pub(crate) async fn b(\n        a: u8,\n    ) -> u8\n    where\n        A: B,\n    {\n        \
                a\n    }\n\n    fn c(&self) -> u8;\n\n    fn d() {}\n}\n";
    let found: Vec<(usize, String)> = functions(text).into_iter().map(|it| (it.lines, it.name)).collect();
    assert_eq!(found, [(2, "a".to_owned()), (8, "b".to_owned())]);
    assert_eq!(percentile((1..=100).collect(), 90), 91);
}
