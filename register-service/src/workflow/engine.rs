//! Reports values that Compozy's engine does not treat as Go's templates do: it rewrites templates before it parses
//! them, treats JSON as data, and renders headers only. Values that fail there are sent unrendered.

use std::ops::Range;

use schemas::document::{Node, Value};
use schemas::template;
use serde::de::IgnoredAny;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::File;
use crate::workflow::settings::Engine;

/// Returns the diagnostic of a header that renders here, but not in the engine.
pub(super) fn check_header(engine: Engine, file: &File, node: &Node) -> Option<Diagnostic> {
    if engine != Engine::Compozy || !node.is_template() {
        return None;
    }
    let text = node.literal().unwrap_or_default();
    let (part, breaks) = broken(text)?;
    let (message, hint) = match breaks {
        Breaks::Comment => (
            "the engine cannot read a comment without trim markers, and sends this header as it is written".to_owned(),
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
    Some(Diagnostic::new(Code::EngineRewrite, &file.part(node, part), message).hint(hint))
}

/// Returns the diagnostic of a header that renders to JSON.
pub(super) fn check_result(engine: Engine, file: &File, node: &Node, value: &str) -> Option<Diagnostic> {
    let is_json = || value.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(value).is_ok();
    if engine != Engine::Compozy || !node.is_template() || !is_json() {
        return None;
    }
    let message = "the engine takes what is JSON for data and no text, and sends this header as it is written";
    let remark = Diagnostic::new(Code::EngineJson, &file.at(node.head()), message);
    Some(remark.hint("put a space before it: HTTP does not send that"))
}

/// Returns the diagnostics of templates below these keys of an entry that is left to the engine, which renders those of
/// `headers` only.
pub(super) fn check_direct(engine: Engine, file: &File, entry: &Node, keys: &[&str]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for key in keys.iter().filter(|_| engine == Engine::Compozy) {
        let mut found = Vec::new();
        if let Some(node) = entry.get(key) {
            templates(node, &mut found);
        }
        for node in found {
            let message = format!("the engine does not render templates of `{key}`, and takes this as it is written");
            let remark = Diagnostic::new(Code::EngineLiteral, &file.at(node.head()), message);
            diagnostics.push(remark.hint("register the server with `use_proxy: true`, or write the value"));
        }
    }
    diagnostics
}

fn templates<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| templates(item, found)),
        Value::Map(map) => map.entries.iter().for_each(|(.., value)| templates(value, found)),
        _ if node.is_template() => found.push(node),
        _ => {}
    }
}

/// Reason why a template no longer parses after the engine has rewritten it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    /// The engine puts a space behind `{{`, and no comment may begin behind a space.
    Comment,
    /// The engine turns everything that looks like a path with a hyphen into a call of `index`, even inside of a
    /// string.
    Path,
}

/// Returns the first part of a sound template at which the engine's rewriting breaks it.
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

/// Returns the next `{{...}}` without a closing brace in it, starting at `from`.
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

/// Returns the parts that look like a path with a hyphen: `.a.b-c`.
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
