//! Reads the environment; no other file does.

use std::collections::BTreeMap;
use std::ffi::OsString;

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

/// Selects the variables that child processes inherit.
pub(super) fn children(variables: &Variables) -> ChildEnvironment {
    let inherited = INHERITED.into_iter();
    let variables = inherited.filter_map(|name| Some((name, variables.0.get(name)?.clone()))).collect();
    ChildEnvironment { variables, warden: None }
}

impl Variables {
    /// Returns the first of these variables that is set and not empty.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        self.all(names).into_iter().next()
    }

    /// Returns a variable as it is set, even if empty.
    pub(super) fn raw(&self, name: &str) -> Option<Result<String, NotText>> {
        let value = self.0.get(name)?;
        Some(value.to_str().map(str::to_owned).ok_or(NotText))
    }

    /// Returns every one of these variables that is set and not empty.
    pub(super) fn all(&self, names: &[&str]) -> Vec<String> {
        let values = names.iter().filter_map(|name| self.0.get(*name)?.to_str());
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// True if one of these variables is `1` or `true`.
    pub(super) fn flag(&self, names: &[&str]) -> bool {
        self.all(names).iter().any(|value| value == "1" || value.eq_ignore_ascii_case("true"))
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
