//! Go's template form: texts, actions in `{{ }}`, and the blocks that `if` opens.

use std::ops::Range;

use crate::template::Fault;
use crate::template::expression::{self, Expression};

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Piece {
    /// What stands outside of actions.
    Text(String),
    /// What an action computes.
    Value(Expression),
    /// The first branch whose condition holds.
    If(Vec<Branch>),
}

/// Pieces, and on what they depend; on nothing after `else`.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) condition: Option<Expression>,
    pub(super) pieces: Vec<Piece>,
}

impl Piece {
    /// Adds the names of the variables in it.
    pub(super) fn variables(&self, names: &mut Vec<String>) {
        match self {
            Self::Text(_) => {}
            Self::Value(value) => value.variables(names),
            Self::If(branches) => {
                for Branch { condition, pieces } in branches {
                    condition.iter().for_each(|condition| condition.variables(names));
                    pieces.iter().for_each(|piece| piece.variables(names));
                }
            }
        }
    }
}

/// Far above what an author writes; evaluation goes as deep as this.
const MAX_NESTING: usize = 32;

/// Reads a template, and says everything that is wrong with it. Actions that are wrong are left out.
pub(super) fn parse(text: &str) -> (Vec<Piece>, Vec<Fault>) {
    let mut reader = Reader::default();
    let mut at = 0;
    let mut trim = false;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let after = &text[open + 2..];
        let is_comment = after.trim_start_matches("- ").starts_with("/*");
        let from = if is_comment { after.find("*/").map_or(0, |it| it + 2) } else { 0 };
        let Some(length) = action_length(after, from) else {
            let end = open + after.find('\n').map_or(text.len() - open, |it| it + 2);
            reader.bad(open..end, "the template has no closing `}}`");
            return reader.finish();
        };
        let whole = open..open + length + 4;
        let body = &after[..length];
        let left = body.starts_with("- ") || body.starts_with("-\n");
        let right = body.ends_with(" -") || body.ends_with("\n-");
        let before = &text[at..open];
        let before = if trim { before.trim_start() } else { before };
        reader.text(if left { before.trim_end() } else { before });
        let start = open + 2 + usize::from(left);
        let end = open + 2 + length - usize::from(right && length > usize::from(left));
        if !is_comment {
            reader.action(text, start..end.max(start), &whole);
        }
        trim = right;
        at = whole.end;
    }
    let rest = &text[at..];
    reader.text(if trim { rest.trim_start() } else { rest });
    reader.finish()
}

/// The length of an action up to its `}}`, which may also stand in a quoted text.
fn action_length(text: &str, from: usize) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices().filter(|(at, _)| *at >= from) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => return Some(at),
            None => {}
        }
    }
    None
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    open: Vec<Block>,
    faults: Vec<Fault>,
}

/// An `if` without its `end` yet.
struct Block {
    part: Range<usize>,
    branches: Vec<Branch>,
    /// What stood before it.
    outer: Vec<Piece>,
    has_else: bool,
}

impl Reader {
    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    fn bad(&mut self, part: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault::bad(part, message));
    }

    /// `inner` is what stands between the braces, `whole` the braces too.
    fn action(&mut self, text: &str, inner: Range<usize>, whole: &Range<usize>) {
        let action = text.get(inner.clone()).unwrap_or_default();
        let start = inner.start + (action.len() - action.trim_start().len());
        let action = action.trim();
        let (keyword, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        let behind = start + keyword.len();
        match (keyword, rest.trim()) {
            ("if", _) if self.open.len() == MAX_NESTING => {
                self.bad(whole.clone(), format!("more than {MAX_NESTING} `if` in one another"));
            }
            ("if", _) => {
                let condition = self.expression(text, behind..start + action.len(), whole);
                let branches = vec![Branch { condition, pieces: Vec::new() }];
                let outer = std::mem::take(&mut self.pieces);
                self.open.push(Block { part: whole.clone(), branches, outer, has_else: false });
            }
            ("else", "") => self.branch(None, true, whole),
            ("else", branch) if branch.starts_with("if ") => {
                let from = start + action.find(" if ").map_or(action.len(), |it| it + 4);
                let condition = self.expression(text, from..start + action.len(), whole);
                self.branch(condition, false, whole);
            }
            ("end", "") => match self.open.pop() {
                Some(mut block) => {
                    let pieces = std::mem::replace(&mut self.pieces, block.outer);
                    if let Some(last) = block.branches.last_mut() {
                        last.pieces = pieces;
                    }
                    self.pieces.push(Piece::If(block.branches));
                }
                None => self.bad(whole.clone(), "`end` without `if`"),
            },
            _ => {
                let value = self.expression(text, start..start + action.len(), whole);
                self.pieces.extend(value.map(Piece::Value));
            }
        }
    }

    fn branch(&mut self, condition: Option<Expression>, is_last: bool, whole: &Range<usize>) {
        match self.open.last_mut() {
            None => self.bad(whole.clone(), "`else` without `if`"),
            Some(block) if block.has_else => self.bad(whole.clone(), "`else` after the last `else`"),
            Some(block) => {
                block.has_else = is_last;
                if let Some(last) = block.branches.last_mut() {
                    last.pieces = std::mem::take(&mut self.pieces);
                }
                block.branches.push(Branch { condition, pieces: Vec::new() });
            }
        }
    }

    fn expression(&mut self, text: &str, part: Range<usize>, whole: &Range<usize>) -> Option<Expression> {
        match expression::parse(text.get(part.clone()).unwrap_or_default(), part.start, whole) {
            Ok(expression) => Some(expression),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    fn finish(mut self) -> (Vec<Piece>, Vec<Fault>) {
        for block in std::mem::take(&mut self.open) {
            self.bad(block.part, "`if` without `end`");
        }
        (self.pieces, self.faults)
    }
}
