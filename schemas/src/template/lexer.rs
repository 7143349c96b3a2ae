//! Splits a template into texts and actions, and each action into tokens, by the rules of Go's `text/template/parse`.

use std::ops::Range;

use crate::template::fault::Fault;
use crate::template::text;

/// Text or action of a template.
#[derive(Debug)]
pub(super) enum Part {
    /// Text outside of actions, trimmed as the adjacent actions demand.
    Text(Range<usize>),
    /// Tokens of an action, or the reason why it cannot be read, with the span of the whole action.
    Action(Result<Vec<Token>, Fault>, Range<usize>),
}

/// Token and its span. Behind a space, it cannot belong to the token in front of it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) part: Range<usize>,
    pub(super) is_behind_space: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Assign,
    Declare,
    Pipe,
    Comma,
    Open,
    Close,
    Text,
    Letter,
    Number,
    Variable,
    Dot,
    Field,
    Word,
    /// Any other character, which no rule of the grammar accepts.
    Sign,
}

/// Most tokens in one template; far above what authors write.
const MAX_TOKENS: usize = 4096;

/// Splits a template into texts and actions. Continues behind a malformed action, so that all of them are reported.
pub(super) fn parts(template: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lexer = Lexer { template, at: 0, count: 0 };
    let mut trims = false;
    while let Some(found) = lexer.rest().find("{{") {
        let open = lexer.at + found;
        let inside = open + 2;
        let trims_left = has_left_marker(lexer.from(inside));
        parts.push(Part::Text(lexer.outside(open, Trims { start: trims, end: trims_left })));
        lexer.at = if trims_left { inside + 2 } else { inside };
        let action = if lexer.rest().starts_with("/*") {
            lexer.comment(open).map(|()| None)
        } else {
            lexer.action(open).map(Some)
        };
        let is_malformed = action.is_err();
        if is_malformed {
            // Resume at the next position where an action may end.
            lexer.at = lexer.from(inside).find("}}").map_or(template.len(), |end| inside + end);
        }
        let (closing, trims_right) = lexer.closing().unwrap_or((0, false));
        lexer.at = (lexer.at + closing).min(template.len());
        trims = trims_right;
        match action.transpose() {
            None => {}
            Some(tokens) => parts.push(Part::Action(tokens, open..lexer.at)),
        }
    }
    parts.push(Part::Text(lexer.outside(template.len(), Trims { start: trims, end: false })));
    parts
}

/// True for a blank of Go's templates; no other white space is trimmed or separates words.
fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn has_left_marker(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_blank))
}

/// True for a letter, digit or `_` of a name. Beyond ASCII only for letters that Go certainly accepts too.
fn is_name(letter: char) -> bool {
    match letter.is_ascii() {
        true => letter.is_ascii_alphanumeric() || letter == '_',
        false => {
            text::is_upper(letter) || (letter.is_lowercase() && letter.is_alphabetic() && text::upper(letter) != letter)
        }
    }
}

/// Ends of a text that the adjacent actions trim.
#[derive(Debug, Clone, Copy)]
struct Trims {
    start: bool,
    end: bool,
}

struct Lexer<'t> {
    template: &'t str,
    at: usize,
    count: usize,
}

