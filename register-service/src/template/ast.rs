//! What a template consists of, once it is read.

use std::ops::Range;

use crate::template::function::Function;
use crate::template::literal::Number;
use crate::template::value::Text;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    /// What stands outside of actions.
    Text(Range<usize>),
    /// What a pipeline computes.
    Action(Pipe),
    If(Block),
    With(Block),
    Range(Block),
    Break,
    Continue,
}

/// A pipeline that decides, and what it decides about.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$x := command | command`, and where it stands.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) declared: Vec<String>,
    /// Whether the variables were there before.
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
    pub(super) part: Range<usize>,
}

/// A function and its arguments, or one value.
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
    /// `$a.b`; the data at the top is `$`.
    Variable(String, Vec<String>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    /// `(pipeline).a.b`
    Chain(Box<Operand>, Vec<String>),
}

impl Node {
    /// Calls `found` with each operand in it, inner ones too.
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
    /// Calls `found` with each operand in it, inner ones too.
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

    /// The name in `.env.NAME` or `$.env.NAME`, and nothing for other operands. Where `.` is not the data at the top, a
    /// field is of something else.
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
