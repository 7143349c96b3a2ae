//! Definitions and servers that a worker needs.

use std::collections::BTreeMap;

use proxy_client::Needs;
use schemas::{Definition, ServerName};

use crate::workflow::Desired;

/// Definitions and servers that a worker wants.
///
/// ```no_run
/// use register_service::{Environment, Settings, Wanted, load};
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let desired = load(&["workflows".into()], &settings)?.desired;
/// let wanted = Wanted::from(&desired).with_optional(["time".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Definitions to register.
    pub definitions: Vec<Definition>,
    /// Required and optional servers.
    pub needs: Needs,
    /// Names of servers at the gateway, by the ids that the files use.
    pub ids: BTreeMap<String, ServerName>,
}

impl Wanted {
    /// Wants these definitions, all of them required.
    ///
    /// ```
    /// use register_service::Wanted;
    ///
    /// let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
    /// assert_eq!(Wanted::new(vec![definition]).needs.to_string(), "`time`");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(definitions: Vec<Definition>) -> Self {
        let needs = Needs::required(definitions.iter().map(|it| it.name.clone()));
        Self { definitions, needs, ids: BTreeMap::new() }
    }

    /// Makes these servers optional.
    ///
    /// ```
    /// use register_service::Wanted;
    ///
    /// let wanted = Wanted::new(Vec::new()).with_optional(["time".parse()?]);
    /// assert_eq!(wanted.needs.to_string(), "`time` if possible");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    #[must_use]
    pub fn with_optional(mut self, names: impl IntoIterator<Item = ServerName>) -> Self {
        self.needs = self.needs.with_optional(names);
        self
    }
}

impl From<&Desired> for Wanted {
    /// Wants all servers that files register or refer to, as required.
    fn from(desired: &Desired) -> Self {
        let mut ids = BTreeMap::new();
        for entry in desired.entries() {
            if let Some(name) = entry.name() {
                ids.entry(entry.id.clone()).or_insert_with(|| name.clone());
            }
        }
        Self { definitions: desired.definitions(), needs: Needs::required(desired.names()), ids }
    }
}
