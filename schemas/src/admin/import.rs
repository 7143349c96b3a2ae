//! Import of another program's configuration file through the admin API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Secret;
use crate::admin::DefinitionView;
use crate::dialect::compozy::DefinitionDocument;
use crate::{Definition, Owner};

/// Body of `POST /admin/import`. Registers nothing unless `apply` is true.
///
/// ```
/// use schemas::admin::ImportRequest;
///
/// let posted = r#"{"content":"{\"mcpServers\":{\"time\":{\"command\":\"mcp-server-time\"}}}","name":"mcp.json"}"#;
/// let request: ImportRequest = serde_json::from_str(posted)?;
/// assert!(!request.apply);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Text of the file.
    pub content: String,
    /// Name of the file, for positions, and for a server that has no name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Format, if the content does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Values of the environment variables that the file names. The gateway's own environment is not used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub variables: BTreeMap<String, Secret>,
    /// Answers to the questions of an editor's file, by identifier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub inputs: BTreeMap<String, Secret>,
    /// Owner of the registrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// True to register the servers whose outcome is `create`.
    #[serde(default)]
    pub apply: bool,
}

/// Response to `POST /admin/import`.
///
/// ```
/// use schemas::admin::{ImportAnswer, ImportOutcome};
///
/// let answer = r#"{"format":"plain","applied":false,"servers":[{"name":"time","outcome":"create"}],"remarks":[]}"#;
/// let answer: ImportAnswer = serde_json::from_str(answer)?;
/// assert_eq!(answer.servers[0].outcome, ImportOutcome::Create);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct ImportAnswer {
    /// Format of the file.
    pub format: String,
    /// True if servers have been registered, or none had to be.
    pub applied: bool,
    /// Servers, in the order of the file.
    pub servers: Vec<ImportedServer>,
    /// Parts of the file without an effect, and other warnings and notes, each with its position.
    pub remarks: Vec<String>,
}

/// Server in an [`ImportAnswer`].
///
/// ```
/// use schemas::admin::{ImportOutcome, ImportedServer};
///
/// let server = ImportedServer::new("my files", "my-files", ImportOutcome::Refused).because("no URL");
/// let shown = serde_json::to_string(&server)?;
/// assert_eq!(shown, r#"{"name":"my-files","declaredAs":"my files","outcome":"refused","reason":"no URL"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImportedServer {
    /// Name at the gateway.
    pub name: String,
    /// Name in the file, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_as: Option<String>,
    /// Outcome for this server, or the outcome that it would have.
    pub outcome: ImportOutcome,
    /// Reason for the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Definition that is, or would be, registered, with secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionView>,
}

/// Outcome of an import for one server.
///
/// ```
/// use schemas::admin::ImportOutcome;
///
/// assert_eq!(serde_json::to_string(&ImportOutcome::Exists)?, r#""exists""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ImportOutcome {
    /// The server would be registered.
    Create,
    /// The server has been registered.
    Created,
    /// A registration of that name exists; it stays as it is.
    Exists,
    /// The file switches the server off.
    Disabled,
    /// The server cannot be registered.
    Refused,
}

impl ImportedServer {
    /// Builds the entry of a server without a reason.
    ///
    /// ```
    /// use schemas::admin::{ImportOutcome, ImportedServer};
    ///
    /// assert_eq!(ImportedServer::new("time", "time", ImportOutcome::Create).declared_as, None);
    /// ```
    pub fn new(declared_as: &str, name: &str, outcome: ImportOutcome) -> Self {
        let declared_as = (declared_as != name).then(|| declared_as.to_owned());
        Self { name: name.to_owned(), declared_as, outcome, reason: None, definition: None }
    }

    /// Adds the reason for the outcome.
    ///
    /// ```
    /// use schemas::admin::{ImportOutcome, ImportedServer};
    ///
    /// let server = ImportedServer::new("time", "time", ImportOutcome::Disabled).because("switched off");
    /// assert_eq!(server.reason.as_deref(), Some("switched off"));
    /// ```
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds the definition, with secrets masked.
    ///
    /// ```
    /// use schemas::Definition;
    /// use schemas::admin::{ImportOutcome, ImportedServer};
    ///
    /// let posted = r#"{"name":"time","transport":"stdio","command":"x","env":{"TOKEN":"s3cret"}}"#;
    /// let definition: Definition = serde_json::from_str(posted)?;
    /// let server = ImportedServer::new("time", "time", ImportOutcome::Create).showing(definition);
    /// assert!(!serde_json::to_string(&server)?.contains("s3cret"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn showing(mut self, definition: Definition) -> Self {
        self.definition = Some(DefinitionView::unregistered(DefinitionDocument::from(definition)));
        self
    }
}
