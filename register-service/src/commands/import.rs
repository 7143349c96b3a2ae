//! `import`: writes a workflow file from the configuration files of other programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use register_service::files::written;
use schemas::config::{EntryForm, Level, Remark, import_document};
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
    if report.exit == Exit::Done {
        let text = clean(&written(&documents));
        report.json = json!({ "yaml": text, "remarks": told });
        report.text = text;
    }
    report
}

/// File that was read.
struct Read {
    documents: Vec<DefinitionDocument>,
    remarks: Vec<Remark>,
}

fn read(path: &Path, format: Option<&str>) -> Result<Read, Vec<String>> {
    let file = path.display().to_string();
    let fail = |reason: String| vec![format!("{file}: cannot read it: {reason}")];
    let size = fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(fail(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let document = Document::parse(&text);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let imported = import_document(&document, &stem, format);
    if imported.dialect.is_none() || !document.malformed.is_empty() {
        let errors = imported.remarks.iter().filter(|remark| remark.level == Level::Error);
        return Err(errors.map(|remark| remark.in_file(&file)).collect());
    }
    let (mut documents, mut remarks) = (Vec::new(), imported.remarks);
    for server in &imported.servers {
        if server.is_disabled {
            remarks.push(Remark::warning(server.span, format!("`{}` is switched off, and left out", server.name)));
            continue;
        }
        let (entry, lost) = server.entry(EntryForm::Templates);
        remarks.extend(lost);
        if !entry.is_empty() {
            let document = serde_json::from_value(Value::Object(entry));
            documents.push(document.map_err(|error| fail(format!("`{}`: {error}", server.name)))?);
        }
    }
    Ok(Read { documents, remarks })
}
