//! What Compozy's engine would do with a value, where that is not what Go's templates do: it rewrites templates before it
//! reads them, takes JSON for data, and renders headers only. Whatever fails there is sent as it is written.

use std::ops::Range;

use serde::de::IgnoredAny;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::node::{Node, Value};
use crate::template;
use crate::workflow::Engine;
use crate::workflow::fields::Fields;

/// Remarks on a header that renders here, and does not in the engine.
pub(super) fn check_header(fields: &mut Fields<'_>, node: &Node) {
    if fields.engine != Engine::Compozy || !node.is_template() {
        return;
    }
    let text = node.literal().unwrap_or_default();
    if let Some((part, breaks)) = broken(text) {
        let (message, hint) = match breaks {
            Breaks::Comment => (
                "the engine cannot read a comment without trim markers, and sends this header as it is written"
                    .to_owned(),
                "write `{{- /* ... */ -}}`, or leave the comment out",
            ),
            Breaks::Path => (
                format!(
                    "the engine takes `{}` for the path of a variable, and sends this header as it is written",
                    text.get(part.clone()).unwrap_or_default()
                ),
                "declare the text as a variable under `env:`, and use that",
            ),
        };
        fields
            .diagnostics
            .push(Diagnostic::new(Code::EngineRewrite, &fields.file.part(node, part), message).hint(hint));
    }
}

/// Remarks on what a header came to, if that is JSON.
pub(super) fn check_result(fields: &mut Fields<'_>, node: &Node, value: &str) {
    let is_json = || value.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(value).is_ok();
    if fields.engine == Engine::Compozy && node.is_template() && is_json() {
        let message = "the engine takes what is JSON for data and no text, and sends this header as it is written";
        let remark = Diagnostic::new(Code::EngineJson, &fields.file.at(node.head()), message);
        fields.diagnostics.push(remark.hint("put a space before it: HTTP does not send that"));
    }
}

/// Remarks on templates of an entry that is left to the engine, which renders those of `headers` alone.
pub(super) fn check_direct(fields: &mut Fields<'_>) {
    if fields.engine != Engine::Compozy {
        return;
    }
    // The environment of an HTTP server has no effect at all, which is said already.
    let keys: &[&str] = if fields.has_command() { &["url", "command", "args", "env"] } else { &["url"] };
    for key in keys {
        let mut found = Vec::new();
        if let Some(node) = fields.node.get(key) {
            templates(node, &mut found);
        }
        for node in found {
            let message = format!("the engine does not render templates of `{key}`, and takes this as it is written");
            let remark = Diagnostic::new(Code::EngineLiteral, &fields.file.at(node.head()), message);
            fields.diagnostics.push(remark.hint("register the server with `use_proxy: true`, or write the value"));
        }
    }
}

fn templates<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| templates(item, found)),
        Value::Map(map) => map.entries.iter().for_each(|(.., value)| templates(value, found)),
        _ if node.is_template() => found.push(node),
        _ => {}
    }
}

/// Why a template is not read any more once the engine has rewritten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    /// A space is put behind `{{`, where no comment may begin then.
    Comment,
    /// What looks like a path with a hyphen becomes a call of `index`, also inside of a text.
    Path,
}

/// The first part of a sound template at which the engine's rewriting breaks it.
fn broken(text: &str) -> Option<(Range<usize>, Breaks)> {
    let mut rewritten = String::new();
    let mut first = None;
    let mut at = 0;
    while let Some(action) = next_action(text, at) {
        rewritten += text.get(at..action.start)?;
        at = action.end;
        let whole = text.get(action.clone())?;
        let (left, inside) = match whole.strip_prefix("{{-") {
            Some(inside) => ("{{-", inside),
            None => ("{{", whole.get(2..)?),
        };
        let (inside, right) = match inside.strip_suffix("-}}") {
            Some(inside) => (inside, "-}}"),
            None => (inside.get(..inside.len().checked_sub(2)?)?, "}}"),
        };
        let offset = action.start + left.len() + (inside.len() - inside.trim_start().len());
        let inside = inside.trim();
        if left == "{{" && inside.starts_with("/*") && whole.starts_with("{{/*") {
            first = first.or(Some((action, Breaks::Comment)));
        }
        rewritten += left;
        rewritten.push(' ');
        let mut done = 0;
        for path in paths(inside) {
            rewritten += inside.get(done..path.start)?;
            let segments = inside.get(path.start + 1..path.end)?.split('.').map(|segment| format!(" \"{segment}\""));
            rewritten += &format!("(index .{})", segments.collect::<String>());
            first = first.or(Some((offset + path.start..offset + path.end, Breaks::Path)));
            done = path.end;
        }
        rewritten += inside.get(done..)?;
        rewritten.push(' ');
        rewritten += right;
    }
    rewritten += text.get(at..)?;
    first.filter(|_| template::is_sound(text) && !template::is_sound(&rewritten))
}

/// The next `{{...}}` without a brace in it, from a place on.
fn next_action(text: &str, from: usize) -> Option<Range<usize>> {
    let mut start = from;
    loop {
        start += text.get(start..)?.find("{{")?;
        let inside = start + 2;
        let end = inside + text.get(inside..)?.find('}')?;
        if text.get(end..)?.starts_with("}}") {
            return Some(start..end + 2);
        }
        start += 1;
    }
}

/// What looks like a path with a hyphen in it: `.a.b-c`.
fn paths(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let is = |at: usize, what: fn(&u8) -> bool| bytes.get(at).is_some_and(what);
    let is_first = |at| is(at, |byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let is_letter = |at| is(at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while is(at, |byte| *byte == b'.') && is_first(at + 1) {
            at += 2;
            while is_letter(at) {
                at += 1;
            }
        }
        if at == start {
            at += 1;
        } else if text.get(start..at).is_some_and(|path| path.contains('-')) {
            found.push(start..at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Breaks)>) {
        let found = broken(text).map(|(part, breaks)| (&text[part], breaks));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_what_the_engine_breaks() {
        check("{{/* c */}}{{ .env.TOKEN }}", Some(("{{/* c */}}", Breaks::Comment)));
        check("{{ .env.HOST | default \"api.my-host.com\" }}", Some((".my-host.com", Breaks::Path)));
        check("{{ trimSuffix \".my-suffix\" .env.A }}", Some((".my-suffix", Breaks::Path)));
        check("{{ .env.A | replace \".a-b\" \"\" }}", Some((".a-b", Breaks::Path)));
        check("é {{ if eq .env.X \"v.w-x\" }}a{{ end }}", Some((".w-x", Breaks::Path)));
    }

    #[test]
    fn says_nothing_where_the_engine_does_the_same() {
        let same = [
            "Bearer {{ .env.TOKEN }}",
            "{{- .env.TOKEN -}}",
            "{{ .env.E | default \"a-b\" }}",
            "{{- /* c */ -}}x",
            "{{ \"}-.a-b\" }}",
            "{{ .env.A | default `.a-b` }}",
            "{{ .env.MY-VAR }}",
            "a.b-c",
            "{{ .env.A }}.b-c {{ 1.5 }}",
        ];
        same.into_iter().for_each(|text| check(text, None));
    }
}
