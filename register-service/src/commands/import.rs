//! `import`: writes a workflow file from the configuration files of other programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use register_service::files::written;
use schemas::config::{EntryForm, Level, Remark, Surroundings, apply_tool_config, import_document};
use schemas::dialect::compozy::DefinitionDocument;
use schemas::document::Document;
use serde_json::{Value, json};

use crate::cli::Import;
use crate::exit::Exit;
use crate::printer::{Printer, clean};
use crate::report::Report;

/// Maximum size of a file.
const MAX_FILE_BYTES: u64 = 4 << 20;

pub(super) fn run(args: &Import, printer: Printer) -> Report {
    let mut report = Report::new("import", Vec::new());
    let mut definitions = BTreeMap::<String, String>::new();
    let mut documents = Vec::new();
    let mut told = Vec::new();
    for path in &args.files {
        let file = path.display().to_string();
        let read = match read(path, args.format.as_deref()) {
            Ok(read) => read,
            Err(problems) => {
                for problem in problems {
                    report = report.failed(Exit::InvalidFiles, problem, None);
                }
                continue;
            }
        };
        told.extend(read.remarks.iter().map(|remark| remark.in_file(&file)));
        for document in read.documents {
            if let Some(earlier) = definitions.insert(document.name.clone(), file.clone()) {
                let message = format!("`{}` is in `{earlier}` and in `{file}`", document.name);
                report = report.failed(Exit::InvalidFiles, message, Some("rename one of them"));
            }
            documents.push(document);
        }
    }
    for remark in &told {
        printer.progress(remark);
    }
    if documents.iter().any(has_default) {
        printer.progress("some variables have defaults, which only `--engine none` takes: use it with `sync`");
    }
    if report.exit == Exit::Done {
        let text = clean(&written(&documents));
        report.json = json!({ "yaml": text, "remarks": told });
        report.text = text;
    }
    report
}

/// True if a text of a definition has a default for a variable that is not set.
fn has_default(document: &DefinitionDocument) -> bool {
    let secrets = document.env.values().chain(document.headers.values()).map(|secret| secret.expose());
    let texts = document.args.iter().map(String::as_str).chain([document.url.as_str()]);
    texts.chain(secrets).any(|text| text.contains("| default "))
}

/// File that was read.
struct Read {
    documents: Vec<DefinitionDocument>,
    remarks: Vec<Remark>,
}

fn read(path: &Path, format: Option<&str>) -> Result<Read, Vec<String>> {
    let file = path.display().to_string();
    let fail = |reason: String| vec![format!("{file}: cannot read it: {reason}")];
    let found = fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !found.is_file() {
        return Err(fail("it is no file".to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(fail(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let document = Document::parse(&text);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name("tool_config.json");
    let is_switched = path.file_name().is_some_and(|name| name == "mcp_server.json") && beside.is_file();
    let format = format.or(is_switched.then_some("ptbsare"));
    let mut imported = import_document(&document, &stem, format);
    if is_switched {
        let tools = fs::read_to_string(&beside).map_err(|error| fail(format!("{}: {error}", beside.display())))?;
        let told = apply_tool_config(&mut imported.servers, &Document::parse(&tools), "__");
        imported.remarks.extend(told.into_iter().map(|remark| remark.of(&beside.display().to_string())));
    }
    if imported.dialect.is_none() || !document.malformed.is_empty() {
        let errors = imported.remarks.iter().filter(|remark| remark.level == Level::Error);
        return Err(errors.map(|remark| remark.in_file(&file)).collect());
    }
    let (mut documents, mut remarks) = (Vec::new(), imported.remarks);
    for setting in &imported.settings {
        let message = format!("setting `{}` of the gateway has no place in a workflow", setting.name);
        remarks.push(Remark::warning(setting.span, message));
    }
    let folder = std::path::absolute(path).ok().and_then(|path| Some(path.parent()?.display().to_string()));
    let surroundings = Surroundings { folder, ..Surroundings::default() };
    for server in &imported.servers {
        if server.is_disabled {
            remarks.push(Remark::warning(server.span, format!("`{}` is switched off, and left out", server.name)));
            continue;
        }
        let (entry, lost) = server.entry(EntryForm::Templates, &surroundings);
        remarks.extend(lost);
        if !entry.is_empty() {
            let document = serde_json::from_value(Value::Object(entry));
            documents.push(document.map_err(|error| fail(format!("`{}`: {error}", server.name)))?);
        }
    }
    Ok(Read { documents, remarks })
}
