//! Finds out the syntax of a file from its text.

use crate::document::malformed::{Malformed, MalformedKind};
use crate::document::node::{Node, Position, Span, Value};
use crate::document::{json, toml, yaml};

/// Most values of a file: far above what people write, far below what exhausts a machine.
const MAX_NODES: usize = 200_000;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Syntax of a file.
///
/// ```
/// use schemas::document::{Document, Syntax};
///
/// let syntaxes = ["{\"a\": 1} // b", "[a]\nb = 1\n", "a:\n  b: 1\n"].map(|text| Document::parse(text).syntax);
/// assert_eq!(syntaxes, [Syntax::Json, Syntax::Toml, Syntax::Yaml]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON, with comments and trailing commas.
    Json,
    /// TOML.
    Toml,
    /// YAML; one document.
    Yaml,
}

/// File whose root is a mapping.
///
/// ```
/// use schemas::document::Document;
///
/// let document = Document::parse("port = 7000\n");
/// assert_eq!(document.root.get("port").and_then(|it| it.literal()), Some("7000"));
///
/// let broken = Document::parse("{\"port\": 7000");
/// assert_eq!(broken.malformed[0].message, "this brace is not closed");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    /// Syntax that the text has, or seems to have.
    pub syntax: Syntax,
    /// The root: a mapping, empty if nothing could be read.
    pub root: Node,
    /// Mistakes in the syntax.
    pub malformed: Vec<Malformed>,
}

