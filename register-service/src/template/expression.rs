//! What stands inside an action of a template: values, functions and pipes.

use std::ops::Range;

use crate::diagnostic::nearest;
use crate::template::Fault;
use crate::template::function::{FUNCTIONS, Function};

/// Far above what an author writes; what is parsed and evaluated recursively has no more levels than words.
const MAX_TOKENS: usize = 128;
/// What the engine knows only while a workflow runs.
const LATER: [&str; 7] = ["input", "output", "trigger", "tools", "tasks", "agents", "workflow"];

/// What an action computes.
#[derive(Debug)]
pub(super) enum Expression {
    /// `.env.NAME`, and where it stands.
    Variable(String, Range<usize>),
    /// A text literal.
    Text(String),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
    /// A function, its arguments, and where its name stands.
    Call(&'static Function, Vec<Self>, Range<usize>),
}

impl Expression {
    /// Adds the names of the variables in it.
    pub(super) fn variables(&self, names: &mut Vec<String>) {
        match self {
            Self::Variable(name, _) => names.push(name.clone()),
            Self::Call(_, arguments, _) => arguments.iter().for_each(|it| it.variables(names)),
            Self::Text(_) | Self::Number(_) | Self::Flag(_) => {}
        }
    }
}

/// Reads a pipeline that begins at `offset` of the whole template.
pub(super) fn parse(text: &str, offset: usize, whole: &Range<usize>) -> Result<Expression, Fault> {
    let mut tokens = tokens(text, offset, whole)?;
    tokens.reverse();
    let mut parser = Parser { tokens, whole };
    let pipeline = parser.pipeline()?;
    match parser.tokens.pop() {
        None => Ok(pipeline),
        Some((token, part)) => Err(Fault::bad(part, format!("`{}` is not expected there", token.shown()))),
    }
}

/// A text as Go's `%q` writes it, near enough: in double quotes, with escapes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Field(String),
    Word(String),
    Text(String),
    Number(i64),
    Pipe,
    Open,
    Close,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Field(text) | Self::Word(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Pipe => "|".to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
        }
    }
}

type Placed = (Token, Range<usize>);

