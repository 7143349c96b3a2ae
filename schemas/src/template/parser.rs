//! Parses the texts and actions of a template into an AST, by the grammar of Go's `text/template/parse`.

mod names;

use std::ops::Range;

use crate::template::ast::{Block, Command, Node, Operand, OperandKind, Pipe};
use crate::template::fault::Fault;
use crate::template::lexer::{self, Kind, Part, Token};
use crate::template::literal::{self, NoLiteral};

/// Deepest nesting of blocks; far above what authors write. Evaluation recurses as deep.
const MAX_NESTING: usize = 32;
/// Deepest nesting of parentheses.
const MAX_PARENTHESES: usize = 64;
/// Most faults reported per template.
const MAX_FAULTS: usize = 64;

/// Parses a template and reports every fault. Faulty actions are left out of the AST.
pub(super) fn parse(template: &str) -> (Vec<Node>, Vec<Fault>) {
    let mut reader =
        Reader { template, nodes: Vec::new(), open: Vec::new(), variables: vec!["$".to_owned()], faults: Vec::new() };
    for part in lexer::parts(template) {
        match part {
            Part::Text(range) if range.is_empty() => {}
            Part::Text(range) => reader.nodes.push(Node::Text(range)),
            Part::Action(Err(fault), _) => reader.report(fault),
            Part::Action(Ok(tokens), whole) => {
                if let Err(fault) = reader.action(&tokens, &whole) {
                    reader.report(fault);
                }
            }
        }
    }
    reader.finish()
}

struct Reader<'t> {
    template: &'t str,
    nodes: Vec<Node>,
    open: Vec<Open>,
    /// Declared names, innermost last.
    variables: Vec<String>,
    faults: Vec<Fault>,
}

/// Block without its `end` so far.
struct Open {
    keyword: Keyword,
    part: Range<usize>,
    /// `None` if the pipeline could not be parsed.
    pipe: Option<Pipe>,
    then: Vec<Node>,
    has_else: bool,
    /// True for `else if` and `else with`, which end together with the enclosing block.
    is_chained: bool,
    /// Nodes in front of the block.
    outer: Vec<Node>,
    /// Number of variables declared in front of the block.
    variables: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    If,
    With,
    Range,
}

