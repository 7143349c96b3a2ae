//! Answer of a manual refresh of one upstream's lists.

use serde::{Deserialize, Serialize};

/// Answer of `POST /admin/mcps/{name}/refresh`: the number of items in each list of the upstream, just read again.
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
    /// Name of the upstream.
    pub name: String,
    /// Number of tools, including those hidden by the definition's filter.
    pub tools: usize,
    /// Number of prompts.
    pub prompts: usize,
    /// Number of resources.
    pub resources: usize,
    /// Number of resource templates.
    pub resource_templates: usize,
    /// Number of skills (extension `io.modelcontextprotocol/skills`).
    pub skills: usize,
}
