//! Writes the gateway's own file from that of another program, or from an own one in any syntax.

use std::path::Path;

use schemas::config::{EntryForm, Remark, Surroundings, import_document, is_own};
use schemas::document::{Document, Node, Value as Found};
use serde_json::{Map, Value, json};

use super::file::{FormatFlags, OWN, PTBSARE, absolute, is_named_as_own, is_of_ptbsare, text, tool_config};
use super::model::InvalidConfig;
use super::{Config, displayed, flags, keys};

/// The gateway's own form of a file.
pub(crate) struct Migrated {
    /// Settings, then `servers`.
    pub(crate) document: Map<String, Value>,
    /// Remarks on lost settings, each with its position.
    pub(crate) remarks: Vec<String>,
}

impl Config {
    /// Converts a file to the gateway's own form. Variables stay variables.
    pub(crate) fn migrate_file(path: &Path, flags: &FormatFlags) -> Result<Migrated, InvalidConfig> {
        let file = displayed(path);
        let fail = |problem: String| InvalidConfig { problems: vec![problem] };
        let text = text(path, true).map_err(|reason| fail(format!("{file}: error: cannot read it: {reason}")))?;
        let document = Document::parse(&text);
        if !document.malformed.is_empty() {
            let problems = document.malformed.into_iter().map(|it| Remark::from(it).in_file(&file));
            return Err(InvalidConfig { problems: problems.collect() });
        }
        let names = keys();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let format = flags.config_format.as_deref();
        if format == Some(OWN) || (format.is_none() && is_own(&document, &names, is_named_as_own(path))) {
            let document = as_written(&document.root).as_object().cloned().unwrap_or_default();
            return Ok(Migrated { document, remarks: Vec::new() });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let format = format.or_else(|| is_of_ptbsare(path).then_some(PTBSARE));
        let mut imported = import_document(&document, &stem, format);
        if imported.dialect.is_none() {
            return Err(InvalidConfig { problems: imported.remarks.iter().map(|it| it.in_file(&file)).collect() });
        }
        tool_config(path, None, &mut imported).map_err(fail)?;
        let folder = absolute(path).parent().map(|folder| folder.display().to_string());
        let workspace = flags.workspace.as_deref().map(|folder| absolute(folder).display().to_string());
        let surroundings = Surroundings { folder, workspace, ..Surroundings::default() };
        let mut remarks = imported.remarks;
        let mut written = Map::new();
        for setting in imported.settings {
            written.insert(setting.name.to_owned(), value_of(setting.name, setting.values));
        }
        let mut servers = Map::new();
        for server in imported.servers {
            let (entry, lost) = server.entry(EntryForm::Own, &surroundings);
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

/// Returns a tree with its numbers as they are written: `1.10` and `010` would become others, and are texts to their reader
/// too.
fn as_written(node: &Node) -> Value {
    match &node.value {
        Found::Null => Value::Null,
        Found::Bool(flag, _) => (*flag).into(),
        Found::Number(_, literal) => {
            let number = literal.parse::<i64>().ok().filter(|number| number.to_string() == *literal);
            number.map_or_else(|| literal.as_str().into(), Value::from)
        }
        Found::Text(text) => text.text.as_str().into(),
        Found::List(items) => items.iter().map(as_written).collect(),
        Found::Map(map) => map.entries.iter().map(|(key, _, value)| (key.clone(), as_written(value))).collect(),
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
