//! Document formats of ancestors, one file each. No other module knows these formats.
//!
//! Converts the configuration file of a desktop client to the request bodies of Compozy's proxy:
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
