//! What the admin API answers when it refuses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The error body of the admin API, in the form its existing clients read: a short `error`, a cause in `details`.
///
/// ```
/// let problem = schemas::Problem::new("MCP not found").named("search");
/// assert_eq!(serde_json::to_string(&problem)?, r#"{"error":"MCP not found","name":"search"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Problem {
    /// What went wrong, in a few fixed words that callers may compare.
    pub error: String,
    /// The cause, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The registration that was addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A stable word to branch on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Problem {
    /// A problem that says only `error`.
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

    /// Adds the cause.
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

    /// Adds the name of the registration.
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

    /// Adds the stable word.
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
