//! `validate`: what the files mean, or everything that is wrong with them. Offline.

use register_service::{Entry, Settings, Usage, load};
use serde_json::{Value, json};

use crate::cli::Files;
use crate::commands::{Report, count};
use crate::printer::clean;

const COMMAND: &str = "validate";

pub(super) fn run(files: &Files, settings: &Settings) -> Report {
    let loaded = match load(&files.paths, settings) {
        Ok(loaded) => loaded,
        Err(invalid) => return Report::invalid(COMMAND, invalid),
    };
    let entries = loaded.desired.entries();
    let mut text: String = entries.iter().map(line).collect();
    let tally = |word: &str| entries.iter().filter(|entry| usage(entry) == word).count();
    text += &format!(
        "{}, {}: {} registered, {} referenced, {} direct\n",
        count(loaded.desired.files().len(), "file"),
        count(entries.len(), "entry"),
        tally("registered"),
        tally("referenced"),
        tally("direct"),
    );
    let paths: Vec<&str> = loaded.desired.files().iter().map(register_service::File::path).collect();
    let json = json!({ "files": paths, "entries": entries.iter().map(object).collect::<Vec<_>>() });
    Report { text, json, ..Report::new(COMMAND, loaded.remarks) }
}

fn line(entry: &Entry) -> String {
    let Entry { id, location, .. } = entry;
    clean(&match &entry.usage {
        Usage::Registered { definition, url } if definition.name.as_str() == id => {
            format!("{location}: `{id}` is registered, reached at {url}\n")
        }
        Usage::Registered { definition, url } => {
            format!("{location}: `{id}` is registered as `{}`, reached at {url}\n", definition.name)
        }
        Usage::Referenced { name, url } => format!("{location}: `{id}` refers to upstream `{name}` at {url}\n"),
        Usage::Direct => format!("{location}: `{id}` is direct\n"),
    })
}

fn usage(entry: &Entry) -> &'static str {
    match entry.usage {
        Usage::Registered { .. } => "registered",
        Usage::Referenced { .. } => "referenced",
        Usage::Direct => "direct",
    }
}

fn object(entry: &Entry) -> Value {
    let url = match &entry.usage {
        Usage::Registered { url, .. } | Usage::Referenced { url, .. } => Some(url),
        Usage::Direct => None,
    };
    json!({
        "id": entry.id,
        "file": entry.location.file,
        "line": entry.location.line,
        "column": entry.location.column,
        "usage": usage(entry),
        "name": entry.name(),
        "url": url,
    })
}
