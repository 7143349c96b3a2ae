//! Keys that the engine knows in workflows and agents.

/// The keys that a workflow has at the top, in any version of the engine, for reports of keys that are none.
///
/// ```
/// use schemas::workflow::WORKFLOW_KEYS;
///
/// assert!(WORKFLOW_KEYS.contains(&"mcps") && !WORKFLOW_KEYS.contains(&"mcpServers"));
/// ```
pub const WORKFLOW_KEYS: [&str; 27] = [
    "id",
    "mcps",
    "agents",
    "env",
    "tasks",
    "resource",
    "name",
    "version",
    "description",
    "author",
    "metadata",
    "tags",
    "labels",
    "schemas",
    "config",
    "input",
    "output",
    "outputs",
    "tools",
    "triggers",
    "schedule",
    "knowledge",
    "knowledge_bases",
    "memories",
    "models",
    "cwd",
    "with",
];

/// The keys that an agent has and a workflow has not, in any version of the engine.
///
/// ```
/// use schemas::workflow::AGENT_KEYS;
///
/// assert!(AGENT_KEYS.contains(&"instructions") && !AGENT_KEYS.contains(&"instrutions"));
/// ```
pub const AGENT_KEYS: [&str; 14] = [
    "actions",
    "tool",
    "instructions",
    "model",
    "provider",
    "params",
    "temperature",
    "max_tokens",
    "max_iterations",
    "json_mode",
    "memory",
    "attachments",
    "use",
    "type",
];
