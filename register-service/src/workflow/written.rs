//! How an entry says to reach its upstream, as it is written: for whoever reads a plan. Templates are not rendered, so no
//! variable shows; what is likely a secret is blotted out.

use std::collections::BTreeMap;

use schemas::{REDACTED, ServerName};

use crate::source::node::{Node, Value};
use crate::template::is_secret_name;
use crate::workflow::desired::{Desired, Usage};

/// Fields by the gateway's names for them (`command` with its arguments, `url`, `headers`, `env`), in that order.
///
/// ```
/// use register_service::{Environment, Settings, Written, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("demo.yaml");
/// std::fs::write(&file, "mcps:\n  - {id: docs, url: 'https://docs.example/mcp', use_proxy: true}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let written: Vec<Written> = load(&[file], &settings)?.desired.written().into_values().collect();
/// assert_eq!(written, [[("url", "https://docs.example/mcp".to_owned())]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Written = Vec<(&'static str, String)>;

impl Desired {
    /// What is written of each entry that is registered, by its name at the gateway.
    ///
    /// ```
    /// use register_service::{Environment, Settings, load};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("demo.yaml");
    /// std::fs::write(&file, "mcps:\n  - {id: time, command: 'mcp-server-time {{ .env.HOME }}', use_proxy: true}\n")?;
    /// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::from_iter([("HOME", "/root")]));
    /// let written = load(&[file], &settings)?.desired.written();
    /// assert_eq!(written["time"], [("command", "mcp-server-time {{ .env.HOME }}".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn written(&self) -> BTreeMap<ServerName, Written> {
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

fn fields(entry: &Node) -> Written {
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

/// The whole command line. A text is split as a shell does it, so its words are taken as they are between spaces.
fn command(entry: &Node) -> Option<String> {
    let node = entry.get("command")?;
    let words: Vec<&str> = match &node.value {
        Value::List(items) => items.iter().filter_map(Node::literal).collect(),
        _ => vec![node.literal()?],
    };
    let more = entry.get("args").map(Node::items).unwrap_or_default().iter().filter_map(Node::literal);
    let (mut shown, mut is_secret) = (Vec::new(), false);
    for word in words.into_iter().chain(more).flat_map(pieces) {
        shown.push(match word.split_once('=') {
            _ if word.contains("{{") => word.to_owned(),
            _ if is_secret => REDACTED.to_owned(),
            Some((name, _)) if is_secret_name(name) => format!("{name}={REDACTED}"),
            _ => address(word),
        });
        is_secret = word.starts_with('-') && !word.contains('=') && is_secret_name(word);
    }
    Some(shown.join(" "))
}

/// Words between spaces; a template is never taken apart.
fn pieces(text: &str) -> Vec<&str> {
    if text.contains("{{") { vec![text] } else { text.split_whitespace().collect() }
}

/// An address without credentials and query, which may hold a secret. Anything else is as it is.
fn address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match path.split_once('?').or_else(|| path.split_once('#')) {
        Some((path, query)) if !query.contains("{{") => format!("{scheme}://{host}{path}?{REDACTED}"),
        _ => format!("{scheme}://{host}{path}"),
    }
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
        check("{command: 'p --key {{ .env.K }}'}", &[("command", "p --key {{ .env.K }}")]);
        check("{command: 'p http://u:hush@db.test/x?k=hush'}", &[("command", "p http://db.test/x?[redacted]")]);
        check("{url: 'https://u:hush@a.test/mcp?key=hush'}", &[("url", "https://a.test/mcp?[redacted]")]);
        check(
            "{url: 'https://{{ .env.HOST }}/mcp', headers: {Authorization: hush, X-A: hush}, env: {}}",
            &[("url", "https://{{ .env.HOST }}/mcp"), ("headers", "Authorization, X-A")],
        );
    }
}
