//! Reading the lists of one upstream again.

use serde::{Deserialize, Serialize};

/// Answer to `POST /admin/mcps/{name}/refresh`: every list of the upstream was read again, and this is how long they are.
///
/// ```
/// use schemas::admin::Refreshed;
///
/// let answer = r#"{"name":"docs","tools":12,"prompts":0,"resources":3,"resourceTemplates":1}"#;
/// let refreshed: Refreshed = serde_json::from_str(answer)?;
/// assert_eq!((refreshed.tools, refreshed.resource_templates), (12, 1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Refreshed {
    /// The upstream.
    pub name: String,
    /// Tools, those included that a filter hides.
    pub tools: usize,
    /// Prompts.
    pub prompts: usize,
    /// Resources.
    pub resources: usize,
    /// Resource templates.
    pub resource_templates: usize,
    /// Skills (extension `io.modelcontextprotocol/skills`).
    pub skills: usize,
}
