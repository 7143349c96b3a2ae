//! The functions of templates, and how a template is evaluated.
//!
//! They are Sprig's and Go's by these names, with what is piped in as the last argument.

use std::ops::{Range, RangeInclusive};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::template::expression::{Expression, quoted};
use crate::template::go::{Branch, Piece};
use crate::template::{Environment, Fault, FaultKind};

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many values it takes.
    pub(super) takes: RangeInclusive<usize>,
    apply: Apply,
}

/// What a function does: something with the texts of its arguments, or something for which an argument that is not set
/// is as good as an empty one.
#[derive(Debug)]
enum Apply {
    One(fn(&str) -> Result<Value, String>),
    Two(fn(&str, &str) -> Value),
    Three(fn(&str, &str, &str) -> Value),
    Many(fn(&[String]) -> Result<Value, String>),
    Asking(fn(&[Value]) -> Option<Value>),
}

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A variable that is not set.
    Missing,
    Text(String),
    Number(i64),
    Flag(bool),
}

const MANY: usize = 64;

const fn function(name: &'static str, takes: RangeInclusive<usize>, apply: Apply) -> Function {
    Function { name, takes, apply }
}

const fn one(name: &'static str, apply: fn(&str) -> Result<Value, String>) -> Function {
    function(name, 1..=1, Apply::One(apply))
}

const fn two(name: &'static str, apply: fn(&str, &str) -> Value) -> Function {
    function(name, 2..=2, Apply::Two(apply))
}

const fn asking(name: &'static str, takes: RangeInclusive<usize>, apply: fn(&[Value]) -> Option<Value>) -> Function {
    function(name, takes, Apply::Asking(apply))
}

/// Every function there is.
pub(super) static FUNCTIONS: [Function; 27] = [
    asking("default", 2..=2, |it| it.iter().rev().find(|one| !one.is_empty()).or(it.first()).cloned()),
    asking("coalesce", 1..=MANY, |it| it.iter().find(|one| !one.is_empty()).cloned()),
    asking("empty", 1..=1, |it| it.first().map(|one| Value::Flag(one.is_empty()))),
    asking("ternary", 3..=3, |it| it.get(usize::from(it.last()?.is_empty())).cloned()),
    asking("and", 1..=MANY, |it| it.iter().find(|one| one.is_empty()).or(it.last()).cloned()),
    asking("or", 1..=MANY, |it| it.iter().find(|one| !one.is_empty()).or(it.last()).cloned()),
    asking("not", 1..=1, |it| it.first().map(|one| Value::Flag(one.is_empty()))),
    asking("eq", 2..=MANY, |it| it.split_first().map(|(one, rest)| Value::Flag(one.equals_any(rest)))),
    asking("ne", 2..=2, |it| it.split_first().map(|(one, rest)| Value::Flag(!one.equals_any(rest)))),
    one("quote", |it| Ok(Value::Text(quoted(it)))),
    one("squote", |it| Ok(Value::Text(format!("'{it}'")))),
    one("trim", |it| Ok(Value::Text(it.trim().to_owned()))),
    one("upper", |it| Ok(Value::Text(it.to_uppercase()))),
    one("lower", |it| Ok(Value::Text(it.to_lowercase()))),
    one("nospace", |it| Ok(Value::Text(it.split_whitespace().collect()))),
    one("toString", |it| Ok(Value::Text(it.to_owned()))),
    one("b64enc", |it| Ok(Value::Text(BASE64_STANDARD.encode(it)))),
    one("b64dec", decoded),
    one("urlquery", |it| Ok(Value::Text(url::form_urlencoded::byte_serialize(it.as_bytes()).collect()))),
    two("trimAll", |set, it| Value::Text(it.trim_matches(|c| set.contains(c)).to_owned())),
    two("trimPrefix", |prefix, it| Value::Text(it.strip_prefix(prefix).unwrap_or(it).to_owned())),
    two("trimSuffix", |suffix, it| Value::Text(it.strip_suffix(suffix).unwrap_or(it).to_owned())),
    two("contains", |part, it| Value::Flag(it.contains(part))),
    two("hasPrefix", |prefix, it| Value::Flag(it.starts_with(prefix))),
    two("hasSuffix", |suffix, it| Value::Flag(it.ends_with(suffix))),
    function("replace", 3..=3, Apply::Three(|old, new, it| Value::Text(it.replace(old, new)))),
    function("printf", 1..=MANY, Apply::Many(printf)),
];

