//! Builds trees from parser events: resolves anchors, aliases and merge keys, reports duplicate keys.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::document::malformed::MalformedKind;
use crate::document::malformed::{Malformed, unquoted_template};
use crate::document::node::{Map, Node, Position, Span, Text, Value};
use crate::nearest;

/// Most nodes per file: far above what authors write, far below what exhausts a machine.
const MAX_NODES: usize = 50_000;
/// Most bytes of texts that aliases may copy.
const MAX_COPIED_BYTES: usize = 4 << 20;
const MERGE: &str = "<<";

/// Span, and its bytes in the text.
pub(super) type Place = (Span, Range<usize>);

/// Builder of the current document, with the mistakes found so far.
pub(super) struct Builder<'t> {
    text: &'t str,
    /// False if the text has no tab, so that no search for tabs is needed.
    has_tabs: bool,
    /// False if the text has none of the line breaks that only YAML 1.1 knows, so that no search for them is needed.
    has_old_breaks: bool,
    open: Vec<Open>,
    root: Option<Node>,
    anchored: HashMap<usize, Node>,
    /// Names of this document's anchors.
    names: HashSet<String>,
    nodes: usize,
    /// Bytes of texts that aliases have copied.
    copied: usize,
    pub(super) malformed: Vec<Malformed>,
}

/// List or mapping whose end event has not arrived yet.
struct Open {
    node: Node,
    anchor: usize,
    start: usize,
    /// Key whose value comes next.
    key: Option<Key>,
    /// Values of merge keys.
    merged: Vec<Node>,
    /// True if the mapping is in fact a template without quotes.
    is_template: bool,
}

