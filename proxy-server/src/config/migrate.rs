//! Writes the gateway's own file from that of another program, or from an own one in any syntax.

use std::path::Path;

use schemas::config::{EntryForm, Remark, import_document, is_own};
use schemas::document::Document;
use serde_json::{Map, Value, json};

use super::file::{ForeignFlags, OWN, text};
use super::model::InvalidConfig;
use super::{Config, displayed, flags, keys};

/// The gateway's own form of a file.
pub(crate) struct Migrated {
    /// Settings, then `servers`.
    pub(crate) document: Map<String, Value>,
    /// What is lost, each with its position.
    pub(crate) remarks: Vec<String>,
}

impl Config {
    /// Converts a file to the gateway's own form. Variables stay variables.
    pub(crate) fn migrate_file(path: &Path, foreign: &ForeignFlags) -> Result<Migrated, InvalidConfig> {
        let file = displayed(path);
        let fail = |problem: String| InvalidConfig { problems: vec![problem] };
        let text = text(path).map_err(|reason| fail(format!("{file}: error: cannot read it: {reason}")))?;
        let document = Document::parse(&text);
        if !document.malformed.is_empty() {
            let problems = document.malformed.into_iter().map(|it| Remark::from(it).in_file(&file));
            return Err(InvalidConfig { problems: problems.collect() });
        }
        let names = keys();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let format = foreign.config_format.as_deref();
        if format == Some(OWN) || (format.is_none() && is_own(&document, &names)) {
            let root = serde_json::to_value(&document.root).map_err(|error| fail(format!("{file}: error: {error}")))?;
            let document = root.as_object().cloned().unwrap_or_default();
            return Ok(Migrated { document, remarks: Vec::new() });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let imported = import_document(&document, &stem, format);
        if imported.dialect.is_none() {
            return Err(InvalidConfig { problems: imported.remarks.iter().map(|it| it.in_file(&file)).collect() });
        }
        let mut remarks = imported.remarks;
        let mut written = Map::new();
        for setting in imported.settings {
            written.insert(setting.name.to_owned(), value_of(setting.name, setting.values));
        }
        let mut servers = Map::new();
        for server in imported.servers {
            let (entry, lost) = server.entry(EntryForm::Own);
            remarks.extend(lost);
            if !entry.is_empty() {
                let name = server.slug();
                if servers.insert(name.clone(), entry.into()).is_some() {
                    let message =
                        format!("`{}` and an earlier server are both `{name}`; only this one is kept", server.name);
                    remarks.push(Remark::warning(server.span, message));
                }
            }
        }
        written.insert("servers".to_owned(), servers.into());
        remarks.sort_by_key(|remark| (remark.span.start, remark.level));
        Ok(Migrated { document: written, remarks: remarks.iter().map(|it| it.in_file(&file)).collect() })
    }
}

/// Returns the value of a setting as a file has it: a list, a switch, a number or a text.
fn value_of(name: &str, mut values: Vec<String>) -> Value {
    let mut defaults = Config::default();
    let is_list = flags::settings().find(|setting| setting.key() == name).is_some_and(|setting| {
        matches!(
            (setting.field)(&mut defaults).reading(),
            super::value::Reading::All | super::value::Reading::AllAndEmpty
        )
    });
    if is_list {
        return json!(values);
    }
    let text = values.pop().unwrap_or_default();
    match (text.as_str(), text.parse::<u64>()) {
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        (_, Ok(number)) => number.into(),
        _ => text.into(),
    }
}
