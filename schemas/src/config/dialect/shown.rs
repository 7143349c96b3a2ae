//! Shows what was imported on one line, for the tests of each format.

use std::time::Duration;

use crate::config::pattern::{Part, Pattern};
use crate::config::server::{Kind, Server};
use crate::config::{EntryForm, Imported, Surroundings, import, import_document};
use crate::document::{Document, Node, Value};

/// Checks the format that a text is recognised as, and its servers:
/// `NAME KIND URL-OR-COMMAND [env or headers] cwd .. connect .. call .. allow .. deny .. disabled`, between semicolons.
/// Then imports the text with each of its values replaced by others, which must return.
#[track_caller]
pub(super) fn check(dialect: &str, text: &str, expected: &str) {
    let imported = import(text, "stem");
    assert_eq!(imported.dialect.map(|dialect| dialect.id), Some(dialect), "{:?}", imported.remarks);
    assert_eq!(shown(&imported), expected);
    survive_other_values(dialect, text);
}

/// Checks the remarks: `LINE: MESSAGE (HINT)`.
#[track_caller]
pub(super) fn check_remarks(text: &str, expected: &[&str]) {
    let told = import(text, "stem").remarks.into_iter().map(|remark| {
        let hint = remark.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", remark.span.start.line, remark.message)
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// Checks the settings: `NAME VALUE,VALUE`, between semicolons.
#[track_caller]
pub(super) fn check_settings(text: &str, expected: &str) {
    let told = import(text, "stem").settings.into_iter().map(|it| format!("{} {}", it.name, it.values.join(",")));
    assert_eq!(told.collect::<Vec<_>>().join("; "), expected);
}

fn shown(imported: &Imported) -> String {
    imported.servers.iter().map(server).collect::<Vec<_>>().join("; ")
}

fn server(server: &Server) -> String {
    let mut words = vec![server.name.clone(), server.kind.as_str().to_owned()];
    let pair =
        |between: &'static str| move |(name, value): (&String, &Pattern)| format!("{name}{between}{}", text(value));
    let group = |pairs: Vec<String>| (!pairs.is_empty()).then(|| format!("[{}]", pairs.join(", ")));
    match &server.kind {
        Kind::Unsupported(reason) => {
            words.push(format!("({reason})"));
            return words.join(" ");
        }
        Kind::Stdio => {
            words.push(text(&server.command));
            words.extend(server.args.iter().map(text));
            words.extend(group(server.env.iter().map(pair("=")).collect()));
            words.extend(server.env_file.as_ref().map(|path| format!("env-file {}", text(path))));
            words.extend(server.cwd.as_ref().map(|path| format!("cwd {}", text(path))));
        }
        Kind::Http | Kind::Sse | Kind::Auto => {
            words.push(text(&server.url));
            words.extend(group(server.headers.iter().map(pair(": ")).collect()));
        }
    }
    let time = |word: &str, time: Option<Duration>| time.map(|time| format!("{word} {time:?}"));
    words.extend(time("connect", server.connect_timeout));
    words.extend(time("call", server.call_timeout));
    words.extend(server.allow.as_ref().map(|names| format!("allow {}", names.join(","))));
    words.extend((!server.deny.is_empty()).then(|| format!("deny {}", server.deny.join(","))));
    let tokens: Vec<String> = server.auth_tokens.iter().map(text).collect();
    words.extend((!tokens.is_empty()).then(|| format!("tokens {}", tokens.join(","))));
    words.extend(server.max_sessions.map(|most| format!("sessions {most}")));
    words.extend(server.log_enabled.then(|| "logged".to_owned()));
    words.extend(server.is_disabled.then(|| "disabled".to_owned()));
    words.join(" ")
}

fn text(pattern: &Pattern) -> String {
    let part = |part: &Part| match part {
        Part::Workspace => "<workspace>".to_owned(),
        Part::WorkspaceName => "<workspace name>".to_owned(),
        Part::Refused(reason) => format!("<refused: {reason}>"),
        part => Pattern { parts: vec![part.clone()] }.own_text().unwrap_or_else(|reason| format!("<{reason}>")),
    };
    pattern.parts.iter().map(part).collect()
}

/// Imports a text with every single value replaced in turn by null, 1, "x", [] and {}.
fn survive_other_values(dialect: &str, text: &str) {
    let document = Document::parse(text);
    let others = Document::parse(r#"{"a": null, "b": 1, "c": "x", "d": [], "e": {}}"#).root;
    for (.., Node { value: other, .. }) in &others.as_map().expect("a mapping").entries {
        for at in 0..size(&document.root) {
            let mut document = document.clone();
            replace(&mut document.root, &mut { at }, other);
            for forced in [None, Some(dialect)] {
                for server in import_document(&document, "stem", forced).servers {
                    let surroundings = Surroundings { workspace: Some("/w".to_owned()), ..Surroundings::default() };
                    let _ = server.definition(&surroundings);
                    server.entry(EntryForm::Own, &Surroundings::default());
                    server.entry(EntryForm::Templates, &Surroundings::default());
                }
            }
        }
    }
}

fn size(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(map) => map.entries.iter().map(|(.., node)| size(node)).sum(),
        _ => 0,
    };
    1 + below
}

/// Replaces the value of the node with this number, counted from the top.
fn replace(node: &mut Node, at: &mut usize, value: &Value) {
    if *at == 0 {
        node.value = value.clone();
    }
    // Below the replaced node the count goes on where it was.
    *at = at.wrapping_sub(1);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|node| replace(node, at, value)),
        Value::Map(map) => map.entries.iter_mut().for_each(|(.., node)| replace(node, at, value)),
        _ => {}
    }
}
