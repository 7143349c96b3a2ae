//! Shows for plans how an entry reaches its upstream, as it is written. Templates are not rendered, so no variable's
//! value appears; probable secrets are masked.

use std::collections::BTreeMap;

use schemas::document::{Node, Value};
use schemas::{ServerName, redact_arguments, redact_url};

use crate::workflow::desired::{Desired, Usage};

/// Fields with their names at the gateway (`command` with its arguments, `url`, `headers`, `env`), in that order.
///
/// ```
/// use register_service::files::ConnectionFields;
/// use register_service::{Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("demo.yaml");
/// std::fs::write(&file, "mcps:\n  - {id: docs, url: 'https://docs.example/mcp', use_proxy: true}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let fields: Vec<ConnectionFields> = load(&[file], &settings)?.desired.connection_fields().into_values().collect();
/// assert_eq!(fields, [[("url", "https://docs.example/mcp".to_owned())]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type ConnectionFields = Vec<(&'static str, String)>;

impl Desired {
    /// Returns the written fields of each registered entry, by its name at the gateway.
    ///
    /// ```
    /// use register_service::{Environment, Settings, load};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("demo.yaml");
    /// std::fs::write(&file, "mcps:\n  - {id: time, command: 'mcp-server-time {{ .env.HOME }}', use_proxy: true}\n")?;
    /// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::from_iter([("HOME", "/root")]));
    /// let fields = load(&[file], &settings)?.desired.connection_fields();
    /// assert_eq!(fields["time"], [("command", "mcp-server-time {{ .env.HOME }}".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connection_fields(&self) -> BTreeMap<ServerName, ConnectionFields> {
        let mut all = BTreeMap::new();
        for entry in self.entries() {
            let Usage::Registered { definition, .. } = &entry.usage else { continue };
            if let Some(node) = entry.place.node(&self.files) {
                all.entry(definition.name.clone()).or_insert_with(|| fields(node));
            }
        }
        all
    }
}

fn fields(entry: &Node) -> ConnectionFields {
    let names = |key| {
        let map = entry.get(key).and_then(Node::as_map)?;
        (!map.entries.is_empty())
            .then(|| map.entries.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", "))
    };
    let all = [
        ("command", command(entry)),
        ("url", entry.get("url").and_then(Node::literal).filter(|_| entry.get("command").is_none()).map(address)),
        ("headers", names("headers")),
        ("env", names("env")),
    ];
    all.into_iter().filter_map(|(field, text)| Some((field, text?))).collect()
}

/// Returns the whole command line. A `command` string is split at white space only, so its words appear as written.
fn command(entry: &Node) -> Option<String> {
    let node = entry.get("command")?;
    let (line, list): (Option<&str>, Vec<&str>) = match &node.value {
        Value::List(items) => (None, items.iter().filter_map(Node::literal).collect()),
        _ => (Some(node.literal()?), Vec::new()),
    };
    let more = entry.get("args").map(Node::items).unwrap_or_default().iter().filter_map(Node::literal);
    let items: Vec<&str> = list.into_iter().chain(more).collect();
    let mut templates = line.iter().chain(&items).flat_map(|text| templates(text));
    let line = line.map(stash).unwrap_or_default();
    let words = line.split_whitespace().map(str::to_owned).chain(items.iter().map(|item| stash(item)));
    let words: Vec<String> = words.collect();
    let shown = redact_arguments(&words).into_iter().zip(&words);
    Some(shown.map(|(shown, word)| restore(&shown, word, &mut templates)).collect::<Vec<String>>().join(" "))
}

/// Masks the secrets in a URL.
pub(super) fn address(text: &str) -> String {
    let stashed = stash(text);
    restore(&redact_url(&stashed), &stashed, &mut templates(text))
}

/// Masks the secrets in arguments, or in a command line given as one text.
pub(super) fn arguments(texts: &[&str]) -> Vec<String> {
    let mut templates = texts.iter().flat_map(|text| templates(text));
    let stashed: Vec<String> = texts.iter().map(|text| stash(text)).collect();
    let shown = redact_arguments(&stashed).into_iter().zip(&stashed);
    shown.map(|(shown, stashed)| restore(&shown, stashed, &mut templates)).collect()
}

/// Placeholder for a template; no file contains this letter.
const STASHED: char = '\u{1}';

/// Replaces each template by one letter, so that its quotes and slashes are not mistaken for the text's own.
fn stash(text: &str) -> String {
    let (mut stashed, mut rest) = (String::new(), text);
    while let Some((before, more)) = rest.split_once("{{") {
        stashed += before;
        stashed.push(STASHED);
        rest = more.split_once("}}").map_or("", |(_, after)| after);
    }
    stashed + rest
}

fn templates(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).map(|rest| rest.split_once("}}").map_or(rest, |(inner, _)| inner))
}

/// Puts the templates back into a word, unless they were masked with the rest. A word of templates only is shown as
/// written, because the name of a variable is no secret.
fn restore<'t>(shown: &str, stashed: &str, templates: &mut impl Iterator<Item = &'t str>) -> String {
    let count = stashed.matches(STASHED).count();
    let mut own: Vec<&str> = templates.take(count).collect();
    let is_template = stashed.chars().all(|letter| letter == STASHED);
    if !is_template && shown.matches(STASHED).count() != count {
        return shown.replace(STASHED, "{{ ... }}");
    }
    let text = if is_template { stashed } else { shown };
    own.reverse();
    let template = |letter: char| match letter {
        STASHED => format!("{{{{{}}}}}", own.pop().unwrap_or_default()),
        letter => letter.to_string(),
    };
    text.chars().map(template).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::File;

    fn check(entry: &str, expected: &[(&str, &str)]) {
        let (file, _) = File::parse("a.yaml", "a.yaml", entry);
        let shown = fields(&file.documents[0]);
        let shown: Vec<(&str, &str)> = shown.iter().map(|(field, text)| (*field, text.as_str())).collect();
        assert_eq!(shown, expected, "{entry}");
    }

    #[test]
    fn shows_how_an_upstream_is_reached_and_no_secret() {
        check("{command: 'npx -y  pkg', args: [/srv, 3]}", &[("command", "npx -y pkg /srv 3")]);
        check("{command: [p, '{{ .env.ROOT }}/a b']}", &[("command", "p {{ .env.ROOT }}/a b")]);
        check(
            "{command: p --api-key hush --token=hush x}",
            &[("command", "p --api-key [redacted] --token=[redacted] x")],
        );
        check(
            "{url: 'https://u:hush@{{ .env.HOST }}/mcp?k=hush'}",
            &[("url", "https://%5Bredacted%5D:%5Bredacted%5D@{{ .env.HOST }}/mcp?k=[redacted]")],
        );
        check("{command: [p, '--key=hush {{ .env.K }}']}", &[("command", "p --key=[redacted]")]);
        check("{command: 'p --key {{ .env.K }}'}", &[("command", "p --key {{ .env.K }}")]);
        check(
            "{command: 'p http://u:hush@db.test/x?k=hush'}",
            &[("command", "p http://%5Bredacted%5D:%5Bredacted%5D@db.test/x?k=[redacted]")],
        );
        check(
            "{url: 'https://u:hush@a.test/mcp?key=hush'}",
            &[("url", "https://%5Bredacted%5D:%5Bredacted%5D@a.test/mcp?key=[redacted]")],
        );
        check(
            "{url: 'https://{{ .env.HOST }}/mcp', headers: {Authorization: hush, X-A: hush}, env: {}}",
            &[("url", "https://{{ .env.HOST }}/mcp"), ("headers", "Authorization, X-A")],
        );
    }
}