impl Document {
    /// Parses a text. A text that begins with `{` is JSON; one that is no table in TOML is YAML. The inside of a JSON
    /// object without its braces is accepted, because such texts are copied from web pages.
    ///
    /// ```
    /// use schemas::document::Document;
    ///
    /// assert!(Document::parse("\"mcpServers\": {}").root.get("mcpServers").is_some());
    /// assert_eq!(Document::parse("- a\n").malformed[0].message, "the file is a list, not a mapping");
    /// ```
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let begin = behind_comments(text);
        if begin.starts_with('{') {
            let (root, malformed) = json::parse(text);
            return Self::with_root(Syntax::Json, root, malformed);
        }
        // The brace takes the place of a line break, so that only the columns of the first line are shifted.
        let inside = begin.starts_with('"').then(|| json::parse(&format!("{{{text}}}")));
        if let Some((Some(root), mistakes)) = &inside
            && mistakes.is_empty()
        {
            return Self::with_root(Syntax::Json, Some(root.clone()), Vec::new());
        }
        let (root, mut malformed) = toml::parse(text);
        let is_toml = malformed.is_empty() && root.as_map().is_some_and(|map| !map.entries.is_empty());
        if is_toml || looks_like_toml(text) {
            return Self::with_root(Syntax::Toml, Some(root), malformed);
        }
        let mut read = yaml::parse(text);
        read.malformed.retain(|it| it.kind != MalformedKind::Engine);
        if let Some((root, mistakes)) = inside
            && !(read.malformed.is_empty() && read.documents.iter().any(|it| it.as_map().is_some()))
        {
            return Self::with_root(Syntax::Json, root, mistakes);
        }
        malformed = read.malformed;
        if let Some(second) = read.documents.get(1) {
            let message = "the file has more than one document".to_owned();
            malformed.push(Malformed { kind: MalformedKind::Syntax, span: second.head(), message, hint: None });
        }
        Self::with_root(Syntax::Yaml, read.documents.into_iter().next(), malformed)
    }

    fn with_root(syntax: Syntax, root: Option<Node>, mut malformed: Vec<Malformed>) -> Self {
        let start = Position { line: 1, column: 1 };
        let nothing = || Node { span: Span { start, end: start }, value: Value::Map(Default::default()) };
        let what = match root.as_ref().map(|root| &root.value) {
            Some(Value::Map(_)) => None,
            None | Some(Value::Null) => Some("empty"),
            Some(Value::List(_)) => Some("a list, not a mapping"),
            Some(_) => Some("a single value, not a mapping"),
        };
        match (what, root) {
            (None, Some(root)) if size(&root) > MAX_NODES => {
                let message = format!("the file holds more than {MAX_NODES} values");
                let span = Span { start, end: start };
                malformed.push(Malformed { kind: MalformedKind::Syntax, span, message, hint: None });
                Self { syntax, root: nothing(), malformed }
            }
            (None, Some(root)) => Self { syntax, root, malformed },
            (what, root) => {
                if malformed.is_empty() {
                    let span = root.as_ref().map_or(Span { start, end: start }, Node::head);
                    let message = format!("the file is {}", what.unwrap_or_default());
                    malformed.push(Malformed { kind: MalformedKind::WrongType, span, message, hint: None });
                }
                Self { syntax, root: nothing(), malformed }
            }
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.entries.iter().map(|(.., value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Skips blanks, and comments as JSON has them with editors.
fn behind_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let end = match text {
            _ if text.starts_with("//") => text.find('\n'),
            _ if text.starts_with("/*") => text.find("*/").map(|at| at + 2),
            _ => return text,
        };
        text = end.and_then(|end| text.get(end..)).unwrap_or_default();
    }
}

/// True if the first line with content is the head of a table or an assignment, so that mistakes are those of TOML.
fn looks_like_toml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let Some(line) = lines.next() else { return false };
    let is_key = |key: &str| {
        let is_part = |letter: char| letter.is_alphanumeric() || "_-.\"' ".contains(letter);
        !key.trim().is_empty() && key.chars().all(is_part)
    };
    match line.strip_prefix('[') {
        Some(head) => head.trim_start_matches('[').split(']').next().is_some_and(is_key) && line.contains(']'),
        None => line.split_once('=').is_some_and(|(key, _)| is_key(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, syntax: Syntax, expected: &str) {
        let document = Document::parse(text);
        let told = |it: &Malformed| format!("{}:{} {}", it.span.start.line, it.span.start.column, it.message);
        let told: Vec<String> = document.malformed.iter().map(told).collect();
        assert_eq!((document.syntax, told.join("; ").as_str()), (syntax, expected), "{text}");
    }

    #[test]
    fn the_text_tells_its_syntax() {
        check("{}", Syntax::Json, "");
        check("\u{feff}// a\n/* b */ {\"a\": [1, 2,],}", Syntax::Json, "");
        check("\"mcpServers\": {\"a\": {}}", Syntax::Json, "");
        check("\"mcpServers\": {\"a\": {}\n}, \"b\": 1", Syntax::Json, "");
        check("# c\na = 1\n", Syntax::Toml, "");
        check("[a.b]\nc = [1,\n 2]\n", Syntax::Toml, "");
        check("a: b = c\n", Syntax::Yaml, "");
        check("a:\n  - b\n", Syntax::Yaml, "");
        check("a: \"\\/\"", Syntax::Yaml, "");
    }

    #[test]
    fn mistakes_have_their_positions() {
        check("", Syntax::Yaml, "1:1 the file is empty");
        check("# only a comment\n", Syntax::Yaml, "1:1 the file is empty");
        check("[1]", Syntax::Toml, "");
        check("- a", Syntax::Yaml, "1:1 the file is a list, not a mapping");
        check("just text", Syntax::Yaml, "1:1 the file is a single value, not a mapping");
        check("a: 1\n---\nb: 2\n", Syntax::Yaml, "3:1 the file has more than one document");
        check("{\"a\": 1,\n \"a\": 2}", Syntax::Json, "2:2 key `a` is there twice");
        check("{\"a\": 1\n \"b\": 2}", Syntax::Json, "1:8 a comma is missing in front of this");
        check("{\"a\": {\"b\": 1}", Syntax::Json, "1:1 this brace is not closed");
        check("{\"a\": 'b'}", Syntax::Json, "1:7 a text is in double quotes, not in single ones");
        check("{a: 1}", Syntax::Json, "1:2 a key is a text in double quotes");
        check("{\"a\": yes}", Syntax::Json, "1:7 this is no value in JSON");
        check(
            "[a]\nb = \n[c]\nd = 1\nd = 2\n",
            Syntax::Toml,
            "2:5 string values must be quoted, expected literal string; 5:1 key `d` is there twice",
        );
    }
}