impl Keyword {
    fn of(word: &str) -> Option<Self> {
        match word {
            "if" => Some(Self::If),
            "with" => Some(Self::With),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

impl Reader<'_> {
    fn report(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn word(&self, token: Option<&Token>) -> &str {
        match token {
            Some(Token { kind: Kind::Word, part, .. }) => self.template.get(part.clone()).unwrap_or_default(),
            _ => "",
        }
    }

    fn action(&mut self, tokens: &[Token], whole: &Range<usize>) -> Result<(), Fault> {
        let (first, rest) = match tokens.split_first() {
            Some((first, rest)) => (first, rest),
            None => return Err(Fault::bad(whole.clone(), "a value is missing")),
        };
        let word = self.word(Some(first)).to_owned();
        if let Some(keyword) = Keyword::of(&word) {
            return self.begin(keyword, false, rest, whole);
        }
        match word.as_str() {
            "else" => match Keyword::of(self.word(rest.first())) {
                Some(keyword @ (Keyword::If | Keyword::With)) => {
                    self.otherwise(whole, Some(keyword))?;
                    self.begin(keyword, true, rest.get(1..).unwrap_or_default(), whole)
                }
                _ => {
                    self.nothing_behind(&word, rest)?;
                    self.otherwise(whole, None)
                }
            },
            "end" => {
                self.nothing_behind(&word, rest)?;
                self.end(whole)
            }
            "break" | "continue" => {
                self.nothing_behind(&word, rest)?;
                if !self.open.iter().any(|open| open.keyword == Keyword::Range && !open.has_else) {
                    return Err(Fault::bad(whole.clone(), format!("`{word}` outside of `range`")));
                }
                self.nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                Ok(())
            }
            "define" | "template" | "block" => {
                let message = format!("`{word}` is not supported: a value has no other templates to use");
                Err(Fault::refused(first.part.clone(), message))
            }
            _ => {
                let pipe = self.pipe(tokens, whole, false)?;
                self.nodes.push(Node::Action(pipe));
                Ok(())
            }
        }
    }

    fn nothing_behind(&self, word: &str, rest: &[Token]) -> Result<(), Fault> {
        match rest.first() {
            None => Ok(()),
            Some(token) => Err(Fault::bad(token.part.clone(), format!("nothing is expected behind `{word}`"))),
        }
    }

    fn begin(
        &mut self,
        keyword: Keyword,
        is_chained: bool,
        tokens: &[Token],
        whole: &Range<usize>,
    ) -> Result<(), Fault> {
        let variables = self.variables.len();
        let pipe = match self.open.len() >= MAX_NESTING {
            true => Err(Fault::refused(whole.clone(), format!("more than {MAX_NESTING} blocks in one another"))),
            false => self.pipe(tokens, whole, keyword == Keyword::Range),
        };
        let (pipe, fault) = match pipe {
            Ok(pipe) => (Some(pipe), None),
            Err(fault) => (None, Some(fault)),
        };
        let outer = std::mem::take(&mut self.nodes);
        let part = whole.clone();
        self.open.push(Open { keyword, part, pipe, then: Vec::new(), has_else: false, is_chained, outer, variables });
        fault.map_or(Ok(()), Err)
    }

    /// Parses `else`, alone or with the keyword of the block that it begins.
    fn otherwise(&mut self, whole: &Range<usize>, chained: Option<Keyword>) -> Result<(), Fault> {
        let bad = |message: &str| Err(Fault::bad(whole.clone(), message));
        match self.open.last_mut() {
            None => bad("`else` without `if`, `with` or `range`"),
            Some(open) if open.has_else => bad("`else` after the last `else`"),
            Some(open) if chained.is_some_and(|chained| chained != open.keyword) => {
                let keyword = open.keyword.as_str();
                Err(Fault::bad(whole.clone(), format!("this `else` does not go on with `{keyword}`")))
            }
            Some(open) => {
                open.has_else = true;
                open.then = std::mem::take(&mut self.nodes);
                Ok(())
            }
        }
    }

    fn end(&mut self, whole: &Range<usize>) -> Result<(), Fault> {
        if self.open.is_empty() {
            return Err(Fault::bad(whole.clone(), "`end` without `if`, `with` or `range`"));
        }
        while let Some(open) = self.open.pop() {
            let is_chained = open.is_chained;
            self.close(open);
            if !is_chained {
                break;
            }
        }
        Ok(())
    }

    fn close(&mut self, open: Open) {
        let nodes = std::mem::replace(&mut self.nodes, open.outer);
        let (then, otherwise) = if open.has_else { (open.then, nodes) } else { (nodes, Vec::new()) };
        self.variables.truncate(open.variables);
        let Some(pipe) = open.pipe else { return };
        let block = Block { pipe, then, otherwise };
        self.nodes.push(match open.keyword {
            Keyword::If => Node::If(block),
            Keyword::With => Node::With(block),
            Keyword::Range => Node::Range(block),
        });
    }

    fn finish(mut self) -> (Vec<Node>, Vec<Fault>) {
        while let Some(open) = self.open.pop() {
            if !open.is_chained {
                let message = format!("`{}` without `end`", open.keyword.as_str());
                self.report(Fault::bad(open.part.clone(), message));
            }
            // Keep the nodes inside, so that their faults are found too.
            self.close(open);
        }
        (self.nodes, self.faults)
    }

    fn pipe(&mut self, tokens: &[Token], whole: &Range<usize>, is_range: bool) -> Result<Pipe, Fault> {
        // An undeclared variable may have been declared in an action that could not be parsed.
        let is_sure = self.faults.is_empty();
        let mut parser = PipeParser {
            template: self.template,
            tokens,
            at: 0,
            whole,
            depth: 0,
            variables: &mut self.variables,
            is_sure,
        };
        let pipe = parser.pipe(is_range)?;
        match parser.peek() {
            None => Ok(pipe),
            Some(token) => Err(parser.unexpected(token)),
        }
    }
}

struct PipeParser<'a> {
    template: &'a str,
    tokens: &'a [Token],
    at: usize,
    whole: &'a Range<usize>,
    /// Number of open parentheses.
    depth: usize,
    variables: &'a mut Vec<String>,
    is_sure: bool,
}

impl<'a> PipeParser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn peek_kind(&self) -> Option<Kind> {
        self.peek().map(|token| token.kind)
    }

