//! Parses names in a pipeline: functions, keywords, declared variables. Suggests the nearest name for an unknown one.

use std::ops::Range;

use crate::nearest;
use crate::template::ast::{Operand, OperandKind};
use crate::template::fault::Fault;
use crate::template::function::table::{self, Lookup};
use crate::template::lexer::Kind;
use crate::template::parser::PipeParser;

impl PipeParser<'_> {
    pub(super) fn variable(&self, name: &str, part: Range<usize>) -> Result<Operand, Fault> {
        if self.is_sure && !self.variables.iter().any(|declared| declared == name) {
            let near = nearest(name, self.variables.iter().map(String::as_str).filter(|it| it.len() > 1));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(Fault { hint, ..Fault::bad(part, format!("variable `{name}` is not declared")) });
        }
        Ok(Operand { kind: OperandKind::Variable(name.to_owned(), Vec::new()), part })
    }

    /// Returns the fault for `env.NAME`, or `NAME` alone, where `.env.NAME` was meant.
    pub(super) fn without_dot(&self, name: &str, part: &Range<usize>) -> Option<Fault> {
        let next = self.peek().filter(|token| token.kind == Kind::Field && !token.is_behind_space);
        let is_word = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
        let (end, meant) = match next {
            Some(field) if name == "env" || matches!(table::lookup(name), Lookup::Unknown) => {
                (field.part.end, self.shown(field))
            }
            None if name.len() > 1 && name.chars().all(is_word) => (part.end, name),
            Some(_) | None => return None,
        };
        let part = part.start..end;
        let shown = self.template.get(part.clone()).unwrap_or_default();
        let message = match name {
            "env" => format!("`{shown}` has no dot in front"),
            _ => format!("`{shown}` is no variable; variables are `.env.NAME`"),
        };
        let hint = Some(format!("did you mean `.env.{}`?", meant.trim_start_matches('.')));
        Some(Fault { hint, ..Fault::bad(part, message) })
    }

    pub(super) fn named(&self, name: &str, part: Range<usize>) -> Result<Operand, Fault> {
        let kind = match name {
            "true" | "false" => OperandKind::Bool(name == "true"),
            "nil" => OperandKind::Nil,
            _ => match table::lookup(name) {
                Lookup::Found(function) => OperandKind::Function(function),
                Lookup::Refused(reason) => return Err(Fault::refused(part, format!("function `{name}` {reason}"))),
                Lookup::Unknown => {
                    let hint = nearest(name, table::names()).map(|near| format!("did you mean `{near}`?"));
                    let what = if is_keyword(name) {
                        format!("`{name}` is not expected there")
                    } else {
                        format!("there is no function `{name}`")
                    };
                    return Err(Fault { hint, ..Fault::bad(part, what) });
                }
            },
        };
        Ok(Operand { kind, part })
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "if" | "else" | "end" | "with" | "range" | "define" | "template" | "block" | "break" | "continue")
}
