//! Variables that templates may use, in layers: sources closer to the command line override those further away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Variables that templates may use, as `.env.NAME`. `Debug` never prints values.
///
/// ```
/// use schemas::template::Environment;
///
/// let process = Environment::from_iter([("TOKEN", "hunter2"), ("HOST", "a.test")]);
/// assert_eq!(process.get("TOKEN"), Some("hunter2"));
/// assert_eq!(format!("{process:?}"), r#"Environment({"HOST", "TOKEN"})"#);
///
/// let flags = [("HOST", "b.test")];
/// assert_eq!(process.overlaid(flags).get("HOST"), Some("b.test"));
///
/// let project = Environment::from_iter([("HOST", "c.test"), ("REGION", "eu")]);
/// assert_eq!(process.over(&project).get("HOST"), Some("a.test"));
/// assert_eq!(process.over(&project).get("REGION"), Some("eu"));
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    /// The first layer that has a name supplies its value.
    layers: Vec<Arc<BTreeMap<String, String>>>,
}

impl Environment {
    /// Returns the value of a variable.
    ///
    /// ```
    /// let environment = schemas::template::Environment::from_iter([("REGION", "eu")]);
    /// assert_eq!((environment.get("REGION"), environment.get("HOST")), (Some("eu"), None));
    /// ```
    pub fn get(&self, name: &str) -> Option<&str> {
        self.layers.iter().find_map(|layer| layer.get(name)).map(String::as_str)
    }

    /// Iterates over the names that are set. A name set in several layers appears once per layer.
    ///
    /// ```
    /// let environment = schemas::template::Environment::from_iter([("TOKEN", "hunter2"), ("HOST", "a.test")]);
    /// assert!(environment.names().eq(["HOST", "TOKEN"]));
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().flat_map(|layer| layer.keys()).map(String::as_str)
    }

    /// Returns these variables, overridden by the given ones where names are equal.
    ///
    /// ```
    /// let process = schemas::template::Environment::from_iter([("HOST", "a.test"), ("REGION", "eu")]);
    /// let with_flags = process.overlaid([("HOST", "b.test")]);
    /// assert_eq!((with_flags.get("HOST"), with_flags.get("REGION")), (Some("b.test"), Some("eu")));
    /// ```
    #[must_use]
    pub fn overlaid<K: Into<String>, V: Into<String>>(&self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut layers = vec![layer(variables)];
        layers.extend(self.layers.iter().cloned());
        Self { layers }
    }

    /// Returns these variables, and those of `below` where no variable of that name is set here.
    ///
    /// ```
    /// use schemas::template::Environment;
    ///
    /// let process = Environment::from_iter([("HOST", "a.test")]);
    /// let of_the_engine = Environment::from_iter([("HOST", "c.test"), ("REGION", "eu")]);
    /// let both = process.over(&of_the_engine);
    /// assert_eq!((both.get("HOST"), both.get("REGION")), (Some("a.test"), Some("eu")));
    /// ```
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        Self { layers: self.layers.iter().chain(&below.layers).cloned().collect() }
    }
}

fn layer<K: Into<String>, V: Into<String>>(
    variables: impl IntoIterator<Item = (K, V)>,
) -> Arc<BTreeMap<String, String>> {
    Arc::new(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self { layers: vec![layer(variables)] }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<_> = self.names().collect();
        f.debug_tuple("Environment").field(&names).finish()
    }
}