impl<'t> Lexer<'t> {
    fn from(&self, at: usize) -> &'t str {
        self.template.get(at..).unwrap_or_default()
    }

    fn rest(&self) -> &'t str {
        self.from(self.at)
    }

    /// Returns the span of the text up to `end`, without the blanks that the adjacent actions trim.
    fn outside(&self, end: usize, trims: Trims) -> Range<usize> {
        let text = self.template.get(self.at..end).unwrap_or_default();
        let start = if trims.start { text.len() - text.trim_start_matches(is_blank).len() } else { 0 };
        let text = text.get(start..).unwrap_or_default();
        let length = if trims.end { text.trim_end_matches(is_blank).len() } else { text.len() };
        self.at + start..self.at + start + length
    }

    /// Returns the length of a closing delimiter at the current position, and true if it trims the text that follows.
    fn closing(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        match rest.strip_prefix(is_blank).and_then(|rest| rest.strip_prefix("-}}")) {
            Some(_) => Some((4, true)),
            None => rest.starts_with("}}").then_some((2, false)),
        }
    }

    fn comment(&mut self, open: usize) -> Result<(), Fault> {
        let Some(end) = self.from(self.at + 2).find("*/") else {
            return Err(Fault::bad(self.line_from(open), "a comment has no `*/`"));
        };
        self.at += end + 4;
        match self.closing() {
            Some(_) => Ok(()),
            None => {
                let message = "a comment fills its action: only `}}` may stand behind `*/`";
                Err(Fault::bad(open..self.at, message))
            }
        }
    }

    /// Returns the tokens of an action. The fault of an action without an end spans its first line only.
    fn action(&mut self, open: usize) -> Result<Vec<Token>, Fault> {
        let (mut tokens, mut depth, mut is_behind_space) = (Vec::new(), 0_usize, false);
        loop {
            if self.closing().is_some() {
                return match depth {
                    0 => Ok(tokens),
                    _ => Err(Fault::bad(unclosed(&tokens).unwrap_or(open..self.at), "`(` without `)`")),
                };
            }
            let Some(letter) = self.rest().chars().next() else {
                return Err(Fault::bad(self.line_from(open), "the template has no closing `}}`"));
            };
            if is_blank(letter) {
                self.at += 1;
                is_behind_space = true;
                continue;
            }
            let (kind, length) = self.token(letter)?;
            let part = self.at..self.at + length;
            match kind {
                Kind::Open => depth += 1,
                Kind::Close if depth == 0 => return Err(Fault::bad(part, "`)` without `(`")),
                Kind::Close => depth -= 1,
                _ => {}
            }
            self.at = part.end;
            self.count += 1;
            if self.count > MAX_TOKENS {
                let message = format!("the template has more than {MAX_TOKENS} words");
                return Err(Fault::bad(open..part.end, message));
            }
            tokens.push(Token { kind, part, is_behind_space });
            is_behind_space = false;
        }
    }

    /// Returns the kind and the length of the token that begins with this letter.
    fn token(&self, first: char) -> Result<(Kind, usize), Fault> {
        let rest = self.rest();
        let behind = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '=' => Ok((Kind::Assign, 1)),
            ':' if behind.starts_with('=') => Ok((Kind::Declare, 2)),
            ':' => Err(self.bad(1, "`:` is not expected there; a variable is declared with `:=`")),
            '|' => Ok((Kind::Pipe, 1)),
            ',' => Ok((Kind::Comma, 1)),
            '(' => Ok((Kind::Open, 1)),
            ')' => Ok((Kind::Close, 1)),
            '"' | '\'' => {
                let length = quoted_length(rest, first);
                let length = length.ok_or_else(|| self.bad(self.line_length(), "a quoted text has no end"))?;
                Ok((if first == '"' { Kind::Text } else { Kind::Letter }, length))
            }
            '`' => {
                let end = behind.find('`');
                let end = end.ok_or_else(|| self.bad(self.line_length(), "a quoted text has no end"))?;
                Ok((Kind::Text, end + 2))
            }
            '$' => self.named(Kind::Variable, Kind::Variable),
            '.' if !behind.starts_with(|c: char| c.is_ascii_digit()) && !behind.is_empty() => {
                self.named(Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => self.number(),
            _ if is_name(first) => {
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                self.ended(length).map(|()| (Kind::Word, length))
            }
            ' '..='~' => Ok((Kind::Sign, 1)),
            _ => Err(self.bad(first.len_utf8(), format!("{} is not expected there", shown(first)))),
        }
    }

    /// Returns a field or variable; `alone` if no name follows the `.` or `$`.
    fn named(&self, kind: Kind, alone: Kind) -> Result<(Kind, usize), Fault> {
        let behind = self.from(self.at + 1);
        let length = 1 + behind.find(|c| !is_name(c)).unwrap_or(behind.len());
        if length == 1 && self.ended(1).is_ok() {
            return Ok((alone, 1));
        }
        self.ended(length).map(|()| (kind, length))
    }

    fn number(&self) -> Result<(Kind, usize), Fault> {
        let rest = self.rest();
        let mut length = rest.len() - rest.trim_start_matches(['+', '-']).len();
        length = length.min(1);
        let mut take = |set: &str, most: usize| {
            let tail = rest.get(length..).unwrap_or_default();
            let count = tail.chars().take_while(|c| set.contains(*c)).take(most).count();
            length += count;
            count > 0
        };
        const ANY: usize = usize::MAX;
        let (mut digits, mut exponent) = ("0123456789_", "eE");
        if take("0", 1) {
            for (marks, set, power) in
                [("xX", "0123456789abcdefABCDEF_", "pP"), ("oO", "01234567_", ""), ("bB", "01_", "")]
            {
                if take(marks, 1) {
                    (digits, exponent) = (set, power);
                    break;
                }
            }
        }
        take(digits, ANY);
        if take(".", 1) {
            take(digits, ANY);
        }
        if take(exponent, 1) {
            take("+-", 1);
            take("0123456789_", ANY);
        }
        take("i", 1);
        let next = rest.get(length..).unwrap_or_default().chars().next();
        match next {
            Some(letter) if is_name(letter) || matches!(letter, '+' | '-') => {
                let word = rest.find(|c: char| is_blank(c) || "|()}".contains(c)).unwrap_or(rest.len());
                let word = word.max(length);
                Err(self.bad(word, format!("`{}` is not a number", rest.get(..word).unwrap_or_default())))
            }
            _ => Ok((Kind::Number, length)),
        }
    }

    /// Checks that a name may end after `length` bytes.
    fn ended(&self, length: usize) -> Result<(), Fault> {
        let behind = self.from(self.at + length);
        let Some(next) = behind.chars().next() else { return Ok(()) };
        if is_blank(next) || ".,|:)(".contains(next) || behind.starts_with("}}") {
            return Ok(());
        }
        let word = self.rest().find(|c: char| is_blank(c) || "|()}".contains(c)).unwrap_or(self.rest().len());
        let word = word.max(length + next.len_utf8());
        let name = self.rest().get(..word).unwrap_or_default();
        let mut fault = self.bad(word, format!("{} is not expected in `{name}`", shown(next)));
        if next == '-' && name.starts_with('.') {
            fault.hint = Some(hyphen_hint(self.template, self.at, word));
        }
        Err(fault)
    }

    fn bad(&self, length: usize, message: impl Into<String>) -> Fault {
        Fault::bad(self.at..self.at + length, message)
    }

    fn line_length(&self) -> usize {
        self.rest().lines().next().unwrap_or_default().len()
    }

    fn line_from(&self, open: usize) -> Range<usize> {
        open..open + self.from(open).lines().next().unwrap_or_default().len()
    }
}

/// Returns the span of the last `(` without a matching `)`.
fn unclosed(tokens: &[Token]) -> Option<Range<usize>> {
    let mut open = Vec::new();
    for token in tokens {
        match token.kind {
            Kind::Open => open.push(token.part.clone()),
            Kind::Close => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

/// Returns a hint that shows the syntax for a variable whose name has a hyphen.
fn hyphen_hint(template: &str, at: usize, length: usize) -> String {
    let start = template.get(..at).unwrap_or_default().rfind(".env").filter(|start| start + 4 == at).unwrap_or(at);
    let path = template.get(start..at + length).unwrap_or_default();
    match path.strip_prefix(".env.") {
        Some(name) => format!("write `(index .env \"{name}\")`"),
        None => "a name with a hyphen is asked for with `index`".to_owned(),
    }
}

fn shown(letter: char) -> String {
    match text::is_print(letter) {
        true => format!("`{letter}`"),
        false => format!("U+{:04X}", letter as u32),
    }
}

fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next().filter(|(_, escaped)| *escaped != '\n')?;
            }
            '\n' => return None,
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