struct Key {
    /// `None` if the key is a list or a mapping, which is an error.
    name: Option<String>,
    span: Span,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            has_tabs: text.contains('\t'),
            has_old_breaks: !text.is_ascii() && text.contains(is_old_break),
            open: Vec::new(),
            root: None,
            anchored: HashMap::new(),
            names: HashSet::new(),
            nodes: 0,
            copied: 0,
            malformed: Vec::new(),
        }
    }

    /// Returns the document that ended; `None` if it is empty.
    pub(super) fn document(&mut self) -> Option<Node> {
        let root = self.root.take();
        self.abandon();
        root
    }

    /// Discards the current document.
    pub(super) fn abandon(&mut self) {
        self.open.clear();
        self.root = None;
        self.anchored.clear();
        self.names.clear();
    }

    /// Returns the start of the innermost list or mapping, if it is in brackets.
    pub(super) fn open_bracket(&self) -> Option<Position> {
        let open = self.open.last()?;
        let is_bracket = self.text.get(open.start..)?.starts_with(['[', '{']);
        is_bracket.then_some(open.node.span.start)
    }

    pub(super) fn scalar(
        &mut self,
        resolved: Option<Value>,
        text: String,
        anchor: usize,
        (span, source): &Place,
    ) -> Result<(), Malformed> {
        let written = self.text.get(source.clone()).unwrap_or_default();
        if self.has_old_breaks
            && let Some((at, letter)) = written.char_indices().find(|(_, letter)| is_old_break(*letter))
        {
            self.malformed.push(old_break(span.start.behind(written.get(..at).unwrap_or_default()), letter));
        }
        let trimmed = written.trim_end();
        let end = if trimmed.len() == written.len() { span.end } else { span.start.behind(trimmed) };
        let source = source.start..source.start + trimmed.len();
        let span = Span { end, ..*span };
        let origin = span.start;
        let value = resolved.unwrap_or(Value::Text(Text { text, source, origin }));
        self.add(Node { span, value }, anchor)
    }

    /// Reports syntax in front of a scalar, or as its first letter inside of brackets, that the engine's parser
    /// rejects.
    pub(super) fn check_start(&mut self, (span, source): &Place, is_odd: bool) {
        let is_item = self.has_tabs && self.has_tab_behind_dash(source);
        let message = match is_odd && self.open_bracket().is_some() {
            true => "the engine's YAML reader does not take this in brackets without quotes".to_owned(),
            false if is_item => "the engine's YAML reader does not take a tab behind a `-`".to_owned(),
            false if self.is_missing_key(source) => {
                "a key is missing in front of this `:`, and the engine's YAML reader refuses the file".to_owned()
            }
            false => return,
        };
        self.malformed.push(Malformed { kind: MalformedKind::Engine, span: *span, message, hint: None });
    }

    /// True for an empty key without even a `?`, a tag or an anchor.
    fn is_missing_key(&self, source: &Range<usize>) -> bool {
        let is_key = || self.open.last().is_some_and(|open| open.key.is_none() && open.node.as_map().is_some());
        let (before, rest) = self.text.split_at_checked(source.start).unwrap_or_default();
        let last_word = || before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
        source.is_empty()
            && is_key()
            && rest.trim_start_matches([' ', '\t']).starts_with(':')
            && !(last_word() == "?" || last_word().ends_with("{?") || last_word().starts_with(['!', '&']))
    }

    /// True if a tab is between the content at this position and the `-` of its block item, on the line of the content
    /// or on an earlier line that has nothing else. go-yaml accepts only spaces there.
    fn has_tab_behind_dash(&self, source: &Range<usize>) -> bool {
        let (before, rest) = self.text.split_at_checked(source.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let (lead, content) = dashes(line);
        // The parser reports an empty item behind its comment. Tags, anchors and `?` belong to the content.
        let content = without_prefix(content);
        if !content.is_empty() && !content.starts_with('#') {
            return false;
        }
        if lead.contains('-') {
            let is_followed_by_tab = rest.trim_start_matches(' ').starts_with('\t');
            return has_tab_behind(lead) || (lead.trim_end_matches(' ').ends_with('-') && is_followed_by_tab);
        }
        let mut earlier = before.rsplit('\n').skip(1).map(|line| dashes(line.trim_end_matches('\r')));
        let is_comment =
            |(lead, content): &(&str, &str)| !lead.contains('-') && (content.is_empty() || content.starts_with('#'));
        let Some((lead, content)) = earlier.find(|line| !is_comment(line)) else { return false };
        // Content of an item is indented further than its dash, unlike the node behind a block scalar that contains
        // such a line.
        let is_within = source.is_empty() || lead.rfind('-').is_some_and(|dash| line.len() > dash);
        let content = without_prefix(content);
        is_within && (content.is_empty() || content.starts_with(['#', '|', '>'])) && has_tab_behind(lead)
    }

    /// Removes the final line break that the parser adds to a block scalar if the file ends without one.
    pub(super) fn without_last_break<'a>(&self, text: Cow<'a, str>, (_, source): &Place) -> Cow<'a, str> {
        let rest = self.text.get(source.end..).unwrap_or_default();
        let last_line = self.text.rsplit('\n').next().unwrap_or_default();
        let is_blank = text.trim_matches('\n').is_empty() && !last_line.is_empty();
        let is_last = rest.trim_matches([' ', '\t']).is_empty()
            && (is_blank || !last_line.trim_matches([' ', '\t', '\r']).is_empty());
        match text.strip_suffix('\n') {
            Some(shorter) if is_last => shorter.to_owned().into(),
            _ => text,
        }
    }

    /// Adds a scalar in base64, tagged `!!binary`.
    pub(super) fn binary(&mut self, text: &str, anchor: usize, place: &Place) -> Result<(), Malformed> {
        let compact: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
        let bytes = BASE64_STANDARD.decode(compact).ok();
        let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        if decoded.is_none() {
            let message = "the value of `!!binary` is not a text in base64".to_owned();
            self.malformed.push(Malformed { kind: MalformedKind::Engine, span: place.0, message, hint: None });
        }
        self.scalar(None, decoded.unwrap_or_default(), anchor, place)
    }

    /// Reports escapes in double quotes that JSON and YAML 1.2 know, but the engine's parser does not.
    pub(super) fn check_escapes(&mut self, (span, source): &Place) {
        let written = self.text.get(source.clone()).unwrap_or_default();
        let mut at = 0;
        while let Some(found) = written.get(at..).and_then(|rest| rest.find('\\')) {
            let start = at + found;
            let escape = written.get(start + 1..).unwrap_or_default();
            let surrogate = escape.strip_prefix('u').and_then(|rest| u32::from_str_radix(rest.get(..4)?, 16).ok());
            let (length, hint) = match surrogate {
                // Report both surrogates of a letter as one mistake.
                Some(0xd800..=0xdbff) if escape.get(5..).is_some_and(|rest| rest.starts_with("\\u")) => {
                    (12, "write the letter itself, or `\\U` and its eight digits")
                }
                Some(0xd800..=0xdfff) => (6, "write the letter itself, or `\\U` and its eight digits"),
                _ if escape.starts_with('/') => (2, "write `/`"),
                _ => {
                    at = start + 1 + escape.chars().next().map_or(1, char::len_utf8);
                    continue;
                }
            };
            at = start + length;
            let from = span.start.behind(written.get(..start).unwrap_or_default());
            let shown = written.get(start..at).unwrap_or_default();
            let span = Span { start: from, end: from.behind(shown) };
            let message = format!("the engine's YAML reader does not know the escape `{shown}`, and refuses the file");
            self.malformed.push(Malformed { kind: MalformedKind::Engine, span, message, hint: Some(hint.to_owned()) });
        }
    }

    pub(super) fn open(&mut self, value: Value, anchor: usize, place: &Place) -> Result<(), Malformed> {
        let (span, source) = place;
        // A list or mapping without brackets is checked with its first scalar.
        if self.text.get(source.start..).is_some_and(|rest| rest.starts_with(['[', '{'])) {
            self.check_start(place, false);
        }
        let node = Node { span: *span, value };
        self.open.push(Open { node, anchor, start: source.start, key: None, merged: Vec::new(), is_template: false });
        Ok(())
    }

    pub(super) fn close(&mut self, (span, source): &Place) -> Result<(), Malformed> {
        let Some(mut open) = self.open.pop() else { return Ok(()) };
        // A bracket marks the end itself; an indented list or mapping ends with its last item.
        let is_bracket = !source.is_empty();
        let last = match &open.node.value {
            Value::List(items) => items.last().map(|item| item.span.end),
            Value::Map(map) => map.entries.last().map(|(_, key, value)| value.span.end.max(key.end)),
            _ => None,
        };
        open.node.span.end = if is_bracket { span.end } else { last.unwrap_or(open.node.span.start) };
        if let Value::Map(map) = &mut open.node.value {
            self.drop_repeated(map);
            self.merge(map, std::mem::take(&mut open.merged));
        }
        self.add(open.node, open.anchor)?;
        if open.is_template {
            self.forget_last();
        }
        Ok(())
    }

    pub(super) fn alias(&mut self, anchor: usize, (span, _): &Place) -> Result<(), Malformed> {
        let Some(node) = self.anchored.get(&anchor) else {
            let message = "this alias stands inside of what it stands for".to_owned();
            return Err(Malformed { kind: MalformedKind::Cycle, span: *span, message, hint: None });
        };
        self.nodes += size(node);
        self.copied += weight(node);
        if self.copied > MAX_COPIED_BYTES {
            let message = format!("aliases stand for more than {} MiB of text", MAX_COPIED_BYTES >> 20);
            return Err(Malformed { kind: MalformedKind::Syntax, span: *span, message, hint: None });
        }
        let node = Node { span: *span, value: node.value.clone() };
        self.add(node, 0)
    }

    pub(super) fn dangling(&mut self, name: &str, (span, _): &Place) -> Result<(), Malformed> {
        let names = self.names.iter().map(String::as_str);
        let near = nearest(name, names).map(|near| format!("did you mean `*{near}`?"));
        let message = format!("there is no anchor `&{name}` above this alias");
        self.malformed.push(Malformed { kind: MalformedKind::UnknownAlias, span: *span, message, hint: near });
        let text = Text { text: String::new(), ..Text::default() };
        self.add(Node { span: *span, value: Value::Text(text) }, 0)?;
        // The value is unknown, and must not cause further reports.
        self.forget_last();
        Ok(())
    }

    pub(super) fn anchor(&mut self, name: String, (span, _): &Place) {
        if self.names.contains(&name) {
            let message = format!("anchor `&{name}` is there twice");
            let hint = Some("aliases stand for the one that is last above them; give one another name".to_owned());
            self.malformed.push(Malformed { kind: MalformedKind::DuplicateAnchor, span: *span, message, hint });
        }
        self.names.insert(name);
    }

    /// Adds a node to the tree: as the root, an item, a key or the value of a key.
    fn add(&mut self, mut node: Node, anchor: usize) -> Result<(), Malformed> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message =
                format!("the file holds more than {MAX_NODES} values, aliases counted as what they stand for");
            return Err(Malformed { kind: MalformedKind::Syntax, span: node.head(), message, hint: None });
        }
        if anchor > 0 {
            self.anchored.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::Map(map), Some(key)) => {
                if node.span.start == node.span.end {
                    node.span = key.span;
                }
                match key.name {
                    Some(name) if name == MERGE => {
                        if !open.merged.is_empty() {
                            let message = format!("key `{name}` is there twice");
                            let hint = Some("one `<<` takes a list: `<<: [*one, *other]`".to_owned());
                            self.malformed.push(Malformed {
                                kind: MalformedKind::DuplicateKey,
                                span: key.span,
                                message,
                                hint,
                            });
                        }
                        open.merged.push(node);
                    }
                    Some(name) => map.entries.push((name, key.span, node)),
                    None => {}
                }
            }
            (Value::Map(_), None) => {
                open.is_template |= self.text.get(open.start..).is_some_and(|rest| rest.starts_with("{{"));
                let span = node.span;
                let name = match node.value {
                    Value::Text(text) => Some(text.text),
                    Value::Number(_, literal) => Some(literal),
                    Value::Bool(_, literal) => Some(literal.to_owned()),
                    Value::Null => Some(String::new()),
                    Value::List(_) | Value::Map(_) => None,
                };
                if name.is_none() {
                    if open.is_template {
                        let end = Position { column: span.end.column + 1, ..span.end };
                        self.malformed.push(unquoted_template(Span { start: open.node.span.start, end }));
                    } else {
                        let message = "a key is a text, not a list or a mapping".to_owned();
                        self.malformed.push(Malformed { kind: MalformedKind::Syntax, span, message, hint: None });
                    }
                }
                open.key = Some(Key { name, span });
            }
            (Value::List(items), _) => items.push(node),
            _ => {}
        }
        Ok(())
    }

    /// Removes the node added last; its key is recorded as present but unusable.
    fn forget_last(&mut self) {
        match self.open.last_mut().map(|open| &mut open.node.value) {
            Some(Value::Map(map)) => {
                if let Some((key, ..)) = map.entries.pop() {
                    map.removed.push(key);
                }
            }
            Some(Value::List(items)) => {
                items.pop();
            }
            _ => self.root = None,
        }
    }

    /// Reports duplicate keys, and keeps the first of each.
    fn drop_repeated(&mut self, map: &mut Map) {
        let mut seen = HashSet::with_capacity(map.entries.len());
        let mut keep = Vec::with_capacity(map.entries.len());
        for (key, span, _) in &map.entries {
            let is_first = seen.insert(key.as_str());
            keep.push(is_first);
            if !is_first {
                let first = map.key_span(key).unwrap_or_default().start.line;
                let hint = Some(format!("the first is in line {first}"));
                let message = format!("key `{key}` is there twice");
                self.malformed.push(Malformed { kind: MalformedKind::DuplicateKey, span: *span, message, hint });
            }
        }
        if keep.contains(&false) {
            let mut keep = keep.into_iter();
            map.entries.retain(|_| keep.next().unwrap_or(true));
        }
    }

    /// Adds the entries of merge keys that the mapping does not have itself.
    fn merge(&mut self, map: &mut Map, merged: Vec<Node>) {
        let mut names: HashSet<String> = match merged.is_empty() {
            true => return,
            false => map.entries.iter().map(|(key, ..)| key.clone()).collect(),
        };
        for node in merged {
            let span = node.span;
            let sources = match node.value {
                Value::List(items) => items,
                value => vec![Node { span, value }],
            };
            for source in sources {
                let Value::Map(source) = source.value else {
                    let message = "a merge key `<<` takes a mapping, or a list of mappings".to_owned();
                    self.malformed.push(Malformed {
                        kind: MalformedKind::WrongType,
                        span: source.span,
                        message,
                        hint: None,
                    });
                    continue;
                };
                map.entries.extend(source.entries.into_iter().filter(|(key, ..)| names.insert(key.clone())));
            }
        }
    }
}

