//! The one file that reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::upstream::{ChildEnvironment, INHERITED};

/// The variables of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<String, OsString>);

/// A value that is not UTF-8.
pub(super) struct NotText;

/// The variables of this process.
pub(crate) fn process_environment() -> Variables {
    Variables(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
}

/// What child processes inherit of it.
pub(super) fn children(variables: &Variables) -> ChildEnvironment {
    let inherited = INHERITED.into_iter();
    let variables = inherited.filter_map(|name| Some((name, variables.0.get(name)?.clone()))).collect();
    ChildEnvironment { variables, warden: None }
}

impl Variables {
    /// The first of these variables that is set to something.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        self.all(names).into_iter().next()
    }

    /// A variable as it is set, even to nothing.
    pub(super) fn raw(&self, name: &str) -> Option<Result<String, NotText>> {
        let value = self.0.get(name)?;
        Some(value.to_str().map(str::to_owned).ok_or(NotText))
    }

    /// Every one of these variables that is set to something.
    pub(super) fn all(&self, names: &[&str]) -> Vec<String> {
        let values = names.iter().filter_map(|name| self.0.get(*name)?.to_str());
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// Whether one of these variables says yes.
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