fn tokens(text: &str, offset: usize, whole: &Range<usize>) -> Result<Vec<Placed>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let at = offset + text.len() - rest.len();
        let word = rest.find(|c: char| c.is_whitespace() || "|()\"`".contains(c)).unwrap_or(rest.len());
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '`' => {
                let end = at + rest.trim_end().len();
                let length =
                    quoted_length(rest, first).ok_or_else(|| Fault::bad(at..end, "a quoted text has no end"))?;
                let text = unquoted(&rest[..length]).map_err(|message| Fault::bad(at..at + length, message))?;
                (Token::Text(text), length)
            }
            '.' => (Token::Field(rest[..word].to_owned()), word),
            '-' | '0'..='9' => {
                let not_one = |_| Fault::bad(at..at + word, format!("`{}` is not an integer", &rest[..word]));
                (Token::Number(rest[..word].parse().map_err(not_one)?), word)
            }
            _ => (Token::Word(rest[..word].to_owned()), word),
        };
        tokens.push((token, at..at + length));
        if tokens.len() > MAX_TOKENS {
            return Err(Fault::bad(whole.clone(), format!("the template has more than {MAX_TOKENS} words")));
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn quoted_length(text: &str, open: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if open == '"' => escaped = true,
            _ if c == open => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The value of a Go text literal; of the escapes, those that JSON has too.
fn unquoted(literal: &str) -> Result<String, String> {
    match literal.strip_prefix('`').and_then(|it| it.strip_suffix('`')) {
        Some(raw) => Ok(raw.to_owned()),
        None => serde_json::from_str(literal).map_err(|_| format!("{literal} is not a text literal")),
    }
}

struct Parser<'a> {
    /// What is left, last first.
    tokens: Vec<Placed>,
    whole: &'a Range<usize>,
}

impl Parser<'_> {
    fn pipeline(&mut self) -> Result<Expression, Fault> {
        let mut value = self.command(None)?;
        while let Some((Token::Pipe, part)) = self.tokens.last() {
            let pipe = part.clone();
            self.tokens.pop();
            if self.tokens.is_empty() {
                return Err(Fault::bad(pipe, "there is no function behind the last `|`"));
            }
            value = self.command(Some(value))?;
        }
        Ok(value)
    }

    /// A value, or a function and its arguments, of which the one piped in is the last.
    fn command(&mut self, piped: Option<Expression>) -> Result<Expression, Fault> {
        let (name, part) = match (self.tokens.last(), &piped) {
            (Some((Token::Word(name), part)), _) if name != "true" && name != "false" => (name.clone(), part.clone()),
            (Some((other, part)), Some(_)) => {
                let message = format!("`{}` is not a function to pipe a value into", other.shown());
                return Err(Fault::bad(part.clone(), message));
            }
            _ => return self.operand(),
        };
        self.tokens.pop();
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            let names = FUNCTIONS.iter().map(|function| function.name);
            let hint = nearest(&name, names).map(|near| format!("did you mean `{near}`?"));
            let is_block = ["range", "with", "define", "template", "block"].contains(&name.as_str());
            let what = if is_block { "a block with" } else { "function" };
            return Err(Fault { hint, ..Fault::bad(part, format!("{what} `{name}` is not supported")) });
        };
        let mut arguments = Vec::new();
        while !matches!(self.tokens.last(), None | Some((Token::Pipe | Token::Close, _))) {
            arguments.push(self.operand()?);
        }
        arguments.extend(piped);
        let count = arguments.len();
        if function.takes.contains(&count) {
            return Ok(Expression::Call(function, arguments, part));
        }
        let (least, most) = (function.takes.start(), function.takes.end());
        let wanted = match least == most {
            true => format!("{least} value{}", if *least == 1 { "" } else { "s" }),
            false => format!("at least {least} values"),
        };
        Err(Fault::bad(part, format!("`{name}` takes {wanted}, not {count}")))
    }

    fn operand(&mut self) -> Result<Expression, Fault> {
        let Some((token, part)) = self.tokens.pop() else {
            return Err(Fault::bad(self.whole.clone(), "a value is missing"));
        };
        match token {
            Token::Field(path) => variable(&path, part),
            Token::Text(text) => Ok(Expression::Text(text)),
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Word(word) if word == "true" || word == "false" => Ok(Expression::Flag(word == "true")),
            Token::Word(word) => Err(Fault::bad(part, format!("`{word}` is not a value"))),
            Token::Open => {
                let inner = self.pipeline()?;
                match self.tokens.pop() {
                    Some((Token::Close, _)) => Ok(inner),
                    _ => Err(Fault::bad(part, "`(` without `)`")),
                }
            }
            Token::Pipe | Token::Close => Err(Fault::bad(part, format!("`{}` is not expected there", token.shown()))),
        }
    }
}

/// The name in `.env.NAME`.
fn variable(path: &str, part: Range<usize>) -> Result<Expression, Fault> {
    let name = path.strip_prefix(".env.").unwrap_or_default();
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word {
        return Ok(Expression::Variable(name.to_owned(), part));
    }
    let first = path.trim_start_matches('.').split('.').next().unwrap_or_default();
    let (message, hint) = match first {
        "env" => (format!("`{path}` is not a variable"), Some("a variable is `.env.NAME`".to_owned())),
        later if LATER.contains(&later) => {
            (format!("`{path}` is known only while a workflow runs; here only `.env.NAME` is"), None)
        }
        other => {
            let hint = nearest(other, ["env"]).map(|_| format!("did you mean `{}`?", path.replacen(other, "env", 1)));
            (format!("`{path}` is not available here; only `.env.NAME` is"), hint)
        }
    };
    Err(Fault { hint, ..Fault::bad(part, message) })
}
