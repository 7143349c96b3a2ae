//! `render`: prints the files as the engine sees them. Offline.

use register_service::files::File;
use register_service::{Settings, load};
use schemas::dialect::compozy::DefinitionDocument;
use serde_json::json;

use crate::cli::Files;
use crate::printer::clean;
use crate::report::Report;

const COMMAND: &str = "render";

pub(super) fn run(files: &Files, settings: &Settings) -> Report {
    let loaded = match load(&files.paths, settings) {
        Ok(loaded) => loaded,
        Err(invalid) => return Report::invalid(COMMAND, invalid),
    };
    let desired = &loaded.desired;
    let holds_entries = |file: &File| desired.entries().iter().any(|entry| entry.location.file == file.path());
    let rewritten = desired.rewritten();
    let shown: Vec<&File> = rewritten.iter().filter(|file| holds_entries(file)).collect();
    let texts: Vec<String> =
        shown.iter().map(|file| format!("# {}\n{}", clean(file.path()).replace('\n', " "), file.to_yaml())).collect();
    let definitions = desired.definitions();
    let json = json!({
        "files": shown.iter().map(|file| json!({ "path": file.path(), "yaml": file.to_yaml() })).collect::<Vec<_>>(),
        "registrations": definitions.iter().map(|it| shown_definition(it.clone())).collect::<Vec<_>>(),
    });
    Report { text: texts.join("---\n"), json, ..Report::new(COMMAND, loaded.remarks) }
}

/// Removes everything from a definition that may contain a secret: a variable may be part of any URL or argument, even
/// of one that does not look like a secret.
fn shown_definition(definition: schemas::Definition) -> DefinitionDocument {
    DefinitionDocument { url: String::new(), args: Vec::new(), ..DefinitionDocument::from(definition).redacted() }
}
