//! AST of a template.

use std::ops::Range;

use crate::template::function::Function;
use crate::template::literal::Number;
use crate::template::value::Text;

/// Node of a template.
#[derive(Debug)]
pub(super) enum Node {
    /// Text outside of actions.
    Text(Range<usize>),
    /// Pipeline whose value is printed.
    Action(Pipe),
    If(Block),
    With(Block),
    Range(Block),
    Break,
    Continue,
}

/// Pipeline that is tested, and the branches that it selects.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$x := command | command`, with its span.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) declared: Vec<String>,
    /// True for `=`, which assigns to declared variables; false for `:=`, which declares them.
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
    pub(super) part: Range<usize>,
}

/// Function with its arguments, or one value.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    pub(super) part: Range<usize>,
}

#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Text),
    /// `.a.b`
    Field(Vec<String>),
    /// `$a.b`; `$` is the data at the top.
    Variable(String, Vec<String>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    /// `(pipeline).a.b`
    Chain(Box<Operand>, Vec<String>),
}

impl Node {
    /// Calls `found` with each operand of the node, nested ones included.
    pub(super) fn operands<'a>(&'a self, found: &mut dyn FnMut(&'a Operand)) {
        match self {
            Self::Action(pipe) => pipe.operands(found),
            Self::If(block) | Self::With(block) | Self::Range(block) => {
                block.pipe.operands(found);
                block.then.iter().chain(&block.otherwise).for_each(|node| node.operands(found));
            }
            Self::Text(_) | Self::Break | Self::Continue => {}
        }
    }
}

impl Pipe {
    /// Calls `found` with each operand of the pipeline, nested ones included.
    pub(super) fn operands<'a>(&'a self, found: &mut dyn FnMut(&'a Operand)) {
        for command in &self.commands {
            command.first.operands(found);
            command.arguments.iter().for_each(|operand| operand.operands(found));
        }
    }
}

impl Operand {
    fn operands<'a>(&'a self, found: &mut dyn FnMut(&'a Self)) {
        found(self);
        match &self.kind {
            OperandKind::Pipe(pipe) => pipe.operands(found),
            OperandKind::Chain(inner, _) => inner.operands(found),
            _ => {}
        }
    }

    /// Returns the name in `.env.NAME` or `$.env.NAME`, and `None` for other operands. Does not track `.`: inside
    /// `range` or `with`, `.env.NAME` may be a field of another value.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.kind {
            OperandKind::Field(path) => match path.as_slice() {
                [env, name] if env == "env" => Some(name),
                _ => None,
            },
            OperandKind::Variable(top, path) if top == "$" => match path.as_slice() {
                [env, name] if env == "env" => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
