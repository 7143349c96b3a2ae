//! Settings of the processes of a stdio upstream.

use std::time::Duration;

/// Settings of the processes of a stdio upstream: whose rights, which variables and how much of the machine they have.
/// Limits apply to each process by itself, and children inherit them.
///
/// ```
/// use schemas::{Definition, ProcessSettings};
///
/// let posted = r#"{"name":"build","transport":"stdio","command":"mcp-build","umask":"027","maxMemoryBytes":536870912}"#;
/// let process = serde_json::from_str::<Definition>(posted)?.process;
/// let declared = ProcessSettings { umask: Some(0o27), memory_bytes: Some(512 << 20), ..ProcessSettings::default() };
/// assert_eq!(process, declared);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessSettings {
    /// `user`: name or number of the user that the program runs as, with that user's groups and without the possibility
    /// to gain other rights; the gateway's if absent.
    pub user: Option<String>,
    /// `umask`: permissions that new files do not get; the gateway's if absent.
    pub umask: Option<u32>,
    /// `inheritEnv`: variables of the gateway that the program gets, besides the basic ones.
    pub inherit_env: Vec<String>,
    /// `maxMemoryBytes`: maximum size of the writable private memory of a process (`RLIMIT_DATA`), in bytes.
    pub memory_bytes: Option<u64>,
    /// `maxCpuTime`: maximum CPU time of a process (`RLIMIT_CPU`), in whole seconds. A process that reaches it is killed.
    pub cpu_time: Option<Duration>,
    /// `maxOpenFiles`: maximum number of open descriptors of a process (`RLIMIT_NOFILE`).
    pub open_files: Option<u32>,
    /// `nice`: amount by which others are preferred when the CPU is contended, from 1 to 19.
    pub nice: Option<u8>,
}