    fn shown(&self, token: &Token) -> &'a str {
        self.template.get(token.part.clone()).unwrap_or_default()
    }

    fn unexpected(&self, token: &Token) -> Fault {
        Fault::bad(token.part.clone(), format!("`{}` is not expected there", self.shown(token)))
    }

    fn missing(&self) -> Fault {
        Fault::bad(self.whole.clone(), "a value is missing")
    }

    fn pipe(&mut self, is_range: bool) -> Result<Pipe, Fault> {
        let start = self.peek().map_or(self.whole.start, |token| token.part.start);
        let (declared, is_assignment) = self.declared(is_range)?;
        let mut commands = Vec::new();
        loop {
            match self.peek_kind() {
                None => break,
                Some(Kind::Close) if self.depth > 0 => break,
                Some(Kind::Assign | Kind::Declare | Kind::Pipe | Kind::Comma | Kind::Close | Kind::Sign) => {
                    let token = self.peek().ok_or_else(|| self.missing())?;
                    return Err(self.unexpected(token));
                }
                Some(_) => commands.push(self.command()?),
            }
        }
        if commands.is_empty() {
            return Err(self.missing());
        }
        for command in commands.iter().skip(1) {
            if matches!(
                command.first.kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Number(_)
                    | OperandKind::Text(_)
            ) {
                let shown = self.template.get(command.first.part.clone()).unwrap_or_default();
                let message = format!("`{shown}` is not a function to pipe a value into");
                return Err(Fault::bad(command.first.part.clone(), message));
            }
        }
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |token| token.part.end);
        Ok(Pipe { declared, is_assignment, commands, part: start..end })
    }

    /// Parses `$x :=`, `$x =` or, for `range`, `$i, $x :=`.
    fn declared(&mut self, is_range: bool) -> Result<(Vec<String>, bool), Fault> {
        let mut names = Vec::new();
        while self.peek_kind() == Some(Kind::Variable) {
            let Some(next) = self.tokens.get(self.at + 1) else { break };
            if !matches!(next.kind, Kind::Assign | Kind::Declare | Kind::Comma) {
                break;
            }
            let token = self.peek().ok_or_else(|| self.missing())?;
            let name = self.shown(token).to_owned();
            self.at += 2;
            self.variables.push(name.clone());
            names.push(name);
            match next.kind {
                Kind::Comma if is_range && names.len() < 2 => match self.peek_kind() {
                    None | Some(Kind::Variable | Kind::Close) => {}
                    _ => return Err(self.unexpected(self.peek().unwrap_or(next))),
                },
                Kind::Comma => return Err(self.unexpected(next)),
                kind => return Ok((names, kind == Kind::Assign)),
            }
        }
        Ok((names, false))
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            let is_first = operands.is_empty();
            match self.peek() {
                None => break,
                Some(token) => match token.kind {
                    Kind::Close if self.depth > 0 => break,
                    Kind::Pipe if !is_first => {
                        self.at += 1;
                        break;
                    }
                    // Operands are separated by blanks.
                    _ if !is_first && !token.is_behind_space => return Err(self.unexpected(token)),
                    _ => operands.push(self.operand()?),
                },
            }
        }
        let mut operands = operands.into_iter();
        let first = operands.next().ok_or_else(|| self.missing())?;
        Ok(Command { first, arguments: operands.collect() })
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        let mut operand = self.term()?;
        let mut fields = Vec::new();
        while let Some(token) = self.peek().filter(|token| token.kind == Kind::Field && !token.is_behind_space) {
            fields.push(self.shown(token).trim_start_matches('.').to_owned());
            operand.part.end = token.part.end;
            self.at += 1;
        }
        if fields.is_empty() {
            return Ok(operand);
        }
        operand.kind = match operand.kind {
            OperandKind::Field(mut path) => {
                path.extend(fields);
                OperandKind::Field(path)
            }
            OperandKind::Variable(name, mut path) => {
                path.extend(fields);
                OperandKind::Variable(name, path)
            }
            kind @ (OperandKind::Function(_) | OperandKind::Pipe(_) | OperandKind::Chain(..)) => {
                let inner = Operand { kind, part: operand.part.clone() };
                OperandKind::Chain(Box::new(inner), fields)
            }
            _ => {
                let shown = self.template.get(operand.part.clone()).unwrap_or_default();
                return Err(Fault::bad(operand.part.clone(), format!("`{shown}` is a value that has no fields")));
            }
        };
        Ok(operand)
    }

    fn term(&mut self) -> Result<Operand, Fault> {
        let token = self.peek().ok_or_else(|| self.missing())?;
        let (part, shown) = (token.part.clone(), self.shown(token));
        self.at += 1;
        let no_literal = |reason| match reason {
            NoLiteral::Malformed => Fault::bad(part.clone(), format!("`{shown}` is not a number")),
            NoLiteral::Overflow => Fault::bad(part.clone(), format!("`{shown}` is too large for an integer")),
            NoLiteral::Unsupported(reason) => Fault::refused(part.clone(), reason),
        };
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Field => OperandKind::Field(vec![shown.trim_start_matches('.').to_owned()]),
            Kind::Number => OperandKind::Number(literal::number(shown).map_err(no_literal)?),
            Kind::Letter => {
                let letter = literal::letter(shown);
                let letter = letter.ok_or_else(|| Fault::bad(part.clone(), format!("{shown} is not a letter")))?;
                let integer = Some(i64::from(letter as u32));
                let fraction = Some(f64::from(letter as u32));
                OperandKind::Number(literal::Number { integer, fraction, is_fraction: false })
            }
            Kind::Text => {
                let text = literal::text(shown);
                let text = text.ok_or_else(|| Fault::bad(part.clone(), format!("{shown} is not a text literal")))?;
                OperandKind::Text(text.into())
            }
            Kind::Variable => return self.variable(shown, part),
            Kind::Word => match self.without_dot(shown, &part) {
                Some(fault) => return Err(fault),
                None => return self.named(shown, part),
            },
            Kind::Open => return self.parenthesized(part),
            Kind::Assign | Kind::Declare | Kind::Pipe | Kind::Comma | Kind::Close | Kind::Sign => {
                return Err(self.unexpected(token));
            }
        };
        Ok(Operand { kind, part })
    }

    fn parenthesized(&mut self, part: Range<usize>) -> Result<Operand, Fault> {
        if self.depth >= MAX_PARENTHESES {
            return Err(Fault::refused(part, format!("more than {MAX_PARENTHESES} `(` in one another")));
        }
        self.depth += 1;
        let inner = self.pipe(false)?;
        self.depth -= 1;
        match self.peek() {
            Some(token) if token.kind == Kind::Close => {
                self.at += 1;
                Ok(Operand { kind: OperandKind::Pipe(Box::new(inner)), part: part.start..token.part.end })
            }
            _ => Err(Fault::bad(part, "`(` without `)`")),
        }
    }
}
