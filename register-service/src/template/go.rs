//! Go's template form, translated to minijinja's.
//!
//! Every text of the template, literal or between the actions, travels beside the translation in a list, so none of
//! it can be read as minijinja syntax.

use crate::template::expression::{self, Missing};
use crate::template::{Fault, FaultKind};

/// A template as minijinja takes it.
pub(super) struct Program {
    /// The template, which refers to `texts[i]`, `env` and `need`.
    pub(super) source: String,
    /// The texts it refers to.
    pub(super) texts: Vec<String>,
}

/// Far above what an author writes, and below what minijinja's own parser refuses.
const MAX_NESTING: usize = 32;

/// Translates a template, and says everything that is wrong with it. Actions that are wrong are left out.
pub(super) fn translate(text: &str) -> (Program, Vec<Fault>) {
    let mut translation = Translation::default();
    let mut rest = text;
    let mut seen = 0;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let template = seen;
        let comment = after.trim_start_matches("- ").starts_with("/*");
        let end = if comment { after.find("*/").map_or(0, |it| it + 2) } else { 0 };
        let Some(length) = action_length(after, end) else {
            translation.bad(template, "the template has no closing `}}`".to_owned());
            return translation.finish();
        };
        let (body, next) = (&after[..length], &after[length + 2..]);
        let left = body.starts_with("- ") || body.starts_with("-\n");
        let right = body.ends_with(" -") || body.ends_with("\n-");
        let before = if trim { before.trim_start() } else { before };
        translation.text(if left { before.trim_end() } else { before });
        let inner = body.strip_prefix('-').filter(|_| left).unwrap_or(body);
        let inner = inner.strip_suffix('-').filter(|_| right).unwrap_or(inner).trim();
        if !comment {
            translation.action(inner, template);
        }
        seen += 1 + body.matches("{{").count();
        trim = right;
        rest = next;
    }
    translation.text(if trim { rest.trim_start() } else { rest });
    translation.finish()
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
struct Translation {
    source: String,
    texts: Vec<String>,
    /// The open `if`s: which template each is, and whether its `else` was seen.
    open: Vec<(usize, bool)>,
    faults: Vec<Fault>,
}

impl Translation {
    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            let reference = self.reference(text.to_owned());
            self.source += &format!("{{{{ {reference} }}}}");
        }
    }

    fn reference(&mut self, text: String) -> String {
        self.texts.push(text);
        format!("texts[{}]", self.texts.len() - 1)
    }

    fn bad(&mut self, template: usize, message: String) {
        self.faults.push(Fault { template, kind: FaultKind::Bad(message) });
    }

    fn action(&mut self, action: &str, template: usize) {
        let (keyword, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        let done = match (keyword, rest.trim()) {
            ("if", _) if self.open.len() == MAX_NESTING => Err(format!("more than {MAX_NESTING} `if` in one another")),
            ("if", condition) => {
                self.open.push((template, false));
                self.expression(condition, template, Missing::IsAsked).map(|it| format!("{{% if {it} %}}"))
            }
            ("else", "") => self.alternative(true).map(|()| "{% else %}".to_owned()),
            ("else", branch) if branch.starts_with("if ") => {
                let condition = branch.strip_prefix("if ").unwrap_or_default();
                let read = self.expression(condition, template, Missing::IsAsked);
                self.alternative(false).and(read).map(|it| format!("{{% elif {it} %}}"))
            }
            ("end", "") => match self.open.pop() {
                Some(_) => Ok("{% endif %}".to_owned()),
                None => Err("`end` without `if`".to_owned()),
            },
            _ => self.expression(action, template, Missing::IsAFault).map(|it| format!("{{{{ {it} }}}}")),
        };
        match done {
            Ok(source) => self.source += &source,
            Err(message) => self.bad(template, message),
        }
    }

    fn alternative(&mut self, last: bool) -> Result<(), String> {
        match self.open.last_mut() {
            None => Err("`else` without `if`".to_owned()),
            Some((_, true)) => Err("`else` after the last `else`".to_owned()),
            Some((_, seen)) => {
                *seen = last;
                Ok(())
            }
        }
    }

    fn expression(&mut self, text: &str, template: usize, missing: Missing) -> Result<String, String> {
        let expression = expression::parse(text)?;
        Ok(expression.write(template, missing, &mut |text| self.reference(text.to_owned())))
    }

    fn finish(mut self) -> (Program, Vec<Fault>) {
        for (template, _) in std::mem::take(&mut self.open) {
            self.bad(template, "`if` without `end`".to_owned());
        }
        (Program { source: self.source, texts: self.texts }, self.faults)
    }
}
