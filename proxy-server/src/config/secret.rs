//! Secrets in files of their own, as Docker and Kubernetes mount them: `NAME-file` beside a secret setting's key, and
//! `NAME_FILE` beside its variable.

use std::path::{Path, PathBuf};

use super::env::{NotText, Variables};
use super::file::{FileValue, text};
use super::model::InvalidSetting;

/// Returns the variable that names the file with the value of another one.
pub(super) fn variable(of: &str) -> String {
    format!("{of}_FILE")
}

/// Returns the key under which a file names the file with a setting's value.
pub(super) fn key(setting: &str) -> String {
    format!("{setting}-file")
}

/// Returns the files that the variables of a setting name, to notice their changes.
pub(super) fn files(variables: &'static [&'static str], env: &Variables) -> impl Iterator<Item = PathBuf> {
    variables.iter().filter_map(|variable| env.path(&self::variable(variable)))
}

/// Reads the files that the variables of a setting name.
pub(super) fn in_variables(
    variables: &[&'static str],
    env: &Variables,
) -> Result<Vec<(String, String)>, InvalidSetting> {
    let mut found = Vec::new();
    for variable in variables {
        let name = self::variable(variable);
        let path = match env.raw(&name) {
            None => continue,
            Some(Err(NotText)) => return Err(InvalidSetting::unusable(&name, "the path is not UTF-8")),
            Some(Ok(path)) if path.is_empty() => continue,
            Some(Ok(path)) => path,
        };
        if env.raw(variable).is_some() {
            return Err(InvalidSetting::unusable(&name, format!("`{variable}` is set too; leave one of them out")));
        }
        let secret = read(Path::new(&path)).map_err(|reason| InvalidSetting::unusable(&name, reason))?;
        found.push((name, secret));
    }
    Ok(found)
}

/// Reads the file that a setting in a configuration file names.
pub(super) fn of_file(value: &FileValue) -> Result<String, InvalidSetting> {
    let refuse = |reason: String| InvalidSetting::unusable("", reason);
    let [path] = value.texts.as_slice() else { return Err(refuse("it takes the path of one file".to_owned())) };
    read(&value.folder.join(path)).map_err(refuse)
}

/// Reads a secret: the lines of the file as entries of a list.
fn read(path: &Path) -> Result<String, String> {
    let text = text(path, false).map_err(|reason| format!("cannot read `{}`: {reason}", path.display()))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(lines.join(","))
}
