//! Error body of the admin API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Error body of the admin API, in the form that existing clients read: a short `error` and a cause in `details`.
///
/// ```
/// let problem = schemas::Problem::new("MCP not found").named("search");
/// assert_eq!(serde_json::to_string(&problem)?, r#"{"error":"MCP not found","name":"search"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Problem {
    /// A short, fixed message that callers may compare.
    pub error: String,
    /// The cause, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Name of the registration that the request addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stable machine-readable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Problem {
    /// Creates a problem with only an `error`.
    ///
    /// ```
    /// use schemas::Problem;
    ///
    /// let problem: Problem = serde_json::from_str(r#"{"error":"MCP not found"}"#)?;
    /// assert_eq!(problem, Problem::new("MCP not found"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }

    /// Sets the cause.
    ///
    /// ```
    /// let problem = schemas::Problem::new("Invalid MCP definition").details("name is required");
    /// assert_eq!(problem.details.as_deref(), Some("name is required"));
    /// ```
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// Sets the name of the registration.
    ///
    /// ```
    /// let problem = schemas::Problem::new("MCP already exists").named("time");
    /// assert_eq!(problem.name.as_deref(), Some("time"));
    /// ```
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the machine-readable code.
    ///
    /// ```
    /// use schemas::Problem;
    /// use schemas::admin::NO_SUCH_LOCK;
    ///
    /// let problem = Problem::new("Lock not found").code(NO_SUCH_LOCK);
    /// assert!(matches!(problem.code.as_deref(), Some(NO_SUCH_LOCK)));
    /// ```
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}
