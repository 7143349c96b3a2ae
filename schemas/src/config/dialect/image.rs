//! Servers in containers, which the gateway does not run itself.

use crate::config::entry::Entry;
use crate::config::server::Kind;
use crate::document::Node;
use crate::redact_arguments;

/// Returns the reason why the server in an image is left out, with the command that would run it.
pub(super) fn unsupported(entry: &Entry<'_>, image: &str, arguments: &str) -> Kind {
    for (scheme, program) in [("npx://", "npx -y"), ("uvx://", "uvx"), ("go://", "go run")] {
        if let Some(package) = image.strip_prefix(scheme) {
            return told(image, vec![program, package], items(entry.get(arguments)));
        }
    }
    let mut words = vec!["docker", "run", "-i", "--rm"];
    for name in variables(entry) {
        words.extend(["-e", name]);
    }
    for volume in items(entry.get("volumes")) {
        words.extend(["-v", volume]);
    }
    words.push(image);
    told(image, words, items(entry.get(arguments)))
}

fn told(image: &str, words: Vec<&str>, arguments: Vec<&str>) -> Kind {
    let words: Vec<String> = [words, arguments].concat().into_iter().map(str::to_owned).collect();
    let command = redact_arguments(&words).join(" ");
    Kind::Unsupported(format!("it is the image `{image}`; give the gateway a command, such as `{command}`"))
}

/// Returns the names of the variables that the container needs.
fn variables<'f>(entry: &Entry<'f>) -> Vec<&'f str> {
    let list = |key: &str, name: &str| -> Vec<&'f str> {
        let items = entry.get(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| item.get(name)?.literal()).collect()
    };
    let map = entry.get("env_vars").and_then(Node::as_map);
    let names = map.map(|map| map.entries.iter().map(|(name, ..)| name.as_str()).collect()).unwrap_or_default();
    // ToolHive writes a secret as `name,target=VARIABLE`.
    let targets = items(entry.get("secrets")).into_iter().filter_map(|text| text.split_once(",target="));
    [list("env", "name"), list("secrets", "env"), names, targets.map(|(_, name)| name).collect()].concat()
}

fn items(node: Option<&Node>) -> Vec<&str> {
    node.map(Node::items).unwrap_or_default().iter().filter_map(Node::literal).collect()
}
