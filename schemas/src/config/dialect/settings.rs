//! Settings of the gateway in a foreign file.

use crate::config::format::Imported;
use crate::config::pattern::{Notation, Pattern};
use crate::config::remark::Remark;
use crate::config::server::Setting;
use crate::document::{Node, Value};
use crate::format_duration;

/// Form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// A list, or a text with commas.
    List,
    /// A duration; a number is one of nanoseconds.
    Time,
}

/// Adds the setting at a path of the file. A list that is there already is extended.
pub(super) fn add(
    imported: &mut Imported,
    (name, form): (&'static str, Form),
    path: &str,
    node: &Node,
    notation: Notation,
) {
    let texts: Option<Vec<String>> = match (&node.value, form) {
        (Value::Null, _) => return,
        (Value::List(items), Form::List) => items.iter().map(|item| item.literal().map(str::to_owned)).collect(),
        (_, Form::List) => node.literal().map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()),
        (_, Form::Text) => node.literal().map(|text| vec![text.to_owned()]),
        (_, Form::Time) => node.literal().map(|text| vec![time(text)]),
    };
    let Some(mut values) = texts else {
        let expected = if form == Form::List { "a list of texts" } else { "a text" };
        imported.remarks.push(Remark::error(node.head(), format!("`{path}` is not {expected}")));
        return;
    };
    values.retain(|text| !text.is_empty());
    if values.iter().any(|text| Pattern::parse(text, notation).as_literal().is_none()) {
        let message = format!("`{path}` holds a variable, and the settings of this file are taken as they are");
        let hint = format!("set `{name}` by its flag or its environment variable");
        imported.remarks.push(Remark::error(node.head(), message).hint(hint));
        return;
    }
    match imported.settings.iter_mut().find(|setting| setting.name == name) {
        _ if values.is_empty() => {}
        Some(setting) if form == Form::List => {
            values.retain(|value| !setting.values.contains(value));
            setting.values.append(&mut values);
        }
        Some(_) => {
            let message = format!("`{path}` has no effect: the file sets `{name}` twice, and the first one counts");
            imported.remarks.push(Remark::warning(node.head(), message));
        }
        None => imported.settings.push(Setting { name, values, span: node.span }),
    }
}

/// Returns a duration with its unit.
fn time(text: &str) -> String {
    let nanoseconds = text.parse().map(std::time::Duration::from_nanos);
    nanoseconds.map_or_else(|_| text.to_owned(), format_duration)
}
