//! `validate`: shows the meaning of the files, or all their errors. Offline, unless `--live` asks the gateway.

use register_service::files::{Diagnostic, Entry, Loaded, Offer, Severity, Unset, Usage, check_tools};
use register_service::{Settings, load};
use serde_json::{Value, json};

use crate::cli::{Global, Process, Validate};
use crate::commands::prepare::unreachable;
use crate::exit::Exit;
use crate::printer::{Output, clean};
use crate::report::{Report, count};

const COMMAND: &str = "validate";

pub(super) async fn run(validate: &Validate, global: &Global, process: &Process) -> anyhow::Result<Report> {
    // Files are often validated without the secrets that they use.
    let reading = &validate.files.reading;
    let is_refused = reading.strict_env || (reading.strict && !validate.allow_unset);
    let unset = if is_refused { Unset::Refuse } else { Unset::Warn };
    let settings = global.settings(process, reading)?;
    // Without --live, no setting of the connection is needed.
    let client = if validate.live { Some(global.client(process, &settings.gateway)?) } else { None };
    let loaded = match load(&validate.files.paths, &Settings { unset, ..settings }) {
        Ok(loaded) => loaded,
        Err(invalid) => return Ok(Report::invalid(COMMAND, invalid)),
    };
    let mut report = offline(&loaded, global.output);
    let Some(client) = client else {
        // The process ends, so freeing every node of a thousand files would only delay it.
        std::mem::forget(loaded);
        return Ok(report);
    };
    Ok(match live(&loaded, &client).await {
        Ok(found) => {
            let is_wrong = found.iter().any(|it| it.is_error() || (reading.strict && it.severity == Severity::Warning));
            report.diagnostics.extend(found);
            report.exit = if is_wrong { Exit::InvalidFiles } else { report.exit };
            report
        }
        Err(error) => unreachable(report, &error),
    })
}

/// Checks the tools that the files use at the gateway.
async fn live(loaded: &Loaded, client: &proxy_client::Client) -> Result<Vec<Diagnostic>, proxy_client::Error> {
    let (registrations, tools) = (client.list().await?, client.list_all_tools().await?);
    Ok(check_tools(&loaded.desired, Offer { registrations: &registrations, tools: &tools }))
}

fn offline(loaded: &Loaded, output: Output) -> Report {
    let entries = loaded.desired.entries();
    let mut text: String = entries.iter().map(line).collect();
    let unresolved = loaded.desired.unresolved();
    for (id, location) in unresolved {
        text += &clean(&format!("{location}: `{id}` needs variables that are not set\n"));
    }
    let tally = |word: &str| entries.iter().filter(|entry| usage(entry) == word).count();
    text += &format!(
        "{}, {}: {} registered, {} referenced, {} direct{}\n",
        count(loaded.desired.files().len(), "file"),
        count(entries.len() + unresolved.len(), "entry"),
        tally("registered"),
        tally("referenced"),
        tally("direct"),
        if unresolved.is_empty() { String::new() } else { format!(", {} unresolved", unresolved.len()) },
    );
    let files: Vec<String> = loaded.desired.files().iter().map(|file| file.path().to_owned()).collect();
    let json = if output == Output::Json { json(loaded, &files) } else { Value::Null };
    Report { files, text, json, ..Report::new(COMMAND, loaded.remarks.clone()) }
}

fn json(loaded: &Loaded, files: &[String]) -> Value {
    let unresolved = loaded.desired.unresolved().iter().map(
        |(id, at)| json!({ "id": id, "file": at.file, "line": at.line, "column": at.column, "usage": "unresolved" }),
    );
    let entries: Vec<Value> = loaded.desired.entries().iter().map(object).chain(unresolved).collect();
    json!({ "files": files, "entries": entries })
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
