//! Reports values that are used literally although a template was probably meant: `${NAME}` of a shell, and secrets
//! that everyone who can read the file can see.

use std::borrow::Cow;
use std::ops::Range;

use schemas::document::{Node, Value};
use schemas::{written_secrets, written_value};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::source::File;
use crate::workflow::command_line;
use crate::workflow::fields::Fields;

/// Programs that expand `${NAME}` themselves.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "pwsh", "envsubst"];
/// Replaces each byte of a template; no file contains it.
const BLANK: &str = "\u{1}";

/// Checks the values of an entry.
pub(super) fn check(fields: &mut Fields<'_>) {
    let (file, entry) = (fields.file, fields.node);
    // An engine expands variables before it passes on an entry of its own.
    if file.is_inline {
        return;
    }
    let mut found = Vec::new();
    if let Some(url) = entry.get("url") {
        let variables = shell_variables(file, url);
        let is_bad = fields.diagnostics.iter().any(|it| it.code == Code::BadUrl);
        match (variables.is_empty(), is_bad) {
            // An invalid URL was reported already, and is not parsed for secrets.
            (true, true) => {}
            (true, false) => found.extend(secrets(file, &[url])),
            (false, is_bad) => {
                // The shell variable makes the URL invalid, so report only the variable.
                fields.diagnostics.retain(|it| it.code != Code::BadUrl);
                let severity = if is_bad { Severity::Error } else { Severity::Warning };
                found.extend(variables.into_iter().map(|remark| Diagnostic { severity, ..remark }));
            }
        }
    }
    let command = entry.get("command").into_iter().flat_map(|node| match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    });
    let program: Vec<&Node> = command.chain(items(entry, "args")).collect();
    if !program.iter().any(|node| runs_a_shell(node)) {
        found.extend(program.iter().flat_map(|node| shell_variables(file, node)));
    }
    found.extend(secrets(file, &program));
    for key in ["headers", "env"] {
        found.extend(named(file, entry.get(key)));
    }
    if let Some(gateway) = entry.get("gateway") {
        let tokens = items(gateway, "auth_tokens");
        found.extend(
            tokens.flat_map(|token| shell_variables(file, token).into_iter().chain(value(file, "token", token))),
        );
        let proxy: Vec<&Node> = gateway.get("proxy").into_iter().collect();
        found.extend(secrets(file, &proxy));
    }
    fields.diagnostics.extend(found);
}

/// Checks the values of a mapping of headers or variables.
pub(super) fn named(file: &File, map: Option<&Node>) -> Vec<Diagnostic> {
    let entries = map.and_then(Node::as_map).map(|map| map.entries.as_slice()).unwrap_or_default();
    let remarks = |(name, _, node): &(String, _, Node)| {
        let by_name = value(file, name, node);
        let by_look = if by_name.is_none() { secrets(file, &[node]) } else { Vec::new() };
        [shell_variables(file, node), by_name.into_iter().collect(), by_look].concat()
    };
    entries.iter().flat_map(remarks).collect()
}

fn items<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Node> {
    node.get(key).map(Node::items).unwrap_or_default().iter()
}

/// Reports the value of a header or variable whose name suggests a secret.
fn value(file: &File, name: &str, node: &Node) -> Option<Diagnostic> {
    if matches!(node.value, Value::Bool(..)) || node.is_template() {
        return None;
    }
    let part = written_value(name, node.literal()?)?;
    let (scheme, _) = node.literal()?.split_at_checked(part.start)?;
    let variable = match name.eq_ignore_ascii_case("authorization") {
        true => "TOKEN".to_owned(),
        false => name.to_uppercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_"),
    };
    let cure = format!("`{scheme}{{{{ .env.{variable} }}}}`");
    Some(secret(file, node, part, &cure))
}

/// Reports secrets in a URL, or in the words of a command line, each word a node.
fn secrets(file: &File, nodes: &[&Node]) -> Vec<Diagnostic> {
    let words: Vec<Cow<'_, str>> = nodes.iter().map(|node| blanked(node.literal().unwrap_or_default())).collect();
    let found = nodes.iter().zip(written_secrets(&words));
    found
        .flat_map(|(node, parts)| parts.into_iter().map(|part| secret(file, node, part, "`{{ .env.TOKEN }}`")))
        .collect()
}