/// Splits a line behind the indicators of its block items.
fn dashes(line: &str) -> (&str, &str) {
    let content = if line.starts_with("---") { line } else { line.trim_start_matches(['-', ' ', '\t']) };
    line.split_at(line.len() - content.len())
}

/// Skips the tags and anchors before a value, and the `?` before a key.
fn without_prefix(mut content: &str) -> &str {
    while content.starts_with(['!', '&']) || content.starts_with("? ") || content == "?" {
        content = content.trim_start_matches(|letter: char| !letter.is_whitespace()).trim_start();
    }
    content
}

fn has_tab_behind(dashes: &str) -> bool {
    dashes.split('-').skip(1).any(|blanks| blanks.contains('\t'))
}

/// True for a line break that only YAML 1.1 knows; the engine's parser treats it as one.
fn is_old_break(letter: char) -> bool {
    matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn old_break(start: Position, letter: char) -> Malformed {
    let code = letter as u32;
    let message = format!("the engine's YAML reader takes U+{code:04X} for a line break");
    let hint = Some(format!("write `\\u{code:04x}` in double quotes"));
    Malformed {
        kind: MalformedKind::Engine,
        span: Span { start, end: Position { column: start.column + 1, ..start } },
        message,
        hint,
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.entries.iter().map(|(.., value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Returns the number of bytes in the texts and keys of a tree.
fn weight(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(map) => map.entries.iter().map(|(key, _, value)| key.len() + weight(value)).sum(),
        Value::Text(text) => text.text.len(),
        Value::Number(_, literal) => literal.len(),
        Value::Null | Value::Bool(..) => 0,
    }
}
