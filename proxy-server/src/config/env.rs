//! Reads the environment; no other file does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use schemas::template::Environment;

use super::model::Config;
use crate::upstream::{ChildEnvironment, INHERITED};

/// Environment variables of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<String, OsString>);

/// The value is not UTF-8.
pub(super) struct NotText;

/// Returns the environment of this process.
pub(crate) fn process_environment() -> Variables {
    Variables(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
}

/// Selects the variables that child processes inherit, and those that their definitions may ask for.
pub(super) fn children(variables: &Variables, config: &Config) -> ChildEnvironment {
    let value = |name: &str| variables.0.get(name).cloned();
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name, value(name)?))).collect();
    let inheritable = config.inheritable_env.iter().map(|name| (name.clone(), value(name))).collect();
    ChildEnvironment { variables: inherited, inheritable, users: config.program_users.clone(), warden: None }
}

impl Variables {
    /// Iterates over the names that are set.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns a variable as it is set, even if empty.
    pub(super) fn raw(&self, name: &str) -> Option<Result<String, NotText>> {
        let value = self.0.get(name)?;
        Some(value.to_str().map(str::to_owned).ok_or(NotText))
    }

    /// Returns a variable that names a path, unless it is empty.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Returns a variable as text, unless it is empty or not UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.raw(name)?.ok().filter(|text| !text.is_empty())
    }

    /// Returns the folder of Radium's workspace.
    pub(crate) fn radium_workspace(&self) -> Option<PathBuf> {
        self.path("RADIUM_WORKSPACE")
    }

    /// Returns the variable that is set for a predecessor which takes the keys in it also from the query of a URL.
    pub(super) fn query_keys(&self) -> Option<&'static str> {
        ["ALLOWED_KEYS", "ALLOWED_KEYS_FILE"].into_iter().find(|name| self.path(name).is_some())
    }

    /// Returns the variables whose values are UTF-8, for texts in configuration files.
    pub(super) fn texts(&self) -> Environment {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str()?))).collect()
    }

    /// Returns the user's folder for state (XDG Base Directory Specification 0.8). Relative paths are ignored, as it says.
    pub(crate) fn state_home(&self) -> Option<PathBuf> {
        let folder = |name: &str| self.0.get(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

#[cfg(test)]
impl From<&[(&str, &str)]> for Variables {
    fn from(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect())
    }
}

#[cfg(test)]
impl Variables {
    /// Sets a variable, unless it is set already.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.into());
        self
    }
}
