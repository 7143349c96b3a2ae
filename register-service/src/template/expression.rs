//! What stands inside an action of a template: values, functions and pipes.

const SUPPORTED: &str = "supported are `.env.NAME`, `default`, `quote`, `trim`, `upper`, `lower`, `if`, `else`, `end`";
const FILTERS: [&str; 4] = ["quote", "trim", "upper", "lower"];
/// Far above what an author writes; what is parsed and written recursively has no more levels than words.
const MAX_TOKENS: usize = 128;

/// What it means that a variable is not set.
#[derive(Clone, Copy)]
pub(super) enum Missing {
    /// Its value is used.
    IsAFault,
    /// The template asks whether it is set.
    IsAsked,
}

/// What an action computes.
pub(super) enum Expression {
    /// `.env.NAME`.
    Variable(String),
    /// A text literal.
    Text(String),
    /// A number or a truth value.
    Plain(String),
    /// A function of one value.
    Filter(String, Box<Self>),
    /// What stands in, and for what.
    Default(Box<Self>, Box<Self>),
}

/// Reads a pipeline.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let mut parser = Parser { tokens };
    let pipeline = parser.pipeline()?;
    match parser.tokens.pop() {
        None => Ok(pipeline),
        Some(token) => Err(format!("`{}` is not expected there", token.shown())),
    }
}

impl Expression {
    /// The expression as minijinja takes it; `keep` puts a text aside and gives the name to refer to it by.
    pub(super) fn write(&self, template: usize, missing: Missing, keep: &mut dyn FnMut(&str) -> String) -> String {
        match (self, missing) {
            (Self::Variable(name), Missing::IsAFault) => format!("need({name:?}, {template})"),
            (Self::Variable(name), Missing::IsAsked) => format!("env[{name:?}]"),
            (Self::Text(text), _) => keep(text),
            // As a condition `true` is a truth value; as a result it is a word, which minijinja would write `True`.
            (Self::Plain(text), Missing::IsAsked) => text.clone(),
            (Self::Plain(text), Missing::IsAFault) => keep(text),
            (Self::Filter(name, value), _) => format!("({})|{name}", value.write(template, Missing::IsAFault, keep)),
            (Self::Default(fallback, value), missing) => {
                let value = value.write(template, Missing::IsAsked, keep);
                format!("({value} or {})", fallback.write(template, missing, keep))
            }
        }
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

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| c.is_whitespace() || "|()\"`".contains(c)).unwrap_or(rest.len());
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '`' => {
                let length = quoted_length(rest, first).ok_or("a quoted text has no end")?;
                (Token::Text(unquoted(&rest[..length])?), length)
            }
            '.' => (Token::Field(rest[..word].to_owned()), word),
            '-' | '0'..='9' => {
                let number = rest[..word].parse().map_err(|_| format!("`{}` is not an integer", &rest[..word]))?;
                (Token::Number(number), word)
            }
            _ => (Token::Word(rest[..word].to_owned()), word),
        };
        tokens.push(token);
        if tokens.len() > MAX_TOKENS {
            return Err(format!("the template has more than {MAX_TOKENS} words"));
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

struct Parser {
    /// What is left, last first.
    tokens: Vec<Token>,
}

impl Parser {
    fn pipeline(&mut self) -> Result<Expression, String> {
        let mut value = self.command(None)?;
        while self.tokens.last() == Some(&Token::Pipe) {
            self.tokens.pop();
            value = self.command(Some(value))?;
        }
        Ok(value)
    }

    /// A value, or a function and its arguments, of which the one piped in is the last.
    fn command(&mut self, piped: Option<Expression>) -> Result<Expression, String> {
        let name = match self.tokens.last() {
            Some(Token::Word(name)) if name == "default" || FILTERS.contains(&name.as_str()) => name.clone(),
            _ if piped.is_some() => {
                return Err(match self.tokens.last() {
                    Some(Token::Word(name)) => format!("function `{name}` is not supported; {SUPPORTED}"),
                    Some(other) => format!("`{}` is not a function to pipe a value into", other.shown()),
                    None => "there is no function behind the last `|`".to_owned(),
                });
            }
            _ => return self.operand(),
        };
        self.tokens.pop();
        let mut arguments = Vec::new();
        while !matches!(self.tokens.last(), None | Some(Token::Pipe | Token::Close)) {
            arguments.push(self.operand()?);
        }
        arguments.extend(piped);
        let wanted = if name == "default" { 2 } else { 1 };
        let count = arguments.len();
        let mut arguments = arguments.into_iter();
        match (count == wanted, arguments.next(), arguments.next()) {
            (true, Some(fallback), Some(value)) => Ok(Expression::Default(Box::new(fallback), Box::new(value))),
            (true, Some(value), None) => Ok(Expression::Filter(name, Box::new(value))),
            _ => Err(format!("`{name}` takes {wanted} {}, not {count}", if wanted == 1 { "value" } else { "values" })),
        }
    }

    fn operand(&mut self) -> Result<Expression, String> {
        match self.tokens.pop() {
            Some(Token::Field(path)) => variable(&path).map(Expression::Variable),
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Number(number)) => Ok(Expression::Plain(number.to_string())),
            Some(Token::Word(word)) if word == "true" || word == "false" => Ok(Expression::Plain(word)),
            Some(Token::Word(word)) => Err(format!("`{word}` is not supported; {SUPPORTED}")),
            Some(Token::Open) => {
                let inner = self.pipeline()?;
                match self.tokens.pop() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err("`(` without `)`".to_owned()),
                }
            }
            Some(token) => Err(format!("`{}` is not expected there", token.shown())),
            None => Err("a value is missing".to_owned()),
        }
    }
}

/// The name in `.env.NAME`. It is a word, so it can stand in a minijinja text as it is.
fn variable(path: &str) -> Result<String, String> {
    let name = path.strip_prefix(".env.").unwrap_or_default();
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word {
        return Ok(name.to_owned());
    }
    Err(format!("`{path}` is not available here; only `.env.NAME` is"))
}