fn decoded(text: &str) -> Result<Value, String> {
    let bytes = BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.map(Value::Text).ok_or_else(|| "`b64dec` was given what is not a text in base64".to_owned())
}

/// The verbs of Go that make sense for texts and integers.
fn printf(values: &[String]) -> Result<Value, String> {
    let (format, mut values) = match values.split_first() {
        Some((format, values)) => (format, values.iter()),
        None => return Ok(Value::Missing),
    };
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some(verb @ ('s' | 'v' | 'd' | 'q')) => {
                let value = values.next().ok_or("`printf` has more verbs than values")?;
                out += &if verb == 'q' { quoted(value) } else { value.clone() };
            }
            verb => return Err(format!("`printf` does not know `%{}`", verb.map(String::from).unwrap_or_default())),
        }
    }
    match values.next() {
        None => Ok(Value::Text(out)),
        Some(_) => Err("`printf` has fewer verbs than values".to_owned()),
    }
}

impl Apply {
    /// The parser made sure of the number of values.
    fn to(&self, values: &[String]) -> Result<Value, String> {
        match (self, values) {
            (Self::One(apply), [one]) => apply(one),
            (Self::Two(apply), [one, two]) => Ok(apply(one, two)),
            (Self::Three(apply), [one, two, three]) => Ok(apply(one, two, three)),
            (Self::Many(apply), values) => apply(values),
            _ => Ok(Value::Missing),
        }
    }
}

impl Value {
    /// As `if` sees it: nothing, an empty text, zero and false.
    fn is_empty(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.is_empty(),
            Self::Number(number) => *number == 0,
            Self::Flag(flag) => !flag,
        }
    }

    /// A number and the text of it are equal: variables are texts.
    fn equals_any(&self, others: &[Self]) -> bool {
        others.iter().any(|other| other.text() == self.text())
    }

    fn text(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Evaluates templates, and notes what is missing or cannot be computed. It goes on after that, to find all of it.
pub(super) struct Evaluation<'e> {
    pub(super) environment: &'e Environment,
    pub(super) faults: Vec<Fault>,
}

impl Evaluation<'_> {
    /// Appends what these pieces come to.
    pub(super) fn write(&mut self, pieces: &[Piece], out: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => *out += text,
                Piece::Value(expression) => *out += &self.used(expression),
                Piece::If(branches) => {
                    let holds = |it: &mut Self, branch: &Branch| match &branch.condition {
                        Some(condition) => !it.asked(condition).is_empty(),
                        None => true,
                    };
                    if let Some(branch) = branches.iter().find(|branch| holds(self, branch)) {
                        self.write(&branch.pieces, out);
                    }
                }
            }
        }
    }

    /// The text of a value; that it is not set is a fault.
    fn used(&mut self, expression: &Expression) -> String {
        let value = self.asked(expression);
        if value == Value::Missing
            && let Some((name, part)) = missing(expression, self.environment)
        {
            self.faults.push(Fault { part, kind: FaultKind::Missing(name), hint: None });
        }
        value.text()
    }

    fn asked(&mut self, expression: &Expression) -> Value {
        match expression {
            Expression::Variable(name, _) => {
                let value = self.environment.get(name);
                value.map_or(Value::Missing, |value| Value::Text(value.to_owned()))
            }
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Number(number) => Value::Number(*number),
            Expression::Flag(flag) => Value::Flag(*flag),
            Expression::Call(function, arguments, part) => {
                if let Apply::Asking(apply) = function.apply {
                    let values: Vec<Value> = arguments.iter().map(|it| self.asked(it)).collect();
                    return apply(&values).unwrap_or(Value::Missing);
                }
                let before = self.faults.len();
                let values: Vec<String> = arguments.iter().map(|it| self.used(it)).collect();
                function.apply.to(&values).unwrap_or_else(|message| {
                    // Of what is missing already, nothing can be computed.
                    if self.faults.len() == before {
                        self.faults.push(Fault::bad(part.clone(), message));
                    }
                    Value::Text(String::new())
                })
            }
        }
    }
}

/// The variable that would have to be set: for one that stands in for others, the last in line.
fn missing(expression: &Expression, environment: &Environment) -> Option<(String, Range<usize>)> {
    match expression {
        Expression::Variable(name, part) if environment.get(name).is_none() => Some((name.clone(), part.clone())),
        Expression::Call(function, arguments, _) if function.name == "default" => {
            missing(arguments.first()?, environment)
        }
        Expression::Call(_, arguments, _) => arguments.iter().rev().find_map(|it| missing(it, environment)),
        _ => None,
    }
}
