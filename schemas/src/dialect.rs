//! Ancestors' document forms, one file each. Nothing outside this module knows what they look like.
//!
//! What a desktop client has in its file, as Compozy's proxy would be sent it:
//!
//! ```
//! use schemas::dialect::desktop::Document;
//!
//! let file: Document = serde_json::from_str(r#"{"mcpServers": {"time": {"command": "mcp-server-time"}}}"#)?;
//! let bodies: Result<Vec<String>, _> = file.definitions()?.iter().map(serde_json::to_string).collect();
//! assert_eq!(bodies?, [r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod compozy;
pub mod desktop;