fn secret(file: &File, node: &Node, part: Range<usize>, cure: &str) -> Diagnostic {
    let message = "a secret is written out here, and whoever reads the file has it";
    let hint = format!("write {cure}, and give the variable with `--env-file` or in the environment");
    Diagnostic::new(Code::LiteralSecret, &file.part(node, part), message).hint(hint)
}

/// True if a part of a command line starts a shell.
fn runs_a_shell(node: &Node) -> bool {
    let text = node.literal().unwrap_or_default();
    let words = command_line::split(text).unwrap_or_else(|| vec![text.to_owned()]);
    words.iter().any(|word| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default()))
}

fn shell_variables(file: &File, node: &Node) -> Vec<Diagnostic> {
    let text = node.as_text().map(|text| text.text.as_str()).unwrap_or_default();
    if !text.contains('$') {
        return Vec::new();
    }
    let text = blanked(text);
    let remark = |(part, name): (Range<usize>, &str)| {
        let shown = text.get(part.clone()).unwrap_or_default();
        let message = format!("`{shown}` is used as it is written: variables of a shell are not filled in");
        let remark = Diagnostic::new(Code::ShellVariable, &file.part(node, part), message);
        remark.hint(format!("write `{{{{ .env.{name} }}}}`"))
    };
    variables(&text).into_iter().map(remark).collect()
}

/// Returns every `${NAME}`, including `${env:NAME}` and `${NAME:-default}`, and every word that is `$NAME`, with the
/// name.
fn variables(text: &str) -> Vec<(Range<usize>, &str)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for (start, _) in text.match_indices('$') {
        let rest = text.get(start + 1..).unwrap_or_default();
        if let Some(inner) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(inner, _)| inner) {
            let named = ["env:", "input:", "env."].iter().find_map(|kind| inner.strip_prefix(kind)).unwrap_or(inner);
            let name = named.split(|letter| !is_name(letter)).next().unwrap_or_default();
            if name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') {
                found.push((start..start + inner.len() + 3, name));
            }
            continue;
        }
        let begins = text.get(..start).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace));
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let is_variable = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        if begins
            && word.len() > 1
            && word.chars().all(is_variable)
            && word.starts_with(|it: char| !it.is_ascii_digit())
        {
            found.push((start..start + word.len() + 1, word));
        }
    }
    found
}

/// Replaces templates by blanks of the same length.
fn blanked(text: &str) -> Cow<'_, str> {
    if !text.contains("{{") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, inside)) = rest.split_once("{{") {
        let length = inside.find("}}").map_or(inside.len(), |end| end + 2);
        out += before;
        out += &BLANK.repeat(length + 2);
        rest = inside.get(length..).unwrap_or_default();
    }
    Cow::Owned(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let blanked = blanked(text);
        let found: Vec<_> = variables(&blanked).into_iter().map(|(part, name)| (&text[part], name)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_variables_of_a_shell() {
        check("Bearer ${TOKEN}", &[("${TOKEN}", "TOKEN")]);
        check("${env:HOME}/x ${B:-b}", &[("${env:HOME}", "HOME"), ("${B:-b}", "B")]);
        check("$TOKEN", &[("$TOKEN", "TOKEN")]);
        check("Bearer $API_KEY", &[("$API_KEY", "API_KEY")]);
    }

    #[test]
    fn leaves_what_is_no_variable() {
        for text in ["Pa$WORD", "a$b", "$5", "$", "${}", "${", "^A$", "$x", "{{ \"${X}\" }}", "é{{ $x }}$Y", "US$"] {
            check(text, &[]);
        }
    }

    #[test]
    fn templates_are_blanked_to_the_byte() {
        for text in ["a{{ é }}b", "{{", "x{{ a }}{{ b", "no"] {
            assert_eq!(blanked(text).len(), text.len(), "{text}");
        }
        assert_eq!(blanked("a{{b}}c"), "a\u{1}\u{1}\u{1}\u{1}\u{1}c");
    }
}
